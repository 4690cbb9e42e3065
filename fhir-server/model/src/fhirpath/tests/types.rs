//! Just enough of FHIR's types for the tables.

use std::sync::LazyLock;

use crate::types::{Element, Types};

pub(super) struct FewTypes;

/// Type, its base, and its own elements: `name*` repeats, `name[x]` is a choice.
const ROWS: &[(&str, &str, &str)] = &[
    ("Resource", "", "id:id"),
    ("DomainResource", "Resource", "contained*:Resource extension*:Extension"),
    (
        "Patient",
        "DomainResource",
        "active:boolean birthDate:date name*:HumanName multipleBirth[x]:boolean|integer|Quantity \
         managingOrganization:Reference generalPractitioner*:Reference",
    ),
    ("Organization", "DomainResource", "name:string"),
    ("Practitioner", "DomainResource", "active:boolean"),
    ("Observation", "DomainResource", "value[x]:Quantity|string"),
    ("Element", "", "id:string extension*:Extension"),
    ("Extension", "Element", "url:uri value[x]:dateTime|code|Quantity|string"),
    ("HumanName", "Element", "use:code family:string given*:string"),
    ("Reference", "Element", "reference:string type:uri"),
    ("Quantity", "Element", "value:decimal code:code unit:string"),
    ("string", "Element", ""),
    ("code", "string", ""),
    ("id", "string", ""),
    ("uri", "Element", ""),
    ("boolean", "Element", ""),
    ("integer", "Element", ""),
    ("decimal", "Element", ""),
    ("date", "Element", ""),
    ("dateTime", "Element", ""),
];

type Row = (&'static str, &'static str, Vec<Element>);

static TYPES: LazyLock<Vec<Row>> = LazyLock::new(|| {
    let mut types: Vec<Row> = Vec::new();
    for (name, base, own) in ROWS {
        let mut elements =
            types.iter().find(|(name, _, _)| name == base).map_or_else(Vec::new, |(_, _, all)| all.clone());
        elements.extend(own.split_whitespace().map(element));
        types.push((name, base, elements));
    }
    types
});

fn element(row: &str) -> Element {
    let (name, types) = row.split_once(':').unwrap();
    Element {
        name: name.trim_end_matches(['*']).trim_end_matches("[x]").into(),
        types: types.split('|').map(Into::into).collect(),
        choice: name.ends_with("[x]"),
        many: name.ends_with('*'),
        min: 0,
        targets: Vec::new(),
        value_set: None,
        strength: None,
        summary: false,
        modifier: false,
    }
}

fn row(type_name: &str) -> Option<&'static Row> {
    TYPES.iter().find(|(name, _, _)| *name == type_name)
}

impl Types for FewTypes {
    fn element(&self, type_name: &str, name: &str) -> Option<&Element> {
        self.elements(type_name).iter().find(|element| &*element.name == name)
    }

    fn elements(&self, type_name: &str) -> &[Element] {
        row(type_name).map_or(&[], |(_, _, elements)| elements)
    }

    fn base(&self, type_name: &str) -> Option<&str> {
        row(type_name).map(|(_, base, _)| *base).filter(|base| !base.is_empty())
    }

    fn is_resource(&self, type_name: &str) -> bool {
        self.base(type_name) == Some("DomainResource")
    }

    fn is_primitive(&self, type_name: &str) -> bool {
        row(type_name).is_some() && type_name.starts_with(|c: char| c.is_ascii_lowercase())
    }
}
