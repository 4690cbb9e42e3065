//! Entries of a Bundle as requests, the same as over HTTP. <https://hl7.org/fhir/R4/bundle.html#Bundle.entry.request>

use fhir_model::date::DateTime;
use fhir_model::interaction::{Interaction, Method};
use fhir_model::json::{Doc, Kind, Ref};
use fhir_model::reference::Reference;
use fhir_model::types::Types;
use fhir_model::{Error, Result};
use fhir_search::Bases;

use super::entry_body;
use super::search_body::search_body;
use crate::conditions::Conditions;
use crate::reply::Reply;
use crate::request::{Body, Request};
use crate::request_context::RequestContext;

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
    pub(super) fn parse(entry: Ref<'d>, bases: &Bases, types: &dyn Types) -> Result<Entry<'d>> {
        let Some(request) = entry.get("request").filter(|r| r.is_object()) else {
            return Err(Error::invalid("an entry of a batch or transaction has a `request`").at("request"));
        };
        // A member that is not a string is an error, not absent: a precondition must not be ignored.
        if let Some(wrong) =
            request.children().find(|m| m.kind() != Kind::String && TEXTS.contains(&&*m.key()))
        {
            let name = wrong.key();
            return Err(Error::structure(format!("`request.{name}` is a text")).at(format!("request.{name}")));
        }
        if entry.get("fullUrl").is_some_and(|url| url.kind() != Kind::String) {
            return Err(Error::structure("`fullUrl` is a text").at("fullUrl"));
        }
        let method = method(request)?;
        let Some(url) = request.get_str("url").filter(|url| !url.is_empty()) else {
            return Err(Error::structure("`request.url` is missing").at("request.url"));
        };
        let (path, query) = below(&url, bases)?;
        let interaction = Interaction::parse(method, path, types).map_err(|e| e.at("request.url"))?;
        if interaction == Interaction::Bundle {
            return Err(Error::invalid("a Bundle cannot be processed within a Bundle").at("request.url"));
        }
        let full_url = entry.get_str("fullUrl").map(|t| t.into_owned());
        if let Some(url) = &full_url {
            check_full_url(url, &interaction)?;
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
            full_url,
            method,
            path,
            query,
            interaction,
            resource: entry.get("resource"),
            conditions: Conditions {
                if_match: text("ifMatch"),
                if_none_match: text("ifNoneMatch"),
                if_modified_since,
                // A Bundle has no such member.
                if_unmodified_since: None,
                if_none_exist: text("ifNoneExist"),
            },
        })
    }

    /// The reply to the entry: without the resource for HEAD.
    ///
    /// # Errors
    ///
    /// When it is none that an entry can hold.
    pub(super) fn reply_to(&self, reply: Reply) -> Result<Reply> {
        if reply.content.is_some() {
            return Err(Error::not_supported("what this answers is no resource, which an entry cannot hold"));
        }
        Ok(if self.method == Method::Head { Reply { body: None, ..reply } } else { reply })
    }

    fn is_search(&self) -> bool {
        matches!(
            self.interaction,
            Interaction::SearchType(_) | Interaction::SearchSystem | Interaction::SearchCompartment(..)
        )
    }

    /// The entry as a request of its own.
    pub(super) fn request(&self, ctx: &RequestContext<'_>) -> Result<Request> {
        let body = match (self.resource, self.method) {
            (None, _) => None,
            (Some(resource), Method::Post) if self.is_search() => Some(search_body(resource)?),
            (Some(resource), Method::Patch) => Some(entry_body::patch(resource, ctx)?),
            (Some(resource), _) => Some(Body::Resource(Doc::parse(resource.to_json(), ctx.cx.limits.json)?)),
        };
        Ok(Request {
            method: self.method,
            path: self.path.clone(),
            query: self.query.clone(),
            conditions: self.conditions.clone(),
            prefer: ctx.request.prefer,
            body,
            base: ctx.request.base.clone(),
            tenant: ctx.request.tenant,
            principal: ctx.request.principal.clone(),
            position: None,
            interaction: self.interaction.clone(),
        })
    }
}

/// The method of a request.
pub(super) fn method(request: Ref<'_>) -> Result<Method> {
    Method::parse(&request.get_str("method").unwrap_or_default()).ok_or_else(|| {
        Error::value("`request.method` is GET, HEAD, POST, PUT, PATCH or DELETE").at("request.method")
    })
}

/// A full url names the resource, not one of its versions (bdl-8), and does not disagree with the id that the entry
/// writes to: <https://hl7.org/fhir/R4/bundle-definitions.html#Bundle.entry.fullUrl>
fn check_full_url(url: &str, interaction: &Interaction) -> Result<()> {
    if url.contains("/_history/") {
        return Err(Error::invalid("`fullUrl` cannot be that of a version (bdl-8)").at("fullUrl"));
    }
    let (Interaction::Update(key) | Interaction::Patch(key) | Interaction::Delete(key)) = interaction else {
        return Ok(());
    };
    match Reference::parse(url) {
        Reference::Absolute(_, named) | Reference::Relative(named) if named != *key => {
            let text = format!("`fullUrl` speaks of {named}, but `request.url` of {key}");
            Err(Error::invalid(text).at("fullUrl"))
        }
        _ => Ok(()),
    }
}

/// Path and query of a url, relative to the server or below one of its bases.
fn below<'u>(url: &'u str, bases: &Bases) -> Result<(&'u str, &'u str)> {
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    match bases.below(path) {
        Some(path) => Ok((path, query)),
        None if bases.contains(path) => Ok(("", query)),
        None if path.contains("://") => {
            let text = "`request.url` is relative to the server, or begins with its base url";
            Err(Error::invalid(text).at("request.url"))
        }
        None => Ok((path, query)),
    }
}

#[cfg(test)]
mod tests {
    use fhir_profiles::Definitions;
    use serde_json::json;

    use super::*;

    /// The expression of the error of `Entry::parse`; empty when it succeeds.
    fn fault(types: &Definitions, entry: &serde_json::Value) -> Option<String> {
        let doc = Doc::parse(entry.to_string(), fhir_model::json::JsonLimits::default()).unwrap();
        let error = Entry::parse(doc.root(), &Bases::new(["http://a.org/fhir"]), types).err()?;
        assert_eq!(error.kind.status(), 400, "{entry}: {error}");
        Some(error.expression.join(" "))
    }

    #[test]
    fn what_is_no_text_is_not_passed_over() {
        let types = Definitions::load().unwrap();
        let wrong = [json!(1), json!(true), json!(null), json!({}), json!(["W/\"1\""])];
        for value in wrong {
            for name in TEXTS {
                let mut entry = json!({"request": {"method": "PUT", "url": "Patient/1"}});
                entry["request"][name] = value.clone();
                assert_eq!(fault(&types, &entry), Some(format!("request.{name}")), "{entry}");
            }
            let request = json!({"method": "PUT", "url": "Patient/1"});
            let entry = json!({"fullUrl": value, "request": request});
            assert_eq!(fault(&types, &entry).as_deref(), Some("fullUrl"), "{entry}");
        }
        for request in [json!({"method": "GET"}), json!({"method": "GET", "url": ""})] {
            let entry = json!({"request": request});
            assert_eq!(fault(&types, &entry).as_deref(), Some("request.url"), "{entry}");
        }
    }

    #[test]
    fn full_urls_do_not_disagree_with_what_is_written() {
        let types = Definitions::load().unwrap();
        let rows = [
            ("PUT", "Patient/1", "http://b.org/Patient/1", true),
            ("PUT", "Patient/1", "urn:uuid:2", true),
            ("PUT", "Patient/1", "http://b.org/something", true),
            ("PUT", "Patient/1", "http://b.org/Patient/2", false),
            ("PUT", "Patient/1", "http://b.org/Group/1", false),
            ("PUT", "Patient/1", "Patient/2", false),
            ("PATCH", "Patient/1", "http://a.org/fhir/Patient/2", false),
            ("DELETE", "Patient/1", "http://a.org/fhir/Patient/2", false),
            // The server will choose another id, or has done so.
            ("POST", "Patient", "http://b.org/Patient/2", true),
            ("PUT", "Patient?identifier=1", "http://b.org/Patient/2", true),
            // A version has no full url of its own.
            ("PUT", "Patient/1", "http://b.org/Patient/1/_history/1", false),
            ("POST", "Patient", "urn:uuid:2/_history/1", false),
            ("GET", "Patient/1", "http://b.org/Patient/1/_history/1", false),
        ];
        for (method, url, full_url, fits) in rows {
            let entry = json!({"fullUrl": full_url, "request": {"method": method, "url": url}});
            let wanted = (!fits).then(|| "fullUrl".to_owned());
            assert_eq!(fault(&types, &entry), wanted, "{entry}");
        }
    }

    #[test]
    fn urls_are_taken_relative_to_the_base() {
        let bases = Bases::new(["http://a.org/fhir", "http://a.org/fhir/R4", "https://ehr/fhir"]);
        let rows = [
            ("Patient/1", Some(("Patient/1", ""))),
            ("/Patient?name=a", Some(("/Patient", "name=a"))),
            ("http://a.org/fhir/Patient?name=a", Some(("Patient", "name=a"))),
            ("HTTPS://EHR/fhir/Patient/1", Some(("Patient/1", ""))),
            ("http://a.org/fhir?_type=Patient", Some(("", "_type=Patient"))),
            ("https://a.org/fhir/Patient", None),
            ("http://a.org/fhir", Some(("", ""))),
            ("http://b.org/fhir/Patient", None),
            ("http://a.org/fhirish/Patient", None),
            ("ValueSet?url=http://b.org/vs", Some(("ValueSet", "url=http://b.org/vs"))),
        ];
        for (url, wanted) in rows {
            assert_eq!(below(url, &bases).ok(), wanted, "{url}");
        }
    }
}
