//! The one entry point: every request becomes an interaction here, whoever sends it.

use fhir_model::Result;
use fhir_model::interaction::Interaction;
use fhir_store::HistoryTarget;

use crate::cx::Cx;
use crate::observer::Access;
use crate::reply::Reply;
use crate::request::Request;
use crate::request_context::{RequestContext, only};
use crate::{bundle, capabilities, create, delete, history, read, search, update, vread};

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
    let interaction = &request.interaction;
    let scope = cx.guard.scope(request.access()).await?;
    let ctx = RequestContext::new(cx, request, scope)?;
    if ctx.strict() {
        check_write(interaction, &ctx.pairs)?;
    }
    match interaction {
        Interaction::Capabilities => capabilities::capabilities(&ctx),
        Interaction::Read(key) => read::read(&ctx, key).await,
        Interaction::Vread(key, version) => vread::vread(&ctx, key, *version).await,
        Interaction::Create(type_name) => create::create(&ctx, type_name).await,
        Interaction::Update(key) => update::update(&ctx, key).await,
        Interaction::ConditionalUpdate(type_name) => update::conditional_update(&ctx, type_name).await,
        Interaction::Patch(key) => crate::patch::interaction::patch(&ctx, key).await,
        Interaction::ConditionalPatch(type_name) => {
            crate::patch::interaction::conditional_patch(&ctx, type_name).await
        }
        Interaction::Delete(key) => delete::delete(&ctx, key).await,
        Interaction::ConditionalDelete(type_name) => delete::conditional_delete(&ctx, type_name).await,
        Interaction::HistoryInstance(key) => {
            history::history(&ctx, HistoryTarget::Instance(key.clone())).await
        }
        Interaction::HistoryType(type_name) => {
            history::history(&ctx, HistoryTarget::Type(type_name.clone())).await
        }
        Interaction::HistorySystem => history::history(&ctx, HistoryTarget::System).await,
        Interaction::SearchType(type_name) => search::search_type(&ctx, type_name).await,
        Interaction::SearchSystem => search::search_system(&ctx).await,
        Interaction::SearchCompartment(key, type_name) => {
            search::search_compartment(&ctx, key, type_name).await
        }
        Interaction::Operation(level, code) => cx.operations.call(&ctx, level, code).await,
        // A Bundle's entries come back here, so the future would hold itself if it were not boxed.
        Interaction::Bundle => bundle::process(&ctx).await,
    }
}

/// Finds a parameter of a write that takes none: what the client meant by it does not happen.
///
/// # Errors
///
/// When there is one. Under strict handling the write is refused for it, else the client is warned.
pub fn check_write(interaction: &Interaction, pairs: &[(String, String)]) -> Result<()> {
    match interaction {
        Interaction::Create(_)
        | Interaction::Update(_)
        | Interaction::Patch(_)
        | Interaction::Delete(_)
        | Interaction::Bundle => only(pairs, &[], "a write without criteria"),
        _ => Ok(()),
    }
}
