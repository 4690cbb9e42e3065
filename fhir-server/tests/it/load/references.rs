//! `load`: references between what is loaded and what is there already.

use fhir_server::load::{Target, load};
use serde_json::{Value, json as value};

use super::{bundle, organization, patient, post, stored, targets, write};
use crate::app::TestApp;

fn observation(n: usize, of: &str) -> Value {
    value!({"resourceType": "Observation", "status": "final", "code": {"text": n.to_string()},
        "subject": {"reference": of}})
}

/// One entry that is refused must not cost the others what they refer to.
#[tokio::test]
async fn what_is_left_of_a_refused_bundle_is_linked() {
    for kind in ["collection", "batch"] {
        for place in [0, 5, 21] {
            let dir = tempfile::tempdir().unwrap();
            let mut entries = vec![organization("one"), patient(1)];
            for n in 0..20 {
                let mut one = observation(n, "urn:uuid:00000001");
                one["performer"] = value!([{"reference": "Practitioner?identifier=r|1"}]);
                entries.push(post(&format!("urn:uuid:0b{n:06}"), one));
            }
            // Refers to what is refused, so that it cannot be written either.
            let mut lost = observation(99, "urn:uuid:00000001");
            lost["performer"] = value!([{"reference": "urn:uuid:0000dead"}]);
            entries.insert(place, post("urn:uuid:0c000000", lost));
            entries
                .insert(place, post("urn:uuid:0000dead", value!({"resourceType": "Practitioner", "x": []})));
            // What others refer to by search comes last.
            let identifier = value!([{"system": "r", "value": "1"}]);
            let practitioner = value!({"resourceType": "Practitioner", "identifier": identifier});
            entries.push(post("urn:uuid:000000ff", practitioner));
            if kind == "batch" {
                let identified = value!({"resourceType": "Patient", "identifier": identifier});
                entries.push(value!({"resource": identified,
                    "request": {"method": "POST", "url": "Patient", "ifNoneExist": "identifier=r|1"}}));
            }
            let total = entries.len() as u64;
            write(dir.path(), "a.json", bundle(kind, entries));
            let app = TestApp::start().await;
            for (target, again) in targets(&app).await.iter().zip([false, true]) {
                let done = load(target, &[dir.path().to_path_buf()], 1).await.unwrap();
                let row = format!("{kind} {place} {again}: {done}: {:?}", done.errors);
                assert_eq!((done.resources(), done.failed, done.errors_total), (total, 2, 2), "{row}");
                if again {
                    assert_eq!((done.written, done.unchanged), (0, total - 2), "{row}");
                }
                let practitioner = "Practitioner/000000ff";
                let all = stored(&app, &["Observation", "Patient", "Practitioner"]).await;
                for (name, resource) in &all {
                    let version = resource["meta"]["versionId"].as_str();
                    assert_eq!(version, Some("1"), "{name}: {row}");
                }
                let observations: Vec<&Value> =
                    all.values().filter(|resource| resource["resourceType"] == "Observation").collect();
                assert_eq!(observations.len(), 20, "{row}");
                for one in observations {
                    assert_eq!(one["subject"]["reference"], "Patient/00000001", "{row}");
                    assert_eq!(one["performer"][0]["reference"], practitioner, "{row}");
                }
                assert_eq!(
                    all["Patient/00000001"]["managingOrganization"]["reference"],
                    "Organization/0000000a"
                );
            }
        }
    }
}

/// A relative reference means the entry below the same base, whether that is written this time or not.
#[tokio::test]
async fn relative_references_lead_to_what_is_there_already() {
    let dir = tempfile::tempdir().unwrap();
    let base = "http://elsewhere.example.org/fhir";
    let app = TestApp::start().await;
    // Somebody else.
    app.send("PUT", "Patient/1", r#"{"resourceType":"Patient","id":"1"}"#).send().await.unwrap();
    let patient = value!({"fullUrl": format!("{base}/Patient/1"),
        "resource": {"resourceType": "Patient", "identifier": [{"system": "i", "value": "1"}]},
        "request": {"method": "PUT", "url": "Patient?identifier=i|1"}});
    let of = |n| post(&format!("{base}/Observation/{n}"), observation(n, "Patient/1"));
    write(dir.path(), "a.json", bundle("transaction", vec![patient.clone(), of(1)]));
    for target in targets(&app).await {
        load(&target, &[dir.path().to_path_buf()], 1).await.unwrap();
        let again = load(&target, &[dir.path().to_path_buf()], 1).await.unwrap();
        assert_eq!((again.written, again.unchanged), (0, 2), "{again}: {:?}", again.errors);
    }
    write(dir.path(), "a.json", bundle("transaction", vec![patient, of(1), of(2)]));
    for (target, written) in targets(&app).await.iter().zip([1, 0]) {
        let again = load(target, &[dir.path().to_path_buf()], 1).await.unwrap();
        assert_eq!((again.written, again.failed), (written, 0), "{again}: {:?}", again.errors);
    }
    let all = stored(&app, &["Observation", "Patient"]).await;
    let meant = all.keys().find(|name| name.starts_with("Patient/") && *name != "Patient/1").unwrap();
    for name in ["Observation/1", "Observation/2"] {
        assert_eq!(all[name]["subject"]["reference"], **meant, "{name}");
    }
}

/// What a search meant at the last load is not what another means now.
#[tokio::test]
async fn a_reference_by_other_criteria_is_a_change() {
    let dir = tempfile::tempdir().unwrap();
    let app = TestApp::start().await;
    for id in ["a", "b"] {
        let text =
            value!({"resourceType": "Practitioner", "id": id, "identifier": [{"system": "r", "value": id}]});
        app.send("PUT", &format!("Practitioner/{id}"), &text.to_string()).send().await.unwrap();
    }
    let entries = |id: &str| {
        let mut by_search = observation(1, "Patient/1");
        by_search["performer"] = value!([{"reference": format!("Practitioner?identifier=r|{id}")}]);
        let mut by_url = observation(2, "Patient/1");
        by_url["performer"] = value!([{"reference": "urn:uuid:000000ff"}]);
        let practitioner = value!({"fullUrl": "urn:uuid:000000ff",
            "resource": {"resourceType": "Practitioner", "identifier": [{"system": "r", "value": id}]},
            "request": {"method": "POST", "url": "/Practitioner", "ifNoneExist": format!("identifier=r|{id}")}});
        vec![practitioner, post("urn:uuid:00000001", by_search), post("urn:uuid:00000002", by_url)]
    };
    for target in targets(&app).await {
        for id in ["a", "b"] {
            write(dir.path(), "a.json", bundle("transaction", entries(id)));
            for written in [2, 0] {
                let done = load(&target, &[dir.path().to_path_buf()], 1).await.unwrap();
                assert_eq!((done.written, done.unchanged), (written, 3 - written), "{:?}", done.errors);
            }
            for (name, one) in stored(&app, &["Observation"]).await {
                assert_eq!(one["performer"][0]["reference"], format!("Practitioner/{id}"), "{name}");
            }
        }
    }
}

#[tokio::test]
async fn a_slash_before_the_url_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let app = TestApp::start().await;
    let mut one = post("urn:uuid:00000001", value!({"resourceType": "Patient"}));
    one["request"]["url"] = value!("/Patient");
    let other = value!({"resource": {"resourceType": "Patient", "id": "2"},
        "request": {"method": "PUT", "url": "/Patient/2"}});
    write(dir.path(), "a.json", bundle("transaction", vec![one, other]));
    let target = Target::store(&app.cx);
    load(&target, &[dir.path().to_path_buf()], 1).await.unwrap();
    let again = load(&target, &[dir.path().to_path_buf()], 1).await.unwrap();
    assert_eq!((again.written, again.unchanged), (0, 2), "{:?}", again.errors);
    assert_eq!(stored(&app, &["Patient"]).await.len(), 2);
}
