//! A tree that can be changed and keeps the text of numbers.
//!
//! `serde_json` writes `1.50E-10` as `1.50e-10`. In FHIR the text of a decimal is its precision, and a patch has no
//! business with the numbers it does not name. So a number is held as a string that begins with U+0000, which our parser
//! lets into no other string.

use fhir_model::decimal::Decimal;
use fhir_model::json::{Kind, Ref};
use serde_json::Value;

/// The value as a tree.
pub(super) fn read(json: Ref<'_>) -> Value {
    match json.kind() {
        Kind::Number => Value::String(format!("\0{}", json.raw())),
        Kind::Array => Value::Array(json.children().map(read).collect()),
        Kind::Object => Value::Object(json.children().map(|c| (c.key().into_owned(), read(c))).collect()),
        Kind::Null | Kind::Boolean | Kind::String => json.to_value(),
    }
}

/// The JSON text of a tree.
pub(super) fn write(value: &Value) -> String {
    let mut out = String::new();
    append(value, &mut out);
    out
}

/// JSON Patch's idea of equal: numbers by what they are worth.
pub(super) fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::String(a), Value::String(b)) => match (a.strip_prefix('\0'), b.strip_prefix('\0')) {
            (Some(a), Some(b)) => a == b || Decimal::parse(a).is_some_and(|a| Some(a) == Decimal::parse(b)),
            _ => a == b,
        },
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| equal(a, b)))
        }
        _ => a == b,
    }
}

fn append(value: &Value, out: &mut String) {
    match value {
        Value::String(text) => match text.strip_prefix('\0') {
            Some(number) => out.push_str(number),
            None => out.push_str(&value.to_string()),
        },
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                out.push_str(if i > 0 { "," } else { "" });
                append(item, out);
            }
            out.push(']');
        }
        Value::Object(members) => {
            out.push('{');
            for (i, (key, member)) in members.iter().enumerate() {
                out.push_str(if i > 0 { "," } else { "" });
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                append(member, out);
            }
            out.push('}');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => out.push_str(&value.to_string()),
    }
}
