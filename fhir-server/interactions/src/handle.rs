//! The one entry point: every request becomes an interaction here, whoever sends it.

use fhir_model::Result;

use crate::cx::Cx;
use crate::dispatch::dispatch;
use crate::observer::Access;
use crate::reply::Reply;
use crate::request::Request;
use crate::request_context::{RequestContext, check_write};
use crate::standby;

/// Answers one request.
///
/// # Errors
///
/// When the guard refuses; then those of the interaction. The kind says the HTTP status.
pub async fn handle(cx: &Cx, request: Request) -> Result<Reply> {
    let done = answer(cx, &request).await;
    let access = Access { request: &request, outcome: done.as_ref() };
    for observer in &cx.observers {
        observer.observe(&access).await?;
    }
    done
}

async fn answer(cx: &Cx, request: &Request) -> Result<Reply> {
    let scope = cx.guard.scope(request.access()).await?;
    let mut ctx = RequestContext::new(cx, request, scope)?;
    if ctx.strict() {
        check_write(&request.interaction, &ctx.pairs)?;
    }
    if standby::is_accepted(&ctx) {
        return Box::pin(standby::answer(&mut ctx)).await;
    }
    let reply = dispatch(&ctx).await?;
    match cx.store.has_standby() && standby::may_have_written(&ctx) {
        true => Ok(standby::with_position(reply, Box::pin(cx.store.position()).await)),
        false => Ok(reply),
    }
}
