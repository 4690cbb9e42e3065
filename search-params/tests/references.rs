//! What references, canonical urls and extensions are found by: tables over all parameters of R4.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::sync::Arc;

use fhir_model::json::{Doc, JsonLimits};
use fhir_model::types::Types;
use fhir_profiles::Definitions;
use fhir_search::cursor::Secret;
use fhir_search::index_hash::IndexHasher;
use fhir_search::parameters::ParameterKind;
use fhir_search::registry::Param;
use fhir_search::{Bases, ParseCx, Query, Registry, filter};
use serde_json::{Value, json};

struct Table {
    registry: Registry,
    definitions: Arc<Definitions>,
    hasher: IndexHasher,
}

impl Table {
    fn new() -> Table {
        let definitions = Arc::new(Definitions::load().unwrap());
        let registry = Registry::load(definitions.clone()).unwrap();
        Table { registry, definitions, hasher: IndexHasher::new([3; 16]) }
    }

    /// Every parameter of every type.
    fn params(&self) -> Vec<(Box<str>, Arc<Param>)> {
        let types = self.definitions.resource_types().map(Box::<str>::from);
        types
            .flat_map(|name| {
                let of = self.registry.for_type(&name).unwrap();
                of.params().iter().map(|param| (name.clone(), param.clone())).collect::<Vec<_>>()
            })
            .collect()
    }

    /// Whether a search finds a resource, by what that leaves in the index.
    fn finds(&self, search: &str, resource: &Value) -> bool {
        let (type_name, query) = search.split_once('?').unwrap();
        let (name, value) = query.split_once('=').unwrap();
        let cx = ParseCx {
            strict: true,
            bases: &Bases::default(),
            zone: &fhir_model::date::Zone::UTC,
            now: 0,
            count_default: 10,
            count_max: 10,
            values_max: 10,
            secret: &Secret([0; 16]),
            bound_to: "",
        };
        let pairs = [(name.to_owned(), value.to_owned())];
        let query = Query::parse(&self.registry, type_name, &pairs, &cx);
        let query = query.unwrap_or_else(|e| panic!("{search}: {e}"));
        let doc = Doc::parse(resource.to_string(), JsonLimits::default()).unwrap();
        let rows = self
            .registry
            .extract(&self.hasher, type_name, doc.root(), &fhir_search::IndexSettings::default())
            .unwrap();
        filter::condition(&query, &self.registry, &self.hasher).holds(&rows)
    }

    /// A resource that has a value where the first branch of a parameter's expression looks that leads to the wanted type;
    /// none where that is more than a path.
    fn having(&self, type_name: &str, param: &Param, value_type: &str, value: &Value) -> Option<Value> {
        let expression = param.definition.expression_for(type_name)?;
        expression.split(" | ").find_map(|branch| self.at(type_name, branch.trim(), value_type, value))
    }

    fn at(&self, type_name: &str, branch: &str, value_type: &str, value: &Value) -> Option<Value> {
        let path = match branch.find(".where(resolve() is ") {
            Some(end) => &branch[..end],
            None => branch,
        };
        let path = path.trim_start_matches('(').split(" as ").next()?.trim_end_matches(')');
        let (root, path) = path.split_once('.')?;
        if path.contains(['(', '[']) || !self.definitions.is_a(type_name, root) {
            return None;
        }
        let names: Vec<&str> = path.split('.').collect();
        let (mut at, mut keys) = (type_name.to_owned(), Vec::new());
        for (i, name) in names.iter().enumerate() {
            let element = self.definitions.element(&at, name)?;
            let kind = match i + 1 == names.len() {
                true => element.types.iter().find(|kind| ***kind == *value_type)?,
                false => element.types.first()?,
            };
            let key = match element.choice {
                true => format!("{name}{}{}", kind[..1].to_uppercase(), &kind[1..]),
                false => (*name).to_owned(),
            };
            keys.push((key, element.many));
            at = kind.to_string();
        }
        let wrap = |inner: Value, (key, many): &(String, bool)| json!({ key: if *many { json!([inner]) } else { inner } });
        let mut resource = keys.iter().rev().fold(value.clone(), wrap);
        resource["resourceType"] = type_name.into();
        resource["id"] = "x".into();
        Some(resource)
    }
}

/// `as uri` finds what is of a type below, too: a canonical. So it is with every type that an expression names.
#[test]
fn a_type_in_an_expression_stands_for_all_below_it() {
    let table = Table::new();
    let mut checked = Vec::new();
    for (type_name, param) in table.params().iter().filter(|(_, p)| p.kind != ParameterKind::Composite) {
        let expression = param.definition.expression_for(type_name).unwrap().into_owned();
        for branch in expression.split(" | ") {
            let Some((path, wanted)) = branch.trim_matches(['(', ')']).split_once(" as ") else { continue };
            let mut at = type_name.to_string();
            let mut names = path.split('.').skip(1).peekable();
            while let Some(name) = names.next() {
                let element = table.definitions.element(&at, name).unwrap();
                if names.peek().is_some() {
                    at = element.types.first().unwrap().to_string();
                    continue;
                }
                for kind in element.types.iter().filter(|kind| table.definitions.is_a(kind, wanted)) {
                    assert!(param.has_type(&[kind]), "{type_name}?{} does not look at {kind}", param.code);
                    checked.extend((**kind != *wanted).then(|| format!("{}:{kind}", param.code)));
                }
            }
        }
    }
    assert_eq!(checked, ["source-uri:canonical", "target-uri:canonical"]);
    let map = json!({"resourceType": "ConceptMap", "id": "x", "sourceCanonical": "http://e/vs|1", "targetUri": "http://e/t"});
    for search in
        ["source-uri=http://e/vs", "source-uri=http://e/vs|1", "target-uri=http://e/t", "source=http://e/vs"]
    {
        assert!(table.finds(&format!("ConceptMap?{search}"), &map), "{search}");
    }
    assert!(table.finds("ConceptMap?target:missing=true", &map));
}

/// What parameters look at that end at an extension is its value.
#[test]
fn a_parameter_of_an_extension_finds_its_value() {
    let table = Table::new();
    let mut found = Vec::new();
    for (type_name, param) in table.params() {
        let expression = param.definition.expression_for(&type_name).unwrap().into_owned();
        let Some((_, rest)) = expression.split_once(".extension('") else { continue };
        let (url, _) = rest.split_once("')").unwrap();
        let values = match param.kind {
            ParameterKind::String => vec![
                (json!({"valueString": "Abc"}), "=ab"),
                (json!({"valueCodeableConcept": {"text": "Abc"}}), ":exact=Abc"),
                (json!({"valueMarkdown": "Abc"}), ":contains=bc"),
            ],
            ParameterKind::Token => vec![
                (
                    json!({"valueCodeableConcept": {"coding": [{"system": "http://s", "code": "c"}]}}),
                    "=http://s|c",
                ),
                (json!({"valueCoding": {"code": "c"}}), "=c"),
                (json!({"valueIdentifier": {"system": "http://s", "value": "c"}}), "=http://s|c"),
                (json!({"valueCode": "c"}), "=c"),
            ],
            ParameterKind::Reference => {
                vec![(json!({"valueReference": {"reference": "Condition/1"}}), "=Condition/1")]
            }
            other => panic!("{}: {other:?}", param.code),
        };
        for (value, search) in values {
            let of = |url: &str| {
                let mut extension = value.clone();
                extension["url"] = url.into();
                json!({"resourceType": &*type_name, "id": "x", "extension": [extension]})
            };
            let search = format!("{type_name}?{}{search}", param.code);
            assert!(table.finds(&search, &of(url)), "{search}: {value}");
            assert!(!table.finds(&search, &of("http://other")), "{search}: {value}");
            let missing = format!("{type_name}?{}:missing=false", param.code);
            assert!(
                table.finds(&missing, &of(url)) && !table.finds(&missing, &of("http://other")),
                "{missing}"
            );
        }
        found.push(param.code.to_string());
    }
    let all = [
        "din",
        "assessed-condition",
        "amino-acid-change",
        "dna-variant",
        "gene-amino-acid-change",
        "gene-dnavariant",
        "gene-identifier",
        "mothersMaidenName",
    ];
    assert_eq!(found, all);
}

/// R4's expressions name some extensions by urls that R4 does not define; what R4 does define is found.
#[test]
fn extensions_are_found_by_the_url_of_their_definition() {
    let table = Table::new();
    let name = json!([
        {"url": "Type", "valueCodeableConcept": {"text": "Wrong"}},
        {"url": "Name", "valueCodeableConcept": {"text": "Right", "coding": [{"display": "p.Val600Glu"}]}},
    ]);
    let rows = [
        ("Patient", "mothersMaidenName", "patient-mothersMaidenName", json!({"valueString": "Right"})),
        (
            "Observation",
            "amino-acid-change",
            "observation-geneticsAminoAcidChange",
            json!({"extension": name}),
        ),
        (
            "Observation",
            "gene-amino-acid-change",
            "observation-geneticsAminoAcidChange",
            json!({"extension": name}),
        ),
        ("Observation", "dna-variant", "observation-geneticsVariant", json!({"extension": name})),
        ("Observation", "gene-dnavariant", "observation-geneticsVariant", json!({"extension": name})),
    ];
    for (type_name, code, url, mut extension) in rows {
        extension["url"] = format!("http://hl7.org/fhir/StructureDefinition/{url}").into();
        let resource = json!({"resourceType": type_name, "id": "x", "extension": [extension]});
        assert!(table.finds(&format!("{type_name}?{code}=right"), &resource), "{code}");
        assert!(!table.finds(&format!("{type_name}?{code}=wrong"), &resource), "{code}");
    }
}

/// A canonical is found by its url, whatever its version and fragment; with a version, by that one alone.
#[test]
fn canonicals_are_found_by_url_and_version() {
    let table = Table::new();
    let mut checked = 0;
    let rows = [
        // what is there, what is asked, whether it is found
        ("http://e/x", "=http://e/x", true),
        ("http://e/x", "=http://e/x|1.0", false),
        ("http://e/x|1.0", "=http://e/x", true),
        ("http://e/x|1.0", "=http://e/x|1.0", true),
        ("http://e/x|1.0", "=http://e/x|1", false),
        ("http://e/x|1.0", "=http://e/x|1.0.1", false),
        ("http://e/x|1.0.1", "=http://e/x|1.0", false),
        ("http://e/x|1.0", "=http://e/X|1.0", false),
        ("http://e/x|1.0-a", "=http://e/x|1.0-A", false),
        ("http://e/x#f", "=http://e/x", true),
        ("http://e/x#f", "=http://e/x#f", true),
        ("http://e/x#f", "=http://e/x#g", false),
        ("http://e/x|1.0#f", "=http://e/x", true),
        ("http://e/x|1.0#f", "=http://e/x|1.0", true),
        ("http://e/x|1.0#f", "=http://e/x|1.0#f", true),
        ("http://e/x|1.0#f", "=http://e/x|2.0", false),
        ("http://e/xy", "=http://e/x", false),
        ("http://e/x|1.2.3", ":below=http://e/x|1.2", true),
        ("http://e/x|1.2.3", ":below=http://e/x|1", true),
        ("http://e/x|10", ":below=http://e/x|1", false),
        ("http://e/x|1.2", ":above=http://e/x|1.2.3", true),
        ("http://e/x|1.2.3", ":above=http://e/x|1.2", false),
        ("http://e/x|1.2#f", ":below=http://e/x|1", true),
    ];
    for (type_name, param) in table.params() {
        let is_canonical = matches!(param.kind, ParameterKind::Uri | ParameterKind::Reference)
            && param.has_type(&["canonical"]);
        if !is_canonical {
            continue;
        }
        for (value, search, is_found) in rows {
            let Some(resource) = table.having(&type_name, &param, "canonical", &json!(value)) else { break };
            let search = format!("{type_name}?{}{search}", param.code);
            assert_eq!(table.finds(&search, &resource), is_found, "{search}: {value}");
            checked += 1;
        }
    }
    assert!(checked > 170 * rows.len(), "only {} parameters", checked / rows.len());
}

/// What a canonical names is found by it: a url with the resource's own version.
#[test]
fn what_a_canonical_names_is_found_by_it() {
    let table = Table::new();
    let mut checked = 0;
    for (type_name, param) in table.params() {
        let has_version = table.definitions.element(&type_name, "version").is_some();
        let own =
            param.definition.expression_for(&type_name).is_some_and(|e| *e == format!("{type_name}.url"));
        if param.kind != ParameterKind::Uri || !own {
            continue;
        }
        assert!(has_version, "{type_name}");
        let resource =
            json!({"resourceType": &*type_name, "id": "x", "url": "http://e/x", "version": "1.0-a"});
        for (search, is_found) in [
            ("=http://e/x", true),
            ("=http://e/x|1.0-a", true),
            ("=http://e/x|1.0-A", false),
            ("=http://e/x|1.0", false),
            ("=http://e/x|1", false),
            ("=http://e/y|1.0-a", false),
            ("=http://e/x|", false),
            (":below=http://e/x|1", true),
            (":below=http://e/x|2", false),
            (":above=http://e/x|1.0-a.1", true),
            (":above=http://e/x/y", true),
            (":missing=false", true),
        ] {
            let search = format!("{type_name}?{}{search}", param.code);
            assert_eq!(table.finds(&search, &resource), is_found, "{search}");
        }
        let unversioned = json!({"resourceType": &*type_name, "id": "x", "url": "http://e/x"});
        let search = format!("{type_name}?{}=http://e/x|1.0-a", param.code);
        assert!(!table.finds(&search, &unversioned), "{search}");
        checked += 1;
    }
    assert!(checked > 30, "only {checked}");
}

/// Whatever a reference says is a value: what is contained and what only has a name are not missing.
#[test]
fn references_of_all_kinds_are_not_missing() {
    let table = Table::new();
    let mut checked = 0;
    for (type_name, param) in table.params().iter().filter(|(_, p)| p.kind == ParameterKind::Reference) {
        let target =
            param.only_target.as_deref().or(param.targets.first().map(|t| &**t)).unwrap_or("Patient");
        for (reference, is_value) in [
            (json!({"reference": format!("{target}/1")}), true),
            (json!({"reference": "#c"}), true),
            (json!({"type": target, "identifier": {"system": "http://s", "value": "v"}}), true),
            (json!({"identifier": {"value": "v"}}), true),
            (json!({"type": target, "display": "D"}), true),
            (
                json!({"type": format!("http://hl7.org/fhir/StructureDefinition/{target}"), "display": "D"}),
                true,
            ),
            // Of what type it is nobody knows.
            (json!({"display": "D"}), param.only_target.is_none()),
            (json!({"extension": [{"url": "http://e", "valueCode": "unknown"}]}), false),
        ] {
            let Some(mut resource) = table.having(type_name, param, "Reference", &reference) else { break };
            resource["contained"] = json!([{"resourceType": target, "id": "c"}]);
            for missing in [true, false] {
                let search = format!("{type_name}?{}:missing={missing}", param.code);
                assert_eq!(table.finds(&search, &resource), is_value != missing, "{search}: {reference}");
            }
            checked += 1;
        }
    }
    assert!(checked > 430 * 8, "only {checked}");
}

/// A parameter that is about one of several types is about that type by identifier, too.
#[test]
fn parameters_of_one_type_look_at_the_type_of_logical_references() {
    let table = Table::new();
    let mut checked = 0;
    for (type_name, param) in table.params() {
        let Some(only) = &param.only_target else { continue };
        let other = if **only == *"Patient" { "Group" } else { "Patient" };
        let identifier = json!({"system": "http://s", "value": "v"});
        for (reference, is_found) in [
            (json!({"type": &**only, "identifier": identifier}), true),
            (json!({"type": other, "identifier": identifier}), false),
            // It can be one: nothing says that it is not.
            (json!({"identifier": identifier}), true),
            (json!({"reference": format!("{only}/1"), "identifier": identifier}), true),
            (json!({"reference": format!("{other}/1"), "identifier": identifier}), false),
            (
                json!({"reference": format!("http://them/{other}/1"), "type": &**only, "identifier": identifier}),
                false,
            ),
            (json!({"reference": "urn:uuid:1", "type": other, "identifier": identifier}), false),
            (json!({"reference": "#c", "identifier": identifier}), true),
            (json!({"reference": "#d", "identifier": identifier}), false),
        ] {
            let Some(mut resource) = table.having(&type_name, &param, "Reference", &reference) else { break };
            resource["contained"] =
                json!([{"resourceType": &**only, "id": "c"}, {"resourceType": other, "id": "d"}]);
            for value in ["http://s|v", "v", "http://s|"] {
                let search = format!("{type_name}?{}:identifier={value}", param.code);
                assert_eq!(table.finds(&search, &resource), is_found, "{search}: {reference}");
            }
            // What is found is not missing.
            let search = format!("{type_name}?{}:missing=false", param.code);
            assert_eq!(table.finds(&search, &resource), is_found, "{search}: {reference}");
            checked += 1;
        }
    }
    assert!(checked > 45 * 9, "only {checked}");
}
