//! history: <https://hl7.org/fhir/R4/http.html#history>

use fhir_model::date::{DateTime, Precision};
use fhir_model::error::{Issue, operation_outcome};
use fhir_model::{Error, Key, Kind, Result, url};
use fhir_search::cursor::{Cursor, SortValue};
use fhir_store::{HistoryPage, HistoryTarget, Method, Version};

use crate::bundle::text::BundleText;
use crate::page_link::page_link;
use crate::reply::Reply;
use crate::request::FORMAT_PARAMETERS;
use crate::request_context::RequestContext;
use crate::summary::Subset;

pub(crate) async fn history(ctx: &RequestContext<'_>, of: HistoryTarget) -> Result<Reply> {
    let path = path(&of);
    let mut asked = HistoryRequest::parse(ctx, &path)?;
    let subset = Subset::from_request(ctx, type_of(&of))?;
    if let Some(Err(error)) =
        subset.as_ref().map(|part| part.check(type_of(&of).as_slice(), &ctx.cx.definitions))
    {
        asked.warnings.push(format!("{}; it was ignored", error.text));
    }
    let found = ctx.cx.store.history(&ctx.scope, &of, &asked.page).await?;
    if let (true, Some(list)) = (found.no_list, &asked.page.list) {
        asked.warnings.push(format!("`_list`: there is no List/{list}"));
    }
    let size = found.versions.iter().map(|v| v.body.as_ref().map_or(0, |b| b.len()) + 400).sum();
    let mut bundle = BundleText::new("history", size).observed(ctx.cx.is_observed());
    if let Some(total) = found.total {
        bundle.total(total);
    }
    let own = asked.own(ctx, &path);
    match &asked.page.before {
        Some(place) => bundle.link("self", &asked.link(ctx, &path, *place, &[])),
        None => bundle.link("self", &own),
    }
    // As in a search, without a page there is no first one.
    if asked.page.count > 0 {
        bundle.link("first", &own);
    }
    if let Some(place) = found.next {
        let pairs = ctx.cx.link_pairs(&ctx.scope).await?;
        bundle.link("next", &asked.link(ctx, &path, place, &pairs));
    }
    for version in &found.versions {
        let created = version.version == 1 || found.restored.contains(&(version.handle, version.version));
        entry(ctx, &mut bundle, version, created, subset.as_ref())?;
    }
    warn(&mut bundle, &own, &asked.warnings);
    Ok(bundle.into_reply())
}

/// Refuses what cannot be asked of a history.
pub(crate) fn check(ctx: &RequestContext<'_>, of: &HistoryTarget) -> Result<()> {
    HistoryRequest::parse(ctx, &path(of))?;
    Subset::from_request(ctx, type_of(of))?;
    Ok(())
}

fn type_of(of: &HistoryTarget) -> Option<&str> {
    match of {
        HistoryTarget::Instance(key) => Some(&key.type_name),
        HistoryTarget::Type(type_name) => Some(type_name),
        HistoryTarget::System => None,
    }
}

fn path(of: &HistoryTarget) -> String {
    match of {
        HistoryTarget::Instance(key) => format!("{key}/_history"),
        HistoryTarget::Type(type_name) => format!("{type_name}/_history"),
        HistoryTarget::System => "_history".to_owned(),
    }
}

/// A version, and how it came; `created`: there was nothing before it, so that a PUT was answered as a create.
fn entry(
    ctx: &RequestContext<'_>,
    bundle: &mut BundleText,
    version: &Version,
    created: bool,
    subset: Option<&Subset>,
) -> Result<()> {
    bundle.entry();
    bundle.full_url(&ctx.request.base, &version.key);
    match (&version.body, subset) {
        (None, _) => {}
        (Some(body), None) => bundle.resource(body),
        (Some(body), Some(subset)) => {
            bundle.resource(&subset.apply(body, &ctx.cx.definitions)?);
        }
    }
    let url = match version.method {
        Method::Post => version.key.type_name.to_string(),
        _ => version.key.to_string(),
    };
    // A patch is shown with the whole resource, and what does that is an update: the entry can be sent again as it is.
    let method = match version.method {
        Method::Patch => Method::Put,
        method => method,
    };
    bundle.request(method.as_str(), &url);
    let status = match version.method {
        Method::Post => 201,
        Method::Put if created => 201,
        Method::Put | Method::Patch => 200,
        Method::Delete => 204,
    };
    bundle.response(status, None, Some(version.version), Some(version.updated_at), None);
    bundle.end_entry();
    Ok(())
}

/// Adds the warnings. Every entry of a history says what was asked and answered (bdl-3, bdl-4), so this one speaks of
/// the history itself.
fn warn(bundle: &mut BundleText, own: &str, warnings: &[String]) {
    if warnings.is_empty() {
        return;
    }
    let issues: Vec<Issue> = warnings.iter().map(|text| Issue::warning(Kind::NotSupported, text)).collect();
    let outcome = operation_outcome(&issues).to_string();
    bundle.entry();
    bundle.request("GET", own);
    bundle.response(200, None, None, None, Some(outcome.as_bytes()));
    bundle.end_entry();
}

/// The parsed parameters of a history.
struct HistoryRequest {
    page: HistoryPage,
    /// The parameters that count, for links.
    applied: Vec<(String, String)>,
    /// Ignored parameters, a sentence each.
    warnings: Vec<String>,
}

/// At most so many warnings.
const WARNINGS_MAX: usize = 20;

/// First and last microsecond of an instant, or of a date or time as far as it is written. A space where a `+` was lost to
/// URL decoding is taken for the `+`.
fn moment(ctx: &RequestContext<'_>, value: &str) -> Option<(i64, i64)> {
    let found = DateTime::partial(&value.replace(' ', "+"))?;
    (found.precision() != Precision::Hour).then(|| found.range_micros_in(ctx.cx.store.zone()))
}

/// Parameters with one value.
const ONCE: &[&str] = &["_count", "_since", "_at", "_list"];

impl HistoryRequest {
    fn parse(ctx: &RequestContext<'_>, path: &str) -> Result<HistoryRequest> {
        let limits = &ctx.cx.limits;
        let mut page = HistoryPage { count: limits.count_default, ..HistoryPage::default() };
        let (mut applied, mut warnings): (Vec<(String, String)>, _) = (Vec::new(), Vec::new());
        let mut cursor = None;
        for (name, value) in &ctx.pairs {
            let bad =
                |what: &str| Error::value(format!("`{name}` is {what}, not `{value}`")).at(name.as_str());
            let is_again = ONCE.contains(&name.as_str()) && applied.iter().any(|(n, _)| n == name);
            match name.as_str() {
                name if FORMAT_PARAMETERS.contains(&name) => continue,
                _ if is_again => {
                    ignore(ctx, &mut warnings, name, "can be given once: the first value counts")?;
                    continue;
                }
                _ if value.is_empty() => {
                    ignore(ctx, &mut warnings, name, "has no value")?;
                    continue;
                }
                "_count" => {
                    let count: u64 = value.parse().map_err(|_| bad("a whole number"))?;
                    page.count = usize::try_from(count).unwrap_or(usize::MAX).min(limits.count_max);
                }
                "_since" => {
                    page.since = Some(
                        moment(ctx, value)
                            .ok_or_else(|| bad("an instant or a date such as 2026-11-30T08:00:00Z"))?
                            .0,
                    );
                }
                "_at" => {
                    page.at =
                        Some(moment(ctx, value).ok_or_else(|| {
                            bad("a date or time such as 2026-11-30 or 2026-11-30T08:00:00Z")
                        })?);
                }
                "_list" => {
                    let id = value.strip_prefix("List/").unwrap_or(value);
                    if !Key::is_id(id) {
                        return Err(bad("the id of one List"));
                    }
                    page.list = Some(id.into());
                }
                "_cursor" => {
                    cursor = Some(value);
                    continue;
                }
                "_summary" | "_elements" => {}
                _ => {
                    let why = "is not a parameter of history: these are _count, _since, _at and _list";
                    ignore(ctx, &mut warnings, name, why)?;
                    continue;
                }
            }
            applied.push((name.clone(), value.clone()));
        }
        let mut asked = HistoryRequest { page, applied, warnings };
        if let Some(text) = cursor {
            let cursor = Cursor::open(text, ctx.cx.store.secret(), &asked.identity(ctx, path))?;
            asked.page.before =
                Some(position(&cursor).ok_or_else(|| Error::invalid("the page link is not of a history"))?);
        }
        Ok(asked)
    }

    /// What page links are bound to.
    fn identity(&self, ctx: &RequestContext<'_>, path: &str) -> String {
        let HistoryPage { since, at, list, .. } = &self.page;
        let who = ctx.request.principal.name();
        format!("{}:{who} {path} {since:?} {at:?} {list:?}", who.len())
    }

    fn own(&self, ctx: &RequestContext<'_>, path: &str) -> String {
        match self.applied.is_empty() {
            true => format!("{}/{path}", ctx.request.base),
            false => format!("{}/{path}?{}", ctx.request.base, url::query(&self.applied)),
        }
    }

    fn link(
        &self,
        ctx: &RequestContext<'_>,
        path: &str,
        (time, handle, version): (i64, i64, u32),
        pairs: &[(String, String)],
    ) -> String {
        let places = vec![SortValue::Number(time), SortValue::Number(i64::from(version))];
        let cursor = Cursor { sort_values: places, handle, backwards: false, within: None };
        let sealed = cursor.seal(ctx.cx.store.secret(), &self.identity(ctx, path));
        page_link(&self.own(ctx, path), sealed, pairs)
    }
}

/// Passes over a parameter: an error under strict handling, else a warning, once for each name.
fn ignore(ctx: &RequestContext<'_>, warnings: &mut Vec<String>, name: &str, why: &str) -> Result<()> {
    if ctx.strict() {
        return Err(Error::invalid(format!("`{name}` {why} (strict handling)")).at(name));
    }
    let text = format!("`{name}` {why}; it was ignored");
    if !warnings.contains(&text) && warnings.len() < WARNINGS_MAX {
        warnings.push(text);
    }
    Ok(())
}

fn position(cursor: &Cursor) -> Option<(i64, i64, u32)> {
    match cursor.sort_values.as_slice() {
        [SortValue::Number(time), SortValue::Number(version)] => {
            Some((*time, cursor.handle, u32::try_from(*version).ok()?))
        }
        _ => None,
    }
}
