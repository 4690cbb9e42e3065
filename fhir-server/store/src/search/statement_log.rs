//! The statements that a search runs, recorded while it is to be explained. Each task has a log of its own.

use std::future::Future;
use std::sync::Mutex;

use fhir_search::sql::Sql;

tokio::task_local! {
    static RECORDED: Mutex<Vec<Sql>>;
}

/// At most so many statements are recorded and explained: a search of many types has very many.
pub(super) const STATEMENTS_MAX: usize = 100;

/// Records a statement that is run, when the search is to be explained.
pub(super) fn record(sql: &Sql) {
    let _ = RECORDED.try_with(|all| {
        if let Ok(mut all) = all.lock()
            && all.len() <= STATEMENTS_MAX
        {
            all.push(sql.clone());
        }
    });
}

/// What a search comes to, and the statements that it ran: one more than [`STATEMENTS_MAX`] when there were more.
pub(super) async fn recorded<T>(search: impl Future<Output = T>) -> (T, Vec<Sql>) {
    let answer = async {
        let found = search.await;
        let taken = |all: &Mutex<Vec<Sql>>| match all.lock() {
            Ok(mut all) => std::mem::take(&mut *all),
            Err(_) => Vec::new(),
        };
        (found, RECORDED.with(taken))
    };
    RECORDED.scope(Mutex::default(), answer).await
}
