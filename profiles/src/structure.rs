//! One type: what a StructureDefinition comes down to. <https://hl7.org/fhir/R4/structuredefinition.html>

use fhir_model::types::{Element, Strength};
use fhir_model::{Error, Result};
use foldhash::{HashMap, HashMapExt};
use serde::Deserialize;

use crate::invariant::Invariant;

/// A type with its elements, inherited ones included.
#[derive(Debug)]
pub(crate) struct Structure {
    pub(crate) base: Option<Box<str>>,
    pub(crate) concrete_resource: bool,
    pub(crate) primitive: bool,
    pub(crate) number: Option<u16>,
    pub(crate) regex: Option<Box<str>>,
    pub(crate) elements: Vec<Element>,
    /// Those it adds to its base's.
    pub(crate) invariants: Vec<Invariant>,
    /// The system behind elements with a required binding, by the element's position.
    systems: Vec<(u16, Box<str>)>,
    names: HashMap<Box<str>, NamePosition>,
}

/// Where a name or JSON key leads: positions of the element, and of the type among its types.
#[derive(Debug, Clone, Copy)]
struct NamePosition {
    element: u16,
    /// None for the bare name of a choice (`value`), which is no JSON key.
    type_at: Option<u16>,
}

/// Decodes the committed types.
pub(crate) fn decode(packed: &[u8]) -> Result<HashMap<Box<str>, Structure>> {
    let text = zstd::decode_all(packed).map_err(Error::internal)?;
    let mut types = HashMap::new();
    for line in text.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
        let record: Record = serde_json::from_slice(line).map_err(Error::internal)?;
        types.insert(record.name.clone(), Structure::new(record));
    }
    Ok(types)
}

impl Structure {
    /// The element of a name as FHIRPath says it.
    pub(crate) fn element(&self, name: &str) -> Option<&Element> {
        let element = self.elements.get(usize::from(self.names.get(name)?.element))?;
        // `valueQuantity` leads here too, and is no name.
        (*element.name == *name).then_some(element)
    }

    /// The element and type behind a JSON key.
    pub(crate) fn json_element(&self, key: &str) -> Option<(&Element, &str)> {
        let place = self.names.get(key)?;
        let element = self.elements.get(usize::from(place.element))?;
        Some((element, element.types.get(usize::from(place.type_at?))?))
    }

    /// The one system behind a `code` element.
    pub(crate) fn system_of(&self, name: &str) -> Option<&str> {
        let place = self.names.get(name)?;
        self.systems.iter().find(|(at, _)| *at == place.element).map(|(_, system)| &**system)
    }

    fn new(record: Record) -> Structure {
        let mut elements = Vec::with_capacity(record.elements.len());
        let mut systems = Vec::new();
        let mut names = HashMap::new();
        for (row, at) in record.elements.into_iter().zip(0..) {
            if row.choice {
                for (type_name, type_at) in row.types.iter().zip(0..) {
                    let place = NamePosition { element: at, type_at: Some(type_at) };
                    names.insert(json_key(&row.name, type_name), place);
                }
            }
            names.insert(row.name.clone(), NamePosition { element: at, type_at: (!row.choice).then_some(0) });
            systems.extend(row.system.map(|system| (at, system)));
            elements.push(Element {
                name: row.name,
                types: row.types,
                choice: row.choice,
                many: row.many,
                min: row.min,
                targets: row.targets,
                value_set: row.value_set,
                strength: row.strength.map(Strength::from),
                summary: row.summary,
                modifier: row.modifier,
            });
        }
        Structure {
            base: record.base,
            concrete_resource: matches!(record.kind, Kind::Resource) && !record.is_abstract,
            primitive: matches!(record.kind, Kind::PrimitiveType),
            number: None,
            regex: record.regex,
            elements,
            invariants: record.invariants,
            systems,
            names,
        }
    }
}

/// `value` and `dateTime`: `valueDateTime`.
fn json_key(name: &str, type_name: &str) -> Box<str> {
    let mut key = String::with_capacity(name.len() + type_name.len());
    key.push_str(name);
    let mut letters = type_name.chars();
    key.extend(letters.next().map(|first| first.to_ascii_uppercase()));
    key.push_str(letters.as_str());
    key.into()
}

/// A line of the data.
#[derive(Deserialize)]
struct Record {
    name: Box<str>,
    kind: Kind,
    #[serde(default, rename = "abstract")]
    is_abstract: bool,
    base: Option<Box<str>>,
    regex: Option<Box<str>>,
    elements: Vec<Row>,
    #[serde(default)]
    invariants: Vec<Invariant>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Resource,
    ComplexType,
    PrimitiveType,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    name: Box<str>,
    types: Vec<Box<str>>,
    #[serde(default)]
    choice: bool,
    #[serde(default)]
    many: bool,
    #[serde(default)]
    min: u32,
    #[serde(default)]
    targets: Vec<Box<str>>,
    value_set: Option<Box<str>>,
    strength: Option<Binding>,
    system: Option<Box<str>>,
    #[serde(default)]
    summary: bool,
    #[serde(default)]
    modifier: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Binding {
    Required,
    Extensible,
    Preferred,
    Example,
}

impl From<Binding> for Strength {
    fn from(binding: Binding) -> Strength {
        match binding {
            Binding::Required => Strength::Required,
            Binding::Extensible => Strength::Extensible,
            Binding::Preferred => Strength::Preferred,
            Binding::Example => Strength::Example,
        }
    }
}
