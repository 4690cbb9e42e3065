//! Writes that name what they mean by criteria: what is hidden is not found, and what is made beside it is what would be made
//! were it not there.

use serde_json::json;

use super::corpus::Corpus;
use super::questions::{Question, filled};
use super::servers::Side;
use fhir_store::testing::Random;

/// A write by criteria or by id, of what is seen or not.
pub(super) fn random(random: &mut Random, corpus: &Corpus) -> Question {
    let criteria = filled(random, corpus, "identifier=http://ids.example|{digit}");
    let patient = json!({"resourceType": "Patient", "gender": "other", "identifier": [{"system": "http://ids.example",
        "value": criteria.rsplit('|').next()}]});
    let about = |subject: &str| json!({"resourceType": "Observation", "status": "final", "code": {"text": "c"}, "subject": {"reference": subject}});
    let write = |method, path: String, body: serde_json::Value| Question {
        method,
        path,
        body: Some(body.to_string()),
        ..Question::default()
    };
    match random.below(9) {
        0 | 1 => {
            let mut create = write("POST", "Patient".into(), patient);
            create.headers.push(("if-none-exist", criteria));
            create
        }
        2 => write("PUT", format!("Patient?{criteria}"), patient),
        3 => write("PUT", format!("Observation?{criteria}"), about("Patient/nobody")),
        4 => Question { method: "DELETE", path: format!("Condition?{criteria}"), ..Question::default() },
        5 => Question { method: "DELETE", path: filled(random, corpus, "{key}"), ..Question::default() },
        6 => {
            let mut patch = write(
                "PATCH",
                filled(random, corpus, "{key}"),
                json!([{"op": "add", "path": "/language", "value": "sw"}]),
            );
            patch.headers.push(("content-type", "application/json-patch+json".into()));
            patch
        }
        7 => {
            let entry = json!({"request": {"method": "DELETE", "url": filled(random, corpus, "{key}")}});
            write(
                "POST",
                String::new(),
                json!({"resourceType": "Bundle", "type": "transaction", "entry": [entry]}),
            )
        }
        _ => {
            let entry = json!({"resource": about(&format!("Patient?{criteria}")), "request": {"method": "POST", "url": "Observation"}});
            write(
                "POST",
                String::new(),
                json!({"resourceType": "Bundle", "type": "transaction", "entry": [entry]}),
            )
        }
    }
}

/// An id that is hidden or free: whoever does not see all of a type cannot tell by a PUT.
pub(super) async fn an_id_that_is_hidden_answers_as_one_that_is_free(guarded: &Side, corpus: &Corpus) {
    let hidden = corpus.all.iter().filter(|(type_name, id)| {
        corpus.groups.iter().flatten().all(|c| c.type_name != *type_name || c.id != *id || !c.seen)
    });
    for (type_name, id) in hidden.take(8) {
        let id = guarded.render(id);
        let free = "f".repeat(id.len());
        // By its id, and under criteria that find nothing.
        let rows = [
            ("/ID", None),
            ("/ID", Some("W/\"1\"")),
            ("/ID", Some("W/\"9\"")),
            ("?_tag=http://none|none", None),
        ];
        for (path, version) in rows {
            let mut answers = Vec::new();
            for id in [&id, &free] {
                let body = json!({"resourceType": type_name, "id": id, "status": "final", "code": {"text": "c"},
                    "class": {"code": "AMB"}, "subject": {"reference": "Patient/nobody"}, "name": "n"});
                // Not all of these members are of every type: what is refused is refused alike.
                let mut request = guarded.app.send(
                    "PUT",
                    &format!("{type_name}{}", path.replace("ID", id)),
                    &body.to_string(),
                );
                if let Some(version) = version {
                    request = request.header("if-match", version);
                }
                let answer = request.send().await.unwrap();
                let status = answer.status().as_u16();
                answers.push((status, answer.text().await.unwrap().replace(id.as_str(), "ID")));
            }
            assert_eq!(answers[0], answers[1], "PUT {type_name}{path} with {id} {version:?}");
        }
    }
}

/// A write on both sides, which know each other's new id by the same name then.
pub(super) async fn compare(guarded: &mut Side, open: &mut Side, write: &Question) {
    let (one, made) = guarded.ask_and_name(write).await;
    let (other, made_there) = open.ask_and_name(write).await;
    if let Some(different) = super::difference(write, &one, &other) {
        panic!("{different}");
    }
    assert_eq!(made, made_there, "{write:?}");
}
