//! What expressions are evaluated on and to: nodes of the resource, and computed values.

use std::borrow::Cow;
use std::fmt;

use super::ast::Unit;
use crate::date::{DateTime, Time};
use crate::decimal::Decimal;
use crate::json::{Kind, Ref};
use crate::types::Types;

/// One item of a collection.
#[derive(Debug, Clone)]
pub enum Item<'a> {
    /// A node of a resource, with its FHIR type.
    Node(Node<'a>),
    /// A value that was computed, or written in the expression, with its System type.
    Value(Value<'a>),
}

/// A node of a resource.
///
/// A primitive has two places in JSON: its value, and under the key with a `_` before it its id and extensions.
/// Either may be missing. A node with neither stands for a resource that could not be fetched, of which only the
/// type is known.
#[derive(Debug, Clone)]
pub struct Node<'a> {
    pub(super) value: Option<Ref<'a>>,
    pub(super) sibling: Option<Ref<'a>>,
    pub(super) type_name: Cow<'a, str>,
}

/// A computed value: <https://hl7.org/fhirpath/N1/#data-types>
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "FHIRPath's own words")]
pub enum Value<'a> {
    Boolean(bool),
    String(Cow<'a, str>),
    Integer(i64),
    Decimal(Decimal),
    Date(DateTime),
    DateTime(DateTime),
    Time(Time),
    Quantity(Box<Quantity>),
    /// What `type()` gives.
    Type {
        namespace: &'static str,
        name: Cow<'a, str>,
    },
}

/// A number with its unit.
#[derive(Debug, Clone)]
pub struct Quantity {
    /// The number.
    pub value: Decimal,
    /// The unit; UCUM's `1` when there is none.
    pub unit: Unit,
}

impl<'a> Item<'a> {
    /// A whole resource: its type is its `resourceType`.
    pub fn resource(value: Ref<'a>) -> Item<'a> {
        let type_name = value.get_str("resourceType").unwrap_or(Cow::Borrowed("Resource"));
        Item::Node(Node { value: Some(value), sibling: None, type_name })
    }

    /// A node of a known type.
    pub fn node(value: Ref<'a>, type_name: impl Into<Cow<'a, str>>) -> Item<'a> {
        Item::Node(Node { value: Some(value), sibling: None, type_name: type_name.into() })
    }

    /// A text.
    pub fn text(text: impl Into<Cow<'a, str>>) -> Item<'a> {
        Item::Value(Value::String(text.into()))
    }

    /// The node, when it is one.
    pub fn as_node(&self) -> Option<&Node<'a>> {
        match self {
            Item::Node(node) => Some(node),
            Item::Value(_) => None,
        }
    }

    /// Its place in the JSON tree, when it has a value there.
    pub fn json(&self) -> Option<Ref<'a>> {
        self.as_node()?.value
    }

    /// The name of its type: `Patient`, `code`, `Patient.contact`, or for computed values `String`, `Boolean` ...
    pub fn type_name(&self) -> &str {
        match self {
            Item::Node(node) => &node.type_name,
            Item::Value(value) => value.type_name(),
        }
    }

    /// The System value: of a primitive its value, of a FHIR Quantity the number with its unit. Nothing for other
    /// structures and for primitives that have only extensions.
    pub fn value(&self, types: &dyn Types) -> Option<Value<'a>> {
        match self {
            Item::Node(node) => node.to_value(types),
            Item::Value(value) => Some(value.clone()),
        }
    }
}

impl<'a> Node<'a> {
    /// The value's place in the JSON tree.
    pub fn json(&self) -> Option<Ref<'a>> {
        self.value
    }

    /// Where the id and extensions of a primitive stand (`_birthDate`).
    pub fn sibling(&self) -> Option<Ref<'a>> {
        self.sibling
    }

    /// The name of its FHIR type.
    pub fn type_name(&self) -> &str {
        &self.type_name
    }

    pub(super) fn to_value(&self, types: &dyn Types) -> Option<Value<'a>> {
        let json = self.value?;
        match json.kind() {
            Kind::Boolean => json.bool().map(Value::Boolean),
            Kind::Number => {
                let digits = json.number()?;
                // `decimal` stays one even when written without a point.
                if &*self.type_name != "decimal"
                    && let Ok(integer) = digits.parse()
                {
                    return Some(Value::Integer(integer));
                }
                Decimal::parse(digits).map(Value::Decimal)
            }
            Kind::String => {
                let text = json.str()?;
                let value = match &*self.type_name {
                    "date" => DateTime::date(&text).map(Value::Date),
                    "dateTime" | "instant" => DateTime::partial(&text).map(Value::DateTime),
                    "time" => Time::partial(&text).map(Value::Time),
                    _ => None,
                };
                Some(value.unwrap_or(Value::String(text)))
            }
            Kind::Object if types.is_a(&self.type_name, "Quantity") => {
                Quantity::from_fhir(json).map(|quantity| Value::Quantity(Box::new(quantity)))
            }
            _ => None,
        }
    }
}

impl Value<'_> {
    /// The name in the System namespace.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Boolean(_) => "Boolean",
            Value::String(_) => "String",
            Value::Integer(_) => "Integer",
            Value::Decimal(_) => "Decimal",
            Value::Date(_) => "Date",
            Value::DateTime(_) => "DateTime",
            Value::Time(_) => "Time",
            Value::Quantity(_) => "Quantity",
            Value::Type { .. } => "TypeInfo",
        }
    }
}

/// As `toString()` gives it.
impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Boolean(value) => value.fmt(f),
            Value::String(value) => f.write_str(value),
            Value::Integer(value) => value.fmt(f),
            Value::Decimal(value) => value.fmt(f),
            Value::Date(value) | Value::DateTime(value) => value.fmt(f),
            Value::Time(value) => value.fmt(f),
            Value::Quantity(value) => value.fmt(f),
            Value::Type { namespace, name } => write!(f, "{namespace}.{name}"),
        }
    }
}

impl Quantity {
    /// A FHIR Quantity as a number with unit: <https://hl7.org/fhir/R4/fhirpath.html#quantity>. One with a
    /// comparator (`< 5`) is no single number.
    pub fn from_fhir(json: Ref<'_>) -> Option<Quantity> {
        if json.get("comparator").is_some() {
            return None;
        }
        let value = Decimal::parse(json.get("value")?.number()?)?;
        let code = json.get_str("code").or_else(|| json.get_str("unit"));
        Some(Quantity { value, unit: Unit::Ucum(code.as_deref().unwrap_or("1").into()) })
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.unit {
            Unit::Ucum(code) => write!(f, "{} '{code}'", self.value),
            Unit::Calendar(word) => {
                let plural = if self.value == Decimal::from(1) { "" } else { "s" };
                write!(f, "{} {}{plural}", self.value, word.word())
            }
        }
    }
}
