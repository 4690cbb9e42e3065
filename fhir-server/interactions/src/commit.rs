//! The one way in which anything is written: asked of the rules, then committed.

use std::collections::HashMap;

use fhir_model::error::Issue;
use fhir_model::{Error, Key};
use fhir_store::{Commit, CommitTimestamp, Write};
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::request_context::RequestContext;
use crate::rules::{Verdict, WriteContext};

/// An issue of each write that has any, with the position of the write among those that are committed together.
pub(crate) type WriteIssues = Vec<(usize, Issue)>;

/// The issues without positions, where all is one interaction.
pub(crate) fn issues(all: WriteIssues) -> Vec<Issue> {
    all.into_iter().map(|(_, issue)| issue).collect()
}

/// Why nothing was written.
#[derive(Debug)]
pub(crate) enum Refused {
    /// What the rules say of the writes, at least one error among it.
    Rules(WriteIssues),
    /// It failed, at one write or (`None`) where no write is to blame.
    Failed(Option<usize>, Error),
}

impl Refused {
    /// The error, with each issue as `locate` puts it: it is told of which write the issue is.
    pub(crate) fn into_error(self, locate: impl Fn(usize, Issue) -> Issue) -> Error {
        match self {
            Refused::Rules(issues) => {
                let located = issues.into_iter().map(|(at, issue)| locate(at, issue)).collect();
                Error::from_issues(located).unwrap_or_else(|| Error::internal("a refusal without an error"))
            }
            Refused::Failed(Some(at), error) => error.map_issues(|issue| locate(at, issue)),
            Refused::Failed(None, error) => error,
        }
    }
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Error {
        refused.into_error(|_, issue| issue)
    }
}

/// Asks the rules and writes all or nothing: the only way that anything is written. Returns what the rules warn of, or
/// `None` when the commit is stale: others changed what was read.
///
/// # Errors
///
/// When rules refuse writes: all that they say of all of them. When the database is away.
pub(crate) async fn commit(
    ctx: &RequestContext<'_>,
    timestamp: &CommitTimestamp,
    writes: &mut [Write],
) -> std::result::Result<Option<WriteIssues>, Refused> {
    let RequestContext { cx, scope, .. } = ctx;
    let verdicts = check(ctx, writes).await?;
    let mut issues = WriteIssues::new();
    for (at, verdict) in verdicts {
        issues.extend(verdict.issues.into_iter().map(|issue| (at, issue)));
        if let Some(write) = writes.get_mut(at) {
            write.preconditions.extend(verdict.preconditions);
        }
    }
    if issues.iter().any(|(_, issue)| issue.severity.is_error()) {
        return Err(Refused::Rules(issues));
    }
    match cx.store.commit(scope, timestamp, writes).await {
        Ok(Commit::Done) => Ok(Some(issues)),
        Ok(Commit::Stale) => Ok(None),
        Err(error) => Err(Refused::Failed(None, error)),
    }
}

/// What the rules say, by the position of the write. Costs nothing where no rule applies.
async fn check(
    ctx: &RequestContext<'_>,
    writes: &[Write],
) -> std::result::Result<Vec<(usize, Verdict)>, Refused> {
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
            checked.map(|verdict| (at, verdict)).map_err(|error| Refused::Failed(Some(at), error))
        })
        .collect();
    // In their order, so that the first that is wrong gives the status, however long each takes.
    stream::iter(checks).buffered(cx.limits.parallel_max.max(1)).try_collect().await
}
