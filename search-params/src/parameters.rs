//! SearchParameters as data: which there are, and what each looks at.
//!
//! <https://hl7.org/fhir/R4/searchparameter.html>, <https://hl7.org/fhir/R4/searchparameter-registry.html>

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use fhir_model::{Error, Result};
use serde::{Deserialize, Serialize};

/// Made by `cargo xtask definitions`.
const DATA: &[u8] = include_bytes!("../data/parameters.ndjson.zst");

/// One search parameter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Parameter {
    /// Canonical URL.
    pub url: Box<str>,
    /// The name in a query.
    pub code: Box<str>,
    /// Its type: how a value is written and compared.
    #[serde(rename = "type")]
    pub kind: ParameterKind,
    /// The types it belongs to; `Resource` and `DomainResource` stand for all types below them.
    pub base: Vec<Box<str>>,
    /// Where its values are, in FHIRPath; for several bases a union over all of them. None for parameters that look
    /// at no element (`_text`, `_filter`).
    pub expression: Option<Box<str>>,
    /// The types a reference may lead to.
    #[serde(default)]
    pub target: Vec<Box<str>>,
    /// What a composite is made of.
    #[serde(default, rename = "component")]
    pub components: Vec<Component>,
    /// What it does, in Markdown; see [`Parameter::description_for`].
    #[serde(default)]
    pub description: Box<str>,
    /// Whether `a,b` is allowed, where that is said.
    pub multiple_or: Option<bool>,
    /// Whether it may be repeated, where that is said.
    pub multiple_and: Option<bool>,
    /// Prefixes (`eq`, `lt` ...) it takes, where they are listed.
    #[serde(default, rename = "comparator")]
    pub comparators: Vec<Box<str>>,
    /// Modifiers (`exact`, `missing` ...) it takes, where they are listed.
    #[serde(default, rename = "modifier")]
    pub modifiers: Vec<Box<str>>,
    /// Parameters it may be chained with, where they are listed.
    #[serde(default, rename = "chain")]
    pub chains: Vec<Box<str>>,
}

/// The types of search parameters: <https://hl7.org/fhir/R4/search.html#ptypes>
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the specification's own words")]
pub enum ParameterKind {
    String,
    Token,
    Reference,
    Date,
    Number,
    Quantity,
    Uri,
    Composite,
    Special,
}

impl ParameterKind {
    /// As FHIR writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            ParameterKind::String => "string",
            ParameterKind::Token => "token",
            ParameterKind::Reference => "reference",
            ParameterKind::Date => "date",
            ParameterKind::Number => "number",
            ParameterKind::Quantity => "quantity",
            ParameterKind::Uri => "uri",
            ParameterKind::Composite => "composite",
            ParameterKind::Special => "special",
        }
    }
}

/// A part of a composite parameter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component {
    /// Canonical URL of the parameter that says how the part is compared.
    pub definition: Box<str>,
    /// Where its values are, seen from the composite's own expression.
    pub expression: Box<str>,
    /// That parameter as it was when the composite was added to the server; R4's own stay as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<Box<Parameter>>,
}

/// The search parameters of one FHIR version.
#[derive(Debug, Clone)]
pub struct Parameters {
    all: Vec<Arc<Parameter>>,
    by_type: HashMap<Box<str>, Vec<Arc<Parameter>>>,
}

impl Parameters {
    /// Decodes those of R4.
    ///
    /// # Errors
    ///
    /// When the committed data cannot be decoded: a defect of the build.
    pub fn load() -> Result<Parameters> {
        let text = zstd::decode_all(DATA).map_err(Error::internal)?;
        let mut lines = text.split(|b| *b == b'\n').filter(|line| !line.is_empty());
        let head: Head = serde_json::from_slice(lines.next().unwrap_or_default()).map_err(Error::internal)?;
        let all = lines
            .map(|line| serde_json::from_slice(line).map(Arc::new).map_err(Error::internal))
            .collect::<Result<Vec<Arc<Parameter>>>>()?;
        let mut by_base: HashMap<&str, Vec<&Arc<Parameter>>> = HashMap::new();
        for parameter in &all {
            for base in &parameter.base {
                by_base.entry(base).or_default().push(parameter);
            }
        }
        let mut by_type = HashMap::new();
        for (name, base) in &head.types {
            // The own ones first: they win over one of the same code that is inherited.
            let line = [&**name, &**base, if **base == *"Resource" { "" } else { "Resource" }];
            let found = line.iter().filter_map(|t| by_base.get(t)).flatten();
            let mut found: Vec<Arc<Parameter>> = found.map(|p| Arc::clone(p)).collect();
            found.sort_by(|a, b| a.code.cmp(&b.code));
            found.dedup_by(|a, b| a.code == b.code);
            by_type.insert(name.clone(), found);
        }
        drop(by_base);
        Ok(Parameters { all, by_type })
    }

    /// The parameters of a resource type by code, those of `Resource` and `DomainResource` among them; none for what
    /// is no resource type.
    pub fn for_type(&self, type_name: &str) -> &[Arc<Parameter>] {
        self.by_type.get(type_name).map_or(&[], Vec::as_slice)
    }

    /// The parameter of a type and code.
    pub fn get(&self, type_name: &str, code: &str) -> Option<&Arc<Parameter>> {
        let of_type = self.for_type(type_name);
        of_type.get(of_type.binary_search_by(|p| (*p.code).cmp(code)).ok()?)
    }

    /// The parameter of a canonical URL.
    pub fn by_url(&self, url: &str) -> Option<&Arc<Parameter>> {
        self.all.get(self.all.binary_search_by(|p| (*p.url).cmp(url)).ok()?)
    }

    /// All parameters, by URL.
    pub fn all(&self) -> &[Arc<Parameter>] {
        &self.all
    }
}

impl Parameter {
    /// The branches of the expression that apply to a type. Returns `None` when no branch does.
    ///
    /// `AllergyIntolerance.code | Condition.code` is `Condition.code` for a Condition. A branch that does not begin with
    /// a type (`name`) is for all bases.
    pub fn expression_for(&self, type_name: &str) -> Option<Cow<'_, str>> {
        let whole = self.expression.as_deref()?;
        let others = |name: &str| name != type_name && !matches!(name, "Resource" | "DomainResource");
        let branches = branches(whole);
        let mine: Vec<&str> =
            branches.iter().copied().filter(|branch| !first_type(branch).is_some_and(others)).collect();
        match mine.len() {
            0 => None,
            n if n == branches.len() => Some(Cow::Borrowed(whole)),
            _ => Some(Cow::Owned(mine.join(" | "))),
        }
    }

    /// What it does for one type: the line of a description that has one for each (`* [Condition](condition.html): ...`).
    pub fn description_for(&self, type_name: &str) -> &str {
        let line = self.description.lines().find_map(|line| {
            let (name, rest) = line.trim().strip_prefix("* [")?.split_once(']')?;
            (name == type_name).then(|| rest.split_once("): ").map_or(rest, |(_, text)| text))
        });
        line.unwrap_or(&self.description).trim()
    }
}

/// The first line of the data: the base of each resource type.
#[derive(Deserialize)]
struct Head {
    types: HashMap<Box<str>, Box<str>>,
}

/// Splits a union at those `|` that stand outside of parentheses and quotes.
fn branches(expression: &str) -> Vec<&str> {
    let (mut found, mut start, mut depth, mut quote) = (Vec::new(), 0, 0_usize, None);
    let mut escaped = false;
    for (at, letter) in expression.char_indices() {
        match (quote, letter) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), _) if letter == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '`' | '"') => quote = Some(letter),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') => depth = depth.saturating_sub(1),
            (None, '|') if depth == 0 => {
                found.extend(expression.get(start..at).map(str::trim));
                start = at + 1;
            }
            (None, _) => {}
        }
    }
    found.extend(expression.get(start..).map(str::trim));
    found
}

/// The type a branch begins with: `DeviceRequest` for `(DeviceRequest.code as CodeableConcept)`. Types are written with a
/// capital, elements are not.
fn first_type(branch: &str) -> Option<&str> {
    let from = branch.trim_start_matches(|c: char| c == '(' || c.is_whitespace());
    let name = from.split(|c: char| !c.is_ascii_alphanumeric()).next()?;
    name.starts_with(|c: char| c.is_ascii_uppercase()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters() -> Parameters {
        Parameters::load().unwrap()
    }

    #[test]
    fn there_are_as_many_as_the_specification_has() {
        let parameters = parameters();
        // 1400 in the package, less 3 examples and 10 that apply to nothing (data/PROVENANCE.md).
        assert_eq!(parameters.all().len(), 1387);
        assert_eq!(parameters.by_type.len(), 146);
        assert!(parameters.all().is_sorted_by(|a, b| a.url < b.url));
        for (name, of_type) in &parameters.by_type {
            assert!(of_type.is_sorted_by(|a, b| a.code < b.code), "{name}");
        }
    }

    #[test]
    fn parameters_by_type_and_code() {
        type Row<'a> = (&'a str, &'a str, Option<(ParameterKind, &'a str)>);
        const ROWS: &[Row] = &[
            // type, code, kind and last part of the url
            ("Patient", "birthdate", Some((ParameterKind::Date, "individual-birthdate"))),
            ("Patient", "_id", Some((ParameterKind::Token, "Resource-id"))),
            ("Patient", "_text", Some((ParameterKind::String, "DomainResource-text"))),
            ("Bundle", "_id", Some((ParameterKind::Token, "Resource-id"))),
            ("Bundle", "_text", None),
            ("Parameters", "_lastUpdated", Some((ParameterKind::Date, "Resource-lastUpdated"))),
            ("Condition", "code", Some((ParameterKind::Token, "clinical-code"))),
            ("Condition", "subject", Some((ParameterKind::Reference, "Condition-subject"))),
            ("Observation", "value-quantity", Some((ParameterKind::Quantity, "Observation-value-quantity"))),
            (
                "Observation",
                "code-value-quantity",
                Some((ParameterKind::Composite, "Observation-code-value-quantity")),
            ),
            ("Location", "near", Some((ParameterKind::Special, "Location-near"))),
            ("RiskAssessment", "probability", Some((ParameterKind::Number, "RiskAssessment-probability"))),
            ("ValueSet", "url", Some((ParameterKind::Uri, "conformance-url"))),
            ("Observation", "birthdate", None),
            ("DomainResource", "_id", None),
            ("HumanName", "family", None),
        ];
        let parameters = parameters();
        for (type_name, code, expected) in ROWS {
            let found = parameters.get(type_name, code).map(|p| (p.kind, p.url.rsplit('/').next().unwrap()));
            assert_eq!(found, *expected, "{type_name} {code}");
        }
    }

    #[test]
    fn the_parts_of_a_parameter() {
        let parameters = parameters();
        let composite = parameters.get("Observation", "code-value-quantity").unwrap();
        assert_eq!(composite.components.len(), 2);
        assert_eq!(&*composite.components[1].expression, "value.as(Quantity)");
        assert_eq!(composite.multiple_or, Some(false));
        assert!(parameters.by_url(&composite.components[0].definition).is_some());
        let birthdate = parameters.get("Patient", "birthdate").unwrap();
        assert_eq!(birthdate.comparators.len(), 9);
        let subject = parameters.get("Observation", "subject").unwrap();
        assert_eq!(subject.target, ["Group", "Device", "Patient", "Location"].map(Box::from));
        assert_eq!(parameters.get("Patient", "_filter").unwrap().expression, None);
        let code = parameters.get("Condition", "code").unwrap();
        assert_eq!(code.description_for("Condition"), "Code for the condition");
    }

    #[test]
    fn every_component_names_a_parameter() {
        let parameters = parameters();
        for parameter in parameters.all() {
            for component in &parameter.components {
                assert!(
                    parameters.by_url(&component.definition).is_some(),
                    "{} {}",
                    parameter.url,
                    component.definition
                );
            }
        }
    }

    #[test]
    fn an_expression_is_cut_down_to_a_type() {
        const ROWS: &[(&str, &str, Option<&str>)] = &[
            // expression, type, what is left
            ("A.code | B.code", "B", Some("B.code")),
            ("A.code | B.code", "C", None),
            ("A.x | A.y.z", "A", Some("A.x | A.y.z")),
            ("(A.x as Quantity) | (B.x as Quantity)", "A", Some("(A.x as Quantity)")),
            ("Resource.id", "A", Some("Resource.id")),
            ("DomainResource.text | B.x", "A", Some("DomainResource.text")),
            ("name | alias", "A", Some("name | alias")),
            ("(A.x | A.y).where(z = '|') | B.x", "A", Some("(A.x | A.y).where(z = '|')")),
            ("A.x.where(y = 'it\\'s | B') | B.x", "B", Some("B.x")),
            ("AB.x | A.x", "A", Some("A.x")),
        ];
        for (expression, type_name, expected) in ROWS {
            let parameter = Parameter {
                expression: Some((*expression).into()),
                ..Parameter::clone(parameters().get("Patient", "birthdate").unwrap())
            };
            assert_eq!(
                parameter.expression_for(type_name).as_deref(),
                *expected,
                "{expression} for {type_name}"
            );
        }
    }

    /// A parameter says that it belongs to a type: then its expression has something for that type.
    #[test]
    fn every_base_has_a_branch() {
        for parameter in parameters().all().iter().filter(|p| p.expression.is_some()) {
            for base in &parameter.base {
                assert!(parameter.expression_for(base).is_some(), "{} for {base}", parameter.url);
            }
        }
    }
}
