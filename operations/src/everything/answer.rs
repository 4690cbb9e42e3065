//! The searchset.

use std::collections::HashSet;

use fhir_interactions::{BundleText, Call, Cx, Reply};
use fhir_model::{Result, url};
use fhir_store::Version;

use super::continuation::ContinuationToken;
use super::request::EverythingRequest;

/// What is on one page.
#[derive(Debug, Default)]
pub(crate) struct Page {
    /// The patient and what is in the compartment.
    pub(crate) matches: Vec<Version>,
    /// What these refer to.
    pub(crate) included: Vec<Version>,
    /// The cursor of the next page, when there is one.
    pub(crate) next: Option<ContinuationToken>,
    /// True when all matches are here: their number is the total.
    pub(crate) whole: bool,
    /// Handles of the members on it, when records of several patients can share them.
    pub(crate) shown: HashSet<i64>,
}

/// The page as a Bundle.
///
/// # Errors
///
/// When the standby that it was read from is away by now.
pub(crate) async fn answer(cx: &Cx, call: &Call, asked: &EverythingRequest, page: Page) -> Result<Reply> {
    let versions = || page.matches.iter().chain(&page.included);
    let size = versions().map(|v| v.body.as_ref().map_or(0, |b| b.len()) + 200).sum();
    let mut bundle = BundleText::new("searchset", size).observed(cx.is_observed());
    if page.whole {
        bundle.total(page.matches.len() as u64);
    }
    let link = |place: Option<&ContinuationToken>, further: Vec<(String, String)>| {
        let mut pairs = asked.applied.clone();
        let sealed = place.map(|p| p.cursor().seal(cx.store.secret(), &asked.identity));
        pairs.extend(sealed.map(|sealed| ("_cursor".to_owned(), sealed)));
        pairs.extend(further);
        let query = url::query(&pairs);
        let mark = if query.is_empty() { "" } else { "?" };
        format!("{}/{}{mark}{query}", call.request.base, call.request.path)
    };
    bundle.link("self", &link(asked.after.as_ref(), Vec::new()));
    if let Some(next) = &page.next {
        bundle.link("next", &link(Some(next), cx.link_pairs(&call.scope).await?));
    }
    for (mode, versions) in [("match", &page.matches), ("include", &page.included)] {
        for version in versions {
            bundle.entry();
            bundle.full_url(&call.request.base, &version.key);
            bundle.resource(version.body.as_deref().unwrap_or_default());
            bundle.search_mode(mode);
            bundle.end_entry();
        }
    }
    bundle.outcome(call.parameters.warnings());
    Ok(bundle.into_reply())
}
