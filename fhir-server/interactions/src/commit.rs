//! The one way in which anything is written: asked of the rules, then committed.

use std::collections::HashMap;

use fhir_model::{Error, Key};
use fhir_store::{Commit, CommitTimestamp, Precondition, Write};
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::request_context::RequestContext;
use crate::rules::WriteContext;

/// Why nothing was written.
#[derive(Debug)]
pub(crate) struct Refused {
    /// Its place among those that are committed together; `None` where no write is to blame.
    pub(crate) at: Option<usize>,
    pub(crate) error: Error,
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Error {
        refused.error
    }
}

/// Asks the rules and writes all or nothing: the only way that anything is written.
///
/// # Errors
///
/// When a rule refuses a write, or the database is away.
pub(crate) async fn commit(
    ctx: &RequestContext<'_>,
    timestamp: &CommitTimestamp,
    writes: &mut [Write],
) -> std::result::Result<Commit, Refused> {
    let RequestContext { cx, scope, .. } = ctx;
    let found = check(ctx, writes).await?;
    for (at, preconditions) in found {
        if let Some(write) = writes.get_mut(at) {
            write.preconditions.extend(preconditions);
        }
    }
    cx.store.commit(scope, timestamp, writes).await.map_err(|error| Refused { at: None, error })
}

/// What the rules rely on, by the place of the write. Costs nothing where no rule applies.
async fn check(
    ctx: &RequestContext<'_>,
    writes: &[Write],
) -> std::result::Result<Vec<(usize, Vec<Precondition>)>, Refused> {
    let RequestContext { cx, scope, .. } = ctx;
    let concerned: Vec<(usize, &Write)> =
        writes.iter().enumerate().filter(|(_, write)| cx.rules.apply_to(write)).collect();
    if concerned.is_empty() {
        return Ok(Vec::new());
    }
    let together: HashMap<&Key, &Write> = writes.iter().map(|write| (&write.key, write)).collect();
    let together = &together;
    let checks: Vec<_> = concerned
        .into_iter()
        .map(|(at, write)| async move {
            let context = WriteContext { store: &cx.store, scope, write, together };
            let checked = cx.rules.check(&context).await;
            checked.map(|preconditions| (at, preconditions)).map_err(|error| Refused { at: Some(at), error })
        })
        .collect();
    // In their order, so that the first that is wrong is named, however long each takes.
    stream::iter(checks).buffered(cx.limits.parallel_max.max(1)).try_collect().await
}
