//! search: <https://hl7.org/fhir/R4/http.html#search>
//!
//! The searchset is written from the bytes that are stored; nothing is parsed unless a part is asked for.

mod ambiguous;
mod links;
pub(crate) mod long_links;
mod request;

use fhir_model::error::Issue;
use fhir_model::{Error, Key, Kind, Result};
use fhir_store::{Explained, Version};

pub(crate) use self::request::SearchRequest;
use crate::bundle::text::BundleText;
use crate::reply::Reply;
use crate::request_context::RequestContext;
use crate::summary::Subset;

pub(crate) async fn search_type(ctx: &RequestContext<'_>, type_name: &str) -> Result<Reply> {
    let pairs = long_links::pairs(ctx, type_name).await?;
    refresh_if_unknown(ctx, type_name, &pairs).await?;
    answer(ctx, SearchRequest::from_type(ctx, type_name, pairs)?).await
}

pub(crate) async fn search_system(ctx: &RequestContext<'_>) -> Result<Reply> {
    let pairs = long_links::pairs(ctx, "").await?;
    answer(ctx, SearchRequest::from_system(ctx, pairs)?).await
}

pub(crate) async fn search_compartment(
    ctx: &RequestContext<'_>,
    compartment: &Key,
    type_name: &str,
) -> Result<Reply> {
    let pairs = long_links::pairs(ctx, &format!("{compartment}/{type_name}")).await?;
    refresh_if_unknown(ctx, type_name, &pairs).await?;
    answer(ctx, SearchRequest::from_compartment(ctx, compartment, type_name, pairs)?).await
}

/// Refreshes the catalog when a parameter is not known: another server process may have added it just now.
async fn refresh_if_unknown(
    ctx: &RequestContext<'_>,
    type_name: &str,
    pairs: &[(String, String)],
) -> Result<()> {
    // `Patient/1/*` is of no type.
    let Ok(of_type) = ctx.cx.registry.for_type(type_name) else { return Ok(()) };
    let is_unknown = |name: &str| {
        let code = name.split([':', '.']).next().unwrap_or_default();
        !code.starts_with('_') && of_type.param(code).is_none()
    };
    match pairs.iter().any(|(name, _)| is_unknown(name)) {
        true => ctx.cx.store.refresh_catalog().await,
        false => Ok(()),
    }
}

async fn answer(ctx: &RequestContext<'_>, asked: SearchRequest) -> Result<Reply> {
    let cx = ctx.cx;
    let (subset, unknown) = asked.check(ctx)?;
    let SearchRequest { mut queries, links, any_type } = asked;
    if any_type {
        let types: Vec<&str> = queries.iter().map(|query| &*query.type_name).collect();
        let present = cx.store.types_with_resources(&ctx.scope, &types).await?;
        // One stays, as it says how to answer.
        let one = queries.first().cloned();
        queries.retain(|query| present.contains(&query.type_name));
        queries.extend(one.filter(|_| queries.is_empty()));
    }
    ambiguous::check(ctx, &queries).await?;
    let Some(query) = queries.first() else { return Err(Error::internal("a search of no type")) };
    let (mut page, explained) = match query.explain {
        false => (cx.store.search_types(&ctx.scope, &queries).await?, Vec::new()),
        true => cx.store.explain(&ctx.scope, &queries).await?,
    };
    page.warnings.extend(unknown);
    let size =
        page.matches.iter().chain(&page.included).map(|v| v.body.as_ref().map_or(0, |b| b.len()) + 200).sum();
    let mut bundle = BundleText::new("searchset", size).observed(ctx.cx.is_observed());
    if let Some(total) = page.total {
        bundle.total(total.n);
    }
    let own = match &query.cursor {
        Some(cursor) => links.page(ctx, cursor),
        None => links.own.clone(),
    };
    bundle.link("self", &own);
    if query.count > 0 {
        links.to_pages(ctx, &page, &mut bundle).await?;
    }
    let for_included = subset.as_ref().and_then(Subset::for_included);
    for (mode, versions, subset) in
        [("match", &page.matches, subset.as_ref()), ("include", &page.included, for_included)]
    {
        for version in versions {
            let score = page.scores.get(&version.handle).filter(|_| mode == "match");
            entry(ctx, &mut bundle, version, (mode, score.copied()), subset)?;
        }
    }
    let is_empty =
        query.cursor.is_none() && page.matches.is_empty() && page.total.is_none_or(|total| total.n == 0);
    let guesses = query.guesses.iter().filter(|_| is_empty);
    let warnings = query.warnings.iter().chain(guesses).chain(&page.warnings);
    let mut issues: Vec<Issue> = warnings.map(|text| Issue::warning(Kind::NotSupported, text)).collect();
    issues.extend(explained.iter().map(|step| Issue::information(describe_step(step))));
    bundle.outcome(&issues);
    Ok(bundle.into_reply())
}

fn entry(
    ctx: &RequestContext<'_>,
    bundle: &mut BundleText,
    version: &Version,
    (mode, score): (&str, Option<f32>),
    subset: Option<&Subset>,
) -> Result<()> {
    let Some(body) = &version.body else { return Ok(()) };
    bundle.entry();
    bundle.full_url(&ctx.request.base, &version.key);
    match subset {
        None => bundle.resource(body),
        Some(subset) => bundle.resource(&subset.apply(body, &ctx.cx.definitions)?),
    }
    match score {
        Some(score) => bundle.search_score(score),
        None => bundle.search_mode(mode),
    }
    bundle.end_entry();
    Ok(())
}

/// A statement in a sentence, without the values of the search: they are placeholders.
fn describe_step(step: &Explained) -> String {
    let Explained { shape, statement, rows, buffers, milliseconds, .. } = step;
    format!("{shape}: {rows} rows, {buffers} buffers, {milliseconds} ms: {statement}")
}
