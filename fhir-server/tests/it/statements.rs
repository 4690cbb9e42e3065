//! Every statement that the database is sent while a server does all that it does, held to what a PostgreSQL distributed by
//! `handle` takes (`statements/rules.rs`).
//!
//! PostgreSQL itself records them, after they were built: `pg_stat_statements` has the text of each, its constants replaced by
//! placeholders. What breaks a rule is on a list, or the test fails:
//!
//! - `statements/both.txt`: it is right on both all the same;
//! - `statements/plain.txt`: it is sent to a plain PostgreSQL alone.
//!
//! What is listed must be met, so that no exception outlives its reason.

mod lists;
mod recording;
mod rules;
mod sql;
mod workload;

use self::lists::Lists;
use self::recording::Recording;

/// Fewer statements than this are no sign that all was asked.
const STATEMENTS_MIN: usize = 400;

#[tokio::test(flavor = "multi_thread")]
async fn what_a_plain_postgresql_alone_can_do_is_listed() {
    let recording = Recording::start().await;
    workload::run(&recording).await;
    let statements = recording.statements().await;
    let lists = Lists::plain();
    let wrong = lists.compare(&statements);
    assert!(statements.len() > STATEMENTS_MIN, "only {} statements", statements.len());
    assert!(wrong.is_empty(), "of {} statements:\n{}", statements.len(), wrong.join("\n"));
}
