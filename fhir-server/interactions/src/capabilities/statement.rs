//! The text of the CapabilityStatement: <https://hl7.org/fhir/R4/capabilitystatement.html>

use std::collections::HashMap;

use fhir_model::date::format_instant;
use fhir_search::parameters::{Parameter, ParameterKind};
use fhir_search::registry::Param;
use serde_json::{Value, json};

use super::Mode;
use crate::cx::Cx;

/// Resource types whose definition is normative in R4: <https://hl7.org/fhir/R4/versions.html#std-process>
const NORMATIVE: &[&str] = &[
    "Binary",
    "Bundle",
    "CapabilityStatement",
    "CodeSystem",
    "Observation",
    "OperationDefinition",
    "OperationOutcome",
    "Parameters",
    "Patient",
    "StructureDefinition",
    "ValueSet",
];

/// Where R4's own search parameters are defined.
const DEFINITIONS: &str = "http://hl7.org/fhir/SearchParameter/";

const INTERACTIONS: &[&str] = &[
    "read",
    "vread",
    "update",
    "patch",
    "delete",
    "history-instance",
    "history-type",
    "create",
    "search-type",
];

const SYSTEM_INTERACTIONS: &[&str] = &["transaction", "batch", "history-system", "search-system"];

fn head(cx: &Cx, base: &str, resource_type: &str) -> Value {
    json!({
        "resourceType": resource_type,
        "status": "active",
        "date": format_instant(cx.settings.started_at),
        "kind": "instance",
        "software": { "name": cx.settings.software, "version": cx.settings.software_version },
        "implementation": { "description": cx.settings.software, "url": base },
    })
}

pub(super) fn statement(cx: &Cx, base: &str, mode: Mode) -> Value {
    let types = cx.definitions.resource_types().filter(|t| mode != Mode::Normative || NORMATIVE.contains(t));
    let references = References::of(cx);
    let resources: Vec<Value> = types.map(|type_name| resource(cx, type_name, &references, mode)).collect();
    let mut rest = json!({
        "mode": "server",
        "documentation": documentation(&references, mode),
        "resource": resources,
        "interaction": SYSTEM_INTERACTIONS.iter().map(|code| json!({ "code": code })).collect::<Vec<_>>(),
        "searchParam": everywhere(cx, mode),
        "compartment": cx.registry.compartments().all().iter().map(|c| &*c.url).collect::<Vec<_>>(),
    });
    let operations: Vec<Value> = cx.operations.definitions().filter(|d| d.system).map(operation).collect();
    if let (false, Some(rest)) = (operations.is_empty(), rest.as_object_mut()) {
        rest.insert("operation".to_owned(), Value::from(operations));
    }
    let mut statement = head(cx, base, "CapabilityStatement");
    if let Some(statement) = statement.as_object_mut() {
        statement.insert("fhirVersion".to_owned(), json!("4.0.1"));
        statement.insert(
            "format".to_owned(),
            json!(["application/fhir+json", "application/fhir+xml", "json", "xml"]),
        );
        statement.insert(
            "patchFormat".to_owned(),
            json!(["application/json-patch+json", "application/fhir+json", "application/fhir+xml"]),
        );
        statement.insert("rest".to_owned(), json!([rest]));
    }
    statement
}

/// No code systems of our own are served by operations yet, so the resource says who we are and no more.
pub(super) fn terminology(cx: &Cx, base: &str) -> Value {
    head(cx, base, "TerminologyCapabilities")
}

fn resource(cx: &Cx, type_name: &str, references: &References, mode: Mode) -> Value {
    let of_type = cx.registry.of(type_name).ok();
    let params = of_type.as_ref().map(|t| t.params()).unwrap_or_default();
    let own = params.iter().filter(|p| !is_everywhere(p));
    let mut resource = json!({
        "type": type_name,
        "profile": format!("http://hl7.org/fhir/StructureDefinition/{type_name}"),
        "interaction": INTERACTIONS.iter().map(|code| json!({ "code": code })).collect::<Vec<_>>(),
        "versioning": if cx.settings.if_match_required { "versioned-update" } else { "versioned" },
        "readHistory": true,
        "updateCreate": cx.settings.update_creates,
        "conditionalCreate": true,
        "conditionalRead": "full-support",
        "conditionalUpdate": true,
        "conditionalDelete": cx.settings.conditional_delete.code(),
        "referencePolicy": ["literal", "logical"],
    });
    let Some(members) = resource.as_object_mut() else { return resource };
    let mut put = |name: &str, list: Vec<Value>| {
        if !list.is_empty() {
            members.insert(name.to_owned(), Value::from(list));
        }
    };
    let to_values =
        |list: Option<&Vec<String>>| list.into_iter().flatten().map(|s| json!(s)).collect::<Vec<_>>();
    put("searchInclude", to_values(references.from.get(type_name)));
    put("searchRevInclude", to_values(references.to.get(type_name)));
    put("searchParam", own.map(|p| parameter(&p.definition, type_name, mode)).collect());
    let for_type =
        cx.operations.definitions().filter(|d| (d.types || d.instance) && d.is_for_type(type_name));
    put("operation", for_type.map(operation).collect());
    resource
}

/// Parameters of all resources are stated once, not once per type.
fn is_everywhere(param: &Param) -> bool {
    param.definition.base.iter().any(|b| matches!(&**b, "Resource" | "DomainResource"))
}

/// Parameters of all resources.
fn everywhere(cx: &Cx, mode: Mode) -> Vec<Value> {
    let definitions = cx.registry.parameters();
    let columns = ["_id", "_lastUpdated"].iter().filter_map(|code| definitions.get("Patient", code));
    let of_patient = cx.registry.of("Patient").ok();
    let params = of_patient.as_ref().map(|t| t.params()).unwrap_or_default();
    let params = params.iter().filter(|p| is_everywhere(p)).map(|p| &p.definition);
    columns.chain(params).map(|definition| parameter(definition, "Resource", mode)).collect()
}

fn parameter(definition: &Parameter, type_name: &str, mode: Mode) -> Value {
    let mut parameter = json!({ "name": definition.code, "type": definition.kind.as_str() });
    let Some(members) = parameter.as_object_mut() else { return parameter };
    // A third of the statement would be urls that follow from type and name.
    let regular = *definition.url == *format!("{DEFINITIONS}{type_name}-{}", definition.code);
    if mode == Mode::Full || !regular {
        members.insert("definition".to_owned(), json!(definition.url));
    }
    if mode == Mode::Full {
        members.insert("documentation".to_owned(), json!(definition.description_for(type_name)));
    }
    parameter
}

/// What every search parameter of a kind takes.
const MODIFIERS: &str = " Modifiers: every parameter takes `:missing`; strings `:exact`, `:contains`; tokens `:not`, with a display or \
    text `:text`, with codes `:in`, `:not-in`, `:above`, `:below`, identifiers `:of-type`; references `:[type]`, `:identifier`, \
    canonicals `:above`, `:below`; uris `:above`, `:below`. Every reference can be chained, with and without a type \
    (`subject:Patient.organization.name`), and asked backwards (`_has:Observation:patient:code`), eight steps at most; \
    `_include` and `_revinclude` take `:iterate`. `_filter`, `_list`, `_text`, `_content`, `_type` are answered, `_query` is not.";

/// What holds for all types, said once.
fn documentation(references: &References, mode: Mode) -> String {
    let mut text = format!(
        "Besides what `searchRevInclude` lists, every type can be asked for with these, which may refer to any type: {}.",
        references.to_any.join(", ")
    );
    text.push_str(MODIFIERS);
    if mode == Mode::Brief {
        text.push_str(&format!(
            " A search parameter without `definition` has {DEFINITIONS}[type]-[name]; all definitions, and what each parameter \
             means, are said with `mode=full`."
        ));
    }
    text
}

fn operation(definition: &crate::operation::Definition) -> Value {
    json!({ "name": definition.code, "definition": definition.url })
}

/// What can be included, from and to each type.
#[derive(Default)]
struct References {
    from: HashMap<String, Vec<String>>,
    to: HashMap<String, Vec<String>>,
    /// Those that may point at any type: stated once, as they would make up half of the statement otherwise.
    to_any: Vec<String>,
}

/// A parameter that may point at more types than this may point at any: R4's others name nine at most.
const TARGETS_MAX: usize = 64;

impl References {
    fn of(cx: &Cx) -> References {
        let mut references = References::default();
        for type_name in cx.definitions.resource_types() {
            let of_type = cx.registry.of(type_name).ok();
            let params = of_type.as_ref().map(|t| t.params()).unwrap_or_default();
            for param in params.iter().filter(|p| p.kind == ParameterKind::Reference) {
                let path = format!("{type_name}:{}", param.code);
                if param.targets.len() > TARGETS_MAX {
                    references.to_any.push(path.clone());
                } else {
                    for target in &param.targets {
                        references.to.entry(target.to_string()).or_default().push(path.clone());
                    }
                }
                references.from.entry(type_name.to_owned()).or_default().push(path);
            }
            if let Some(from) = references.from.get_mut(type_name) {
                from.push("*".to_owned());
            }
        }
        references
    }
}
