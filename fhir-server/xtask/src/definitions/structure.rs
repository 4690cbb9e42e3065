//! StructureDefinitions: what types there are and what they are made of.
//!
//! <https://hl7.org/fhir/R4/structuredefinition.html>, <https://hl7.org/fhir/R4/elementdefinition.html>
//! Only the types themselves are taken. Profiles (`derivation` = `constraint`) and logical models are not types.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use serde_json::Value;

use super::terminology::{ByUrl, single_system, without_version};

const DEFINITION: &str = "http://hl7.org/fhir/StructureDefinition/";
const FHIR_TYPE: &str = "http://hl7.org/fhir/StructureDefinition/structuredefinition-fhir-type";
const REGEX: &str = "http://hl7.org/fhir/StructureDefinition/regex";

/// One line of `types.ndjson`. What is usual is left out, so that lines stay short.
#[derive(Debug, Serialize)]
pub(crate) struct Type {
    pub(crate) name: String,
    /// `resource`, `complex-type` or `primitive-type`; a backbone element is a complex type.
    pub(crate) kind: String,
    #[serde(rename = "abstract", skip_serializing_if = "is_false")]
    pub(crate) is_abstract: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) base: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    regex: Option<String>,
    elements: Vec<Element>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    invariants: Vec<Invariant>,
}

#[derive(Debug, Serialize)]
struct Element {
    name: String,
    types: Vec<String>,
    #[serde(skip_serializing_if = "is_false")]
    choice: bool,
    #[serde(skip_serializing_if = "is_false")]
    many: bool,
    #[serde(skip_serializing_if = "is_zero")]
    min: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    targets: Vec<String>,
    #[serde(rename = "valueSet", skip_serializing_if = "Option::is_none")]
    value_set: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strength: Option<String>,
    /// For a `code` with a required binding: the one system of its codes.
    #[serde(skip_serializing_if = "Option::is_none")]
    system: Option<String>,
    #[serde(skip_serializing_if = "is_false")]
    summary: bool,
    #[serde(skip_serializing_if = "is_false")]
    modifier: bool,
}

#[derive(Debug, Serialize)]
struct Invariant {
    /// The element it is on; `None` means the type itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    element: Option<String>,
    key: String,
    severity: String,
    human: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expression: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_false(value: &bool) -> bool {
    !value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(value: &u64) -> bool {
    *value == 0
}

/// All types by name, backbone elements (`Patient.contact`) among them.
pub(crate) fn types(spec: &[Value], value_sets: &ByUrl) -> Result<Vec<Type>> {
    let structures: Vec<&Value> =
        spec.iter().filter(|r| r["resourceType"] == "StructureDefinition").collect();
    let own: Vec<&Value> = structures.iter().copied().filter(|s| is_type(s)).collect();
    let mut roots: BTreeMap<&str, &Value> = BTreeMap::new();
    for structure in structures.iter().filter(|s| s["derivation"] == "constraint") {
        roots.extend(structure["url"].as_str().zip(structure.pointer("/snapshot/element/0")));
    }
    for structure in &own {
        for element in snapshot(structure)? {
            roots.insert(path(element)?, element);
        }
    }
    let known = SourceDefinitions { roots, value_sets };
    let mut all = BTreeMap::new();
    for structure in own {
        known.flatten(structure, &mut all)?;
    }
    Ok(all.into_values().collect())
}

/// The numbers of resource types: the known list, then those that are new. A number once given is kept for ever, since
/// stored rows carry it.
pub(crate) fn resource_types(types: &[Type], known: &str) -> Result<Vec<u8>> {
    let mut names: Vec<&str> = known.lines().collect();
    let concrete: BTreeSet<&str> =
        types.iter().filter(|t| t.kind == "resource" && !t.is_abstract).map(|t| t.name.as_str()).collect();
    for name in concrete {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    ensure!(u16::try_from(names.len()).is_ok(), "more resource types than numbers");
    Ok((names.join("\n") + "\n").into_bytes())
}

fn is_type(structure: &Value) -> bool {
    let name = structure["type"].as_str().unwrap_or_default();
    let url = structure["url"].as_str().and_then(|url| url.strip_prefix(DEFINITION));
    structure["derivation"] != "constraint" && structure["kind"] != "logical" && url == Some(name)
}

struct SourceDefinitions<'a> {
    /// Element definitions by path; and, by URL, the first one of each profile.
    roots: BTreeMap<&'a str, &'a Value>,
    value_sets: &'a ByUrl,
}

impl SourceDefinitions<'_> {
    fn flatten(&self, structure: &Value, all: &mut BTreeMap<String, Type>) -> Result<()> {
        let kind = text(structure, "kind")?;
        for definition in snapshot(structure)? {
            let here = path(definition)?;
            if let Some((parent, last)) = here.rsplit_once('.') {
                // `xhtml.extension` is there to say that there is none.
                if definition["max"] == "0" {
                    continue;
                }
                let holder = all.get_mut(parent).with_context(|| format!("{here} has no parent"))?;
                if last == "value" && kind == "primitive-type" {
                    holder.regex = definition
                        .pointer("/type/0/extension")
                        .and_then(Value::as_array)
                        .and_then(|all| all.iter().find(|e| e["url"] == REGEX))
                        .and_then(|regex| Some(regex["valueString"].as_str()?.to_owned()));
                }
                let element = self.element(definition, last)?;
                holder.invariants.extend(self.invariants_of_element(definition, &element)?);
                holder.elements.push(element);
            }
            let top = !here.contains('.');
            if top || self.is_backbone(structure, here)? {
                let base = if top {
                    structure["baseDefinition"].as_str()
                } else {
                    definition.pointer("/type/0/code").and_then(Value::as_str)
                };
                let base = base.map(|b| b.strip_prefix(DEFINITION).unwrap_or(b).to_owned());
                let inherited = base.as_deref().map(|b| self.keys(b)).unwrap_or_default();
                let invariants = constraints(definition)
                    .filter(|c| !inherited.contains(key(c)))
                    .map(|c| invariant(c, None))
                    .collect::<Result<_>>()?;
                let made = Type {
                    name: here.to_owned(),
                    kind: if top { kind.clone() } else { "complex-type".to_owned() },
                    is_abstract: top && structure["abstract"] == true,
                    base,
                    regex: None,
                    elements: Vec::new(),
                    invariants,
                };
                all.insert(here.to_owned(), made);
            }
        }
        Ok(())
    }

    /// True for an element that has elements of its own in the definition.
    fn is_backbone(&self, structure: &Value, here: &str) -> Result<bool> {
        for other in snapshot(structure)? {
            if path(other)?.strip_prefix(here).is_some_and(|rest| rest.starts_with('.')) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn element(&self, definition: &Value, last: &str) -> Result<Element> {
        let here = path(definition)?;
        let types = self.types_of(definition)?;
        let binding = definition.get("binding");
        let value_set =
            binding.and_then(|b| b["valueSet"].as_str()).map(|url| without_version(url).to_owned());
        let strength = binding.and_then(|b| b["strength"].as_str()).map(str::to_owned);
        let coded = types == ["code"] && strength.as_deref() == Some("required");
        let system =
            value_set.as_deref().filter(|_| coded).and_then(|url| single_system(url, self.value_sets));
        Ok(Element {
            name: last.strip_suffix("[x]").unwrap_or(last).to_owned(),
            types,
            choice: last.ends_with("[x]"),
            many: definition["max"] != "1",
            min: definition["min"].as_u64().with_context(|| format!("{here} has no min"))?,
            targets: targets(definition),
            value_set,
            strength,
            system,
            summary: definition["isSummary"] == true,
            modifier: definition["isModifier"] == true,
        })
    }

    fn types_of(&self, definition: &Value) -> Result<Vec<String>> {
        let here = path(definition)?;
        if let Some(reference) = definition["contentReference"].as_str() {
            return Ok(vec![reference.trim_start_matches('#').to_owned()]);
        }
        let mut types = Vec::new();
        for choice in definition["type"].as_array().with_context(|| format!("{here} has no type"))? {
            let code = text(choice, "code")?;
            let name = match code.as_str() {
                "BackboneElement" | "Element" => here.to_owned(),
                // The specification says `string` and means the type whose rules ids follow.
                _ if definition.pointer("/base/path").is_some_and(|path| path == "Resource.id") => {
                    "id".to_owned()
                }
                // FHIRPath's own types stand where a FHIR primitive is meant.
                code if code.starts_with("http://hl7.org/fhirpath/") => choice["extension"]
                    .as_array()
                    .and_then(|all| all.iter().find(|e| e["url"] == FHIR_TYPE))
                    .and_then(|found| found["valueUrl"].as_str())
                    .unwrap_or("string")
                    .to_owned(),
                code => code.to_owned(),
            };
            if !types.contains(&name) {
                types.push(name);
            }
        }
        Ok(types)
    }

    /// Constraints that stand on an element and do not come with its type.
    fn invariants_of_element(&self, definition: &Value, element: &Element) -> Result<Vec<Invariant>> {
        let of_types: Vec<BTreeSet<&str>> = element.types.iter().map(|t| self.keys(t)).collect();
        let implied = |key: &str| of_types.iter().all(|keys| keys.contains(key));
        let profiles = definition["type"].as_array().into_iter().flatten();
        let profiles = profiles.filter_map(|t| self.roots.get(t.pointer("/profile/0")?.as_str()?).copied());
        let mut seen = BTreeSet::new();
        constraints(definition)
            .chain(profiles.flat_map(constraints))
            .filter(|c| !implied(key(c)) && seen.insert(key(c)))
            .map(|c| invariant(c, Some(element.name.clone())))
            .collect()
    }

    /// The keys of the constraints on a type; snapshots hold the inherited ones too.
    fn keys(&self, type_name: &str) -> BTreeSet<&str> {
        self.roots.get(type_name).map(|root| constraints(root).map(key).collect()).unwrap_or_default()
    }
}

fn constraints(definition: &Value) -> impl Iterator<Item = &Value> {
    definition["constraint"].as_array().into_iter().flatten()
}

fn key(constraint: &Value) -> &str {
    constraint["key"].as_str().unwrap_or_default()
}

fn invariant(constraint: &Value, element: Option<String>) -> Result<Invariant> {
    Ok(Invariant {
        element,
        key: text(constraint, "key")?,
        severity: text(constraint, "severity")?,
        human: text(constraint, "human")?,
        expression: constraint["expression"].as_str().map(str::to_owned),
    })
}

/// What references and canonicals may point at; nothing when that is anything.
fn targets(definition: &Value) -> Vec<String> {
    let mut targets = Vec::new();
    for choice in definition["type"].as_array().into_iter().flatten() {
        for profile in choice["targetProfile"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            let name = profile.strip_prefix(DEFINITION).unwrap_or(profile).to_owned();
            if !targets.contains(&name) {
                targets.push(name);
            }
        }
    }
    if targets.iter().any(|t| t == "Resource") { Vec::new() } else { targets }
}

fn snapshot(structure: &Value) -> Result<&Vec<Value>> {
    let elements = structure.pointer("/snapshot/element").and_then(Value::as_array);
    elements.context("a StructureDefinition without a snapshot")
}

fn path(definition: &Value) -> Result<&str> {
    definition["path"].as_str().context("an ElementDefinition without a path")
}

fn text(value: &Value, key: &str) -> Result<String> {
    value[key].as_str().map(str::to_owned).with_context(|| format!("`{key}` is missing in {value}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_keeps_its_number_when_others_come_and_go() {
        let named = |name: &str| Type {
            name: name.to_owned(),
            kind: "resource".to_owned(),
            is_abstract: false,
            base: None,
            regex: None,
            elements: Vec::new(),
            invariants: Vec::new(),
        };
        let list =
            resource_types(&[named("Account"), named("Basic"), named("Zebra")], "Basic\nGone\n").unwrap();
        assert_eq!(String::from_utf8(list).unwrap(), "Basic\nGone\nAccount\nZebra\n");
    }
}
