//! batch: independent entries, each a request of its own. <https://hl7.org/fhir/R4/http.html#brules>

use fhir_model::Result;
use fhir_model::json::Ref;
use futures_util::{StreamExt, stream};

use super::order::{Parsed, Sequence, steps};
use super::{placed, replay};
use crate::ask::Ask;
use crate::bundle::entries::Entry;
use crate::bundle::text::BundleText;
use crate::handle::handle;
use crate::reply::Reply;
use crate::request::Return;

/// Independent entries.
pub(super) async fn batch(ask: &Ask<'_>, entries: &[Ref<'_>]) -> Result<Reply> {
    let (bases, types) = (ask.bases(), &*ask.cx.definitions);
    let entries: Vec<_> = entries.iter().map(|entry| Entry::parse(*entry, bases, types).map(Some)).collect();
    let steps = steps(ask, &entries);
    run(ask, entries, steps).await
}

/// Versions of resources, as another server had them.
pub(super) async fn history(ask: &Ask<'_>, entries: &[Ref<'_>]) -> Result<Reply> {
    let (entries, sequences) = replay::entries(entries)?;
    run(ask, entries, vec![sequences]).await
}

/// Answers the entries step by step. The answers stand in the order of the entries.
async fn run(ask: &Ask<'_>, entries: Parsed<'_>, steps: Vec<Vec<Sequence>>) -> Result<Reply> {
    let mut answers: Vec<Result<Reply>> = Vec::with_capacity(entries.len());
    let mut readable = Vec::with_capacity(entries.len());
    for (at, entry) in entries.into_iter().enumerate() {
        let (entry, answer) = match entry {
            Ok(entry) => (entry, Ok(Reply::empty(200))),
            Err(e) => (None, Err(placed(e, at))),
        };
        readable.push(entry);
        answers.push(answer);
    }
    for step in steps {
        let sequences: Vec<_> =
            step.into_iter().map(|sequence| sequential(ask, &readable, sequence)).collect();
        let mut done = stream::iter(sequences).buffer_unordered(ask.cx.limits.parallel_max.max(1));
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
        write(&mut bundle, answer, ask);
    }
    Ok(Reply::made(bundle.finish()))
}

/// Answers entries one after the other.
async fn sequential(
    ask: &Ask<'_>,
    entries: &[Option<Entry<'_>>],
    sequence: Sequence,
) -> Vec<(usize, Result<Reply>)> {
    let mut answers = Vec::with_capacity(sequence.len());
    for at in sequence {
        if let Some(Some(entry)) = entries.get(at) {
            answers.push((at, answer(ask, entry).await.map_err(|e| placed(e, at))));
        }
    }
    answers
}

async fn answer(ask: &Ask<'_>, entry: &Entry<'_>) -> Result<Reply> {
    let mut request = entry.request(ask)?;
    if entry.interaction.is_write() && request.prefer.ret.is_none() {
        request.prefer.ret = Some(Return::Minimal);
    }
    Ok(entry.said(handle(ask.cx, request).await?))
}

/// One entry of the answer.
pub(super) fn write(bundle: &mut BundleText, answer: &Result<Reply>, ask: &Ask<'_>) {
    bundle.entry();
    match answer {
        Err(error) => {
            ask.cx.faults.tell(error, "an entry of a Bundle", None);
            let outcome = error.outcome().to_string();
            bundle.response(error.kind.status(), None, None, None, Some(outcome.as_bytes()));
        }
        Ok(reply) => {
            let said = reply.is_outcome;
            if let (Some(body), false) = (&reply.body, said) {
                if let Some(key) = &reply.key {
                    bundle.full_url(&ask.request.base, key);
                }
                bundle.resource(body);
            }
            let outcome = reply.body.as_deref().filter(|_| said);
            bundle.response(
                reply.status,
                reply.location.as_deref(),
                reply.version,
                reply.last_modified,
                outcome,
            );
        }
    }
    bundle.end_entry();
}
