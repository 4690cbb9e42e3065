//! The answer to one entry, as an entry of the response.

use fhir_model::Result;

use super::text::BundleText;
use crate::reply::Reply;
use crate::request_context::RequestContext;

/// One entry of the answer.
pub(super) fn write(bundle: &mut BundleText, answer: &Result<Reply>, ctx: &RequestContext<'_>) {
    bundle.entry();
    match answer {
        Err(error) => {
            ctx.cx.error_log.record(error, "an entry of a Bundle", None);
            let outcome = error.outcome().to_string();
            bundle.response(error.kind.status(), None, None, None, Some(outcome.as_bytes()));
        }
        Ok(reply) => {
            let said = reply.is_outcome;
            if let (Some(body), false) = (&reply.body, said) {
                if let Some(key) = &reply.key {
                    bundle.full_url(&ctx.request.base, key);
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
