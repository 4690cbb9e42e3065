//! What is no patch, what does not fit the resource, and what is too much.

use fhir_interactions::patch::OPERATIONS_MAX;
use fhir_profiles::Definitions;
use serde_json::{Value, json};

use super::{name, number, operation, parameters, patch, patient, value};

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
        // FHIRPath makes no date of a text by itself, nor a number of a date.
        (
            parameters(&[operation(
                "replace",
                "Patient.birthDate",
                &[value("valueString", json!("2001-01-01"))],
            )]),
            400,
            "`birthDate` cannot be of the type of `valueString`",
        ),
        (
            parameters(&[operation(
                "replace",
                "Patient.birthDate",
                &[value("valueDate", json!("2001-02-30"))],
            )]),
            400,
            "not a date",
        ),
        (
            parameters(&[operation(
                "replace",
                "Patient.birthDate",
                &[value("valueDateTime", json!("2001-01-01"))],
            )]),
            400,
            "`birthDate` cannot be of the type of `valueDateTime`",
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
