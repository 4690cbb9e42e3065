//! The reads of a transaction: one that fails makes the whole fail, so that is found out before the commit.
//!
//! What the transaction does not touch is read before the commit; reads of what it writes are answered from the writes. What
//! looks at many resources (searches, histories of types) runs after the commit, to see the writes; all that could be
//! wrong with the question was refused before.

use std::collections::HashMap;

use fhir_model::interaction::{Interaction, Level};
use fhir_model::{Error, Key, Kind, Result};
use fhir_store::Write;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::check_question::search_request;
use super::checked_entry::CheckedEntry;
use super::entries::Entry;
use super::entry_error::{in_entry, located};
use super::plan::Answers;
use crate::handle::handle;
use crate::read::give;
use crate::reply::Reply;
use crate::request::Return;
use crate::request_context::RequestContext;

/// Answers what can be answered before the commit of `writes`, and fails when one of the answers is an error.
pub(super) async fn before(
    ctx: &RequestContext<'_>,
    entries: &[CheckedEntry<'_>],
    writes: &[Write],
    updated_at: i64,
    answers: &mut Answers,
) -> Result<()> {
    let written: HashMap<&Key, &Write> = writes.iter().map(|write| (&write.key, write)).collect();
    let written = &written;
    let reads = entries.iter().enumerate().filter(|(_, checked)| !checked.entry.interaction.is_write());
    let reads: Vec<_> = reads
        .map(|(at, checked)| async move {
            let answer = answer_before(ctx, &checked.entry, written, updated_at).await;
            answer.map(|answer| (at, answer)).map_err(|e| in_entry(e, at))
        })
        .collect();
    let mut reads = stream::iter(reads).buffered(ctx.cx.limits.parallel_max.max(1));
    while let Some((at, answer)) = reads.try_next().await? {
        if let (Some(slot), Some(answer)) = (answers.get_mut(at), answer) {
            *slot = Some(Ok(answer));
        }
    }
    Ok(())
}

/// Answers the rest, after the commit.
pub(super) async fn after(ctx: &RequestContext<'_>, entries: &[CheckedEntry<'_>], answers: &mut Answers) {
    let open: Vec<_> = entries
        .iter()
        .zip(answers.iter())
        .enumerate()
        .filter(|(_, (checked, answer))| answer.is_none() && !checked.entry.interaction.is_write())
        .map(|(at, (checked, _))| async move { (at, answer_alone(ctx, &checked.entry).await) })
        .collect();
    let late = stream::iter(open).buffer_unordered(ctx.cx.limits.parallel_max.max(1));
    for (at, answer) in late.collect::<Vec<_>>().await {
        if let Some(slot) = answers.get_mut(at) {
            *slot = Some(answer.map_err(|e| located(e, at)));
        }
    }
}

/// The answer to an entry before the commit. Returns `None` when it is answered after the commit.
async fn answer_before(
    ctx: &RequestContext<'_>,
    entry: &Entry<'_>,
    written: &HashMap<&Key, &Write>,
    updated_at: i64,
) -> Result<Option<Reply>> {
    let is_terminology = |key: &&Key| matches!(&*key.type_name, "ValueSet" | "CodeSystem");
    let brings_terminology = written.keys().any(is_terminology);
    let written = |key: &Key| written.get(key).copied();
    match &entry.interaction {
        Interaction::Read(key) if let Some(write) = written(key) => {
            written_now(ctx, entry, write, updated_at).await.map(Some)
        }
        Interaction::Vread(key, version)
            if let Some(write) = written(key).filter(|write| write.version == *version) =>
        {
            written_now(ctx, entry, write, updated_at).await.map(Some)
        }
        Interaction::Read(_) | Interaction::Vread(..) | Interaction::Capabilities => {
            answer_alone(ctx, entry).await.map(Some)
        }
        Interaction::HistoryInstance(key) if written(key).is_none() => {
            answer_alone(ctx, entry).await.map(Some)
        }
        // What it finds may change with the writes, that it finds something will not, unless they make what it is
        // called on: it is asked twice.
        Interaction::Operation(level, _) => {
            let write = if let Level::Instance(key) = level { written(key) } else { None };
            if let Some(gone) = write.filter(|write| write.doc.is_none()) {
                return Err(Error::gone(&gone.key));
            }
            match answer_alone(ctx, entry).await {
                Err(e) if write.is_some() && matches!(e.kind, Kind::NotFound | Kind::Gone) => Ok(None),
                answer => answer.map(|_| None),
            }
        }
        // Its matches are searched after the writes. What cannot be asked (in a value set that is not known, for words without
        // an index) is found out before them, unless they may bring it.
        Interaction::SearchType(_) | Interaction::SearchSystem | Interaction::SearchCompartment(..) => {
            match check_search(ctx, entry).await {
                Err(e) if e.kind == Kind::Value && brings_terminology => Ok(None),
                answer => answer.map(|()| None),
            }
        }
        _ => Ok(None),
    }
}

/// Refuses a search that the store cannot answer, whatever it finds.
async fn check_search(ctx: &RequestContext<'_>, entry: &Entry<'_>) -> Result<()> {
    let request = entry.request(ctx)?;
    let ctx = RequestContext::new(ctx.cx, &request, ctx.scope.clone())?;
    match search_request(&ctx, &entry.interaction)? {
        Some(asked) => asked.check_resolved(&ctx).await,
        None => Ok(()),
    }
}

/// A read of what this transaction writes.
async fn written_now(
    ctx: &RequestContext<'_>,
    entry: &Entry<'_>,
    write: &Write,
    updated_at: i64,
) -> Result<Reply> {
    if write.doc.is_none() {
        return Err(Error::gone(&write.key));
    }
    let request = entry.request(ctx)?;
    let scope = ctx.cx.guard.scope(request.access()).await?;
    let written = Reply::written(write, false, updated_at, Return::Representation, Vec::new());
    give(&RequestContext::new(ctx.cx, &request, scope)?, Reply { location: None, ..written })
        .and_then(|reply| entry.reply_to(reply))
}

/// The entry as a request of its own.
async fn answer_alone(ctx: &RequestContext<'_>, entry: &Entry<'_>) -> Result<Reply> {
    entry.reply_to(handle(ctx.cx, entry.request(ctx)?).await?)
}
