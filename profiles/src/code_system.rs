//! Code systems: <https://hl7.org/fhir/R4/codesystem.html>

use foldhash::{HashMap, HashMapExt};
use serde::Deserialize;

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
    /// All concepts, every one after its parent.
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
    /// Position of the concept above it.
    pub parent: Option<u32>,
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
        let Some(ancestor) = self.position(ancestor) else { return false };
        let line = std::iter::successors(self.position(code), |at| self.concepts.get(*at as usize)?.parent);
        line.into_iter().any(|at| at == ancestor)
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
    concept: Vec<Row>,
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
                parent,
            });
            self.add(row.concept, Some(at));
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
            ],
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
        ];
        for (ancestor, code, sensitive, insensitive) in rows {
            assert_eq!(system(true).subsumes(ancestor, code), sensitive, "{ancestor} {code}");
            assert_eq!(system(false).subsumes(ancestor, code), insensitive, "{ancestor} {code}");
        }
        assert_eq!(system(true).concept("D").unwrap().property[0].value["valueCode"], "retired");
        assert!(system(true).concept("d").is_none());
    }
}
