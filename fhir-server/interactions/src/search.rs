//! search: <https://hl7.org/fhir/R4/http.html#search>
//!
//! The searchset is written from the bytes that are stored; nothing is parsed unless a part is asked for.

mod ambiguous;
mod asked;
pub(crate) mod kept;
mod links;

use fhir_model::error::operation_outcome;
use fhir_model::{Error, Key, Result};
use fhir_store::{Explained, Version};

pub(crate) use self::asked::{Asked, sent};
use crate::ask::Ask;
use crate::bundle::text::BundleText;
use crate::reply::Reply;
use crate::summary::Subset;

pub(crate) async fn search_type(ask: &Ask<'_>, type_name: &str) -> Result<Reply> {
    let pairs = kept::pairs(ask, type_name).await?;
    learn(ask, type_name, &pairs).await?;
    answer(ask, Asked::of_type(ask, type_name, pairs)?).await
}

pub(crate) async fn search_system(ask: &Ask<'_>) -> Result<Reply> {
    let pairs = kept::pairs(ask, "").await?;
    answer(ask, Asked::of_system(ask, pairs)?).await
}

pub(crate) async fn search_compartment(ask: &Ask<'_>, compartment: &Key, type_name: &str) -> Result<Reply> {
    let pairs = kept::pairs(ask, &format!("{compartment}/{type_name}")).await?;
    learn(ask, type_name, &pairs).await?;
    answer(ask, Asked::of_compartment(ask, compartment, type_name, pairs)?).await
}

/// A parameter that is not known may be one that another server process has learned of this very moment.
async fn learn(ask: &Ask<'_>, type_name: &str, pairs: &[(String, String)]) -> Result<()> {
    // `Patient/1/*` is of no type.
    let Ok(of_type) = ask.cx.registry.for_type(type_name) else { return Ok(()) };
    let is_unknown = |name: &str| {
        let code = name.split([':', '.']).next().unwrap_or_default();
        !code.starts_with('_') && of_type.param(code).is_none()
    };
    match pairs.iter().any(|(name, _)| is_unknown(name)) {
        true => ask.cx.store.refresh_catalog().await,
        false => Ok(()),
    }
}

async fn answer(ask: &Ask<'_>, asked: Asked) -> Result<Reply> {
    let cx = ask.cx;
    let (subset, unknown) = asked.check(ask)?;
    let Asked { mut queries, links, any_type } = asked;
    if any_type {
        let types: Vec<&str> = queries.iter().map(|query| &*query.type_name).collect();
        let present = cx.store.types_with_resources(&ask.scope, &types).await?;
        // One stays, as it says how to answer.
        let one = queries.first().cloned();
        queries.retain(|query| present.contains(&query.type_name));
        queries.extend(one.filter(|_| queries.is_empty()));
    }
    ambiguous::check(ask, &queries).await?;
    let Some(query) = queries.first() else { return Err(Error::internal("a search of no type")) };
    let (mut page, explained) = match query.explain {
        false => (cx.store.search_types(&ask.scope, &queries).await?, Vec::new()),
        true => cx.store.explain(&ask.scope, &queries).await?,
    };
    page.warnings.extend(unknown);
    let size =
        page.matches.iter().chain(&page.included).map(|v| v.body.as_ref().map_or(0, |b| b.len()) + 200).sum();
    let mut bundle = BundleText::new("searchset", size);
    if let Some(total) = page.total {
        bundle.total(total.n);
    }
    let own = match &query.cursor {
        Some(cursor) => links.page(ask, cursor),
        None => links.own.clone(),
    };
    bundle.link("self", &own);
    if query.count > 0 {
        links.to_pages(ask, &page, &mut bundle).await?;
    }
    let of_included = subset.as_ref().and_then(Subset::of_included);
    for (mode, versions, subset) in
        [("match", &page.matches, subset.as_ref()), ("include", &page.included, of_included)]
    {
        for version in versions {
            let score = page.scores.get(&version.handle).filter(|_| mode == "match");
            entry(ask, &mut bundle, version, (mode, score.copied()), subset)?;
        }
    }
    let is_empty =
        query.cursor.is_none() && page.matches.is_empty() && page.total.is_none_or(|total| total.n == 0);
    let guesses = query.guesses.iter().filter(|_| is_empty);
    let warnings: Vec<&String> = query.warnings.iter().chain(guesses).chain(&page.warnings).collect();
    let warnings = warnings.iter().map(|text| operation_outcome("warning", "not-supported", text, &[]));
    let steps =
        explained.iter().map(|step| operation_outcome("information", "informational", &told(step), &[]));
    bundle.outcome(warnings.chain(steps));
    Ok(Reply::made(bundle.finish()))
}

fn entry(
    ask: &Ask<'_>,
    bundle: &mut BundleText,
    version: &Version,
    (mode, score): (&str, Option<f32>),
    subset: Option<&Subset>,
) -> Result<()> {
    let Some(body) = &version.body else { return Ok(()) };
    bundle.entry();
    bundle.full_url(&ask.request.base, &version.key);
    match subset {
        None => bundle.resource(body),
        Some(subset) => bundle.resource(&subset.apply(body, &ask.cx.definitions)?),
    }
    match score {
        Some(score) => bundle.search_score(score),
        None => bundle.search_mode(mode),
    }
    bundle.end_entry();
    Ok(())
}

/// A statement in a sentence. What was asked for is not in it: values are placeholders.
fn told(step: &Explained) -> String {
    let Explained { shape, statement, rows, buffers, milliseconds, .. } = step;
    format!("{shape}: {rows} rows, {buffers} buffers, {milliseconds} ms: {statement}")
}
