//! What a primitive of a patch may be: <https://hl7.org/fhir/R4/datatypes.html#primitive>,
//! <https://hl7.org/fhir/R4/fhirpath.html#types>

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fhir_model::Key;
use fhir_model::date::{DateTime, Time};
use fhir_model::json::{Kind, Ref};

/// The types of FHIRPath that FHIR's primitives are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum System {
    Boolean,
    String,
    Integer,
    Decimal,
    Date,
    DateTime,
    Time,
}

impl System {
    /// `None` for what is no primitive of FHIR.
    fn from_type(type_name: &str) -> Option<System> {
        Some(match type_name {
            "boolean" => System::Boolean,
            "integer" | "positiveInt" | "unsignedInt" => System::Integer,
            "decimal" => System::Decimal,
            "date" => System::Date,
            "dateTime" | "instant" => System::DateTime,
            "time" => System::Time,
            "string" | "code" | "id" | "markdown" | "xhtml" | "base64Binary" => System::String,
            "uri" | "url" | "canonical" | "oid" | "uuid" => System::String,
            // `id` and `Extension.url` have FHIRPath's own.
            name if name.ends_with("System.String") => System::String,
            _ => return None,
        })
    }
}

/// True when a value of the type `sent` may be that of an element of the type `own`: when they are the same type of
/// FHIRPath, or it converts one into the other by itself.
pub(super) fn is_compatible(own: &str, sent: &str) -> bool {
    match (System::from_type(own), System::from_type(sent)) {
        (Some(System::Decimal), Some(System::Integer)) | (Some(System::DateTime), Some(System::Date)) => true,
        (Some(own), Some(sent)) => own == sent,
        _ => false,
    }
}

/// True when this is a value of the primitive type.
pub(super) fn is_valid(type_name: &str, value: Ref<'_>) -> bool {
    let number =
        |test: &dyn Fn(i32) -> bool| value.number().and_then(|digits| digits.parse().ok()).is_some_and(test);
    match type_name {
        "boolean" => value.kind() == Kind::Boolean,
        "decimal" => value.kind() == Kind::Number,
        "integer" => number(&|_| true),
        "positiveInt" => number(&|n| n > 0),
        "unsignedInt" => number(&|n| n >= 0),
        _ => value.str().is_some_and(|text| is_valid_text(type_name, &text)),
    }
}

fn is_valid_text(type_name: &str, text: &str) -> bool {
    let has_space = || text.contains(char::is_whitespace);
    match type_name {
        "date" => DateTime::date(text).is_some(),
        "dateTime" => DateTime::date_time(text).is_some(),
        "instant" => DateTime::instant(text).is_some(),
        "time" => Time::parse(text).is_some(),
        "id" => Key::is_id(text),
        "code" => {
            !text.is_empty()
                && text.split(' ').all(|word| !word.is_empty() && !word.contains(char::is_whitespace))
        }
        "uri" | "url" | "canonical" => !text.is_empty() && !has_space(),
        "oid" => text.strip_prefix("urn:oid:").is_some_and(is_oid),
        "uuid" => text.strip_prefix("urn:uuid:").is_some_and(is_uuid),
        "base64Binary" => {
            let packed: String = text.split_whitespace().collect();
            !packed.is_empty() && STANDARD.decode(packed).is_ok()
        }
        _ => !text.is_empty(),
    }
}

fn is_oid(text: &str) -> bool {
    let mut arcs = text.split('.');
    let is_arc = |arc: &str| {
        !arc.is_empty() && arc.bytes().all(|b| b.is_ascii_digit()) && (arc == "0" || !arc.starts_with('0'))
    };
    matches!(arcs.next(), Some("0" | "1" | "2")) && text.contains('.') && arcs.all(is_arc)
}

fn is_uuid(text: &str) -> bool {
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12] && text.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use fhir_model::json::{Doc, JsonLimits};
    use fhir_model::types::Types;
    use fhir_profiles::Definitions;

    use super::*;

    /// Each primitive of R4: a value, one that has the right type in JSON and is none, and a type that does not fit.
    const TABLE: &[(&str, &str, &str, &str)] = &[
        ("base64Binary", "\"aGk=\"", "\"a\"", "boolean"),
        ("boolean", "true", "\"true\"", "string"),
        ("canonical", "\"http://a|1\"", "\"a b\"", "date"),
        ("code", "\"in progress\"", "\" a\"", "date"),
        ("date", "\"2020-02\"", "\"2020-02-30\"", "string"),
        ("dateTime", "\"2020-02-29T10:00:00Z\"", "\"yesterday\"", "string"),
        ("decimal", "1.50", "\"1.5\"", "string"),
        ("id", "\"a-1\"", "\"a_1\"", "integer"),
        ("instant", "\"2020-02-29T10:00:00Z\"", "\"2020-02-29\"", "string"),
        ("integer", "-1", "2147483648", "decimal"),
        ("markdown", "\"*a*\"", "\"\"", "time"),
        ("oid", "\"urn:oid:1.2.840\"", "\"urn:oid:1.02\"", "integer"),
        ("positiveInt", "1", "0", "decimal"),
        ("string", "\"a\"", "\"\"", "date"),
        ("time", "\"10:00:00\"", "\"25:00:00\"", "string"),
        ("unsignedInt", "0", "-1", "string"),
        ("uri", "\"urn:a\"", "\"a b\"", "dateTime"),
        ("url", "\"http://a\"", "\"\"", "dateTime"),
        ("uuid", "\"urn:uuid:6ba7b810-9dad-11d1-80b4-00c04fd430c8\"", "\"urn:uuid:6ba7b810\"", "time"),
        ("xhtml", "\"<div/>\"", "\"\"", "boolean"),
    ];

    #[test]
    fn every_primitive_is_checked() {
        let types = Definitions::load().unwrap();
        let mut all: Vec<&str> = types.type_names().filter(|name| types.is_primitive(name)).collect();
        all.sort_unstable();
        let mut named: Vec<&str> = TABLE.iter().map(|row| row.0).collect();
        named.retain(|name| types.is_primitive(name));
        assert_eq!(named, all);
        for (type_name, value, wrong, other) in TABLE {
            let is = |text: &str| {
                let doc = Doc::parse(format!("[{text}]"), JsonLimits::default()).unwrap();
                is_valid(type_name, doc.root().items().next().unwrap())
            };
            assert!(is(value), "{type_name} {value}");
            assert!(!is(wrong), "{type_name} {wrong}");
            assert!(is_compatible(type_name, type_name) && !is_compatible(type_name, other), "{type_name}");
        }
        assert!(is_compatible("decimal", "integer") && !is_compatible("integer", "decimal"));
        assert!(is_compatible("dateTime", "date") && !is_compatible("date", "dateTime"));
    }
}
