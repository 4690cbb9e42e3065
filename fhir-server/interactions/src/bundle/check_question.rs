//! The questions of a transaction (searches, histories), as far as they can be refused before the database is asked.

use fhir_model::interaction::Interaction;
use fhir_model::{Error, Result};
use fhir_store::HistoryTarget;

use super::entries::Entry;
use crate::history;
use crate::request_context::RequestContext;
use crate::search::{SearchRequest, long_links};

/// Refuses a question that makes no sense, whatever is there.
pub(super) fn check(ctx: &RequestContext<'_>, entry: &Entry<'_>) -> Result<()> {
    let request = entry.request(ctx)?;
    let ctx = RequestContext::new(ctx.cx, &request, ctx.scope.clone())?;
    match &entry.interaction {
        Interaction::HistoryInstance(key) => history::check(&ctx, &HistoryTarget::Instance(key.clone())),
        Interaction::HistoryType(type_name) => history::check(&ctx, &HistoryTarget::Type(type_name.clone())),
        Interaction::HistorySystem => history::check(&ctx, &HistoryTarget::System),
        search => match search_request(&ctx, search)? {
            Some(asked) => asked.check(&ctx).map(|_| ()),
            None => Ok(()),
        },
    }
}

/// The search of an entry. Returns `None` when the entry is no search.
pub(super) fn search_request(
    ctx: &RequestContext<'_>,
    interaction: &Interaction,
) -> Result<Option<SearchRequest>> {
    let asked = match interaction {
        Interaction::SearchType(_) | Interaction::SearchSystem | Interaction::SearchCompartment(..)
            if long_links::is_link(ctx) =>
        {
            let text =
                "the link to a page of a long search is followed alone or in a batch, not in a transaction";
            return Err(Error::invalid(text).at("_criteria"));
        }
        Interaction::SearchType(type_name) => {
            SearchRequest::from_type(ctx, type_name, ctx.search_parameters()?)?
        }
        Interaction::SearchSystem => SearchRequest::from_system(ctx, ctx.search_parameters()?)?,
        Interaction::SearchCompartment(key, type_name) => {
            SearchRequest::from_compartment(ctx, key, type_name, ctx.search_parameters()?)?
        }
        _ => return Ok(None),
    };
    Ok(Some(asked))
}
