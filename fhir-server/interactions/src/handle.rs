//! The one entry point: every request becomes an interaction here, whoever sends it.

use fhir_model::Result;
use fhir_model::interaction::Interaction;
use fhir_store::HistoryTarget;
use futures_util::future::BoxFuture;

use crate::cx::Cx;
use crate::observer::Access;
use crate::patch::interaction as patch;
use crate::reply::Reply;
use crate::request::Request;
use crate::request_context::{RequestContext, check_write};
use crate::{bundle, capabilities, create, delete, history, read, search, standby, update, vread};

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
        return Box::pin(standby::answer(&mut ctx, dispatch)).await;
    }
    let reply = dispatch(&ctx).await?;
    match cx.store.has_standby() && standby::may_have_written(&ctx) {
        true => Ok(standby::with_position(reply, Box::pin(cx.store.position()).await)),
        false => Ok(reply),
    }
}

/// Answers a request whose scope is known.
///
/// # Errors
///
/// Those of the interaction.
async fn dispatch(ctx: &RequestContext<'_>) -> Result<Reply> {
    // The future of a search has up to 20 KB. All but those of reads by id are boxed, so that the future of a request stays small: it is moved
    // several times before it is first polled.
    let answer: BoxFuture<'_, Result<Reply>> = match &ctx.request.interaction {
        Interaction::Capabilities => return capabilities::capabilities(ctx),
        Interaction::Read(key) => return read::read(ctx, key).await,
        Interaction::Vread(key, version) => return vread::vread(ctx, key, *version).await,
        Interaction::Create(type_name) => Box::pin(create::create(ctx, type_name)),
        Interaction::Update(key) => Box::pin(update::update(ctx, key)),
        Interaction::ConditionalUpdate(type_name) => Box::pin(update::conditional_update(ctx, type_name)),
        Interaction::Patch(key) => Box::pin(patch::patch(ctx, key)),
        Interaction::ConditionalPatch(type_name) => Box::pin(patch::conditional_patch(ctx, type_name)),
        Interaction::Delete(key) => Box::pin(delete::delete(ctx, key)),
        Interaction::ConditionalDelete(type_name) => Box::pin(delete::conditional_delete(ctx, type_name)),
        Interaction::HistoryInstance(key) => {
            Box::pin(history::history(ctx, HistoryTarget::Instance(key.clone())))
        }
        Interaction::HistoryType(type_name) => {
            Box::pin(history::history(ctx, HistoryTarget::Type(type_name.clone())))
        }
        Interaction::HistorySystem => Box::pin(history::history(ctx, HistoryTarget::System)),
        Interaction::SearchType(type_name) => Box::pin(search::search_type(ctx, type_name)),
        Interaction::SearchSystem => Box::pin(search::search_system(ctx)),
        Interaction::SearchCompartment(key, type_name) => {
            Box::pin(search::search_compartment(ctx, key, type_name))
        }
        Interaction::Operation(level, code) => Box::pin(ctx.cx.operations.call(ctx, level, code)),
        Interaction::Bundle => bundle::process(ctx),
    };
    answer.await
}
