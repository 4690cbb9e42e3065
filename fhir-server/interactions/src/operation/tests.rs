use std::sync::OnceLock;

use fhir_model::Key;
use fhir_model::json::{Doc, JsonLimits};
use fhir_profiles::Definitions;
use serde_json::{Value, json};

use super::input::Sent;
use super::*;
use crate::request::Body;

struct Fake(&'static str);

#[async_trait]
impl Operation for Fake {
    fn definition(&self) -> &'static str {
        self.0
    }
    async fn run(&self, _: &Cx, _: Call) -> Result<Reply> {
        Ok(Reply::empty(200))
    }
}

fn types() -> &'static Definitions {
    static ONCE: OnceLock<Definitions> = OnceLock::new();
    ONCE.get_or_init(|| Definitions::load().unwrap())
}

const EVERYTHING: &str =
    r#"{"code":"everything","url":"u","type":true,"instance":true,"system":false,"resource":["Patient"]}"#;
const EVERYTHING_ELSE: &str = r#"{"code":"everything","url":"u","instance":true,"resource":["Encounter"]}"#;

#[test]
fn definitions_say_where_an_operation_is() {
    let definition = Definition::parse(EVERYTHING, types()).unwrap();
    assert!(definition.is_for(&Level::Instance(Key::new("Patient", "1"))));
    assert!(definition.is_for(&Level::Type("Patient".into())));
    assert!(!definition.is_for(&Level::Type("Encounter".into())));
    assert!(!definition.is_for(&Level::System));
}

#[test]
fn one_call_has_one_operation() {
    let new = |texts: &[&'static str]| {
        let list = texts.iter().map(|text| Box::new(Fake(text)) as Box<dyn Operation>).collect();
        Operations::new(list, types())
    };
    assert!(new(&[EVERYTHING, EVERYTHING_ELSE]).is_ok());
    assert!(new(&[EVERYTHING, EVERYTHING]).is_err());
    assert!(new(&["{}"]).is_err());
}

/// The definition of `$x` with parameters, written as `use name min..max type`; a part is written `> ..` below its own.
fn definition(parameters: &[&str]) -> Result<Definition> {
    let mut all: Vec<Value> = Vec::new();
    for text in parameters {
        let words: Vec<&str> = text.trim_start_matches("> ").split(' ').collect();
        let (min, max) = words[2].split_once("..").unwrap();
        let mut one =
            json!({"use": words[0], "name": words[1], "min": min.parse::<u32>().unwrap(), "max": max});
        if let Some(of) = words.get(3) {
            one["type"] = json!(of);
        }
        match text.starts_with("> ") {
            false => all.push(one),
            true => {
                let parent = all.last_mut().unwrap();
                parent["part"].as_array_mut().map(|parts| parts.push(one.clone())).unwrap_or_else(|| {
                    parent["part"] = json!([one]);
                });
            }
        }
    }
    Definition::parse(&json!({"code": "x", "url": "u", "parameter": all}).to_string(), types())
}

#[test]
fn contradictions_are_refused() {
    // parameters, whether they fit together
    let rows: [(&[&str], bool); 12] = [
        (&["in a 0..1 string", "out a 1..1 Bundle"], true),
        (&["in a 0..* Reference", "in b 0..0 Resource"], true),
        (&["in a 0..1", "> in b 1..1 code"], true),
        (&["in a 0..1 strin"], false),
        (&["in a 0..1 patient"], false),
        (&["in a 2..1 string"], false),
        (&["in a 0..many string"], false),
        (&["inout a 0..1 string"], false),
        (&["in a 0..1 string", "in a 0..1 code"], false),
        (&["in a 0..1"], false),
        (&["in a 0..1 string", "> in b 0..1 string"], false),
        (&["in a 0..1", "> in b 0..1 string", "> in b 0..1 code"], false),
    ];
    for (parameters, fits) in rows {
        assert_eq!(definition(parameters).is_ok(), fits, "{parameters:?}");
    }
}

const INPUTS: &[&str] = &[
    "in flag 0..1 boolean",
    "in n 0..1 integer",
    "in pos 0..1 positiveInt",
    "in dec 0..1 decimal",
    "in day 0..1 date",
    "in at 0..1 instant",
    "in hour 0..1 time",
    "in id 0..1 id",
    "in code 0..2 code",
    "in uri 0..1 uri",
    "in text 0..1 string",
    "in who 0..1 Reference",
    "in patient 0..1 Patient",
    "in any 0..1 Resource",
    "in match 0..*",
    "> in weight 1..1 decimal",
    "> in code 0..1 code",
];

/// Reads a call of `$x`. A body that begins with `[` is the list of a Parameters resource.
fn read(inputs: &[&str], query: &str, body: &str, strict: bool) -> Result<Parameters> {
    let pairs = fhir_model::url::pairs(query).unwrap();
    let body = match body.chars().next() {
        None => None,
        Some('[') => Some(format!(r#"{{"resourceType":"Parameters","parameter":{body}}}"#)),
        Some('{') => Some(body.to_owned()),
        Some(_) => return sent(&pairs, Some(&Body::Form(body.to_owned())), strict, inputs),
    };
    let body = body.map(|body| Body::Resource(Doc::parse(body, JsonLimits::default()).unwrap()));
    sent(&pairs, body.as_ref(), strict, inputs)
}

fn sent(
    pairs: &[(String, String)],
    body: Option<&Body>,
    strict: bool,
    inputs: &[&str],
) -> Result<Parameters> {
    Sent { pairs, body, strict, types: types() }.read(&definition(inputs).unwrap())
}

/// Empty when the call is right, else code and location of each issue.
fn faults(inputs: &[&str], query: &str, body: &str, strict: bool) -> String {
    let Err(error) = read(inputs, query, body, strict) else { return String::new() };
    let issues = error.into_issues();
    assert!(issues.iter().all(|issue| issue.kind.status() == 400), "{query} {body}: {issues:?}");
    let one =
        |issue: &fhir_model::error::Issue| format!("{} {}", issue.kind.issue(), issue.expression.join(" "));
    issues.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[test]
fn what_a_url_holds_is_checked() {
    let rows = [
        // query, faults
        (
            "flag=true&n=-1&pos=1&dec=1.50&day=2026&at=2026-11-30T08:00:00Z&hour=08:00:00&id=a&uri=urn:a&text=b",
            "",
        ),
        ("at=2026-11-30T08:00:00+01:00", ""),
        ("code=a&code=b", ""),
        ("_format=json&_pretty=true", ""),
        ("flag=yes", "value flag"),
        ("n=1.5", "value n"),
        ("pos=0", "value pos"),
        ("dec=one", "value dec"),
        ("day=half", "value day"),
        ("at=", "value at"),
        ("hour=25", "value hour"),
        ("id=a%20b", "value id"),
        ("code=%20a", "value code"),
        ("uri=a%20b", "value uri"),
        ("text=", "value text"),
        ("who=Patient/1", "invalid who"),
        ("patient=1", "invalid patient"),
        ("match=1", "invalid match"),
        ("text=a&text=b", "invalid text"),
        ("code=a&code=b&code=c", "invalid code"),
        ("unknown=1", ""),
        ("flag=yes&n=x", "value flag, value n"),
    ];
    for (query, wanted) in rows {
        assert_eq!(faults(INPUTS, query, "", false), wanted, "{query}");
    }
    // A form is no body of an operation.
    assert_eq!(faults(INPUTS, "", "n=1", false), "invalid ");
}

#[test]
fn what_a_parameters_resource_holds_is_checked() {
    let at = |at: usize| format!("Parameters.parameter[{at}]");
    let rows = [
        (json!([{"name": "flag", "valueBoolean": false}, {"name": "n", "valueInteger": 3}]), String::new()),
        (json!([{"name": "who", "valueReference": {"reference": "Patient/1"}}]), String::new()),
        (json!([{"name": "patient", "resource": {"resourceType": "Patient"}}]), String::new()),
        (json!([{"name": "any", "resource": {"resourceType": "Group"}}]), String::new()),
        (json!([{"name": "match", "part": [{"name": "weight", "valueDecimal": 0.5}]}]), String::new()),
        (json!([{"valueString": "x"}]), format!("structure {}", at(0))),
        (json!([{"name": "flag", "valueString": "true"}]), format!("value {}", at(0))),
        (json!([{"name": "n", "valueString": "3"}]), format!("value {}", at(0))),
        (json!([{"name": "n"}]), format!("value {}", at(0))),
        (json!([{"name": "code", "valueCoding": {"code": "a"}}]), format!("value {}", at(0))),
        (json!([{"name": "day", "valueDate": "half"}]), format!("value {}", at(0))),
        (json!([{"name": "who", "valueIdentifier": {"value": "a"}}]), format!("value {}", at(0))),
        (json!([{"name": "who", "valueReference": "Patient/1"}]), format!("value {}", at(0))),
        (json!([{"name": "patient", "valueString": "1"}]), format!("value {}", at(0))),
        (
            json!([{"name": "patient", "resource": {"resourceType": "Group"}}]),
            format!("invalid {}.resource.resourceType", at(0)),
        ),
        (
            json!([{"name": "patient", "resource": {"resourceType": "Patient", "name": []}}]),
            format!("structure {}.resource.name", at(0)),
        ),
        (
            json!([{"name": "any", "resource": {"resourceType": "Pateint"}}]),
            format!("structure {}.resource.resourceType", at(0)),
        ),
        (
            json!([{"name": "match", "part": [{"name": "code", "valueCode": "a"}]}]),
            format!("required {}", at(0)),
        ),
        (
            json!([{"name": "match", "part": [{"name": "weight", "valueDecimal": 1}, {"name": "weight", "valueDecimal": 1}]}]),
            format!("invalid {}.part[1]", at(0)),
        ),
        (
            json!([{"name": "n", "valueInteger": 1}, {"name": "n", "valueInteger": 1}]),
            format!("invalid {}", at(1)),
        ),
    ];
    for (list, wanted) in rows {
        assert_eq!(faults(INPUTS, "", &list.to_string(), false), wanted, "{list}");
    }
    assert_eq!(
        faults(INPUTS, "n=1", r#"[{"name":"n","valueInteger":1}]"#, false),
        format!("invalid {}", at(0))
    );
}

#[test]
fn what_is_not_known_is_ignored_or_refused() {
    let body = r#"[{"name":"more","valueCoding":{"code":"a"}}]"#;
    assert_eq!(faults(INPUTS, "other=1", body, true), "invalid other, invalid Parameters.parameter[0]");
    let found = read(INPUTS, "other=1&n=2", body, false).unwrap();
    let warnings: Vec<&str> = found.warnings().iter().map(|warning| warning.text.as_str()).collect();
    let said = |name: &str| format!("`{name}` is not a parameter of $x; it was ignored");
    assert_eq!(warnings, [said("other"), said("more")]);
    assert_eq!(found.pairs().collect::<Vec<_>>(), [("n", "2")]);
    let part =
        r#"[{"name":"match","part":[{"name":"weight","valueDecimal":1},{"name":"y","valueCode":"a"}]}]"#;
    assert_eq!(faults(INPUTS, "", part, true), "invalid Parameters.parameter[0].part[1]");
    assert_eq!(read(INPUTS, "", part, false).unwrap().warnings()[0].text, said("y"));
}

#[test]
fn what_must_be_there_is() {
    let inputs = ["in url 1..1 uri", "in code 2..* code"];
    assert_eq!(faults(&inputs, "url=a&code=b&code=c", "", false), "");
    assert_eq!(faults(&inputs, "code=b&code=c", "", false), "required url");
    assert_eq!(faults(&inputs, "url=a&code=b", "", false), "required code");
    // One complaint is enough.
    assert_eq!(faults(&inputs, "url=a%20b&code=b&code=c", "", false), "value url");
    assert_eq!(faults(&inputs, "", "[]", false), "required url, required code");
    assert_eq!(faults(&inputs, "url=a%20b", "", false), "value url, required code");
}

#[test]
fn a_bare_resource_is_the_only_one_that_is_taken() {
    let group = r#"{"resourceType":"Group"}"#;
    let one = ["in mode 0..1 code", "in resource 0..1 Resource"];
    let read = read(&one, "mode=a", group, true).unwrap();
    assert_eq!(read.resource("resource").unwrap().unwrap().get_str("resourceType").unwrap(), "Group");
    assert_eq!(read.text("mode").unwrap(), Some("a"));
    assert_eq!(faults(&["in resource 0..1 Patient"], "", group, false), "invalid Group.resourceType");
    assert_eq!(faults(&one, "", r#"{"resourceType":"Group","member":[]}"#, false), "structure Group.member");
    // None, or two to choose from.
    assert_eq!(faults(&["in mode 0..1 code"], "", group, false), "invalid ");
    assert_eq!(faults(INPUTS, "", group, false), "invalid ");
}

#[test]
fn values_have_their_types() {
    let body = json!([
        {"name": "flag", "valueBoolean": true},
        {"name": "who", "valueReference": {"reference": "Patient/1"}},
        {"name": "match", "part": [{"name": "weight", "valueDecimal": 0.50}]},
        {"name": "match", "part": [{"name": "weight", "valueDecimal": 1}]},
        {"name": "code", "valueCode": "b"},
    ]);
    let read = read(INPUTS, "n=3&day=2026-11&code=a", &body.to_string(), true).unwrap();
    assert_eq!(read.boolean("flag").unwrap(), Some(true));
    assert_eq!(read.integer("n").unwrap(), Some(3));
    assert_eq!(read.date("day").unwrap().unwrap().ymd(), (2026, 11, 1));
    assert_eq!(read.texts("code").unwrap(), ["a", "b"]);
    assert_eq!(read.element("who").unwrap().unwrap().get_str("reference").unwrap(), "Patient/1");
    let parts = read.parts("match").unwrap();
    assert_eq!(parts.len(), 2);
    assert!(parts[0].decimal("weight").unwrap().is_some());
    assert_eq!(read.text("uri").unwrap(), None);
    // To ask for another type is a mistake of the operation.
    assert_eq!(read.integer("flag").unwrap_err().kind, Kind::Internal);
    assert_eq!(read.error(Kind::Value, "who", "x").expression, ["Parameters.parameter[1]"]);
    assert_eq!(read.error(Kind::Value, "uri", "x").expression, ["uri"]);
}

#[test]
fn an_answer_is_what_the_definition_says() {
    let parameters = ["in a 0..1 string", "out job 1..2", "> out type 1..1 code"];
    let job = json!({"name": "job", "part": [{"name": "type", "valueCode": "a"}]});
    // definition, answer, whether it fits
    let list = |list: Value| json!({"resourceType": "Parameters", "parameter": list});
    let rows: [(&[&str], Value, bool); 11] = [
        (&parameters, list(json!([job])), true),
        (&parameters, json!({"resourceType": "OperationOutcome"}), true),
        (&parameters, list(json!([])), false),
        (&parameters, list(json!([job, job, job])), false),
        (&parameters, list(json!([job, {"name": "a", "valueString": "a"}])), false),
        (&parameters, list(json!([{"name": "job", "part": [{"name": "x", "valueCode": "a"}]}])), false),
        (&parameters, list(json!([{"name": "job"}])), false),
        (&parameters, json!({"resourceType": "Bundle"}), false),
        (&["out return 1..1 Bundle"], json!({"resourceType": "Bundle"}), true),
        (&["out return 1..1 Bundle"], json!({"resourceType": "Parameters"}), false),
        (&["out return 1..1 Resource"], json!({"resourceType": "Patient"}), true),
    ];
    for (outputs, answer, fits) in rows {
        // The type comes first, as in all that is written here.
        let type_name = answer["resourceType"].as_str().unwrap();
        let rest = answer.get("parameter").map_or(String::new(), |list| format!(",\"parameter\":{list}"));
        let body = format!("{{\"resourceType\":\"{type_name}\"{rest}}}");
        let found = output::check(&definition(outputs).unwrap(), body.as_bytes());
        assert_eq!(found.is_ok(), fits, "{body}: {found:?}");
    }
}
