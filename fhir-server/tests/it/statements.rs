//! Every statement that the database is sent while a server does all that it does, held to what a PostgreSQL distributed by
//! `handle` takes (`statements/rules.rs`).
//!
//! PostgreSQL itself records them, after they were built: `pg_stat_statements` has the text of each, its constants replaced by
//! placeholders. What breaks a rule is on a list, or the test fails:
//!
//! - `statements/both.txt`: it is right on both all the same;
//! - `statements/plain.txt`: it is sent to a plain PostgreSQL alone. A server that takes its PostgreSQL for a distributed one
//!   sends nothing of it.
//!
//! What is listed must be met, so that no exception outlives its reason.

mod lists;
mod recording;
mod rules;
mod sql;
mod workload;

use fhir_search::sql::Placement;

use self::lists::Lists;
use self::recording::Recording;

/// Fewer statements than this are no sign that all was asked.
const STATEMENTS_MIN: usize = 400;

/// How statements end that write the rows of one resource: a distributed database sends them to one node. One PostgreSQL is sent
/// none of them.
const OF_ONE_HANDLE: [&str; 7] = [
    "join resource r on r.handle = o.handle where r.handle = $",
    "join resource r on r.handle = d.handle where r.handle = $",
    "delete from resource r where r.handle = any($1::int8[]) and r.handle = $",
    "where r.handle = v.handle and r.handle = $",
    "join resource r on r.handle = x.handle where r.handle = $",
    "and e.extra = x.extra and e.handle = $",
    "and e.handle = x.handle and e.handle = $",
];

#[tokio::test(flavor = "multi_thread")]
async fn what_a_plain_postgresql_alone_can_do_is_listed() {
    check(Placement::Single, &Lists::plain()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_distributed_postgresql_is_asked_what_it_takes() {
    check(Placement::Distributed, &Lists::both()).await;
}

async fn check(placement: Placement, lists: &Lists) {
    let recording = Recording::start().await;
    workload::run(&recording, placement).await;
    let statements = recording.statements().await;
    assert!(statements.len() > STATEMENTS_MIN, "only {} statements", statements.len());
    for end in OF_ONE_HANDLE {
        let is_sent = statements.iter().any(|text| text.contains(end));
        assert_eq!(is_sent, placement == Placement::Distributed, "{end}");
    }
    let wrong = lists.compare(&statements);
    assert!(wrong.is_empty(), "of {} statements:\n{}", statements.len(), wrong.join("\n"));
}
