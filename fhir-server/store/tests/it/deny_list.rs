//! All SQL there is, against the list of what is refused: in the sources, in the migrations, and as it is at run
//! time.

mod literals;
mod rules;

use std::path::{Path, PathBuf};

use fhir_search::index_hash::IndexHasher;
use fhir_search::order::Order;
use fhir_search::sql::Placement;
use fhir_search::sql::index_scan::IndexScan;
use fhir_search::{filter, sql};
use literals::{Literal, literals};
use rules::{broken, tokens};

use super::query;

/// `format!` with SQL in it, and why it is none of values. Each must be met, so that none outlives its reason.
const FORMATTED: &[(&str, &str, &str)] = &[
    ("search-params/src/sql.rs", "${}::{kind}", "numbers a placeholder"),
    ("search-params/src/sql.rs", " limit {rows}", "a limit, which is not of the query's values"),
    ("search-params/src/sql/sort.rs", " as s{i}", "numbers a column"),
    ("search-params/src/sql/sort.rs", "m.s{i}", "numbers a column"),
    ("search-params/src/sql/plan.rs", ", m.s{i}", "numbers a column"),
    ("fhir-server/store/src/write/one.rs", "${}::{kind}", "numbers a placeholder"),
    ("fhir-server/store/src/search/explain.rs", "select set_config(", "a type of PostgreSQL"),
    ("fhir-server/store/src/search/explain.rs", "explain (analyze, buffers", "names of settings"),
    ("fhir-server/store/src/search/count.rs", "explain (format json) {}", "a statement as it was built"),
];

/// `format!` in these files that makes a value that is bound, or no SQL at all.
const BOUND: &[(&str, &str)] = &[
    ("search-params/src/sql/index_scan.rs", "{text}\u{10FFFF}"),
    ("search-params/src/sql/residual.rs", "{text}\u{10FFFF}"),
    ("fhir-server/store/src/distinct.rs", "{text}\u{10FFFF}"),
    ("search-params/src/sql/residual.rs", "%{escaped}%"),
];

/// Leases alone are judged by the database's clock.
const CLOCK_ALLOWED: &[&str] = &[
    "fhir-server/database/src/lease.rs",
    "fhir-server/database/src/migrate.rs",
    "fhir-server/store/src/writers.rs",
    "fhir-server/work/src/dead_letter.rs",
    "fhir-server/work/src/queue.rs",
    "fhir-server/work/src/scheduler.rs",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// (path below the root, text) of all files with an ending below a folder.
fn files(folder: &str, ending: &str) -> Vec<(String, String)> {
    let root = root();
    let mut folders = vec![root.join(folder)];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == ending) {
                let name = path.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
                found.push((name, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

/// The sources that hold SQL, with their literals.
fn sources() -> Vec<(String, Vec<Literal>)> {
    let mut all = files("fhir-server/store/src", "rs");
    all.extend(files("fhir-server/database/src", "rs"));
    all.extend(files("fhir-server/work/src", "rs"));
    all.extend(files("fhir-server/access/src", "rs"));
    all.extend(files("adapters/src", "rs"));
    all.extend(files("search-params/src", "rs").into_iter().filter(|(name, _)| name.contains("/src/sql")));
    all.into_iter().map(|(name, source)| (name, literals(&source))).collect()
}

/// True for a text that is a statement or the piece of one. In the files that only build SQL every text is.
fn is_sql(name: &str, text: &str) -> bool {
    const FIRST: &[&str] = &[
        "select", "insert", "update", "delete", "with", "create", "alter", "drop", "explain", "lock",
        "truncate",
    ];
    let only_sql = name.contains("search-params/src/sql") || name.contains("store/src/write/");
    only_sql || tokens(text).first().is_some_and(|word| FIRST.contains(&word.as_str()))
}

#[test]
fn the_sources_obey_the_list() {
    let mut wrong = Vec::new();
    let mut statements = 0;
    for (name, literals) in sources() {
        for literal in literals.iter().filter(|l| is_sql(&name, &l.text)) {
            statements += 1;
            let allowed = |rule: &str| rule == "clock" && CLOCK_ALLOWED.contains(&&*name);
            let rules: Vec<_> = broken(&literal.text).into_iter().filter(|rule| !allowed(rule)).collect();
            if !rules.is_empty() {
                wrong.push(format!("{name}:{}: {rules:?} in `{}`", literal.line, literal.text));
            }
        }
    }
    assert!(statements > 150, "only {statements} pieces of SQL were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_value_is_formatted_into_sql() {
    let mut wrong = Vec::new();
    let mut met = vec![false; FORMATTED.len()];
    for (name, literals) in sources() {
        let formatted =
            literals.iter().filter(|l| l.of_macro.as_deref() == Some("format") && is_sql(&name, &l.text));
        for literal in formatted {
            let known =
                FORMATTED.iter().position(|(file, text, _)| *file == name && literal.text.starts_with(text));
            match known {
                Some(at) => met[at] = true,
                None if BOUND.contains(&(&*name, &*literal.text)) => {}
                None => wrong.push(format!("{name}:{}: `{}`", literal.line, literal.text)),
            }
        }
    }
    assert!(wrong.is_empty(), "values are bound, not formatted:\n{}", wrong.join("\n"));
    let stale: Vec<_> = FORMATTED.iter().zip(met).filter(|(_, met)| !met).map(|(row, _)| row).collect();
    assert!(stale.is_empty(), "no longer there: {stale:?}");
}

#[test]
fn the_migrations_obey_the_list() {
    let migrations = files("migrations", "sql");
    assert!(migrations.len() >= 2);
    for (name, sql) in migrations {
        let rules = broken(&sql);
        assert!(rules.is_empty(), "{name}: {rules:?}");
        // What only PostgreSQL has stands in one file, by its name.
        if !name.ends_with("_postgresql.sql") {
            let words = tokens(&sql);
            for refused in ["extension", "fillfactor", "fastupdate", "gin_trgm_ops", "tablespace", "unlogged"]
            {
                assert!(!words.iter().any(|w| w == refused), "{name}: `{refused}` is PostgreSQL's own");
            }
        }
    }
}

/// Searches of every shape. What differs in value alone (the second column) is the same statement.
const SEARCHES: &[(&str, &str)] = &[
    ("Patient?_id=a", "Patient?_id=b"),
    ("Observation?patient=a&date=ge2020", "Observation?patient=b&date=ge2021-01-01"),
    ("Observation?code=http://s|a", "Observation?code=http://s|b"),
    ("Observation?code=http://s|a,http://s|b&_sort=date", "Observation?code=x|y,http://s|c&_sort=date"),
    ("Observation?status=final&_sort=-date", "Observation?status=' or 1=1 --&_sort=-date"),
    ("Patient?name=o'neil", "Patient?name=smith"),
    // With trigrams and without.
    ("Patient?name:contains=100%25_", "Patient?name:contains=xyz"),
    ("Patient?name:contains=1%5_", "Patient?name:contains=x"),
    ("Patient?name=a%_ b'", "Patient?name=c d"),
    ("Patient?family:exact=A&gender:not=male", "Patient?family:exact=B&gender:not=female"),
    ("Patient?identifier=s|1&_sort=-_lastUpdated", "Patient?identifier=s|2&_sort=-_lastUpdated"),
    (
        "Patient?birthdate:missing=true&_sort=family,-given",
        "Patient?birthdate:missing=true&_sort=family,-given",
    ),
    (
        "Observation?value-quantity=5.4||mg&_sort=value-quantity",
        "Observation?value-quantity=7||g&_sort=value-quantity",
    ),
    ("Observation?combo-value-quantity=gt5", "Observation?combo-value-quantity=gt6"),
    (
        "RiskAssessment?probability=ne0.5&_sort=-probability",
        "RiskAssessment?probability=ne0.7&_sort=-probability",
    ),
    ("Encounter?date=ap2020&_sort=status,_id", "Encounter?date=ap2021&_sort=status,_id"),
    ("ValueSet?url=http://a&_lastUpdated=gt2020", "ValueSet?url=http://b&_lastUpdated=gt2021"),
    (
        "Observation?subject:identifier=s|1&performer=Practitioner/1",
        "Observation?subject:identifier=s|2&performer=Practitioner/2",
    ),
];

#[tokio::test]
async fn statements_at_run_time_obey_the_list_and_hold_no_values() {
    let store = fhir_store::testing::fresh().await.unwrap();
    let (registry, hasher) = (store.registry(), IndexHasher::new([3; 16]));
    let texts = |placement: Placement, search: &str| {
        let query = query(&store, search);
        let condition = filter::condition(&query, registry, &hasher);
        let order = Order::from_query(&query, &hasher);
        let statements = match order.keys().iter().find_map(|key| IndexScan::new(key, None, false)) {
            Some(walk) => vec![walk.sql(placement, &condition, 256)],
            None => {
                let columns = if order.is_columns() { order } else { Order::none() };
                let plan = sql::page(placement, &query, 1, condition.clone(), &columns, 21);
                plan.steps.into_iter().map(|step| step.sql).collect()
            }
        };
        let mut texts: Vec<String> = statements.iter().map(|sql| sql.text().to_owned()).collect();
        texts.push(sql::count(1, &condition, None).text().to_owned());
        texts.push(sql::count(1, &condition, Some(10)).text().to_owned());
        let matching = sql::matching(placement, &query, 1, condition, 2);
        texts.push(matching.steps[0].sql.text().to_owned());
        texts
    };
    for (search, other) in SEARCHES {
        for placement in [Placement::Single, Placement::Distributed] {
            assert_eq!(texts(placement, search), texts(placement, other), "{search} and {other}");
        }
        for text in [texts(Placement::Single, search), texts(Placement::Distributed, search)].concat() {
            assert!(broken(&text).is_empty(), "{search}: {:?} in {text}", broken(&text));
            let quoted: Vec<_> = tokens(&text).into_iter().filter(|w| w.starts_with('\'')).collect();
            let fixed = |w: &String| matches!(&**w, "''" | "'0'" | "'{}'");
            assert!(quoted.iter().all(fixed), "{search}: {quoted:?} in {text}");
        }
    }
}
