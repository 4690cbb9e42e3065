//! What a call of `$everything` asks for.

use fhir_interactions::{Call, Cx};
use fhir_model::{Error, Kind, Result, url};
use fhir_search::Bases;
use fhir_search::cursor::Cursor;
use fhir_store::EverythingFilter;

use super::continuation::ContinuationToken;

/// A call, read.
pub(crate) struct EverythingRequest {
    /// What is wanted of the compartment, without the types.
    pub(crate) wanted: EverythingFilter,
    /// Types; empty: all.
    pub(crate) types: Vec<Box<str>>,
    /// Resources of the compartment on a page.
    pub(crate) count: usize,
    /// Where the page begins; `None` means the first page.
    pub(crate) after: Option<ContinuationToken>,
    /// The urls of this server.
    pub(crate) bases: Bases,
    /// The parameters that took effect, for links.
    pub(crate) applied: Vec<(String, String)>,
    /// What page links are bound to.
    pub(crate) identity: String,
}

impl EverythingRequest {
    /// Reads the parameters of a call.
    pub(crate) fn read(cx: &Cx, call: &Call) -> Result<EverythingRequest> {
        let sent = &call.parameters;
        let micros =
            |name| Ok::<_, Error>(sent.date(name)?.map(|date| date.range_micros_in(cx.store.zone())));
        let (start, end, since) = (micros("start")?, micros("end")?, micros("_since")?);
        if let (Some((first, _)), Some((_, last))) = (start, end)
            && first > last
        {
            return Err(Error::value("`start` is after `end`").at("start"));
        }
        let care = (start.is_some() || end.is_some())
            .then(|| (start.map_or(i64::MIN, |(first, _)| first), end.map_or(i64::MAX, |(_, last)| last)));
        let since = since.map(|(first, _)| first);
        let applied: Vec<(String, String)> = sent
            .pairs()
            .filter(|(name, _)| *name != "_cursor")
            .map(|(name, text)| (name.to_owned(), text.to_owned()))
            .collect();
        let who = call.request.bound_to();
        let identity = format!("{}:{who}{}?{}", who.len(), call.request.path, url::query(&applied));
        let after = match sent.text("_cursor")? {
            Some(text) => {
                Some(ContinuationToken::from_cursor(Cursor::open(text, cx.store.secret(), &identity)?)?)
            }
            None => None,
        };
        Ok(EverythingRequest {
            wanted: EverythingFilter { care, since, ..EverythingFilter::default() },
            types: types(cx, call)?,
            count: count(cx, call)?,
            after,
            bases: cx.store.bases_of(call.request.tenant).with(&call.request.base),
            applied,
            identity,
        })
    }

    /// True when resources of the type are wanted.
    pub(crate) fn wants(&self, type_name: &str) -> bool {
        self.types.is_empty() || self.types.iter().any(|t| **t == *type_name)
    }

    /// True when a resource that was changed at this time is wanted.
    pub(crate) fn is_recent(&self, updated_at: i64) -> bool {
        self.wanted.since.is_none_or(|since| updated_at >= since)
    }

    /// What is wanted of the compartment, of the types asked for.
    pub(crate) fn filter(&self) -> EverythingFilter {
        let types = (!self.types.is_empty()).then(|| self.types.clone());
        EverythingFilter { types, ..self.wanted.clone() }
    }
}

/// The types, of one parameter or several, each a list.
fn types(cx: &Cx, call: &Call) -> Result<Vec<Box<str>>> {
    let mut types = Vec::new();
    for name in call.parameters.texts("_type")?.into_iter().flat_map(|list| list.split(',')).map(str::trim) {
        if !cx.definitions.resource_types().any(|known| known == name) {
            let text = format!("`{name}` is not a resource type");
            return Err(call.parameters.error(Kind::Value, "_type", text));
        }
        types.push(name.into());
    }
    Ok(types)
}

/// Resources of the compartment on a page, at most as many as the server gives.
fn count(cx: &Cx, call: &Call) -> Result<usize> {
    let max = cx.limits.count_max;
    match call.parameters.integer("_count")? {
        None => Ok(max),
        Some(count) if count > 0 => Ok(usize::try_from(count).unwrap_or(max).min(max)),
        Some(count) => {
            let text = format!("`_count` is a positive number, not `{count}`");
            Err(call.parameters.error(Kind::Value, "_count", text))
        }
    }
}
