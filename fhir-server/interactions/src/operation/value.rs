//! What a parameter holds, read by its type: <https://hl7.org/fhir/R4/datatypes.html>

use fhir_model::Key;
use fhir_model::date::{DateTime, Time};
use fhir_model::decimal::Decimal;
use fhir_model::json::Ref;

use super::parameters::Value;

/// The primitive types, as far as they are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Primitive {
    Boolean,
    /// An integer that is at least so much.
    Integer(i64),
    Decimal,
    /// `date`, `dateTime` and `instant`. Each may be written less or more precisely than its type, as in a search.
    Date,
    Time,
    Id,
    /// What has no white space at its ends.
    Code,
    /// What has no white space.
    Uri,
    Text,
}

impl Primitive {
    /// The primitive type of a name.
    pub(super) fn of(name: &str) -> Primitive {
        match name {
            "boolean" => Primitive::Boolean,
            "integer" => Primitive::Integer(i64::from(i32::MIN)),
            "unsignedInt" => Primitive::Integer(0),
            "positiveInt" => Primitive::Integer(1),
            "decimal" => Primitive::Decimal,
            "date" | "dateTime" | "instant" => Primitive::Date,
            "time" => Primitive::Time,
            "id" => Primitive::Id,
            "code" => Primitive::Code,
            "uri" | "url" | "canonical" | "oid" | "uuid" => Primitive::Uri,
            _ => Primitive::Text,
        }
    }

    /// What is expected, for an error.
    pub(super) fn expected(self) -> &'static str {
        match self {
            Primitive::Boolean => "true or false",
            Primitive::Integer(0) => "a whole number, not below 0",
            Primitive::Integer(1) => "a whole number above 0",
            Primitive::Integer(_) => "a whole number",
            Primitive::Decimal => "a number",
            Primitive::Date => "a date such as 2026-11-30 or 2026-11-30T08:00:00Z",
            Primitive::Time => "a time such as 08:00:00",
            Primitive::Id => "an id of 1 to 64 of A-Z a-z 0-9 - .",
            Primitive::Code => "a code",
            Primitive::Uri => "a uri",
            Primitive::Text => "a text",
        }
    }

    /// Reads a text. Returns `None` when it is no such value.
    pub(super) fn parse(self, text: &str) -> Option<Value> {
        let kept = |fits: bool| (fits && !text.is_empty()).then(|| Value::Text(text.to_owned()));
        match self {
            Primitive::Boolean => text.parse().ok().map(Value::Boolean),
            Primitive::Integer(min) => {
                let fits = |number: &i64| (min..=i64::from(i32::MAX)).contains(number);
                text.parse().ok().filter(fits).map(Value::Integer)
            }
            Primitive::Decimal => Decimal::parse(text).map(Value::Decimal),
            // Where a `+` was lost to the decoding of a url, there is a space.
            Primitive::Date => DateTime::partial(text)
                .or_else(|| DateTime::partial(&text.replace(' ', "+")))
                .map(Value::Date),
            Primitive::Time => kept(Time::parse(text).is_some()),
            Primitive::Id => kept(Key::is_id(text)),
            Primitive::Code => kept(text.trim() == text),
            Primitive::Uri => kept(!text.contains(char::is_whitespace)),
            Primitive::Text => kept(true),
        }
    }

    /// Reads a JSON value: its text, and what it means. Returns `None` when it is no such value, or in the wrong type of
    /// JSON.
    pub(super) fn read(self, json: Ref<'_>) -> Option<(String, Value)> {
        let text = match self {
            Primitive::Boolean => json.bool()?.to_string(),
            Primitive::Integer(_) | Primitive::Decimal => json.number()?.to_owned(),
            _ => json.str()?.into_owned(),
        };
        let value = self.parse(&text)?;
        Some((text, value))
    }
}

/// The member `value[x]`, with its type as it stands in its name: `Code` of `valueCode`.
pub(crate) fn value_of(parameter: Ref<'_>) -> Option<(String, Ref<'_>)> {
    parameter.children().find_map(|member| Some((member.key().strip_prefix("value")?.to_owned(), member)))
}
