//! `load`: files into the database, once.

use std::path::Path;

use fhir_server::load::load;

use crate::app::{TestApp, json};

/// The repository's own example data.
fn examples() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/data")
}

#[tokio::test]
async fn loading_twice_changes_nothing() {
    let app = TestApp::start().await;
    let first = load(&app.cx, &[examples()], 2).await.unwrap();
    assert!(first.errors.is_empty(), "{:?}", first.errors);
    assert!(first.written > 50 && first.unchanged == 0, "{first}");
    let total = || async {
        let (_, page) =
            json(app.ask("GET", "Observation?_summary=count&_total=accurate").send().await.unwrap()).await;
        page["total"].as_u64().unwrap()
    };
    let before = total().await;
    let (_, page) = json(app.ask("GET", "Patient?family=Kamau").send().await.unwrap()).await;
    assert_eq!(page["entry"][0]["resource"]["meta"]["versionId"], "1");

    let second = load(&app.cx, &[examples()], 2).await.unwrap();
    assert!(second.errors.is_empty(), "{:?}", second.errors);
    // Entries that ask `ifNoneExist` are sent again, and find what they ask for.
    assert_eq!(second.unchanged + second.written, first.written);
    assert_eq!(second.written, 8, "facilities and practitioners alone");
    assert_eq!(total().await, before);
    let (_, page) = json(app.ask("GET", "Patient?family=Kamau").send().await.unwrap()).await;
    assert_eq!(page["total"], 1);
    assert_eq!(
        page["entry"][0]["resource"]["meta"]["versionId"], "1",
        "what is the same gets no new version"
    );
}

#[tokio::test]
async fn one_bad_line_does_not_stop_the_others() {
    let app = TestApp::start().await;
    let dir = tempfile::tempdir().unwrap();
    let lines = [
        r#"{"resourceType":"Patient","id":"n1"}"#,
        "{ not json",
        r#"{"resourceType":"Nonsense","id":"n2"}"#,
        r#"{"resourceType":"Patient","id":"n3"}"#,
        r#"{"resourceType":"Observation","status":"final","code":{"text":"no id"}}"#,
    ];
    std::fs::write(dir.path().join("a.ndjson"), lines.join("\n")).unwrap();
    std::fs::write(dir.path().join("b.json"), r#"{"resourceType":"Patient","id":"n4"}"#).unwrap();
    let first = load(&app.cx, &[dir.path().to_path_buf()], 2).await.unwrap();
    assert_eq!(first.written, 4, "{:?}", first.errors);
    let mut places: Vec<_> =
        first.errors.iter().map(|(place, _)| place.rsplit('/').next().unwrap()).collect();
    places.sort_unstable();
    assert_eq!(places, ["a.ndjson:2", "a.ndjson:3"]);
    for id in ["n1", "n3", "n4"] {
        assert_eq!(
            app.ask("GET", &format!("Patient/{id}")).send().await.unwrap().status().as_u16(),
            200,
            "{id}"
        );
    }
    let second = load(&app.cx, &[dir.path().to_path_buf()], 2).await.unwrap();
    assert_eq!((second.written, second.unchanged, second.errors.len()), (0, 4, 2));
}

#[tokio::test]
async fn files_may_refer_to_each_other_in_any_order() {
    let app = TestApp::start().await;
    let dir = tempfile::tempdir().unwrap();
    let bundle = |resource: &str, ask: &str| {
        let kind = resource.split('"').nth(3).unwrap();
        format!(
            r#"{{"resourceType":"Bundle","type":"transaction","entry":[{{"resource":{resource},
               "request":{{"method":"POST","url":"{kind}"{ask}}}}}]}}"#
        )
    };
    let subject = bundle(
        r#"{"resourceType":"Observation","status":"final","code":{"text":"x"},
            "performer":[{"reference":"Practitioner?identifier=r|1"}]}"#,
        "",
    );
    let target = bundle(
        r#"{"resourceType":"Practitioner","identifier":[{"system":"r","value":"1"}]}"#,
        r#","ifNoneExist":"identifier=r|1""#,
    );
    let lost = subject.replace("r|1", "r|2");
    for (name, text) in [("1.json", &subject), ("2.json", &lost), ("3.json", &target)] {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let done = load(&app.cx, &[dir.path().to_path_buf()], 1).await.unwrap();
    assert_eq!(done.written, 2);
    assert_eq!(done.errors.len(), 1, "{:?}", done.errors);
    assert!(done.errors[0].0.ends_with("2.json"));
}
