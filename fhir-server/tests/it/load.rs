//! `load`: files into the database, once.

mod references;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fhir_model::json::JsonLimits;
use fhir_profiles::Definitions;
use fhir_server::load::{Remote, Target, load};
use serde_json::{Value, json as value};

use crate::app::{TestApp, json};

/// The database of the app, and the app as a server that is loaded into.
async fn targets(app: &TestApp) -> [Target; 2] {
    let remote = Remote::open(&format!("http://{}", app.address), &[], None).await.unwrap();
    let definitions = Arc::new(Definitions::load().unwrap());
    [Target::store(&app.cx), Target::server(remote, JsonLimits::default(), definitions)]
}

/// Every resource of these types by its name: its version, and all of it.
async fn stored(app: &TestApp, types: &[&str]) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    for type_name in types {
        let mut next = Some(format!("{type_name}?_count=500"));
        while let Some(path) = next {
            let (status, page) = json(app.ask("GET", &path).send().await.unwrap()).await;
            assert_eq!(status, 200, "{page}");
            for entry in page["entry"].as_array().into_iter().flatten() {
                let resource = entry["resource"].clone();
                all.insert(format!("{type_name}/{}", resource["id"].as_str().unwrap()), resource);
            }
            let links = page["link"].as_array().unwrap().iter();
            let next_link = links.clone().find(|link| link["relation"] == "next");
            next = next_link
                .map(|link| link["url"].as_str().unwrap().split_once("/fhir/R4/").unwrap().1.to_owned());
        }
    }
    all
}

fn bundle(kind: &str, entries: Vec<Value>) -> String {
    value!({"resourceType": "Bundle", "type": kind, "entry": entries}).to_string()
}

fn post(url: &str, resource: Value) -> Value {
    let type_name = resource["resourceType"].clone();
    value!({"fullUrl": url, "resource": resource, "request": {"method": "POST", "url": type_name}})
}

fn organization(name: &str) -> Value {
    post("urn:uuid:0000000a", value!({"resourceType": "Organization", "name": name}))
}

/// A patient of the organization, by its url in the Bundle.
fn patient(n: usize) -> Value {
    let text = value!({"status": "generated",
        "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\"><a href=\"urn:uuid:0000000a\">x</a></div>"});
    let resource = value!({"resourceType": "Patient", "text": text,
        "managingOrganization": {"reference": "urn:uuid:0000000a"}});
    post(&format!("urn:uuid:000000{n:02}"), resource)
}

fn write(dir: &Path, name: &str, text: impl AsRef<[u8]>) {
    std::fs::write(dir.join(name), text).unwrap();
}

#[tokio::test]
async fn of_several_bundles_with_one_resource_the_last_counts_once() {
    for parallel in [1, 8] {
        let dir = tempfile::tempdir().unwrap();
        for n in 0..12 {
            let entries = vec![organization(&format!("as of file {n}")), patient(n)];
            write(dir.path(), &format!("{n:02}.json"), bundle("transaction", entries));
        }
        let app = TestApp::start().await;
        for target in targets(&app).await {
            let first = load(&target, &[dir.path().to_path_buf()], parallel).await.unwrap();
            assert!(first.errors.is_empty(), "{:?}", first.errors);
            assert_eq!((first.resources(), first.failed, first.superseded), (24, 0, 11), "{first}");
            let before = stored(&app, &["Organization", "Patient"]).await;
            assert_eq!(before.len(), 13);
            assert_eq!(before["Organization/0000000a"]["name"], "as of file 11", "{parallel} at a time");
            for (name, resource) in before.iter().filter(|(name, _)| name.starts_with("Patient")) {
                assert_eq!(resource["managingOrganization"]["reference"], "Organization/0000000a", "{name}");
                assert!(
                    resource["text"]["div"].as_str().unwrap().contains("Organization/0000000a"),
                    "{name}"
                );
            }
            for parallel in [parallel, 8, 1] {
                let again = load(&target, &[dir.path().to_path_buf()], parallel).await.unwrap();
                assert_eq!((again.written, again.unchanged, again.superseded, again.failed), (0, 13, 11, 0));
                assert_eq!(stored(&app, &["Organization", "Patient"]).await, before);
            }
        }
    }
}

/// Generated records, where they are at hand: organizations and practitioners stand in the Bundle of each of their patients,
/// each time with other numbers.
#[tokio::test]
async fn generated_records_are_loaded_once() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/synthea-r4");
    let Ok(files) = std::fs::read_dir(&data) else {
        return std::io::Write::write_all(&mut std::io::stdout(), b"skipped: no shared data\n").unwrap();
    };
    let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort_by_key(|file| (file.metadata().unwrap().len(), file.clone()));
    files.truncate(12);
    files.sort();
    let types = ["Organization", "Practitioner", "Patient", "Encounter", "Claim"];
    let mut contents = Vec::new();
    for parallel in [1, 8] {
        let app = TestApp::start().await;
        let target = Target::store(&app.cx);
        let first = load(&target, &files, parallel).await.unwrap();
        assert!(first.errors.is_empty(), "{:?}", first.errors);
        assert_eq!(first.failed, 0, "{first}");
        let before = stored(&app, &types).await;
        for parallel in [8, 1] {
            let again = load(&target, &files, parallel).await.unwrap();
            assert_eq!((again.written, again.failed, again.superseded), (0, 0, first.superseded), "{again}");
            assert_eq!(again.resources(), first.resources());
            assert_eq!(stored(&app, &types).await, before);
        }
        let content = before.into_iter().map(|(name, mut resource)| {
            resource["meta"]
                .as_object_mut()
                .unwrap()
                .retain(|key, _| key != "versionId" && key != "lastUpdated");
            (name, resource)
        });
        contents.push(content.collect::<BTreeMap<_, _>>());
    }
    assert!(contents[0] == contents[1], "the number of Bundles at a time decides nothing");
}

#[tokio::test]
async fn of_a_bundle_only_what_is_new_or_changed_is_written() {
    let app = TestApp::start().await;
    let dir = tempfile::tempdir().unwrap();
    for target in targets(&app).await {
        for kind in ["transaction", "batch", "collection"] {
            // Each begins with a database in which nothing of this is.
            for name in stored(&app, &["Organization", "Patient"]).await.into_keys() {
                app.ask("DELETE", &name).send().await.unwrap();
            }
            let conditional = value!({"fullUrl": "urn:uuid:000000ff",
                "resource": {"resourceType": "Practitioner", "identifier": [{"system": "r", "value": "1"}]},
                "request": {"method": "POST", "url": "Practitioner", "ifNoneExist": "identifier=r|1"}});
            let mut seen = patient(3);
            seen["resource"]["generalPractitioner"] = value!([{"reference": "urn:uuid:000000ff"}]);
            let mut entries = vec![organization("one"), patient(1), patient(2)];
            if kind == "transaction" {
                entries.extend([conditional.clone(), seen.clone()]);
            }
            let total = entries.len() as u64;
            write(dir.path(), "a.json", bundle(kind, entries.clone()));
            let first = load(&target, &[dir.path().to_path_buf()], 2).await.unwrap();
            assert_eq!((first.resources(), first.failed), (total, 0), "{kind}: {first} {:?}", first.errors);
            let before = stored(&app, &["Organization", "Patient", "Practitioner"]).await;

            let again = load(&target, &[dir.path().to_path_buf()], 2).await.unwrap();
            assert_eq!((again.written, again.unchanged), (0, total), "{kind}: {again}");
            assert_eq!(stored(&app, &["Organization", "Patient", "Practitioner"]).await, before);

            entries[2]["resource"]["active"] = value!(true);
            write(dir.path(), "a.json", bundle(kind, entries.clone()));
            let third = load(&target, &[dir.path().to_path_buf()], 2).await.unwrap();
            assert_eq!((third.written, third.unchanged, third.failed), (1, total - 1, 0), "{kind}: {third}");
            let after = stored(&app, &["Organization", "Patient", "Practitioner"]).await;
            let changed: Vec<&String> = after.keys().filter(|name| after[*name] != before[*name]).collect();
            assert_eq!(changed, ["Patient/00000002"], "{kind}");
            let changed = &after["Patient/00000002"];
            assert_eq!(changed["active"], true);
            assert_eq!(changed["managingOrganization"]["reference"], "Organization/0000000a", "{kind}");
        }
    }
}

#[tokio::test]
async fn what_somebody_changed_becomes_what_the_files_say() {
    let app = TestApp::start().await;
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "a.json", r#"{"resourceType":"Patient","id":"p","active":true}"#);
    let target = Target::store(&app.cx);
    load(&target, &[dir.path().to_path_buf()], 1).await.unwrap();
    let theirs = r#"{"resourceType":"Patient","id":"p","active":false}"#;
    app.send("PUT", "Patient/p", theirs).send().await.unwrap();
    let again = load(&target, &[dir.path().to_path_buf()], 1).await.unwrap();
    assert_eq!((again.written, again.unchanged), (1, 0));
    assert_eq!(stored(&app, &["Patient"]).await["Patient/p"]["active"], true);
    app.ask("DELETE", "Patient/p").send().await.unwrap();
    let again = load(&target, &[dir.path().to_path_buf()], 1).await.unwrap();
    assert_eq!((again.written, again.unchanged), (1, 0), "what was deleted is there again");
}

#[tokio::test]
async fn a_conditional_update_that_changes_nothing_is_passed_over() {
    let app = TestApp::start().await;
    let dir = tempfile::tempdir().unwrap();
    let entry = value!({
        "resource": {"resourceType": "Patient", "identifier": [{"system": "i", "value": "1"}]},
        "request": {"method": "PUT", "url": "Patient?identifier=i|1"}});
    write(dir.path(), "a.json", bundle("transaction", vec![entry]));
    for target in targets(&app).await {
        load(&target, &[dir.path().to_path_buf()], 1).await.unwrap();
        let again = load(&target, &[dir.path().to_path_buf()], 1).await.unwrap();
        assert_eq!((again.written, again.unchanged), (0, 1), "{:?}", again.errors);
        let all = stored(&app, &["Patient"]).await;
        let version = &all.values().next().unwrap()["meta"]["versionId"];
        assert_eq!((all.len(), version.as_str()), (1, Some("1")));
    }
}

#[tokio::test]
async fn of_lines_with_one_resource_the_last_counts() {
    let app = TestApp::start().await;
    let dir = tempfile::tempdir().unwrap();
    let lines: Vec<String> = (0..1200)
        .map(|n| format!(r#"{{"resourceType":"Patient","id":"p{}","multipleBirthInteger":{n}}}"#, n % 7))
        .collect();
    write(dir.path(), "a.ndjson", lines.join("\n"));
    for (target, written) in targets(&app).await.iter().zip([7, 0]) {
        let done = load(target, &[dir.path().to_path_buf()], 4).await.unwrap();
        assert_eq!((done.written, done.superseded, done.failed), (written, 1193, 0), "{done}");
        let all = stored(&app, &["Patient"]).await;
        for resource in all.values() {
            assert_eq!(resource["meta"]["versionId"], "1");
            assert!(resource["multipleBirthInteger"].as_u64().unwrap() >= 1193, "{resource}");
        }
    }
}

#[tokio::test]
async fn a_refused_transaction_counts_all_of_its_resources() {
    let app = TestApp::start().await;
    let dir = tempfile::tempdir().unwrap();
    let bad = value!({"resource": {"resourceType": "Patient", "id": "a_b"},
        "request": {"method": "POST", "url": "Patient"}});
    let unknown = post("urn:uuid:00000001", value!({"resourceType": "Patient", "nonsense": 1}));
    let lost = post(
        "urn:uuid:00000002",
        value!({"resourceType": "Observation", "status": "final",
        "code": {"text": "x"}, "subject": {"reference": "Patient?identifier=nobody"}}),
    );
    write(dir.path(), "id.json", bundle("transaction", vec![patient(1), bad]));
    write(dir.path(), "lost.json", bundle("transaction", vec![patient(2), patient(3), lost]));
    write(dir.path(), "mixed.json", bundle("batch", vec![patient(4), unknown]));
    write(dir.path(), "good.xml", r#"<Patient xmlns="http://hl7.org/fhir"><id value="x"/></Patient>"#);
    write(dir.path(), "bad.xml", "<Patient>");
    write(dir.path(), "note.txt", "x");
    for (target, again) in targets(&app).await.iter().zip([false, true]) {
        let done = load(target, &[dir.path().to_path_buf()], 2).await.unwrap();
        let good = if again { (done.unchanged, done.written) } else { (done.written, done.unchanged) };
        assert_eq!(done.resources(), 8, "{done}: {:?}", done.errors);
        assert_eq!(done.skipped, [dir.path().join("note.txt")]);
        assert_eq!(done.files, 5);
        let mut places: Vec<&str> =
            done.errors.iter().map(|(place, _)| place.rsplit('/').next().unwrap()).collect();
        places.sort_unstable();
        assert!(places.starts_with(&["bad.xml", "id.json, entry 1", "lost.json"]), "{:?}", done.errors);
        assert!(good.0 >= 2 && good.1 == 0, "{done}");
        assert!(done.errors.iter().any(|(place, text)| place.ends_with("entry 1") && text.contains("a_b")));
    }
}

/// The repository's own example data.
fn examples() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/data")
}

#[tokio::test]
async fn loading_twice_changes_nothing() {
    let app = TestApp::start().await;
    let first = load(&Target::store(&app.cx), &[examples()], 2).await.unwrap();
    assert!(first.errors.is_empty(), "{:?}", first.errors);
    assert!(first.written > 50, "{first}");
    let total = || async {
        let (_, page) =
            json(app.ask("GET", "Observation?_summary=count&_total=accurate").send().await.unwrap()).await;
        page["total"].as_u64().unwrap()
    };
    let before = total().await;
    let (_, page) = json(app.ask("GET", "Patient?family=Kamau").send().await.unwrap()).await;
    assert_eq!(page["entry"][0]["resource"]["meta"]["versionId"], "1");

    let second = load(&Target::store(&app.cx), &[examples()], 2).await.unwrap();
    assert!(second.errors.is_empty(), "{:?}", second.errors);
    // Entries that ask `ifNoneExist` are sent again, and find what they ask for.
    assert_eq!((second.unchanged, second.written), (first.written + first.unchanged, 0));
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
    let first = load(&Target::store(&app.cx), &[dir.path().to_path_buf()], 2).await.unwrap();
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
    let second = load(&Target::store(&app.cx), &[dir.path().to_path_buf()], 2).await.unwrap();
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
    let done = load(&Target::store(&app.cx), &[dir.path().to_path_buf()], 1).await.unwrap();
    assert_eq!(done.written, 2);
    assert_eq!(done.errors.len(), 1, "{:?}", done.errors);
    assert!(done.errors[0].0.ends_with("2.json"));
}
