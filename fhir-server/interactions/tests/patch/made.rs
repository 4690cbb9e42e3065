//! What operations make of a resource.

use fhir_profiles::Definitions;
use serde_json::{Value, json};

use super::{name, number, operation, parameters, patch, patient, value};

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
