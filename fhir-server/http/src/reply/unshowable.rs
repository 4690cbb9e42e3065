//! What a page holds and XML cannot show: an element FHIR does not know, a character written before it was refused.
//!
//! One such resource must not take the whole page from the client: an OperationOutcome stands in its place.
//! <https://hl7.org/fhir/R4/bundle.html#searchset>, <https://hl7.org/fhir/R4/bundle.html#history>

use fhir_model::error::{Issue, operation_outcome};
use fhir_model::json::{Doc, Edits, JsonLimits, Ref};
use fhir_model::types::Types;
use fhir_model::{Error, Result, xml};
use serde_json::json;

/// A searchset or history without the resources that XML cannot hold. Returns `None` when every resource can be written.
pub(super) fn replaced(page: &[u8], types: &impl Types) -> Result<Option<String>> {
    let doc = Doc::parse(page, JsonLimits::NONE).map_err(Error::internal)?;
    let mut edits = Edits::default();
    let is_page = |kind: std::borrow::Cow<'_, str>| matches!(&*kind, "searchset" | "history");
    if !doc.root().get_str("type").is_some_and(is_page) {
        return Ok(None);
    }
    for entry in doc.root().get("entry").into_iter().flat_map(Ref::items) {
        let Some(resource) = entry.get("resource") else { continue };
        if let Err(why) = xml::from_json(resource, types) {
            replace(entry, resource, &outcome(entry, &why), &mut edits);
        }
    }
    if edits.is_empty() {
        return Ok(None);
    }
    let mut out = String::with_capacity(page.len());
    doc.root().write(&edits, &mut out);
    Ok(Some(out))
}

fn outcome(entry: Ref<'_>, why: &Error) -> serde_json::Value {
    let name = entry.get_str("fullUrl").unwrap_or("this".into());
    let text = format!("{name} cannot be given as XML; ask for JSON: {}", why.text);
    operation_outcome([&Issue { expression: why.expression.clone(), ..Issue::error(why.kind, text) }])
}

fn replace(entry: Ref<'_>, resource: Ref<'_>, outcome: &serde_json::Value, edits: &mut Edits) {
    match entry.get("response") {
        // In a history the entry says what was done besides: that holds, and has a place for outcomes.
        Some(response) => {
            edits.drop(resource);
            edits.insert(response, format!("\"outcome\":{outcome}"));
        }
        // An outcome of the search is not a resource with an address.
        None => {
            edits.replace(entry, json!({ "resource": outcome, "search": { "mode": "outcome" } }).to_string());
        }
    }
}
