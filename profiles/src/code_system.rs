//! Code systems: <https://hl7.org/fhir/R4/codesystem.html>

use foldhash::{HashMap, HashMapExt};
use serde::Deserialize;

/// Properties with these URIs tell of the hierarchy, whatever their code is.
const PARENT: &str = "http://hl7.org/fhir/concept-properties#parent";
const CHILD: &str = "http://hl7.org/fhir/concept-properties#child";

/// A code system with its concepts. Only `url` and `content` are in every one.
#[derive(Debug, Deserialize)]
#[serde(from = "Record")]
pub struct CodeSystem {
    /// Canonical URL: what `Coding.system` says.
    pub url: Box<str>,
    /// The version that is here.
    pub version: Option<Box<str>>,
    /// For a computer.
    pub name: Option<Box<str>>,
    /// For a person.
    pub title: Option<Box<str>>,
    /// `active`, `draft`, `retired` ...
    pub status: Option<Box<str>>,
    /// Whose codes they are, where that is said.
    pub copyright: Option<Box<str>>,
    /// How much of it is here.
    pub content: Content,
    /// True when `a` and `A` are different codes. Where nothing is said they are, as nearly everywhere.
    pub case_sensitive: bool,
    /// The value set of all its codes.
    pub value_set: Option<Box<str>>,
    /// What it means that a concept stands below another: `is-a`, `part-of` ...
    pub hierarchy_meaning: Option<Box<str>>,
    /// The code system this one adds to.
    pub supplements: Option<Box<str>>,
    /// All concepts, every one after that it is nested in.
    pub concepts: Vec<Concept>,
    by_code: HashMap<Box<str>, u32>,
}

/// How much of a code system a resource holds: <https://hl7.org/fhir/R4/valueset-codesystem-content-mode.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the specification's own words")]
pub enum Content {
    NotPresent,
    Example,
    Fragment,
    Complete,
    Supplement,
}

/// One concept.
#[derive(Debug)]
pub struct Concept {
    /// The code.
    pub code: Box<str>,
    /// Its text.
    pub display: Option<Box<str>>,
    /// What it means.
    pub definition: Option<Box<str>>,
    /// Other texts: languages, synonyms.
    pub designation: Vec<Designation>,
    /// Further facts, as `$lookup` tells them.
    pub property: Vec<Property>,
    /// Positions of the concepts right above it: the one it is nested in, and those that properties tell of.
    pub parents: Vec<u32>,
}

/// Another text of a concept.
#[derive(Debug, Deserialize)]
pub struct Designation {
    /// BCP 47.
    pub language: Option<Box<str>>,
    /// The text.
    pub value: Box<str>,
}

/// A fact about a concept.
#[derive(Debug, Deserialize)]
pub struct Property {
    /// Which: `status`, `notSelectable`, `subsumedBy` ...
    pub code: Box<str>,
    /// The JSON key of the value (`valueCode`) and the value.
    #[serde(flatten)]
    pub value: serde_json::Map<String, serde_json::Value>,
}

impl CodeSystem {
    /// The concept of a code.
    pub fn concept(&self, code: &str) -> Option<&Concept> {
        self.concepts.get(self.position(code)? as usize)
    }

    /// True when `code` is `ancestor` or stands below it.
    pub fn subsumes(&self, ancestor: &str, code: &str) -> bool {
        let (Some(ancestor), Some(code)) = (self.position(ancestor), self.position(code)) else {
            return false;
        };
        // A concept may have several parents, so this is a graph; and nothing keeps it from running in circles.
        let (mut seen, mut open) = (vec![code], vec![code]);
        while let Some(at) = open.pop() {
            if at == ancestor {
                return true;
            }
            for parent in self.concepts.get(at as usize).map_or(&[][..], |concept| &concept.parents) {
                if !seen.contains(parent) {
                    seen.push(*parent);
                    open.push(*parent);
                }
            }
        }
        false
    }

    fn position(&self, code: &str) -> Option<u32> {
        if let Some(at) = self.by_code.get(code) {
            return Some(*at);
        }
        if self.case_sensitive { None } else { self.by_code.get(code.to_lowercase().as_str()).copied() }
    }
}

/// The JSON of a CodeSystem, as far as it is needed here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    url: Box<str>,
    version: Option<Box<str>>,
    name: Option<Box<str>>,
    title: Option<Box<str>>,
    status: Option<Box<str>>,
    copyright: Option<Box<str>>,
    content: Content,
    case_sensitive: Option<bool>,
    value_set: Option<Box<str>>,
    hierarchy_meaning: Option<Box<str>>,
    supplements: Option<Box<str>>,
    #[serde(default)]
    property: Vec<PropertyDefinition>,
    #[serde(default)]
    concept: Vec<Row>,
}

#[derive(Deserialize)]
struct PropertyDefinition {
    code: Box<str>,
    uri: Option<Box<str>>,
}

#[derive(Deserialize)]
struct Row {
    code: Box<str>,
    display: Option<Box<str>>,
    definition: Option<Box<str>>,
    #[serde(default)]
    designation: Vec<Designation>,
    #[serde(default)]
    property: Vec<Property>,
    #[serde(default)]
    concept: Vec<Row>,
}

impl From<Record> for CodeSystem {
    fn from(record: Record) -> CodeSystem {
        let mut system = CodeSystem {
            url: record.url,
            version: record.version,
            name: record.name,
            title: record.title,
            status: record.status,
            copyright: record.copyright,
            content: record.content,
            case_sensitive: record.case_sensitive.unwrap_or(true),
            value_set: record.value_set,
            hierarchy_meaning: record.hierarchy_meaning,
            supplements: record.supplements,
            concepts: Vec::new(),
            by_code: HashMap::new(),
        };
        system.add(record.concept, None);
        system.add_parents(&record.property);
        system
    }
}

impl CodeSystem {
    fn add(&mut self, rows: Vec<Row>, parent: Option<u32>) {
        for row in rows {
            let Ok(at) = u32::try_from(self.concepts.len()) else { return };
            if !self.case_sensitive {
                self.by_code.entry(row.code.to_lowercase().into()).or_insert(at);
            }
            self.by_code.insert(row.code.clone(), at);
            self.concepts.push(Concept {
                code: row.code,
                display: row.display,
                definition: row.definition,
                designation: row.designation,
                property: row.property,
                parents: parent.into_iter().collect(),
            });
            self.add(row.concept, Some(at));
        }
    }

    /// What properties say of the hierarchy: HL7's terminology writes flat lists with `subsumedBy`.
    fn add_parents(&mut self, definitions: &[PropertyDefinition]) {
        let mut found: Vec<(u32, u32)> = Vec::new();
        for definition in definitions {
            let upwards = match definition.uri.as_deref() {
                Some(PARENT) => true,
                Some(CHILD) => false,
                _ => continue,
            };
            for (here, concept) in (0..).zip(&self.concepts) {
                for property in concept.property.iter().filter(|p| p.code == definition.code) {
                    let other =
                        property.value.get("valueCode").and_then(|code| self.position(code.as_str()?));
                    found.extend(other.map(|other| if upwards { (here, other) } else { (other, here) }));
                }
            }
        }
        for (child, parent) in found {
            if let Some(concept) = self.concepts.get_mut(child as usize)
                && !concept.parents.contains(&parent)
            {
                concept.parents.push(parent);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn system(case_sensitive: bool) -> CodeSystem {
        serde_json::from_value(serde_json::json!({
            "resourceType": "CodeSystem", "url": "urn:x", "content": "complete", "caseSensitive": case_sensitive,
            "concept": [
                { "code": "A", "concept": [{ "code": "B", "concept": [{ "code": "C" }] }] },
                { "code": "D", "property": [{ "code": "status", "valueCode": "retired" }] },
                { "code": "E", "property": [{ "code": "up", "valueCode": "C" }, { "code": "up", "valueCode": "D" }] },
                { "code": "F", "property": [{ "code": "down", "valueCode": "A" }] },
                { "code": "G", "property": [{ "code": "up", "valueCode": "G" }, { "code": "up", "valueCode": "?" }] },
            ],
            "property": [{ "code": "up", "uri": PARENT }, { "code": "down", "uri": CHILD }, { "code": "status" }],
        }))
        .unwrap()
    }

    #[test]
    fn hierarchy_and_case() {
        let rows = [
            // ancestor, code, sensitive, insensitive
            ("A", "A", true, true),
            ("A", "C", true, true),
            ("C", "A", false, false),
            ("A", "D", false, false),
            ("a", "c", false, true),
            ("X", "X", false, false),
            ("A", "E", true, true),
            ("D", "E", true, true),
            ("F", "E", true, true),
            ("E", "F", false, false),
            ("A", "G", false, false),
        ];
        for (ancestor, code, sensitive, insensitive) in rows {
            assert_eq!(system(true).subsumes(ancestor, code), sensitive, "{ancestor} {code}");
            assert_eq!(system(false).subsumes(ancestor, code), insensitive, "{ancestor} {code}");
        }
        assert_eq!(system(true).concept("D").unwrap().property[0].value["valueCode"], "retired");
        assert!(system(true).concept("d").is_none());
    }
}
