//! What of a resource is a link to another entry, and which entry it means: <https://hl7.org/fhir/R4/http.html#trules>

use std::collections::{HashMap, HashSet, VecDeque};

use fhir_model::types::Types;
use fhir_profiles::Definitions;
use serde_json::{Value, json};

use crate::app::App;
use crate::transaction::{entry, located, outcome, transaction};

const URN: &str = "urn:uuid:6ba7b810-9dad-11d1-80b4-00c04fd430c8";
const HTTP: &str = "http://old.example.org/fhir/Patient/p";
const RELATIVE: &str = "Patient/p";

/// The elements that are links, of all that are uris or canonicals; every other one keeps its text.
const LINKS: &[&str] = &[
    "Attachment.url by every url",
    "CapabilityStatement.implementation.url by urn",
    "CapabilityStatement.messaging.endpoint.address by urn",
    "Contract.term.offer.answer.valueUri by urn",
    "Endpoint.address by urn",
    "Extension.valueOid by urn",
    "Extension.valueUri by urn",
    "Extension.valueUrl by urn",
    "Extension.valueUuid by urn",
    "ImplementationGuide.definition.page.nameUrl by urn",
    "ImplementationGuide.manifest.rendering by urn",
    "ImplementationGuide.manifest.resource.relativePath by urn",
    "MessageHeader.destination.endpoint by urn",
    "MessageHeader.source.endpoint by urn",
    "Parameters.parameter.valueOid by urn",
    "Parameters.parameter.valueUri by urn",
    "Parameters.parameter.valueUrl by urn",
    "Parameters.parameter.valueUuid by urn",
    "Questionnaire.item.initial.valueUri by urn",
    "QuestionnaireResponse.item.answer.valueUri by urn",
    "RelatedArtifact.url by urn",
    "StructureMap.group.rule.source.defaultValueUrl by urn",
    "Subscription.channel.endpoint by urn",
    "Task.input.valueOid by urn",
    "Task.input.valueUri by urn",
    "Task.input.valueUrl by urn",
    "Task.input.valueUuid by urn",
    "Task.output.valueOid by urn",
    "Task.output.valueUri by urn",
    "Task.output.valueUrl by urn",
    "Task.output.valueUuid by urn",
    "TerminologyCapabilities.implementation.url by urn",
    "ValueSet.expansion.parameter.valueUri by urn",
];

/// Where an element stands: from a resource type, the JSON keys that lead to it, and whether they repeat.
type Path = (String, Vec<(String, bool)>);

fn json_key(name: &str, of: &str, choice: bool) -> String {
    let (first, rest) = of.split_at(1);
    if choice { format!("{name}{}{rest}", first.to_uppercase()) } else { name.to_owned() }
}

/// Every element of these types that R4 has, each by one path.
fn elements_of(types: &Definitions, wanted: &[&str]) -> Vec<(String, Path)> {
    let mut open: VecDeque<(String, Path)> =
        types.resource_types().map(|name| (name.to_owned(), (name.to_owned(), Vec::new()))).collect();
    let mut seen: HashSet<String> = open.iter().map(|(name, _)| name.clone()).collect();
    let mut found = Vec::new();
    while let Some((type_name, (root, path))) = open.pop_front() {
        for element in types.elements(&type_name) {
            for of in &element.types {
                let mut path = path.clone();
                path.push((json_key(&element.name, of, element.choice), element.many));
                let path = (root.clone(), path);
                // Its type is one of FHIRPath's.
                let is_extension_url = type_name == "Extension" && *element.name == *"url";
                if wanted.contains(&&**of) || is_extension_url {
                    let name = format!("{type_name}.{}", path.1.last().unwrap().0);
                    found.push((name, path));
                } else if !types.is_primitive(of)
                    && !types.is_a(of, "Resource")
                    && seen.insert(of.to_string())
                {
                    open.push_back((of.to_string(), path));
                }
            }
        }
    }
    found
}

/// A resource that has only this at the path.
fn at(path: &Path, value: &str) -> Value {
    let leaf = path.1.iter().rev().fold(json!(value), |value, (key, many)| {
        let value = if *many { json!([value]) } else { value };
        json!({ key: value })
    });
    let mut resource = json!({"resourceType": path.0});
    resource.as_object_mut().unwrap().extend(leaf.as_object().unwrap().clone());
    resource
}

fn value_at<'v>(resource: &'v Value, path: &Path) -> &'v Value {
    path.1.iter().fold(resource, |at, (key, many)| if *many { &at[key][0] } else { &at[key] })
}

#[tokio::test]
async fn of_all_uris_only_addresses_and_open_values_are_links() {
    let app = App::new().await;
    let all = elements_of(&app.cx.definitions, &["uri", "url", "oid", "uuid", "canonical"]);
    assert!(all.len() > 250, "{}", all.len());
    let mut linked: HashMap<&str, Vec<&str>> = HashMap::new();
    for (text, full_url) in [(URN, URN), (HTTP, HTTP), (RELATIVE, HTTP)] {
        for (method, with_id) in [("POST", false), ("POST", true), ("PUT", true)] {
            let mut entries = vec![entry("POST", "Patient", full_url, json!({"resourceType": "Patient"}))];
            for (number, (_, path)) in all.iter().enumerate() {
                let mut resource = at(path, text);
                if with_id {
                    resource["id"] = json!(format!("e{number}"));
                }
                let url = match method {
                    "PUT" => format!("{}/e{number}", path.0),
                    _ => path.0.clone(),
                };
                let own = format!("http://old.example.org/fhir/{}/e{number}", path.0);
                entries.push(entry(method, &url, &own, resource));
            }
            let bundle = transaction(entries);
            let answer = app.send("POST  | Prefer: return=representation", &bundle).await;
            assert_eq!(answer.status, 200, "{}", answer.body["issue"]);
            let target = located(&answer.body, 0);
            for (number, (name, path)) in all.iter().enumerate() {
                let found = value_at(&answer.body["entry"][number + 1]["resource"], path);
                if *found == json!(target) {
                    linked.entry(name).or_default().push(text);
                } else {
                    assert_eq!(*found, json!(text), "{method} {name}");
                }
            }
        }
    }
    let mut links: Vec<String> = linked
        .iter()
        .map(|(name, ways)| {
            // By POST with and without id, and by PUT.
            match [URN, HTTP, RELATIVE].map(|text| ways.iter().filter(|way| **way == text).count()) {
                [3, 0, 0] => format!("{name} by urn"),
                [3, 3, 3] => format!("{name} by every url"),
                counts => panic!("{name}: {counts:?}"),
            }
        })
        .collect();
    links.sort();
    assert_eq!(links, LINKS);
}

fn observation(id: &str, subject: &str) -> Value {
    json!({"resourceType": "Observation", "id": id, "status": "final", "code": {"text": "c"},
        "subject": {"reference": subject},
        "extension": [{"url": "http://x", "valueAttachment": {"url": subject}}],
        "text": {"status": "additional",
            "div": format!("<div xmlns=\"http://www.w3.org/1999/xhtml\"><a href=\"{subject}\">p</a></div>")}})
}

/// The specification's rule: a relative reference is below the base of the entry it stands in.
#[tokio::test]
async fn relative_references_mean_what_is_below_the_same_base() {
    let app = App::new().await;
    // The wrong patient.
    app.send("PUT Patient/77", &json!({"resourceType": "Patient", "id": "77"})).await;
    let a = "http://a.example.org/fhir";
    let rows = [
        // The patient's full url, the observation's, what it says, whether the patient is meant.
        (format!("{a}/Patient/77"), format!("{a}/Observation/1"), "Patient/77", true),
        (format!("{a}/Patient/77"), format!("{a}/Observation/1"), "Patient/77#x", true),
        (
            format!("{a}/Patient/77"),
            "http://b.example.org/fhir/Observation/1".to_owned(),
            "Patient/77",
            false,
        ),
        (format!("{a}/Patient/77"), "http://test/fhir/Observation/1".to_owned(), "Patient/77", false),
        (format!("{a}/Patient/77"), "urn:uuid:o".to_owned(), "Patient/77", false),
        (format!("{a}/Patient/77"), String::new(), "Patient/77", false),
        (format!("{a}/Patient/77"), format!("{a}/R4/Observation/1"), "Patient/77", false),
        (format!("{a}/Patient/77"), format!("{a}/Observation/1"), "Patient/77/_history/4", true),
        (
            "http://test/fhir/Patient/77".to_owned(),
            "http://test/fhir/Observation/1".to_owned(),
            "Patient/77",
            true,
        ),
        ("http://test/fhir/Patient/77".to_owned(), format!("{a}/Observation/1"), "Patient/77", false),
        ("http://test/fhir/Patient/77".to_owned(), String::new(), "Patient/77", false),
        ("urn:uuid:p".to_owned(), "urn:uuid:o".to_owned(), "Patient/77", false),
        ("urn:uuid:p".to_owned(), String::new(), "urn:uuid:p", true),
        (String::new(), String::new(), "Patient/77", true),
        (String::new(), "urn:uuid:o".to_owned(), "Patient/77", true),
        (String::new(), format!("{a}/Observation/1"), "Patient/77", false),
    ];
    for (patient, own, says, meant) in rows {
        for method in ["POST", "PUT"] {
            let url = if method == "PUT" { "Observation/1" } else { "Observation" };
            let bundle = transaction(vec![
                entry("POST", "Patient", &patient, json!({"resourceType": "Patient", "id": "77"})),
                entry(method, url, &own, observation("1", says)),
            ]);
            let answer = app.send("POST ", &bundle).await.body;
            assert!(matches!(outcome(&answer).as_slice(), [201, 200 | 201]), "{answer}");
            let wanted = match meant {
                false => says.to_owned(),
                true => {
                    let tail = says.find(['#', '/']).filter(|_| says.contains('#')).map_or("", |_| "#x");
                    let version = if says.contains("_history") { "/_history/1" } else { "" };
                    format!("{}{version}{tail}", located(&answer, 0))
                }
            };
            let found = app.ask(&format!("GET {}", located(&answer, 1))).await.body;
            let row = format!("{method} {patient} {own} {says}: {found}");
            assert_eq!(found["subject"]["reference"], wanted, "{row}");
            assert_eq!(found["extension"][0]["valueAttachment"]["url"], wanted, "{row}");
            let href = format!("href=\"{wanted}\"");
            assert!(found["text"]["div"].as_str().unwrap().contains(&href), "{row}");
        }
    }
}

/// An Attachment's relative url is a reference, in patches and contained resources, too.
#[tokio::test]
async fn attachments_follow_their_binaries() {
    let app = App::new().await;
    app.send("PUT Patient/json", &json!({"resourceType": "Patient", "id": "json"})).await;
    let patient = json!({"resourceType": "Patient", "id": "path", "photo": [{"title": "a", "url": "x"}]});
    app.send("PUT Patient/path", &patient).await;
    let base = "http://a.example.org/fhir";
    let document = json!({"resourceType": "DocumentReference", "status": "current",
        "content": [{"attachment": {"url": "Binary/b"}}, {"attachment": {"url": "Binary/c"}}],
        "contained": [{"resourceType": "Media", "id": "m", "status": "completed", "content": {"url": "Binary/b"}}],
        "_status": {"extension": [{"url": "http://x", "valueAttachment": {"url": "Binary/b"}}]}});
    let add = json!([{"op": "add", "path": "/photo", "value": [{"url": "Binary/b"}]}]);
    use base64::Engine;
    let add = base64::engine::general_purpose::STANDARD.encode(add.to_string());
    let json_patch =
        json!({"resourceType": "Binary", "contentType": "application/json-patch+json", "data": add});
    let path_patch = json!({"resourceType": "Parameters", "parameter": [{"name": "operation", "part": [
        {"name": "type", "valueCode": "replace"}, {"name": "path", "valueString": "Patient.photo[0].url"},
        {"name": "value", "valueUrl": "Binary/b"}]}]});
    let bundle = transaction(vec![
        entry(
            "POST",
            "Binary",
            &format!("{base}/Binary/b"),
            json!({"resourceType": "Binary", "contentType": "a/b"}),
        ),
        entry("POST", "DocumentReference", &format!("{base}/DocumentReference/d"), document),
        entry("PATCH", "Patient/json", &format!("{base}/Patient/json"), json_patch),
        entry("PATCH", "Patient/path", &format!("{base}/Patient/path"), path_patch),
    ]);
    let answer = app.send("POST ", &bundle).await.body;
    assert_eq!(outcome(&answer), [201, 201, 200, 200], "{answer}");
    let binary = located(&answer, 0);
    let found = app.ask(&format!("GET {}", located(&answer, 1))).await.body;
    assert_eq!(found["content"][0]["attachment"]["url"], binary);
    assert_eq!(found["content"][1]["attachment"]["url"], "Binary/c");
    assert_eq!(found["contained"][0]["content"]["url"], binary);
    assert_eq!(found["_status"]["extension"][0]["valueAttachment"]["url"], binary);
    for id in ["json", "path"] {
        let found = app.ask(&format!("GET Patient/{id}")).await.body;
        assert_eq!(found["photo"][0]["url"], binary, "{id}");
    }
}

/// A document is signed, stored and sent on as it is.
#[tokio::test]
async fn bundles_within_are_left_as_they_are() {
    let app = App::new().await;
    let composition = json!({"resourceType": "Composition", "status": "final", "title": "t", "date": "2020",
        "type": {"text": "t"}, "subject": {"reference": URN}, "author": [{"reference": "Patient?identifier=none"}],
        "text": {"status": "generated",
            "div": format!("<div xmlns=\"http://www.w3.org/1999/xhtml\"><a href=\"{URN}\">p</a></div>")}});
    let of_kind = |kind: &str| {
        json!({"resourceType": "Bundle", "type": kind, "link": [{"relation": "self", "url": URN}], "entry": [
            {"fullUrl": "urn:uuid:c", "resource": composition},
            {"fullUrl": URN, "resource": {"resourceType": "Patient", "link": [{"type": "seealso", "other": {"reference": URN}}]}}
        ]})
    };
    let deep =
        json!({"resourceType": "Bundle", "type": "collection", "entry": [{"resource": of_kind("document")}]});
    let parameters = json!({"resourceType": "Parameters", "parameter": [
        {"name": "a", "part": [{"name": "b", "resource": of_kind("message")}]}, {"name": "r", "valueReference": {"reference": URN}}]});
    let list = json!({"resourceType": "List", "status": "current", "mode": "working", "subject": {"reference": URN},
        "contained": [of_kind("document")]});
    let kinds = ["document", "message", "collection", "searchset", "history", "batch", "transaction"];
    let mut entries = vec![entry("POST", "Patient", URN, json!({"resourceType": "Patient"}))];
    entries.extend(kinds.map(|kind| entry("POST", "Bundle", "", of_kind(kind))));
    entries.push(entry("POST", "Bundle", "", deep.clone()));
    entries.push(entry("POST", "Parameters", "", parameters.clone()));
    entries.push(entry("POST", "List", "", list.clone()));
    let answer = app.send("POST  | Prefer: return=representation", &transaction(entries)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let patient = located(&answer.body, 0);
    let stored = |at: usize| answer.body["entry"][at]["resource"].clone();
    for (number, kind) in kinds.iter().enumerate() {
        assert_eq!(stored(number + 1)["entry"], of_kind(kind)["entry"], "{kind}");
        assert_eq!(stored(number + 1)["link"], of_kind(kind)["link"], "{kind}");
    }
    assert_eq!(stored(8)["entry"], deep["entry"]);
    assert_eq!(stored(9)["parameter"][0], parameters["parameter"][0]);
    assert_eq!(stored(9)["parameter"][1]["valueReference"]["reference"], patient);
    assert_eq!(stored(10)["contained"], list["contained"]);
    assert_eq!(stored(10)["subject"]["reference"], patient);
}
