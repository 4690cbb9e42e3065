//! What an entry asks for: the same as a request over HTTP. <https://hl7.org/fhir/R4/bundle.html#Bundle.entry.request>

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use fhir_model::date::DateTime;
use fhir_model::interaction::{Interaction, Method};
use fhir_model::json::{Doc, Kind, Ref};
use fhir_model::types::Types;
use fhir_model::{Error, Result};

use crate::ask::Ask;
use crate::conditions::Conditions;
use crate::request::{Body, Request};

/// Members of `request` that are texts.
const TEXTS: &[&str] = &["method", "url", "ifNoneMatch", "ifModifiedSince", "ifMatch", "ifNoneExist"];

/// One entry of a batch or transaction.
pub(super) struct Entry<'d> {
    pub(super) full_url: Option<String>,
    pub(super) method: Method,
    /// Below the base, without query.
    pub(super) path: String,
    pub(super) query: String,
    pub(super) interaction: Interaction,
    pub(super) resource: Option<Ref<'d>>,
    pub(super) conditions: Conditions,
}

impl<'d> Entry<'d> {
    pub(super) fn parse(entry: Ref<'d>, base: &str, types: &dyn Types) -> Result<Entry<'d>> {
        let Some(request) = entry.get("request").filter(|r| r.is_object()) else {
            return Err(Error::invalid("an entry of a batch or transaction has a `request`").at("request"));
        };
        // What is no text is not the same as what is not there: a precondition must not be passed over.
        if let Some(wrong) =
            request.children().find(|m| m.kind() != Kind::String && TEXTS.contains(&&*m.key()))
        {
            let name = wrong.key();
            return Err(Error::structure(format!("`request.{name}` is a text")).at(format!("request.{name}")));
        }
        if entry.get("fullUrl").is_some_and(|url| url.kind() != Kind::String) {
            return Err(Error::structure("`fullUrl` is a text").at("fullUrl"));
        }
        let method = request.get_str("method").unwrap_or_default();
        let Some(method) = Method::parse(&method) else {
            return Err(Error::value("`request.method` is GET, HEAD, POST, PUT, PATCH or DELETE")
                .at("request.method"));
        };
        let url = request.get_str("url").unwrap_or_default();
        let (path, query) = below(&url, base)?;
        let interaction = Interaction::parse(method, path, types).map_err(|e| e.at("request.url"))?;
        if interaction == Interaction::Bundle {
            return Err(Error::invalid("a Bundle cannot be processed within a Bundle").at("request.url"));
        }
        let text = |name: &str| request.get_str(name).map(|t| t.into_owned());
        let if_modified_since = match request.get_str("ifModifiedSince") {
            Some(instant) => {
                let instant = DateTime::instant(&instant).ok_or_else(|| {
                    Error::value("`ifModifiedSince` is not an instant").at("request.ifModifiedSince")
                })?;
                Some(instant.range_micros().0)
            }
            None => None,
        };
        let (path, query) = (path.to_owned(), query.to_owned());
        Ok(Entry {
            full_url: entry.get_str("fullUrl").map(|t| t.into_owned()),
            method,
            path,
            query,
            interaction,
            resource: entry.get("resource"),
            conditions: Conditions {
                if_match: text("ifMatch"),
                if_none_match: text("ifNoneMatch"),
                if_modified_since,
                if_none_exist: text("ifNoneExist"),
            },
        })
    }

    /// The entry as a request of its own.
    pub(super) fn request(&self, ask: &Ask<'_>) -> Result<Request> {
        let body = match (self.resource, self.method) {
            (None, _) => None,
            (Some(resource), Method::Patch) => Some(patch_body(resource, ask)?),
            (Some(resource), _) => Some(Body::Resource(Doc::parse(resource.to_json(), ask.cx.limits.json)?)),
        };
        Ok(Request {
            method: self.method,
            path: self.path.clone(),
            query: self.query.clone(),
            conditions: self.conditions.clone(),
            prefer: ask.request.prefer,
            body,
            base: ask.request.base.clone(),
            principal: ask.request.principal.clone(),
        })
    }
}

/// The patch in an entry: Parameters, or a Binary around a JSON Patch.
pub(super) fn patch_body(resource: Ref<'_>, ask: &Ask<'_>) -> Result<Body> {
    if resource.get_str("resourceType").as_deref() != Some("Binary") {
        return Ok(Body::Resource(Doc::parse(resource.to_json(), ask.cx.limits.json)?));
    }
    if resource.get_str("contentType").as_deref() != Some("application/json-patch+json") {
        let text = "a patch in a Binary is a JSON Patch: `contentType` is application/json-patch+json";
        return Err(Error::invalid(text).at("resource.contentType"));
    }
    let data = resource.get_str("data").unwrap_or_default();
    let bytes =
        STANDARD.decode(&*data).map_err(|_| Error::value("`data` is not base64").at("resource.data"))?;
    Ok(Body::JsonPatch(Bytes::from(bytes)))
}

/// Path and query of a url, relative to the base or below it.
fn below<'u>(url: &'u str, base: &str) -> Result<(&'u str, &'u str)> {
    let relative = match url.strip_prefix(base) {
        Some(rest) if rest.is_empty() || rest.starts_with(['/', '?']) => rest,
        _ if url.split('?').next().is_some_and(|path| path.contains("://")) => {
            let text = "`request.url` is relative to the server, or begins with its base url";
            return Err(Error::invalid(text).at("request.url"));
        }
        _ => url,
    };
    Ok(relative.split_once('?').unwrap_or((relative, "")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_relative_to_the_base() {
        let base = "http://a.org/fhir";
        let rows = [
            ("Patient/1", Some(("Patient/1", ""))),
            ("/Patient?name=a", Some(("/Patient", "name=a"))),
            ("http://a.org/fhir/Patient?name=a", Some(("/Patient", "name=a"))),
            ("http://a.org/fhir", Some(("", ""))),
            ("http://b.org/fhir/Patient", None),
            ("http://a.org/fhirish/Patient", None),
            ("ValueSet?url=http://b.org/vs", Some(("ValueSet", "url=http://b.org/vs"))),
        ];
        for (url, wanted) in rows {
            assert_eq!(below(url, base).ok(), wanted, "{url}");
        }
    }
}
