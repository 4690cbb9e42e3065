//! Searches whose criteria no URL can hold: a short link to what is kept of them.

use fhir_model::{Error, Kind, Result, url};
use fhir_search::long_search::LongSearch;

use crate::request_context::RequestContext;

/// The parameter of such links, in place of all criteria.
const CRITERIA: &str = "_criteria";

/// True when the request is such a link.
pub(crate) fn is_link(ctx: &RequestContext<'_>) -> bool {
    ctx.pairs.iter().any(|(name, _)| name == CRITERIA)
}

/// The parameters of a search at a path below the base: those that were sent, and those that are kept for its link.
pub(super) async fn pairs(ctx: &RequestContext<'_>, path: &str) -> Result<Vec<(String, String)>> {
    let sent = ctx.search_parameters()?;
    let Some(at) = sent.iter().position(|(name, _)| name == CRITERIA) else { return Ok(sent) };
    let (store, bound_to) = (&ctx.cx.store, bound_to(ctx, path));
    let link = sent.get(at).map_or("", |(_, text)| text);
    let search = LongSearch::open(link, store.secret(), &bound_to)?;
    let kept = store.kept_search(&search).await?;
    let kept = kept.filter(|criteria| LongSearch::new(criteria, store.secret(), &bound_to) == search);
    let Some(criteria) = kept else {
        let hours = store.long_search_lifetime().as_secs_f64() / 3600.0;
        let text = format!(
            "the page link has expired: what a long search asks for is kept for {hours:.1} hours, and for less time when \
             there are very many of them; send the search again"
        );
        return Err(Error::new(Kind::Gone, text).at(CRITERIA));
    };
    let mut pairs = url::pairs(&criteria)?;
    pairs.extend(sent.into_iter().filter(|(name, _)| name != CRITERIA));
    Ok(pairs)
}

/// Keeps the criteria of a search at a path, and gives the query of the short link to them.
pub(super) async fn keep(ctx: &RequestContext<'_>, path: &str, criteria: &str) -> Result<String> {
    let (store, bound_to) = (&ctx.cx.store, bound_to(ctx, path));
    let search = LongSearch::new(criteria, store.secret(), &bound_to);
    store.keep_search(&search, criteria).await?;
    Ok(format!("{CRITERIA}={}", search.seal(store.secret(), &bound_to)))
}

fn bound_to(ctx: &RequestContext<'_>, path: &str) -> String {
    let who = ctx.request.bound_to();
    format!("{}:{who} {path}", who.len())
}
