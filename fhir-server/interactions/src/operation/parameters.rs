//! The parameters of a call, read and checked: <https://hl7.org/fhir/R4/operations.html#request>

use fhir_model::date::DateTime;
use fhir_model::decimal::Decimal;
use fhir_model::error::Issue;
use fhir_model::json::{Doc, Ref};
use fhir_model::{Error, Kind, Result};

/// The parameters of one call, or the parts of one parameter, as the definition allows them.
///
/// To ask for a value as another type than the definition declares is a mistake of the operation: `Internal`.
#[derive(Debug, Clone, Default)]
pub struct Parameters {
    pub(super) arguments: Vec<Argument>,
    pub(super) warnings: Vec<Issue>,
}

/// One of them.
#[derive(Debug, Clone)]
pub(super) struct Argument {
    pub(super) name: Box<str>,
    /// Where it was sent: `Parameters.parameter[1]`, or its name in a url or a form.
    pub(super) at: String,
    /// A primitive value as it was sent.
    pub(super) text: Option<String>,
    pub(super) value: Value,
}

/// A value of a parameter.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Boolean(bool),
    Integer(i64),
    Decimal(Decimal),
    Date(DateTime),
    Text(String),
    Element(Doc),
    Resource(Doc),
    Parts(Parameters),
}

impl Parameters {
    /// A `boolean`.
    ///
    /// # Errors
    ///
    /// `Internal` when the parameter is of another type.
    pub fn boolean(&self, name: &str) -> Result<Option<bool>> {
        self.first(name, |value| if let Value::Boolean(truth) = value { Some(*truth) } else { None })
    }

    /// An `integer`, `unsignedInt` or `positiveInt`.
    ///
    /// # Errors
    ///
    /// `Internal` when the parameter is of another type.
    pub fn integer(&self, name: &str) -> Result<Option<i64>> {
        self.first(name, |value| if let Value::Integer(number) = value { Some(*number) } else { None })
    }

    /// A `decimal`.
    ///
    /// # Errors
    ///
    /// `Internal` when the parameter is of another type.
    pub fn decimal(&self, name: &str) -> Result<Option<Decimal>> {
        self.first(name, |value| if let Value::Decimal(number) = value { Some(number.clone()) } else { None })
    }

    /// A `date`, `dateTime` or `instant`.
    ///
    /// # Errors
    ///
    /// `Internal` when the parameter is of another type.
    pub fn date(&self, name: &str) -> Result<Option<DateTime>> {
        self.first(name, |value| if let Value::Date(date) = value { Some(*date) } else { None })
    }

    /// A `code`, `uri`, `string` or another type that is a text.
    ///
    /// # Errors
    ///
    /// `Internal` when the parameter is of another type.
    pub fn text(&self, name: &str) -> Result<Option<&str>> {
        self.first(name, text)
    }

    /// All texts of a name.
    ///
    /// # Errors
    ///
    /// `Internal` when the parameter is of another type.
    pub fn texts(&self, name: &str) -> Result<Vec<&str>> {
        self.all(name, text)
    }

    /// A value with elements: a `Reference`, `Coding`, `Identifier`.
    ///
    /// # Errors
    ///
    /// `Internal` when the parameter is of another type.
    pub fn element(&self, name: &str) -> Result<Option<Ref<'_>>> {
        self.first(name, |value| if let Value::Element(doc) = value { Some(doc.root()) } else { None })
    }

    /// A resource.
    ///
    /// # Errors
    ///
    /// `Internal` when the parameter is of another type.
    pub fn resource(&self, name: &str) -> Result<Option<Ref<'_>>> {
        self.first(name, resource)
    }

    /// All resources of a name.
    ///
    /// # Errors
    ///
    /// `Internal` when the parameter is of another type.
    pub fn resources(&self, name: &str) -> Result<Vec<Ref<'_>>> {
        self.all(name, resource)
    }

    /// The parts of each parameter of a name.
    ///
    /// # Errors
    ///
    /// `Internal` when the parameter has no parts.
    pub fn parts(&self, name: &str) -> Result<Vec<&Parameters>> {
        self.all(name, |value| if let Value::Parts(parts) = value { Some(parts) } else { None })
    }

    /// An error about the value of a parameter, with the place where it was sent.
    pub fn error(&self, kind: Kind, name: &str, text: impl Into<String>) -> Error {
        let sent = self.arguments.iter().find(|argument| *argument.name == *name);
        Error::new(kind, text).at(sent.map_or(name, |argument| &argument.at))
    }

    /// Names and values of the primitive ones as they were sent, in their order: what a link to another page repeats.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.arguments.iter().filter_map(|argument| Some((&*argument.name, argument.text.as_deref()?)))
    }

    /// What was sent and is not known: ignored, as the client did not ask for strict handling.
    pub fn warnings(&self) -> &[Issue] {
        &self.warnings
    }

    fn first<'p, T>(&'p self, name: &str, read: impl Fn(&'p Value) -> Option<T>) -> Result<Option<T>> {
        let found = self.arguments.iter().find(|argument| *argument.name == *name);
        found.map(|argument| read(&argument.value).ok_or_else(|| other_type(name))).transpose()
    }

    fn all<'p, T>(&'p self, name: &str, read: impl Fn(&'p Value) -> Option<T>) -> Result<Vec<T>> {
        let found = self.arguments.iter().filter(|argument| *argument.name == *name);
        found.map(|argument| read(&argument.value).ok_or_else(|| other_type(name))).collect()
    }
}

fn text(value: &Value) -> Option<&str> {
    if let Value::Text(text) = value { Some(text) } else { None }
}

fn resource(value: &Value) -> Option<Ref<'_>> {
    if let Value::Resource(doc) = value { Some(doc.root()) } else { None }
}

fn other_type(name: &str) -> Error {
    Error::internal(format!("the parameter {name} is asked for as a type that it does not have"))
}
