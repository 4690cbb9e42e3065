//! `_filter` and `_list`: what is asked in words of their own, by what ordinary conditions find.

use fhir_search::parameters::ParameterKind;
use fhir_search::query::{Expression, Filter};
use fhir_search::registry::TypeSearch;

use super::ask::pair;
use super::corpus::Corpus;
use super::matches::{local, matches};
use fhir_store::testing::Random;

/// For each resource of a type, whether an expression holds.
pub(super) fn holds(expression: &Expression, type_name: &str, corpus: &'static Corpus) -> Vec<bool> {
    let count = corpus.of(type_name).len();
    let of = |list: &[Expression]| list.iter().map(|e| holds(e, type_name, corpus)).collect::<Vec<_>>();
    let each = |all: &dyn Fn(usize) -> bool| (0..count).map(all).collect();
    match expression {
        Expression::One(filters) => {
            let found: Vec<_> = filters.iter().map(|f: &Filter| matches(f, type_name, corpus)).collect();
            each(&|i| found.iter().all(|holds| holds[i]))
        }
        Expression::All(list) => {
            let found = of(list);
            each(&|i| found.iter().all(|holds| holds[i]))
        }
        Expression::Any(list) => {
            let found = of(list);
            each(&|i| found.iter().any(|holds| holds[i]))
        }
        Expression::Not(inner) => holds(inner, type_name, corpus).into_iter().map(|holds| !holds).collect(),
    }
}

/// An expression about a resource.
pub(super) fn ask(
    random: &mut Random,
    corpus: &Corpus,
    this: &TypeSearch,
    same: Option<usize>,
    depth: usize,
) -> Option<String> {
    let inner = |random: &mut Random| ask(random, corpus, this, same, depth + 1);
    match random.below(if depth < 2 { 6 } else { 3 }) {
        0..3 => (0..20).find_map(|_| comparison(random, corpus, this, same)),
        3 => Some(format!("{} and {}", inner(random)?, inner(random)?)),
        4 => Some(format!("({}) or {}", inner(random)?, inner(random)?)),
        _ => Some(format!("not ({})", inner(random)?)),
    }
}

fn comparison(
    random: &mut Random,
    corpus: &Corpus,
    this: &TypeSearch,
    same: Option<usize>,
) -> Option<String> {
    let (name, value) = pair(random, corpus, &this.type_name, this.params(), same)?;
    if let Some(code) = name.strip_suffix(":missing") {
        return Some(format!("{code} pr {}", value != "true"));
    }
    let kind = this.param(&name)?.kind;
    let plain = |c: char| !c.is_whitespace() && !matches!(c, '(' | ')' | '"' | '\'' | '\\' | ',' | '$');
    if kind == ParameterKind::String {
        let quoted = value.chars().all(|c| c == ' ' || (plain(c) && c != '|'));
        let operator = random.pick(&["sw", "co", "eq", "ne"])?;
        return quoted.then(|| format!("{name} {operator} \"{value}\""));
    }
    if !value.chars().all(plain) {
        return None;
    }
    match kind {
        ParameterKind::Token | ParameterKind::Reference => {
            Some(format!("{name} {} {value}", random.pick(&["eq", "ne"])?))
        }
        ParameterKind::Date | ParameterKind::Number | ParameterKind::Quantity => {
            let has_prefix = value.starts_with(|c: char| c.is_ascii_lowercase());
            let (operator, rest) = if has_prefix { value.split_at(2) } else { ("eq", &*value) };
            Some(format!("{name} {operator} {rest}"))
        }
        _ => None,
    }
}

/// The ids of a type that Lists have, but for those that are marked as deleted.
pub(super) fn listed(lists: &[&str], type_name: &str, corpus: &Corpus) -> Vec<String> {
    let mut found = Vec::new();
    for list in corpus.of("List").iter().filter(|list| lists.contains(&&*list.key.id)) {
        for entry in list.root().get("entry").into_iter().flat_map(|all| all.items()) {
            let text = entry.get("item").and_then(|item| item.get_str("reference")).unwrap_or_default();
            let deleted = entry.get("deleted").and_then(|deleted| deleted.bool()) == Some(true);
            found.extend(
                local(&text).filter(|(kind, _)| *kind == type_name && !deleted).map(|t| t.1.to_owned()),
            );
        }
    }
    found
}

/// One or two Lists that have resources of the type.
pub(super) fn ask_list(random: &mut Random, corpus: &Corpus, type_name: &str) -> Option<String> {
    let all = corpus.of("List").iter().map(|list| &*list.key.id);
    let having: Vec<&str> = all.filter(|id| !listed(&[id], type_name, corpus).is_empty()).collect();
    let one = random.pick(&having)?;
    Some(if random.chance(30) { format!("{one},{}", random.pick(&having)?) } else { (*one).to_owned() })
}
