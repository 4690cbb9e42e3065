//! batch: independent entries, each a request of its own. <https://hl7.org/fhir/R4/http.html#brules>

use fhir_model::Result;
use fhir_model::json::Ref;
use futures_util::{StreamExt, stream};

use super::placed;
use crate::ask::Ask;
use crate::bundle::entries::Entry;
use crate::bundle::text::BundleText;
use crate::handle::handle;
use crate::reply::Reply;
use crate::request::Return;

pub(super) async fn batch(ask: &Ask<'_>, entries: &[Ref<'_>]) -> Result<Reply> {
    let answers = entries.iter().enumerate();
    let answers: Vec<_> = answers
        .map(|(at, entry)| async move { answer(ask, *entry).await.map_err(|e| placed(e, at)) })
        .collect();
    let answers = stream::iter(answers).buffered(ask.cx.limits.parallel_max.max(1));
    let answers: Vec<Result<Reply>> = answers.collect().await;
    let mut bundle = BundleText::new("batch-response", answers.len() * 256);
    for answer in &answers {
        write(&mut bundle, answer, ask);
    }
    Ok(Reply::made(bundle.finish()))
}

async fn answer(ask: &Ask<'_>, entry: Ref<'_>) -> Result<Reply> {
    let entry = Entry::parse(entry, ask.bases(), &*ask.cx.definitions)?;
    let is_write = entry.interaction.is_write();
    let mut request = entry.request(ask)?;
    if is_write && request.prefer.ret.is_none() {
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
