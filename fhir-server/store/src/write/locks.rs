//! Locks of the rows that a transaction changes, in the order of their handles.

use deadpool_postgres::Transaction;
use futures_util::future::try_join_all;
use tokio_postgres::{Error, Row};

use crate::Store;

/// What of a row is locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RowLock {
    /// All but its key, on which those rely who refer to it: it stays.
    Version,
    /// All of it: it may go.
    Row,
}

const VERSIONS: &str = "select r.handle, r.version from resource r where r.handle = any($1::int8[]) \
     order by r.handle for no key update";

const ROWS: &str = "select r.handle, r.version from resource r where r.handle = any($1::int8[]) \
     order by r.handle for update";

/// A distributed database locks rows of one handle alone.
const VERSION: &str =
    "select r.handle, r.version from resource r where r.handle = $1::int8 for no key update";

const ROW: &str = "select r.handle, r.version from resource r where r.handle = $1::int8 for update";

/// Locks the current rows of handles. Returns each with its version, in the order of the handles; what is not there is left out.
pub(super) async fn lock(
    store: &Store,
    transaction: &Transaction<'_>,
    what: RowLock,
    handles: &[i64],
) -> Result<Vec<(i64, i32)>, Error> {
    let text = match (store.is_distributed(), what) {
        (false, RowLock::Version) => VERSIONS,
        (false, RowLock::Row) => ROWS,
        (true, RowLock::Version) => VERSION,
        (true, RowLock::Row) => ROW,
    };
    let statement = transaction.prepare_cached(text).await?;
    let rows: Vec<Row> = match store.is_distributed() {
        false => transaction.query(&statement, &[&handles]).await?,
        true => {
            let mut handles = handles.to_vec();
            handles.sort_unstable();
            // All are asked for, in their order, before the first answer is there.
            let each = handles.into_iter().map(|handle| {
                let statement = &statement;
                async move { transaction.query_opt(statement, &[&handle]).await }
            });
            try_join_all(each).await?.into_iter().flatten().collect()
        }
    };
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}
