//! batch: independent entries, each a request of its own. <https://hl7.org/fhir/R4/http.html#brules>

use fhir_model::Result;
use fhir_model::json::Ref;
use futures_util::{StreamExt, stream};

use super::entry_error::located;
use super::entry_response;
use super::order::{Parsed, Sequence, steps};
use super::replay;
use crate::bundle::entries::Entry;
use crate::bundle::text::BundleText;
use crate::handle::handle;
use crate::reply::Reply;
use crate::request::Return;
use crate::request_context::RequestContext;

/// Independent entries.
pub(super) async fn batch(ctx: &RequestContext<'_>, entries: &[Ref<'_>]) -> Result<Reply> {
    let (bases, types) = (ctx.bases(), &*ctx.cx.definitions);
    let entries: Vec<_> = entries.iter().map(|entry| Entry::parse(*entry, bases, types).map(Some)).collect();
    let steps = steps(ctx, &entries);
    run(ctx, entries, steps).await
}

/// Versions of resources, as another server had them.
pub(super) async fn history(ctx: &RequestContext<'_>, entries: &[Ref<'_>]) -> Result<Reply> {
    let (entries, sequences) = replay::entries(entries)?;
    run(ctx, entries, vec![sequences]).await
}

/// Answers the entries step by step. The answers stand in the order of the entries.
async fn run(ctx: &RequestContext<'_>, entries: Parsed<'_>, steps: Vec<Vec<Sequence>>) -> Result<Reply> {
    let mut answers: Vec<Result<Reply>> = Vec::with_capacity(entries.len());
    let mut readable = Vec::with_capacity(entries.len());
    for (at, entry) in entries.into_iter().enumerate() {
        let (entry, answer) = match entry {
            Ok(entry) => (entry, Ok(Reply::empty(200))),
            Err(e) => (None, Err(located(e, at))),
        };
        readable.push(entry);
        answers.push(answer);
    }
    for step in steps {
        let sequences: Vec<_> =
            step.into_iter().map(|sequence| sequential(ctx, &readable, sequence)).collect();
        let mut done = stream::iter(sequences).buffer_unordered(ctx.cx.limits.parallel_max.max(1));
        while let Some(sequence) = done.next().await {
            for (at, answer) in sequence {
                if let Some(slot) = answers.get_mut(at) {
                    *slot = answer;
                }
            }
        }
    }
    let mut bundle = BundleText::new("batch-response", answers.len() * 256);
    for answer in &answers {
        entry_response::write(&mut bundle, answer, ctx);
    }
    Ok(bundle.into_reply())
}

/// Answers entries one after the other.
async fn sequential(
    ctx: &RequestContext<'_>,
    entries: &[Option<Entry<'_>>],
    sequence: Sequence,
) -> Vec<(usize, Result<Reply>)> {
    let mut answers = Vec::with_capacity(sequence.len());
    for at in sequence {
        if let Some(Some(entry)) = entries.get(at) {
            answers.push((at, answer(ctx, entry).await.map_err(|e| located(e, at))));
        }
    }
    answers
}

async fn answer(ctx: &RequestContext<'_>, entry: &Entry<'_>) -> Result<Reply> {
    let mut request = entry.request(ctx)?;
    if entry.interaction.is_write() && request.prefer.ret.is_none() {
        request.prefer.ret = Some(Return::Minimal);
    }
    entry.reply_to(handle(ctx.cx, request).await?)
}
