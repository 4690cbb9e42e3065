//! Pages for people: what the API answers in JSON, as HTML that a browser shows without a script.
//!
//! **Invariants:** pure: an answer and a request in, text out; no I/O, no clock. Nothing is shown that is not in the answer.
//! Whatever comes from a request or a resource is escaped, and a link leads to this server, or by http or https to another.
//! A page has a bounded size whatever the answer's.

mod bundle;
mod form;
mod json;
mod layout;
mod links;
mod narrative;
mod outcome;
mod resource;
mod site;
mod summary;
#[cfg(test)]
mod tests;
mod view;

use fhir_model::json::{Doc, JsonLimits};

pub use form::{FORM, criteria};
pub use layout::security_policy;
pub use site::{Site, Visit};

use crate::view::View;

/// The icon of all pages, an SVG.
pub const ICON: &str = include_str!("icon.svg");

/// The page of an answer: a resource, a Bundle, an error.
pub fn page(site: &Site<'_>, visit: &Visit<'_>, status: u16, body: &[u8]) -> String {
    let view = View::new(site, visit);
    let Ok(doc) = Doc::parse(body, JsonLimits::NONE) else { return outcome::bare(&view, status) };
    let root = doc.root();
    match root.get_str("resourceType").as_deref() {
        Some("OperationOutcome") if status >= 400 => outcome::page(&view, status, root),
        Some("Bundle") => bundle::page(&view, root),
        _ => resource::page(&view, root),
    }
}

/// The page at `/`: what this server is, and where to go on.
pub fn front(site: &Site<'_>, visit: &Visit<'_>) -> String {
    layout::front(&View::new(site, visit))
}
