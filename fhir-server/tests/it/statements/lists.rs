//! Which statements may break a rule.

use std::collections::{BTreeMap, BTreeSet};

use super::rules::{Finding, broken};

/// Of a statement so many letters are shown.
const SHOWN: usize = 600;

/// What may break a rule: the rule's name, and the part of the statement as the rule shows it.
pub(super) struct Lists(BTreeSet<Finding>);

impl Lists {
    /// What is sent to every PostgreSQL.
    pub(super) fn both() -> Lists {
        Lists(entries(include_str!("both.txt")).into_iter().collect())
    }

    /// What is sent to one that is not distributed.
    pub(super) fn plain() -> Lists {
        Lists([include_str!("both.txt"), include_str!("plain.txt")].into_iter().flat_map(entries).collect())
    }

    /// What is wrong: statements that break a rule and are not listed, and what is listed and was not met.
    pub(super) fn compare(&self, statements: &[String]) -> Vec<String> {
        let mut found: BTreeMap<Finding, &str> = BTreeMap::new();
        for statement in statements {
            for finding in broken(statement) {
                let shortest = found.entry(finding).or_insert(statement);
                if statement.len() < shortest.len() {
                    *shortest = statement;
                }
            }
        }
        let unlisted = found.iter().filter(|(finding, _)| !self.0.contains(finding)).map(|(finding, sql)| {
            let sql: String =
                sql.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(SHOWN).collect();
            format!("{}: {}\n    {sql}", finding.rule, finding.part)
        });
        let unmet = self.0.iter().filter(|listed| !found.contains_key(listed));
        let unmet = unmet.map(|listed| format!("listed and not met: {}: {}", listed.rule, listed.part));
        unlisted.chain(unmet).collect()
    }
}

/// The entries of a list: `rule: part`, and comments with the reasons.
fn entries(text: &str) -> Vec<Finding> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let finding = |line: &str| {
        let (rule, part) = line.split_once(": ").unwrap_or_else(|| panic!("`{line}` names no rule"));
        Finding { rule: rule.to_owned(), part: part.to_owned() }
    };
    lines.map(finding).collect()
}

#[test]
fn what_is_not_listed_and_what_is_not_met_are_wrong() {
    let sql = |text: &str| vec![text.to_owned(), "select 1 from resource r".to_owned()];
    let locks = sql("select r.handle from resource r where r.handle = any($1) for update");
    let lists = |text: &str| Lists(entries(text).into_iter().collect());
    assert_eq!(lists("# why\nlock: resource r lock\n").compare(&locks), Vec::<String>::new());
    let wrong = lists("").compare(&locks);
    assert!(
        matches!(&*wrong, [one] if one.starts_with("lock: resource r lock\n    select r.handle")),
        "{wrong:?}"
    );
    let wrong = lists("lock: resource r lock\nlimited: resource r").compare(&locks);
    assert_eq!(wrong, ["listed and not met: limited: resource r"]);
    assert_eq!(
        lists("").compare(&sql("select r.handle from resource r where r.handle = $1 for update")),
        Vec::<String>::new()
    );
}
