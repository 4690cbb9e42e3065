//! history: <https://hl7.org/fhir/R4/http.html#history>

use fhir_model::date::DateTime;
use fhir_model::error::operation_outcome;
use fhir_model::{Error, Result, url};
use fhir_search::cursor::{Cursor, Place};
use fhir_store::{HistoryOf, HistoryPage, Method, Version};

use crate::ask::Ask;
use crate::bundle::text::BundleText;
use crate::reply::Reply;
use crate::summary::Subset;

pub(crate) async fn history(ask: &Ask<'_>, of: HistoryOf) -> Result<Reply> {
    let path = path(&of);
    let asked = Asked::parse(ask, &path)?;
    let found = ask.cx.store.history(&ask.scope, &of, &asked.page).await?;
    let subset = Subset::asked(ask, type_of(&of))?;
    let size = found.versions.iter().map(|v| v.body.as_ref().map_or(0, |b| b.len()) + 400).sum();
    let mut bundle = BundleText::new("history", size);
    if let Some(total) = found.total {
        bundle.total(total);
    }
    let own = asked.own(ask, &path);
    match &asked.page.before {
        Some(place) => bundle.link("self", &asked.link(ask, &path, *place)),
        None => bundle.link("self", &own),
    }
    // As in a search, without a page there is no first one.
    if asked.page.count > 0 {
        bundle.link("first", &own);
    }
    if let Some(place) = found.next {
        bundle.link("next", &asked.link(ask, &path, place));
    }
    for version in &found.versions {
        entry(ask, &mut bundle, version, subset.as_ref())?;
    }
    if !asked.repeated.is_empty() {
        warning(&mut bundle, &own, &asked.repeated);
    }
    Ok(Reply::made(bundle.finish()))
}

/// Refuses what cannot be asked of a history.
pub(crate) fn check(ask: &Ask<'_>, of: &HistoryOf) -> Result<()> {
    Asked::parse(ask, &path(of))?;
    Subset::asked(ask, type_of(of))?;
    Ok(())
}

fn type_of(of: &HistoryOf) -> Option<&str> {
    match of {
        HistoryOf::Instance(key) => Some(&key.type_name),
        HistoryOf::Type(type_name) => Some(type_name),
        HistoryOf::System => None,
    }
}

fn path(of: &HistoryOf) -> String {
    match of {
        HistoryOf::Instance(key) => format!("{key}/_history"),
        HistoryOf::Type(type_name) => format!("{type_name}/_history"),
        HistoryOf::System => "_history".to_owned(),
    }
}

fn entry(ask: &Ask<'_>, bundle: &mut BundleText, version: &Version, subset: Option<&Subset>) -> Result<()> {
    bundle.entry();
    bundle.full_url(&ask.request.base, &version.key);
    match (&version.body, subset) {
        (None, _) => {}
        (Some(body), None) => bundle.resource(body),
        (Some(body), Some(subset)) => {
            bundle.resource(&subset.apply(body, &ask.cx.definitions)?);
        }
    }
    let url = match version.method {
        Method::Post => version.key.type_name.to_string(),
        _ => version.key.to_string(),
    };
    bundle.request(version.method.as_str(), &url);
    let status = match version.method {
        Method::Post => 201,
        Method::Put if version.version == 1 => 201,
        Method::Put | Method::Patch => 200,
        Method::Delete => 204,
    };
    bundle.response(status, None, Some(version.version), Some(version.updated_at), None);
    bundle.end_entry();
    Ok(())
}

/// What was passed over. Every entry of a history says what was asked and answered (bdl-3, bdl-4), so this one speaks of
/// the history itself.
fn warning(bundle: &mut BundleText, own: &str, repeated: &[String]) {
    let names: Vec<String> = repeated.iter().map(|name| format!("`{name}`")).collect();
    let text = format!("{} can be given once; the first value was taken", names.join(", "));
    let outcome = operation_outcome("warning", "invalid", &text, &[]).to_string();
    bundle.entry();
    bundle.request("GET", own);
    bundle.response(200, None, None, None, Some(outcome.as_bytes()));
    bundle.end_entry();
}

/// What was asked for.
struct Asked {
    page: HistoryPage,
    /// The parameters that count, for links.
    applied: Vec<(String, String)>,
    /// Parameters of which only the first value counts.
    repeated: Vec<String>,
}

/// Parameters with one value.
const ONCE: &[&str] = &["_count", "_since", "_at"];

impl Asked {
    fn parse(ask: &Ask<'_>, path: &str) -> Result<Asked> {
        let limits = &ask.cx.limits;
        let mut page = HistoryPage { count: limits.count_default, ..HistoryPage::default() };
        let (mut applied, mut repeated): (Vec<(String, String)>, _) = (Vec::new(), Vec::new());
        let mut cursor = None;
        for (name, value) in &ask.pairs {
            let bad =
                |what: &str| Error::value(format!("`{name}` is {what}, not `{value}`")).at(name.as_str());
            if ONCE.contains(&name.as_str()) && applied.iter().any(|(n, _)| n == name) {
                if ask.strict() {
                    let text = format!("`{name}` can be given once (strict handling)");
                    return Err(Error::invalid(text).at(name.as_str()));
                }
                if !repeated.contains(name) {
                    repeated.push(name.clone());
                }
                continue;
            }
            match name.as_str() {
                "_count" => {
                    let count: u64 = value.parse().map_err(|_| bad("a whole number"))?;
                    page.count = usize::try_from(count).unwrap_or(usize::MAX).min(limits.count_max);
                }
                "_since" => {
                    let instant =
                        DateTime::instant(&value.replace(' ', "+")).ok_or_else(|| bad("an instant"))?;
                    page.since = Some(instant.range_micros().0);
                }
                "_at" => {
                    let date =
                        DateTime::date_time(&value.replace(' ', "+")).ok_or_else(|| bad("a date or time"))?;
                    page.at = Some(date.range_micros());
                }
                "_cursor" => {
                    cursor = Some(value);
                    continue;
                }
                "_format" | "_pretty" => continue,
                "_summary" | "_elements" => {}
                _ if ask.strict() => {
                    let text = format!("`{name}` is not a parameter of history (strict handling)");
                    return Err(Error::invalid(text).at(name.as_str()));
                }
                _ => continue,
            }
            applied.push((name.clone(), value.clone()));
        }
        let mut asked = Asked { page, applied, repeated };
        if let Some(text) = cursor {
            let cursor = Cursor::open(text, ask.cx.store.secret(), &asked.identity(ask, path))?;
            asked.page.before =
                Some(place(&cursor).ok_or_else(|| Error::invalid("the page link is not of a history"))?);
        }
        Ok(asked)
    }

    /// What page links are bound to.
    fn identity(&self, ask: &Ask<'_>, path: &str) -> String {
        let HistoryPage { since, at, .. } = &self.page;
        let who = ask.request.principal.name();
        format!("{}:{who} {path} {since:?} {at:?}", who.len())
    }

    fn own(&self, ask: &Ask<'_>, path: &str) -> String {
        match self.applied.is_empty() {
            true => format!("{}/{path}", ask.request.base),
            false => format!("{}/{path}?{}", ask.request.base, url::query(&self.applied)),
        }
    }

    fn link(&self, ask: &Ask<'_>, path: &str, (time, handle, version): (i64, i64, u32)) -> String {
        let places = vec![Place::Number(time), Place::Number(i64::from(version))];
        let cursor = Cursor { places, handle, backwards: false, within: None };
        let own = self.own(ask, path);
        let separator = if own.contains('?') { '&' } else { '?' };
        format!("{own}{separator}_cursor={}", cursor.seal(ask.cx.store.secret(), &self.identity(ask, path)))
    }
}

fn place(cursor: &Cursor) -> Option<(i64, i64, u32)> {
    match cursor.places.as_slice() {
        [Place::Number(time), Place::Number(version)] => {
            Some((*time, cursor.handle, u32::try_from(*version).ok()?))
        }
        _ => None,
    }
}
