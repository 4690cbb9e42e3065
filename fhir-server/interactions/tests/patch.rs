//! FHIRPath Patch: the public cases, and what they leave out.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test")]

use std::path::PathBuf;

use fhir_interactions::patch::{OPERATIONS_MAX, fhirpath_patch};
use fhir_model::json::{Doc, Limits};
use fhir_model::{Result, xml};
use fhir_profiles::Definitions;
use serde_json::{Value, json};

fn doc(value: &Value) -> Doc {
    Doc::parse(value.to_string(), Limits::default()).unwrap()
}

fn patch(current: &Value, parameters: &Value, types: &Definitions) -> Result<Value> {
    let text = fhirpath_patch(&doc(current), &doc(parameters), types)?;
    Ok(serde_json::from_str(&text).unwrap())
}

/// The cases of `FHIR/fhir-test-cases`: `<case name><input/><diff/><output/></case>`, each holding a resource.
#[test]
fn public_cases() {
    let data = std::env::var_os("CARI_SHARED_DATA").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")),
        PathBuf::from,
    );
    let Ok(cases) = std::fs::read_to_string(data.join("patch-r4/fhir-patch-tests.xml")) else {
        println!("skipped: no shared data");
        return;
    };
    let types = Definitions::load().unwrap();
    let mut seen = 0;
    for case in cases.split("<case ").skip(1) {
        let name = between(case, "name=\"", "\"");
        let part = |tag: &str| {
            let inner = between(case, &format!("<{tag}>"), &format!("</{tag}>")).trim();
            // The prefixes are bound on the root of the file.
            let bound = " xmlns:html=\"http://www.w3.org/1999/xhtml\" xmlns:ns0=\"http://hl7.org/fhir\">";
            let json = xml::to_json(inner.replacen('>', bound, 1).as_bytes(), &types, Limits::default());
            serde_json::from_str::<Value>(&json.unwrap_or_else(|e| panic!("{name}, {tag}: {e}"))).unwrap()
        };
        let patched = patch(&part("input"), &part("diff"), &types).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(tidy(patched), tidy(part("output")), "{name}");
        seen += 1;
    }
    assert!(seen >= 15, "only {seen} cases");
}

fn between<'t>(text: &'t str, from: &str, to: &str) -> &'t str {
    let rest = text.split_once(from).expect("the mark that starts it").1;
    rest.split_once(to).expect("the mark that ends it").0
}

/// The cases write the same narrative with other white space and quotes.
fn tidy(mut resource: Value) -> Value {
    if let Some(Value::String(div)) = resource.pointer_mut("/text/div") {
        *div = div.split_whitespace().collect::<Vec<_>>().join(" ").replace("&quot;", "\"");
    }
    resource
}

fn patient() -> Value {
    json!({
        "resourceType": "Patient",
        "id": "1",
        "contained": [{ "resourceType": "Organization", "id": "o", "name": "O" }],
        "extension": [{ "url": "e1", "valueDecimal": serde_json::from_str::<Value>("1.50E-10").unwrap() }],
        "active": true,
        "name": [
            { "family": "A", "given": ["x", "y"], "_given": [null, { "id": "gy" }] },
            { "use": "usual", "text": "B" }
        ],
        "birthDate": "2000",
        "_birthDate": { "extension": [{ "url": "e2", "valueString": "s" }] },
        "deceasedBoolean": false,
        "contact": [{ "gender": "male" }]
    })
}

/// `type`, `path`, further parts as JSON.
fn operation(kind: &str, path: &str, parts: &[Value]) -> Value {
    let mut all =
        vec![json!({ "name": "type", "valueCode": kind }), json!({ "name": "path", "valueString": path })];
    all.extend_from_slice(parts);
    json!({ "name": "operation", "part": all })
}

fn parameters(operations: &[Value]) -> Value {
    json!({ "resourceType": "Parameters", "parameter": operations })
}

fn name(name: &str) -> Value {
    json!({ "name": "name", "valueString": name })
}

fn number(part: &str, number: i64) -> Value {
    json!({ "name": part, "valueInteger": number })
}

fn value(key: &str, value: Value) -> Value {
    let mut part = json!({ "name": "value" });
    part[key] = value;
    part
}

#[test]
fn what_operations_make() {
    let types = Definitions::load().unwrap();
    // operation, where the result differs, and how (null: it is gone)
    let url = |url: &str| json!({ "name": "url", "valueUri": url });
    let rows: Vec<(Value, &str, Value)> = vec![
        (
            operation("add", "Patient", &[name("gender"), value("valueCode", json!("male"))]),
            "/gender",
            json!("male"),
        ),
        (
            operation("add", "Patient.name[1]", &[name("given"), value("valueString", json!("z"))]),
            "/name/1/given",
            json!(["z"]),
        ),
        (
            operation("add", "Patient.name[0]", &[name("given"), value("valueString", json!("z"))]),
            "/name/0/given",
            json!(["x", "y", "z"]),
        ),
        (
            operation("add", "Patient.name[0]", &[name("given"), value("valueString", json!("z"))]),
            "/name/0/_given",
            json!([null, { "id": "gy" }, null]),
        ),
        // A choice, named in all ways.
        (
            operation("add", "Patient", &[name("multipleBirth"), value("valueInteger", json!(2))]),
            "/multipleBirthInteger",
            json!(2),
        ),
        (
            operation("add", "Patient", &[name("multipleBirth[x]"), value("valueBoolean", json!(true))]),
            "/multipleBirthBoolean",
            json!(true),
        ),
        (
            operation("add", "Patient", &[name("multipleBirthInteger"), value("valueInteger", json!(2))]),
            "/multipleBirthInteger",
            json!(2),
        ),
        (
            operation("replace", "Patient.deceased", &[value("valueDateTime", json!("2001"))]),
            "/deceasedDateTime",
            json!("2001"),
        ),
        (
            operation("replace", "Patient.deceased", &[value("valueDateTime", json!("2001"))]),
            "/deceasedBoolean",
            Value::Null,
        ),
        // Extensions have no `value[x]` of their own, so they come in parts.
        (
            operation(
                "add",
                "Patient",
                &[
                    name("extension"),
                    value("part", json!([url("e3"), { "name": "value", "valueCode": "c" }])),
                ],
            ),
            "/extension/1",
            json!({ "url": "e3", "valueCode": "c" }),
        ),
        (
            operation(
                "add",
                "Patient.name[0].family",
                &[
                    name("extension"),
                    value("part", json!([url("e3"), { "name": "value", "valueCode": "c" }])),
                ],
            ),
            "/name/0/_family",
            json!({ "extension": [{ "url": "e3", "valueCode": "c" }] }),
        ),
        (
            operation("add", "Patient.name[0].given[0]", &[name("id"), value("valueString", json!("gx"))]),
            "/name/0/_given",
            json!([{ "id": "gx" }, { "id": "gy" }]),
        ),
        // Parts in parts, repeating ones become lists.
        (
            operation(
                "add",
                "Patient",
                &[
                    name("contact"),
                    value(
                        "part",
                        json!([
                            { "name": "name", "part": [
                                { "name": "given", "valueString": "a" },
                                { "name": "given", "valueString": "b" },
                                { "name": "period", "valuePeriod": { "start": "2001" } }
                            ] },
                            { "name": "gender", "valueCode": "other" }
                        ]),
                    ),
                ],
            ),
            "/contact/1",
            json!({ "name": { "given": ["a", "b"], "period": { "start": "2001" } }, "gender": "other" }),
        ),
        (
            operation(
                "add",
                "Patient",
                &[name("contained"), value("resource", json!({ "resourceType": "Basic", "id": "b" }))],
            ),
            "/contained/1",
            json!({ "resourceType": "Basic", "id": "b" }),
        ),
        // A value with an extension of its own.
        (
            operation(
                "replace",
                "Patient.birthDate",
                &[json!({ "name": "value", "valueDate": "2001", "_valueDate": { "id": "d" } })],
            ),
            "/_birthDate",
            json!({ "id": "d" }),
        ),
        (
            operation("replace", "Patient.birthDate", &[value("valueDate", json!("2001"))]),
            "/_birthDate",
            Value::Null,
        ),
        (
            operation(
                "replace",
                "Patient.name.where(use = 'usual').text",
                &[value("valueString", json!("C"))],
            ),
            "/name/1/text",
            json!("C"),
        ),
        (
            operation("replace", "Patient.contained[0].name", &[value("valueString", json!("P"))]),
            "/contained/0/name",
            json!("P"),
        ),
        (
            operation("replace", "Patient.birthDate.extension[0].value", &[value("valueInteger", json!(1))]),
            "/_birthDate/extension/0",
            json!({ "url": "e2", "valueInteger": 1 }),
        ),
        (
            operation(
                "insert",
                "Patient.name[0].given",
                &[number("index", 1), value("valueString", json!("z"))],
            ),
            "/name/0/given",
            json!(["x", "z", "y"]),
        ),
        (
            operation(
                "insert",
                "Patient.name[0].given",
                &[number("index", 1), value("valueString", json!("z"))],
            ),
            "/name/0/_given",
            json!([null, null, { "id": "gy" }]),
        ),
        (
            operation(
                "insert",
                "Patient.name",
                &[number("index", 2), value("valueHumanName", json!({ "text": "C" }))],
            ),
            "/name/2",
            json!({ "text": "C" }),
        ),
        (
            operation("move", "Patient.name[0].given", &[number("source", 1), number("destination", 0)]),
            "/name/0/_given",
            json!([{ "id": "gy" }, null]),
        ),
        (operation("delete", "Patient.name[0].given[1]", &[]), "/name/0/_given", Value::Null),
        (operation("delete", "Patient.name[0].given[0]", &[]), "/name/0/_given", json!([{ "id": "gy" }])),
        (operation("delete", "Patient.birthDate", &[]), "/_birthDate", Value::Null),
        (operation("delete", "Patient.birthDate.extension", &[]), "/_birthDate", Value::Null),
        (operation("delete", "Patient.birthDate.extension", &[]), "/birthDate", json!("2000")),
        // An object that became empty goes with its last member.
        (operation("delete", "Patient.contact[0].gender", &[]), "/contact", Value::Null),
        (operation("delete", "Patient.gender", &[]), "", patient()),
        (operation("delete", "Patient.name.where(use = 'old')", &[]), "", patient()),
        // Numbers keep their text.
        (
            operation("replace", "Patient.active", &[value("valueBoolean", json!(false))]),
            "/extension/0/valueDecimal",
            serde_json::from_str("1.50E-10").unwrap(),
        ),
    ];
    for (operation, pointer, expected) in rows {
        let patched = patch(&patient(), &parameters(std::slice::from_ref(&operation)), &types);
        let patched = patched.unwrap_or_else(|e| panic!("{operation}: {e}"));
        assert_eq!(patched.pointer(pointer).unwrap_or(&Value::Null), &expected, "{operation}");
    }
}

#[test]
fn what_is_refused() {
    let types = Definitions::load().unwrap();
    let male = || value("valueCode", json!("male"));
    let rows: Vec<(Value, u16, &str)> = vec![
        // Not a patch.
        (json!({ "resourceType": "Bundle" }), 400, "Parameters"),
        (parameters(&[json!({ "name": "operation" })]), 400, "no part `type`"),
        (parameters(&[json!({ "name": "op" })]), 400, "named `operation`"),
        (parameters(&[operation("shout", "Patient", &[])]), 400, "`shout`"),
        (parameters(&[operation("add", "Patient", &[male()])]), 400, "no part `name`"),
        (parameters(&[operation("add", "Patient", &[name("gender")])]), 400, "no part `value`"),
        (
            parameters(&[operation("add", "Patient", &[name("gender"), json!({ "name": "value" })])]),
            400,
            "no value",
        ),
        (
            parameters(&[operation("add", "Patient", &[name("gender"), name("gender"), male()])]),
            400,
            "more than one",
        ),
        (parameters(&[operation("add", "Patient", &[name("nom"), male()])]), 400, "`nom`"),
        (parameters(&[operation("add", "Patient.", &[name("gender"), male()])]), 400, "`path` (Patient.)"),
        (parameters(&[operation("delete", "Patient.nom", &[])]), 400, "`path` (Patient.nom)"),
        (
            parameters(&[operation("add", "Patient", &[name("gender"), value("valueBoolean", json!(true))])]),
            400,
            "`gender` cannot be of the type of `valueBoolean`",
        ),
        (
            parameters(&[operation("add", "Patient", &[name("gender"), value("valueCode", json!(1))])]),
            400,
            "not a code",
        ),
        (
            parameters(&[operation(
                "add",
                "Patient",
                &[name("multipleBirth"), value("valueInteger", json!(1.5))],
            )]),
            400,
            "not a integer",
        ),
        (
            parameters(&[operation(
                "add",
                "Patient",
                &[name("multipleBirth"), value("valueString", json!("1"))],
            )]),
            400,
            "`multipleBirth` cannot be",
        ),
        (
            parameters(&[operation("add", "Patient", &[name("gender"), value("part", json!([]))])]),
            400,
            "must be a `value[x]`",
        ),
        (
            parameters(&[operation(
                "add",
                "Patient",
                &[name("contact"), value("part", json!([{ "name": "nom" }]))],
            )]),
            400,
            "no element `nom`",
        ),
        (
            parameters(&[operation("insert", "Patient.name", &[male()])]),
            400,
            "`name` cannot be of the type of `valueCode`",
        ),
        // Not for this resource.
        (parameters(&[operation("replace", "Patient.gender", &[male()])]), 422, "finds nothing"),
        (parameters(&[operation("add", "Patient.photo", &[name("title"), male()])]), 422, "finds nothing"),
        (
            parameters(&[operation("insert", "Patient.photo", &[number("index", 0), male()])]),
            422,
            "finds nothing",
        ),
        (
            parameters(&[operation(
                "replace",
                "Patient.name",
                &[value("valueHumanName", json!({ "text": "C" }))],
            )]),
            422,
            "finds 2 elements",
        ),
        (parameters(&[operation("delete", "Patient.name", &[])]), 422, "finds 2 elements"),
        (
            parameters(&[operation(
                "add",
                "Patient",
                &[name("birthDate"), value("valueDate", json!("2001"))],
            )]),
            422,
            "there already",
        ),
        (
            parameters(&[operation(
                "add",
                "Patient",
                &[name("deceased"), value("valueDateTime", json!("2001"))],
            )]),
            422,
            "there already",
        ),
        (
            parameters(&[operation(
                "insert",
                "Patient.name[0].given",
                &[number("index", 3), value("valueString", json!("z"))],
            )]),
            422,
            "`index`",
        ),
        (
            parameters(&[operation(
                "insert",
                "Patient.name[0].given",
                &[number("index", -1), value("valueString", json!("z"))],
            )]),
            422,
            "`index`",
        ),
        (
            parameters(&[operation(
                "insert",
                "Patient.birthDate",
                &[number("index", 0), value("valueDate", json!("2001"))],
            )]),
            422,
            "not a list",
        ),
        (
            parameters(&[operation(
                "move",
                "Patient.name",
                &[number("source", 2), number("destination", 0)],
            )]),
            422,
            "`source`",
        ),
        (
            parameters(&[operation(
                "move",
                "Patient.name",
                &[number("source", 0), number("destination", 2)],
            )]),
            422,
            "`destination`",
        ),
        (
            parameters(&[operation(
                "move",
                "Patient.name.where(use = 'usual')",
                &[number("source", 0), number("destination", 0)],
            )]),
            422,
            "not a list",
        ),
        (parameters(&[operation("delete", "Patient", &[])]), 422, "the resource itself"),
        (parameters(&[operation("delete", "Patient.id", &[])]), 422, "`id`"),
        (parameters(&[operation("replace", "Patient.id", &[value("valueId", json!("2"))])]), 422, "`id`"),
        (
            parameters(&[operation("delete", "Patient.birthDate.toString()", &[])]),
            422,
            "values, not elements",
        ),
    ];
    for (parameters, status, why) in rows {
        let error =
            patch(&patient(), &parameters, &types).map(|p| panic!("{parameters} made {p}")).unwrap_err();
        assert!(error.text.contains(why), "{parameters}: {error}");
        assert_eq!(error.kind.status(), status, "{parameters}: {error}");
    }
}

#[test]
fn operations_follow_each_other_up_to_a_limit() {
    let types = Definitions::load().unwrap();
    let add = |n: usize| {
        let given = value("valueString", json!(n.to_string()));
        operation("add", "Patient.name[1]", &[name("given"), given])
    };
    let all: Vec<_> = (0..OPERATIONS_MAX).map(add).collect();
    let patched = patch(&patient(), &parameters(&all), &types).unwrap();
    assert_eq!(patched["name"][1]["given"].as_array().unwrap().len(), OPERATIONS_MAX);
    let more: Vec<_> = (0..=OPERATIONS_MAX).map(add).collect();
    assert_eq!(patch(&patient(), &parameters(&more), &types).unwrap_err().kind.status(), 413);
    // The second operation is at fault, and said to be.
    let second = operation("delete", "Patient", &[]);
    let error = patch(&patient(), &parameters(&[add(0), second]), &types).unwrap_err();
    assert_eq!(error.expression, ["Parameters.parameter[1]"]);
}
