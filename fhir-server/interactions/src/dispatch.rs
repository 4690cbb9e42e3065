//! Which function answers which interaction.

use fhir_model::Result;
use fhir_model::interaction::Interaction;
use fhir_store::HistoryTarget;
use futures_util::future::BoxFuture;

use crate::patch::interaction as patch;
use crate::reply::Reply;
use crate::request_context::RequestContext;
use crate::{bundle, capabilities, create, delete, history, read, search, update, vread};

/// Answers a request whose scope is known.
///
/// # Errors
///
/// Those of the interaction.
pub(crate) async fn dispatch(ctx: &RequestContext<'_>) -> Result<Reply> {
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
