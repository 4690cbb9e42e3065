//! The text of the CapabilityStatement: <https://hl7.org/fhir/R4/capabilitystatement.html>

use std::collections::HashMap;

use fhir_model::date::format_instant;
use fhir_search::parameters::{Parameter, ParameterKind};
use fhir_search::registry::Param;
use serde_json::{Value, json};

use super::cache::Mode;
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
    let references = References::collect(cx);
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
    let of_type = cx.registry.for_type(type_name).ok();
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
        "referencePolicy": reference_policy(cx),
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
    let columns = COLUMNS.into_iter().filter_map(|code| cx.registry.parameters().get("Patient", code));
    let columns = columns.map(|definition| type_column(definition, mode));
    let own = own.map(|p| {
        let is_refused = cx.registry.check_indexed(type_name, &p.code).is_err();
        refused_meanwhile(is_refused, search_param(p, type_name, mode))
    });
    put("searchParam", columns.chain(own).collect());
    let for_type =
        cx.operations.definitions().filter(|d| (d.types || d.instance) && d.is_for_type(type_name));
    put("operation", for_type.map(operation).collect());
    resource
}

/// <https://hl7.org/fhir/R4/valueset-reference-handling-policy.html>
fn reference_policy(cx: &Cx) -> &'static [&'static str] {
    match cx.store.indexes_references() {
        true => &["literal", "logical", "enforced"],
        false => &["literal", "logical"],
    }
}

/// Parameters that clients look for with each type, though they are those of all.
const COLUMNS: [&str; 2] = ["_id", "_lastUpdated"];

/// Such a parameter. Its definition stands where those of all resources are.
fn type_column(definition: &Parameter, mode: Mode) -> Value {
    match mode {
        Mode::Full => column(definition, mode),
        _ => json!({ "name": definition.code, "type": definition.kind.as_str() }),
    }
}

/// Other parameters of all resources are stated once, not once per type.
fn is_everywhere(param: &Param) -> bool {
    param.definition.base.iter().any(|b| matches!(&**b, "Resource" | "DomainResource"))
}

/// Parameters of all resources.
fn everywhere(cx: &Cx, mode: Mode) -> Vec<Value> {
    let definitions = cx.registry.parameters();
    let words = ["_text", "_content"].into_iter().filter(|_| cx.store.has_full_text());
    let columns = COLUMNS.into_iter().chain(["_filter"]).chain(words);
    let columns = columns.filter_map(|code| definitions.get("Patient", code));
    let of_patient = cx.registry.for_type("Patient").ok();
    let params = of_patient.as_ref().map(|t| t.params()).unwrap_or_default();
    let refused = cx.registry.refused_params();
    let is_refused = |p: &Param| refused.iter().any(|(_, one, _)| one.code == p.code);
    let params = params.iter().filter(|p| is_everywhere(p));
    let params = params.map(|p| refused_meanwhile(is_refused(p), search_param(p, "Resource", mode)));
    let columns = columns.map(|definition| column(definition, mode));
    let undefined = UNDEFINED.iter().map(|(name, kind, text)| match mode {
        Mode::Full => json!({ "name": name, "type": kind, "documentation": text }),
        _ => json!({ "name": name, "type": kind }),
    });
    columns.chain(params).chain(undefined).collect()
}

/// Parameters that the specification describes and gives no definition: name, what comes nearest to a type, meaning.
const UNDEFINED: &[(&str, &str, &str)] = &[
    ("_has", "string", "Something refers to the resource: `_has:Observation:patient:code=1234-5`"),
    ("_list", "string", "Entries of the List with this id"),
    ("_type", "token", "In a search of the whole server or a whole compartment: the types that are searched"),
];

/// A parameter with the modifiers it takes.
fn search_param(param: &Param, type_name: &str, mode: Mode) -> Value {
    let mut stated = parameter(&param.definition, type_name, mode);
    if let Some(Value::String(text)) = stated.get_mut("documentation") {
        let names = param.modifiers().into_iter().map(|(name, _)| format!("`:{name}`"));
        let types = (param.kind == ParameterKind::Reference).then(|| "`:[type]`".to_owned());
        let all: Vec<String> = names.chain(types).collect();
        text.push_str(&format!(" Modifiers: {}", all.join(", ")));
    }
    stated
}

/// A parameter that is not answered until all resources of the type are indexed by it. How far that is, `$reindex-status` says: the
/// statement is kept meanwhile.
fn refused_meanwhile(is_refused: bool, mut stated: Value) -> Value {
    const WHY: &str = "Resources are being indexed by it; until that is done it is answered 503: `$reindex-status` says how far it is.";
    if let (true, Some(members)) = (is_refused, stated.as_object_mut()) {
        let before = members.get("documentation").and_then(Value::as_str).map(|text| format!("{text} "));
        members.insert("documentation".to_owned(), Value::from(before.unwrap_or_default() + WHY));
    }
    stated
}

/// A parameter that is no part of the index: every resource has an id and a time, which may be asked for all the same.
fn column(definition: &Parameter, mode: Mode) -> Value {
    let mut stated = parameter(definition, "Resource", mode);
    let modifiers = match &*definition.code {
        "_id" => " Modifiers: `:missing`, `:not`",
        "_lastUpdated" => " Modifiers: `:missing`",
        _ => "",
    };
    if let Some(Value::String(text)) = stated.get_mut("documentation") {
        text.push_str(modifiers);
    }
    stated
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

/// The modifiers of each kind of search parameter.
const MODIFIERS: &str = " Modifiers: every parameter takes `:missing`; strings `:exact`, `:contains`; tokens `:not`, with a display or \
    text `:text`, with codes `:in`, `:not-in`, `:above`, `:below`, identifiers `:of-type`; references `:[type]`, `:identifier`, \
    canonicals `:above`, `:below`; uris `:above`, `:below`. Every reference can be chained, with and without a type \
    (`subject:Patient.organization.name`), and asked backwards (`_has:Observation:patient:code`), eight steps at most; a \
    chain looks into contained resources and Bundles, too; a canonical leads to each resource that has the url, and the version if one is named. `_include` and `_revinclude` take \
    `:iterate`, and `*` for every reference that is no canonical. `_sort` takes up to eight parameters of any type but \
    composite and special, `_id`, `_lastUpdated`, and one step along a reference (`subject:Patient.family`). \
    `near` takes latitude|longitude|distance|units. `_list`, `_filter`, `_text` and `_content` take no modifier. `_query` is not answered, `_contained` is `false`.";

/// The documentation that holds for all types.
fn documentation(references: &References, mode: Mode) -> String {
    let mut text = format!(
        "Besides what `searchRevInclude` lists, every type can be asked for with these, which may refer to any type: {}.",
        references.to_any.join(", ")
    );
    text.push_str(MODIFIERS);
    if mode == Mode::Brief {
        text.push_str(&format!(
            " A search parameter without `definition` has {DEFINITIONS}[type]-[name], `_id` and `_lastUpdated` that of all \
             types; all definitions, and what each parameter means, are said with `mode=full`."
        ));
    }
    text
}

fn operation(definition: &crate::operation::Definition) -> Value {
    json!({ "name": definition.code, "definition": definition.url })
}

/// The reference parameters that can be included, from and to each type.
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
    fn collect(cx: &Cx) -> References {
        let mut references = References::default();
        for type_name in cx.definitions.resource_types() {
            let of_type = cx.registry.for_type(type_name).ok();
            let params = of_type.as_ref().map(|t| t.params()).unwrap_or_default();
            for param in params.iter().filter(|p| p.kind == ParameterKind::Reference) {
                let path = format!("{type_name}:{}", param.code);
                // Of what an element may refer to, `patient` and the like follow one type.
                let any = param.targets.is_empty() || param.targets.len() > TARGETS_MAX;
                if any && param.only_target.is_none() {
                    references.to_any.push(path.clone());
                } else {
                    let followed = param.only_target.as_ref().map_or(&*param.targets, std::slice::from_ref);
                    for target in followed {
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
