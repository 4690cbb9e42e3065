//! What a resource is about, in a line.

use std::borrow::Cow;

use fhir_model::json::{Kind, Ref};

/// Longest summary, name or other short text, in characters.
pub(crate) const CHARS_MAX: usize = 160;
/// Parts of one summary.
const PARTS_MAX: usize = 5;

/// Elements that say what a resource is about, those that say most first; each `[x]` under each name it has in JSON.
const TELLING: &[&str] = &[
    "name",
    "title",
    "code",
    "vaccineCode",
    "medicationCodeableConcept",
    "medicationReference",
    "medication",
    "serviceType",
    "type",
    "description",
    "valueQuantity",
    "valueCodeableConcept",
    "valueString",
    "valueInteger",
    "valueBoolean",
    "gender",
    "birthDate",
    "class",
    "subject",
    "patient",
    "status",
    "effectiveDateTime",
    "effectivePeriod",
    "occurrenceDateTime",
    "performedDateTime",
    "performedPeriod",
    "onsetDateTime",
    "authoredOn",
    "period",
    "start",
    "date",
    "issued",
    "recordedDate",
    "city",
    "address",
];

/// The summary of a resource; empty when nothing in it says much.
pub(crate) fn summary(resource: Ref<'_>) -> String {
    let mut parts: Vec<String> = Vec::new();
    for name in TELLING {
        let text = resource.get(name).and_then(first).and_then(text);
        // Set apart, so that they stand in the page's order whichever way each is written.
        let text = text.filter(|text| !text.trim().is_empty()).map(|text| format!("\u{2068}{text}\u{2069}"));
        parts.extend(text.filter(|text| !parts.contains(text)));
        if parts.len() == PARTS_MAX {
            break;
        }
    }
    cut(&parts.join(" · "), CHARS_MAX)
}

/// Of a repeating element the first.
fn first(value: Ref<'_>) -> Option<Ref<'_>> {
    if value.is_array() { value.children().next() } else { Some(value) }
}

/// A value of any of the types that can be said in a few words.
fn text(value: Ref<'_>) -> Option<String> {
    match value.kind() {
        Kind::String => Some(cut(&value.str()?, CHARS_MAX)),
        Kind::Number => value.number().map(str::to_owned),
        Kind::Boolean => Some(value.raw().to_owned()),
        Kind::Object => object(value),
        Kind::Array | Kind::Null => None,
    }
}

fn object(value: Ref<'_>) -> Option<String> {
    let get = |name: &str| value.get_str(name).map(Cow::into_owned);
    let coding = || value.get("coding").and_then(first);
    let coded = || {
        coding().and_then(|one| one.get_str("display").or_else(|| one.get_str("code"))).map(Cow::into_owned)
    };
    let found = get("text").or_else(|| human_name(value)).or_else(|| quantity(value));
    let found = found.or_else(coded).or_else(|| get("display")).or_else(|| get("reference"));
    let found = found.or_else(|| get("start")).or_else(|| get("code")).or_else(|| get("city"));
    found.map(|text| cut(&text, CHARS_MAX))
}

fn human_name(value: Ref<'_>) -> Option<String> {
    let given = value.get("given").into_iter().flat_map(Ref::items).filter_map(Ref::str);
    let parts: Vec<_> = given.take(PARTS_MAX).chain(value.get_str("family")).collect();
    (!parts.is_empty()).then(|| parts.join(" "))
}

fn quantity(value: Ref<'_>) -> Option<String> {
    let number = value.get("value")?.number()?;
    let unit = value.get_str("unit").or_else(|| value.get_str("code")).unwrap_or_default();
    Some(format!("{number} {unit}").trim_end().to_owned())
}

/// The beginning of a text that may be of any length.
pub(crate) fn cut(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or("")),
        None => text.to_owned(),
    }
}
