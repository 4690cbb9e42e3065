//! What a call of `$everything` asks for.

use fhir_interactions::{Call, Cx, Handling};
use fhir_model::date::{DateTime, Zone};
use fhir_model::{Error, Result, url};
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
    /// What was left out, a sentence each.
    pub(crate) warnings: Vec<String>,
}

/// Parameters with one value.
const ONCE: &[&str] = &["start", "end", "_since", "_count"];

impl EverythingRequest {
    /// Reads the parameters of a call. Those that are not known are refused under strict handling, else left out.
    pub(crate) fn read(cx: &Cx, call: &Call) -> Result<EverythingRequest> {
        let mut asked = EverythingRequest {
            wanted: EverythingFilter::default(),
            types: Vec::new(),
            count: cx.limits.count_max,
            after: None,
            bases: cx.store.bases_of(call.request.tenant).with(&call.request.base),
            applied: Vec::new(),
            identity: String::new(),
            warnings: Vec::new(),
        };
        let (mut start, mut end, mut cursor) = (None, None, None);
        for (name, value) in call.parameters()? {
            let is_again = ONCE.contains(&&*name) && asked.applied.iter().any(|(before, _)| *before == name);
            match &*name {
                _ if is_again => {
                    asked.ignore(call, &name, "is there more than once: the first one counts")?;
                    continue;
                }
                "start" => start = Some(date(&name, &value, cx.store.zone())?.0),
                "end" => end = Some(date(&name, &value, cx.store.zone())?.1),
                "_since" => asked.wanted.since = Some(date(&name, &value, cx.store.zone())?.0),
                "_type" => asked.types(cx, &value)?,
                "_count" => asked.count = count(&value)?.min(cx.limits.count_max),
                "_cursor" => {
                    cursor = Some(value);
                    continue;
                }
                "_format" | "_pretty" => continue,
                _ => {
                    asked.ignore(call, &name, "is not a parameter of $everything")?;
                    continue;
                }
            }
            asked.applied.push((name, value));
        }
        if start.is_some() || end.is_some() {
            asked.wanted.care = Some((start.unwrap_or(i64::MIN), end.unwrap_or(i64::MAX)));
        }
        let who = call.request.bound_to();
        asked.identity = format!("{}:{who}{}?{}", who.len(), call.request.path, url::query(&asked.applied));
        if let Some(text) = cursor {
            asked.after = Some(ContinuationToken::from_cursor(Cursor::open(
                &text,
                cx.store.secret(),
                &asked.identity,
            )?)?);
        }
        Ok(asked)
    }

    fn ignore(&mut self, call: &Call, name: &str, why: &str) -> Result<()> {
        if call.request.prefer.handling == Handling::Strict {
            return Err(Error::invalid(format!("`{name}` {why} (strict handling)")).at(name));
        }
        self.warnings.push(format!("`{name}` {why}; it was ignored"));
        Ok(())
    }

    fn types(&mut self, cx: &Cx, value: &str) -> Result<()> {
        for name in value.split(',').map(str::trim) {
            if !cx.definitions.resource_types().any(|t| t == name) {
                return Err(Error::value(format!("`{name}` is not a resource type")).at("_type"));
            }
            self.types.push(name.into());
        }
        Ok(())
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

/// First and last microsecond.
fn date(name: &str, value: &str, zone: &Zone) -> Result<(i64, i64)> {
    let found = DateTime::partial(value).or_else(|| DateTime::partial(&value.replace(' ', "+")));
    let found = found.ok_or_else(|| {
        Error::value(format!("`{value}` is not a date such as 2026-11-30 or 2026-11-30T08:00:00Z")).at(name)
    })?;
    Ok(found.range_micros_in(zone))
}

fn count(value: &str) -> Result<usize> {
    match value.parse::<usize>() {
        Ok(n) if n > 0 => Ok(n),
        _ => Err(Error::value(format!("`_count` is a positive number, not `{value}`")).at("_count")),
    }
}
