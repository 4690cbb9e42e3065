//! capabilities: what this server does. <https://hl7.org/fhir/R4/http.html#capabilities>
//!
//! Made from the same registries that answer the requests, so that it states what works and nothing else.

mod cache;
mod statement;

use fhir_model::{Error, Result};

pub use self::cache::{Mode, Statements};
use crate::reply::Reply;
use crate::request_context::RequestContext;

pub(crate) fn capabilities(ctx: &RequestContext<'_>) -> Result<Reply> {
    let mode = match ctx.parameter("mode") {
        None => Mode::Brief,
        Some("full") => Mode::Full,
        Some("normative") => Mode::Normative,
        Some("terminology") => Mode::Terminology,
        Some(other) => {
            let text = format!("`mode` is full, normative or terminology, not `{other}`");
            return Err(Error::value(text).at("mode"));
        }
    };
    ctx.only(&["mode"], "the capabilities")?;
    let (cx, base, version) = (ctx.cx, &ctx.request.base, ctx.cx.registry.version());
    if let Some(made) = cx.statements.find(base, mode, version) {
        return Ok(made);
    }
    let statement = match mode {
        Mode::Terminology => statement::terminology(cx, base),
        Mode::Brief | Mode::Full | Mode::Normative => statement::statement(cx, base, mode),
    };
    cx.statements.keep(base, mode, version, &statement)
}
