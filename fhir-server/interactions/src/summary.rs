//! Parts of resources: `_summary` and `_elements`.
//!
//! <https://hl7.org/fhir/R4/search.html#summary>, <https://hl7.org/fhir/R4/search.html#elements>
//!
//! What is cut is tagged `SUBSETTED`, so that nobody writes it back; a resource of which nothing was left out is whole,
//! and says nothing of the kind. Mandatory elements stay, as their resources would not be valid without them.

use bytes::Bytes;
use fhir_model::json::{Doc, Edits, JsonLimits, Ref};
use fhir_model::types::{Element, Types};
use fhir_model::{Error, Result};
use fhir_profiles::Definitions;
use fhir_search::query::Summary;

use crate::request_context::RequestContext;

/// Which part of a resource is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Subset {
    /// `_summary=true`: elements that the definition marks.
    Summary,
    /// `_summary=text`: narrative, id, meta and what is mandatory.
    Text,
    /// `_summary=data`: all but the narrative.
    Data,
    /// `_elements=`: these, and what is mandatory.
    Elements(Vec<Box<str>>),
}

/// Members every subset has.
const ALWAYS: &[&str] = &["resourceType", "id", "meta"];

const TAG: &str =
    r#"{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"SUBSETTED"}"#;

impl Subset {
    /// The part that a search asks for; nothing for whole resources.
    pub(crate) fn from_search(summary: Summary, elements: &[Box<str>]) -> Option<Subset> {
        match summary {
            Summary::True => Some(Subset::Summary),
            Summary::Text => Some(Subset::Text),
            Summary::Data => Some(Subset::Data),
            Summary::False | Summary::Count if elements.is_empty() => None,
            Summary::False | Summary::Count => Some(Subset::Elements(elements.to_vec())),
        }
    }

    /// The part that a read or history asks for; `type_name`: of what, when it is one type.
    pub(crate) fn from_request(ctx: &RequestContext<'_>, type_name: Option<&str>) -> Result<Option<Subset>> {
        let subset = Subset::from_pairs(&ctx.pairs)?;
        if let (true, Some(subset)) = (ctx.strict(), &subset) {
            subset.check(type_name.as_slice(), &ctx.cx.definitions)?;
        }
        Ok(subset)
    }

    /// The part of resources that are included. "The list of elements does not apply to included resources":
    /// <https://hl7.org/fhir/R4/search.html#elements>. A summary is one of all that is answered.
    pub(crate) fn for_included(&self) -> Option<&Subset> {
        match self {
            Subset::Elements(_) => None,
            Subset::Summary | Subset::Text | Subset::Data => Some(self),
        }
    }

    /// An error when an element is asked for that none of these types has; without any, no type at all. Lenient clients do
    /// not get what is not there.
    pub(crate) fn check(&self, of: &[&str], types: &Definitions) -> Result<()> {
        let Subset::Elements(names) = self else { return Ok(()) };
        let is_one = |holder: &str| match of {
            [] => types.is_resource(holder),
            of => of.contains(&holder),
        };
        let is_known = |name: &str| match name.split_once('.') {
            Some((holder, path)) if types.is_resource(holder) => is_one(holder) && has(types, holder, path),
            _ if of.is_empty() => types.resource_types().any(|type_name| has(types, type_name, name)),
            _ => of.iter().any(|type_name| has(types, type_name, name)),
        };
        match names.iter().find(|name| !is_known(name)) {
            None => Ok(()),
            Some(name) => {
                let whose = match of {
                    [one] => one,
                    [] => "any resource",
                    _ => "what is searched",
                };
                Err(Error::invalid(format!("`_elements`: `{name}` is no element of {whose}")).at("_elements"))
            }
        }
    }

    fn from_pairs(pairs: &[(String, String)]) -> Result<Option<Subset>> {
        let mut summary = None;
        let mut elements: Vec<Box<str>> = Vec::new();
        for (name, value) in pairs {
            match name.as_str() {
                // As in a search, nothing is as if it were not there, and of several the first counts.
                "_summary" if !value.is_empty() && summary.is_none() => {
                    summary = Some(match value.as_str() {
                        "true" => Summary::True,
                        "text" => Summary::Text,
                        "data" => Summary::Data,
                        "false" => Summary::False,
                        _ => {
                            let text = format!(
                                "`_summary` of a read or history is true, text, data or false, not `{value}`"
                            );
                            return Err(Error::value(text).at("_summary"));
                        }
                    });
                }
                "_elements" => {
                    elements.extend(value.split(',').map(str::trim).filter(|e| !e.is_empty()).map(Box::from))
                }
                _ => {}
            }
        }
        let summary = summary.unwrap_or(Summary::False);
        if summary != Summary::False && !elements.is_empty() {
            return Err(Error::invalid("`_summary` and `_elements` cannot be asked for together"));
        }
        Ok(Subset::from_search(summary, &elements))
    }

    /// The part of a body.
    pub(crate) fn apply(&self, body: &Bytes, types: &Definitions) -> Result<Bytes> {
        let doc = Doc::parse(body.to_vec(), JsonLimits::NONE).map_err(Error::internal)?;
        let root = doc.root();
        let type_name = root.get_str("resourceType").unwrap_or_default();
        let mut edits = Edits::default();
        for member in root.children() {
            let key = member.key();
            if ALWAYS.contains(&&*key) {
                continue;
            }
            match element(types, &type_name, &key) {
                Some((element, of)) if self.keeps(&type_name, element, &key) => {
                    if *self == Subset::Summary {
                        within(member, of, types, &mut edits);
                    }
                }
                _ => edits.drop(member),
            }
        }
        if edits.is_empty() {
            return Ok(body.clone());
        }
        tag(root, &mut edits);
        let mut text = String::with_capacity(body.len() + TAG.len());
        root.write(&edits, &mut text);
        Ok(Bytes::from(text))
    }

    fn keeps(&self, type_name: &str, element: &Element, key: &str) -> bool {
        let plain = key.strip_prefix('_').unwrap_or(key);
        match self {
            Subset::Summary => element.summary || element.min > 0,
            Subset::Text => &*element.name == "text" || element.min > 0,
            Subset::Data => &*element.name != "text",
            Subset::Elements(names) => {
                let asked = names.iter().any(|name| {
                    // `Patient.name` is for Patients alone, and what is within an element brings all of it.
                    let name = match name.split_once('.') {
                        Some((holder, rest)) if holder == type_name => rest.split('.').next().unwrap_or(rest),
                        Some((first, _)) => first,
                        None => name,
                    };
                    name == &*element.name || name == plain
                });
                asked || element.min > 0 || element.modifier
            }
        }
    }
}

/// True when a type has an element at a path such as `name.family`, or the one of a key such as `valueQuantity`.
fn has(types: &Definitions, type_name: &str, path: &str) -> bool {
    let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
    let within = |of: &str| rest.is_none_or(|rest| has(types, of, rest));
    match types.json_element(type_name, name) {
        Some((_, of)) => within(of),
        None => {
            types.element(type_name, name).is_some_and(|element| element.types.iter().any(|of| within(of)))
        }
    }
}

/// The element of a key; `_birthDate` goes with `birthDate`.
fn element<'t>(types: &'t Definitions, type_name: &str, key: &str) -> Option<(&'t Element, &'t str)> {
    types.json_element(type_name, key.strip_prefix('_').unwrap_or(key))
}

/// Leaves out what the definition of a backbone element does not mark.
fn within(member: Ref<'_>, type_name: &str, types: &Definitions, edits: &mut Edits) {
    // Types of their own (`HumanName`) are kept whole: what they mark, they mark nearly everywhere.
    if !type_name.contains('.') {
        return;
    }
    for item in member.items() {
        for inner in item.children().filter(|_| item.is_object()) {
            match element(types, type_name, &inner.key()) {
                Some((element, of)) if element.summary || element.min > 0 => within(inner, of, types, edits),
                _ if &*inner.key() == "id" => {}
                _ => edits.drop(inner),
            }
        }
    }
}

/// Adds the tag that says it is not the whole.
fn tag(root: Ref<'_>, edits: &mut Edits) {
    let Some(meta) = root.get("meta") else {
        edits.insert(root, format!("\"meta\":{{\"tag\":[{TAG}]}}"));
        return;
    };
    match meta.get("tag").filter(|tags| tags.is_array() && !tags.is_empty()) {
        None => edits.insert(meta, format!("\"tag\":[{TAG}]")),
        Some(tags) => {
            let raw = tags.to_json();
            let inner = raw.strip_suffix(']').unwrap_or(&raw);
            edits.replace(tags, format!("{inner},{TAG}]"));
        }
    }
}

#[cfg(test)]
mod tests;
