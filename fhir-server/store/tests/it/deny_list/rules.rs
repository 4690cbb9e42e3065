//! What SQL may not hold: it must run on PostgreSQL distributed by `handle`, and on databases that speak its
//! language without having all of it.

/// A broken rule.
pub(super) type Rule = &'static str;

/// Words that are refused wherever they stand, and words that begin so.
const WORDS: &[(Rule, &[&str])] = &[
    ("listen or notify", &["listen", "unlisten", "notify", "pg_notify"]),
    ("trigger", &["trigger", "triggers"]),
    (
        "sequence",
        &[
            "sequence",
            "serial",
            "bigserial",
            "smallserial",
            "serial4",
            "serial8",
            "nextval",
            "setval",
            "currval",
            "identity",
        ],
    ),
    ("deferrable", &["deferrable", "deferred"]),
    ("domain", &["domain"]),
    (
        "range type",
        &[
            "int4range",
            "int8range",
            "numrange",
            "tsrange",
            "tstzrange",
            "daterange",
            "int4multirange",
            "int8multirange",
        ],
    ),
    ("merge", &["merge"]),
    (
        "clock",
        &[
            "now",
            "clock_timestamp",
            "current_timestamp",
            "statement_timestamp",
            "transaction_timestamp",
            "localtimestamp",
            "current_date",
            "current_time",
            "timeofday",
        ],
    ),
    ("websearch_to_tsquery", &["websearch_to_tsquery"]),
    ("jsonb_path_ops", &["jsonb_path_ops"]),
    ("gist or brin", &["gist", "spgist", "brin"]),
    ("foreign key", &["foreign", "references"]),
    ("random or volatile", &["random", "gen_random_uuid", "uuid_generate_v4", "txid_current"]),
];

/// Tables that are distributed by their column `handle`; the others by their own key.
const DISTRIBUTED: &[&str] = &["resource", "ordered_entry", "string_entry", "resource_history"];

/// The rules a text breaks, each once.
pub(super) fn broken(sql: &str) -> Vec<Rule> {
    let words = tokens(sql);
    let mut found = Vec::new();
    let is = |at: usize, text: &str| words.get(at).is_some_and(|w| w == text);
    for (at, word) in words.iter().enumerate() {
        found.extend(
            WORDS.iter().filter(|(_, refused)| refused.contains(&word.as_str())).map(|(rule, _)| *rule),
        );
        if word.starts_with("pg_advisory") || word.starts_with("pg_try_advisory") {
            found.push("advisory lock");
        }
        if word == "/" {
            found.push("division");
        }
        if word == "gin" && is(at + 1, "(") && inside(&words, at + 1).iter().any(|w| w == ",") {
            found.push("multi-column gin");
        }
        if word == "on" && is(at + 1, "conflict") && !conflict_target_is_columns(&words, at + 2) {
            found.push("conflict target");
        }
        if word == "create" {
            found.extend(unique_without_handle(&words, at));
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// True for `(a, b)` and for `do nothing` without a target.
fn conflict_target_is_columns(words: &[String], at: usize) -> bool {
    match words.get(at).map(String::as_str) {
        Some("(") => inside(words, at).iter().all(|w| w == "," || is_name(w)),
        Some("do") => true,
        // A fragment that ends here: what follows is looked at on its own.
        None => true,
        _ => false,
    }
}

/// In `create table` and `create unique index`: a unique constraint must hold the distribution column.
fn unique_without_handle(words: &[String], at: usize) -> Option<Rule> {
    let rest = words.get(at + 1..)?;
    let statement = &rest[..rest.iter().position(|w| w == ";").unwrap_or(rest.len())];
    let distributed = |name: &str| DISTRIBUTED.contains(&name);
    let kind = statement.iter().take(2).map(String::as_str).collect::<Vec<_>>();
    let holds = match kind.as_slice() {
        ["unique", "index"] => {
            let on = statement.iter().position(|w| w == "on")?;
            !distributed(statement.get(on + 1)?)
                || inside(statement, statement.iter().position(|w| w == "(")?).iter().any(|w| w == "handle")
        }
        ["table", ..] => {
            let open = statement.iter().position(|w| w == "(")?;
            if !distributed(&statement[open - 1]) {
                return None;
            }
            let body = inside(statement, open);
            parts(body).into_iter().all(|part| {
                let unique = part.iter().position(|w| w == "unique" || w == "primary");
                match unique {
                    None => true,
                    // `handle bigint primary key`, or a constraint over columns.
                    Some(_) if part[0] == "handle" => true,
                    Some(from) => part[from..].iter().any(|w| w == "handle"),
                }
            })
        }
        _ => true,
    };
    (!holds).then_some("unique without handle")
}

/// What stands between the parenthesis at `open` and its partner.
fn inside(words: &[String], open: usize) -> &[String] {
    let mut depth = 0;
    for (i, word) in words.iter().enumerate().skip(open) {
        depth += i32::from(word == "(") - i32::from(word == ")");
        if depth == 0 {
            return &words[open + 1..i];
        }
    }
    words.get(open + 1..).unwrap_or(&[])
}

/// Splits at the commas of the outermost level.
fn parts(words: &[String]) -> Vec<&[String]> {
    let mut depth = 0;
    let comma = |word: &String| {
        depth += i32::from(word == "(") - i32::from(word == ")");
        word == "," && depth == 0
    };
    words.split(comma).filter(|part| !part.is_empty()).collect()
}

fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
}

/// Words and signs in lower case; comments are left out, quoted texts are one word.
pub(super) fn tokens(sql: &str) -> Vec<String> {
    let sql = sql.to_lowercase();
    let mut found = Vec::new();
    let mut rest = sql.as_str();
    while let Some(c) = rest.chars().next() {
        let word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$');
        let length = if rest.starts_with("--") {
            rest.find('\n').unwrap_or(rest.len())
        } else if c == '\'' {
            let length = rest[1..].find('\'').map_or(rest.len(), |i| i + 2);
            found.push(rest[..length].to_owned());
            length
        } else if word(c) {
            let length = rest.find(|c| !word(c)).unwrap_or(rest.len());
            found.push(rest[..length].to_owned());
            length
        } else {
            if !c.is_whitespace() {
                found.push(c.to_string());
            }
            c.len_utf8()
        };
        rest = &rest[length..];
    }
    found
}

/// Every rule can fail, and what we write breaks none.
#[test]
fn every_rule_has_a_sample_that_breaks_it() {
    const BAD: &[(&str, Rule)] = &[
        ("select pg_advisory_xact_lock(1)", "advisory lock"),
        ("select pg_try_advisory_lock(1)", "advisory lock"),
        ("LISTEN changes", "listen or notify"),
        ("select pg_notify('a', 'b')", "listen or notify"),
        ("create trigger t after insert on resource execute function f()", "trigger"),
        ("create table t (id bigserial primary key)", "sequence"),
        ("create table t (id bigint generated always as identity)", "sequence"),
        ("select nextval('s')", "sequence"),
        ("alter table t add unique (a) deferrable initially deferred", "deferrable"),
        ("create domain d as text", "domain"),
        ("create table t (p tstzrange)", "range type"),
        ("merge into t using s on true when matched then delete", "merge"),
        ("insert into t values (1) on conflict (a) do update set at = now()", "clock"),
        ("select current_timestamp", "clock"),
        ("select websearch_to_tsquery('a')", "websearch_to_tsquery"),
        ("create index i on t using gin (j jsonb_path_ops)", "jsonb_path_ops"),
        ("create index i on t using gin (a, b)", "multi-column gin"),
        ("create index i on t using gist (a)", "gist or brin"),
        ("create index i on t using brin (a)", "gist or brin"),
        ("insert into t values (1) on conflict (lower(a)) do nothing", "conflict target"),
        ("insert into t values (1) on conflict on constraint c do nothing", "conflict target"),
        ("select (a + b) / 2 from t", "division"),
        ("create table t (a bigint references u (a))", "foreign key"),
        ("alter table t add foreign key (a) references u", "foreign key"),
        ("create table resource (id text, handle bigint, primary key (id))", "unique without handle"),
        ("create table resource (id text primary key, handle bigint)", "unique without handle"),
        ("create table string_entry (a text unique, handle bigint)", "unique without handle"),
        ("create unique index i on resource (id)", "unique without handle"),
        ("select gen_random_uuid()", "random or volatile"),
    ];
    for (sql, rule) in BAD {
        assert!(broken(sql).contains(rule), "{sql}: {:?}", broken(sql));
    }
    let rules: std::collections::BTreeSet<_> = BAD.iter().map(|(_, rule)| *rule).collect();
    let listed = WORDS.iter().map(|(rule, _)| *rule).chain([
        "advisory lock",
        "division",
        "multi-column gin",
        "conflict target",
        "unique without handle",
    ]);
    assert_eq!(listed.collect::<std::collections::BTreeSet<_>>(), rules, "a rule without a sample");
    for good in [
        "create table resource (handle bigint not null primary key, id text)",
        "create table resource_history (handle bigint, version int, primary key (handle, version))",
        "create table claim (key bigint not null primary key)",
        "create index i on t using gin (keys) -- a / b, now()",
        "insert into t values (1) on conflict (key, value) do update set rank = excluded.rank",
        "insert into t values (1) on conflict do nothing",
        "select '{/}' from resource_history h",
    ] {
        assert_eq!(broken(good), Vec::<Rule>::new(), "{good}");
    }
}
