//! No byte of a client is a fault of the server: whatever text stands wherever a text can stand, the answer is never a
//! 5xx, and a transaction that is refused has written nothing.

mod texts;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use self::texts::{Bad, PLACES, bad_of, bad_texts};
use crate::app::{TestApp, json as answer_of};

fn encoded(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("%{byte:02X}")).collect()
}

/// The query of a place with its own signs encoded, and the text in it as it is given.
fn query(place: &str, text: &str) -> String {
    let safe = place.replace(' ', "%20").replace('"', "%22").replace('|', "%7C");
    safe.replacen('X', text, 1)
}

/// Places where even a text that is none is passed over, as what it says is not looked up: each is refused or ignored.
fn check(status: u16, bad: &Bad, place: &str, how: &str) {
    let text = String::from_utf8_lossy(bad.bytes.get(..40).unwrap_or(&bad.bytes)).into_owned();
    assert!(status < 500, "{how} {place} {text:?}: {status}");
    assert!(!bad.refused || (400..500).contains(&status), "{how} {place} {text:?}: {status}");
}

fn entry(method: &str, url: &str) -> Value {
    json!({"request": {"method": method, "url": url}})
}

fn bundle(kind: &str, entries: &[Value]) -> String {
    json!({"resourceType": "Bundle", "type": kind, "entry": entries}).to_string()
}

/// The search of a form as an entry of a Bundle.
fn form_entry(type_name: &str, form: &[u8]) -> Value {
    let binary = json!({"resourceType": "Binary", "contentType": "application/x-www-form-urlencoded",
        "data": STANDARD.encode(form)});
    let url = if type_name.is_empty() { "_search".to_owned() } else { format!("{type_name}/_search") };
    json!({"resource": binary, "request": {"method": "POST", "url": url}})
}

/// A form as its bytes are: only what would end the pair is encoded.
fn raw_form(place: &str, bytes: &[u8]) -> Vec<u8> {
    let (before, after) = place.split_once('X').unwrap();
    let inner = bytes.iter().flat_map(|byte| match byte {
        b'&' | b'%' | b'+' => encoded(&[*byte]).into_bytes(),
        byte => vec![*byte],
    });
    before.bytes().chain(inner).chain(after.bytes()).collect()
}

#[tokio::test]
async fn searches() {
    let app = TestApp::start().await;
    app.send("PUT", "Patient/p", r#"{"resourceType":"Patient","id":"p","name":[{"family":"a"}]}"#)
        .send()
        .await
        .unwrap();
    for bad in bad_texts() {
        let mut entries = Vec::new();
        let mut names = Vec::new();
        for (type_name, place) in PLACES.iter().flat_map(|(t, places)| places.iter().map(move |p| (*t, *p))) {
            let at = query(place, &encoded(&bad.bytes));
            let url = format!("{type_name}?{at}");
            // What may be answered is asked as an entry alone.
            if bad.refused && at.len() < 15_000 {
                let status = app.ask("GET", &url).send().await.unwrap().status().as_u16();
                check(status, &bad, place, "GET");
            }
            let form = raw_form(place, &bad.bytes);
            let path =
                if type_name.is_empty() { "_search".to_owned() } else { format!("{type_name}/_search") };
            let ask = app.ask("POST", &path).header("content-type", "application/x-www-form-urlencoded");
            check(ask.body(form.clone()).send().await.unwrap().status().as_u16(), &bad, place, "form");
            entries.extend([entry("GET", &url), form_entry(type_name, &form)]);
            names.extend([place, place]);
        }
        let (status, answer) =
            answer_of(app.send("POST", "", &bundle("batch", &entries)).send().await.unwrap()).await;
        assert_eq!(status, 200, "{answer}");
        for (at, place) in names.iter().enumerate() {
            // Formats are those of the whole answer, not of an entry.
            let is_format = place.starts_with("_format") || place.starts_with("_pretty");
            let status = answer["entry"][at]["response"]["status"].as_str().unwrap()[..3].parse().unwrap();
            check(status, &Bad { refused: bad.refused && !is_format, ..bad_of(&bad) }, place, "entry");
        }
    }
}

/// A question that cannot be asked is found out before the writes of its transaction are committed.
#[tokio::test]
async fn transactions_are_whole_whatever_they_ask() {
    let app = TestApp::start().await;
    for bad in bad_texts()
        .iter()
        .filter(|bad| [&b"a\0b"[..], b"\xed\xa0\x80", b"\x01", b"\\"].contains(&&*bad.bytes))
    {
        for (type_name, place) in PLACES.iter().flat_map(|(t, places)| places.iter().map(move |p| (*t, *p))) {
            let url = format!("{type_name}?{}", query(place, &encoded(&bad.bytes)));
            for search in [entry("GET", &url), form_entry(type_name, &raw_form(place, &bad.bytes))] {
                whole(&app, &search, place).await;
            }
        }
    }
}

/// What is not there yet may come with the transaction that asks for it.
#[tokio::test]
async fn a_value_set_may_come_with_its_question() {
    let app = TestApp::start().await;
    let search = entry("GET", "Patient?gender:in=http://a.org/vs");
    whole(&app, &search, "an unknown value set").await;
    let value_set = json!({"resourceType": "ValueSet", "id": "v", "status": "active", "url": "http://a.org/vs",
        "compose": {"include": [{"system": "http://hl7.org/fhir/administrative-gender", "concept": [{"code": "male"}]}]}});
    let put = json!({"resource": value_set, "request": {"method": "PUT", "url": "ValueSet/v"}});
    let sent = bundle("transaction", &[put, search]);
    let (status, answer) = answer_of(app.send("POST", "", &sent).send().await.unwrap()).await;
    assert_eq!((status, &answer["entry"][1]["resource"]["type"]), (200, &"searchset".into()), "{answer}");
}

/// Sends a write and something else: both are done or none.
async fn whole(app: &TestApp, other: &Value, place: &str) {
    let id = format!("w{}", fhir_store_id());
    let write = json!({"resource": {"resourceType": "Basic", "id": id}, "request": {"method": "PUT", "url": format!("Basic/{id}")}});
    let sent = bundle("transaction", &[write, other.clone()]);
    let (status, answer) = answer_of(app.send("POST", "", &sent).send().await.unwrap()).await;
    assert!(status < 500, "{place}: {status} {answer}");
    for entry in answer["entry"].as_array().into_iter().flatten() {
        let inner = entry["response"]["status"].as_str().unwrap_or("000");
        assert!(inner < "4", "{place} {other}: {answer}");
    }
    let there = app.ask("GET", &format!("Basic/{id}")).send().await.unwrap().status().as_u16();
    assert_eq!(there, if status == 200 { 200 } else { 404 }, "{place} {other}: {answer}");
}

fn fhir_store_id() -> u64 {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

#[tokio::test]
async fn paths_and_criteria() {
    let app = TestApp::start().await;
    app.send("PUT", "Patient/p", r#"{"resourceType":"Patient","id":"p"}"#).send().await.unwrap();
    let patch = r#"[{"op":"test","path":"/id","value":"p"}]"#;
    let paths = [
        "X",
        "Patient/X",
        "Patient/p/X",
        "Patient/p/_history/X",
        "Patient/X/_history",
        "Patient/X/_history/1",
        "X/p",
        "$X",
        "Patient/$X",
        "Patient/p/$X",
        "Patient/p/Observation/X",
        "Patient/X/Observation",
        "Patient/p/X/_search",
        "_history?_since=X",
        "Patient/_history?_at=X",
        "Patient/p/_history?_count=X",
        "Patient/p/_history?_cursor=X",
        "Patient/p?_elements=X",
        "Patient/p?_summary=X",
        "Patient/p/$everything?_since=X",
        "Patient/p/$everything?start=X",
        "Patient/p/$everything?_type=X",
        "metadata?mode=X",
        "ValueSet/$expand?url=X",
        "Patient?identifier=X",
        "Patient?name=X&_id=X",
    ];
    for (at, bad) in bad_texts().iter().filter(|bad| bad.bytes.len() < 5_000).enumerate() {
        // Each path meets each text; each method, most of them.
        let methods = ["GET", "PUT", "POST", "PATCH", "HEAD", "DELETE", "OPTIONS"];
        for path in paths {
            let path = path.replace('X', &encoded(&bad.bytes));
            let others = methods.get(2 + at % 5).copied();
            for method in ["GET", "PUT"].into_iter().chain(others) {
                let body = if method == "PATCH" { patch } else { r#"{"resourceType":"Patient","id":"p"}"# };
                let mut ask = app.ask(method, &path);
                if !matches!(method, "GET" | "HEAD" | "DELETE") {
                    let kind = if method == "PATCH" {
                        "application/json-patch+json"
                    } else {
                        "application/fhir+json"
                    };
                    ask = ask.header("content-type", kind).body(body.to_owned());
                }
                let status = ask.send().await.unwrap().status().as_u16();
                assert!(status < 500, "{method} {path}: {status}");
            }
        }
        let criteria = format!("identifier={}", encoded(&bad.bytes));
        let create = app.send("POST", "Patient", r#"{"resourceType":"Patient"}"#);
        let status = create.header("if-none-exist", &criteria).send().await.unwrap().status().as_u16();
        check(status, bad, "If-None-Exist", "header");
        let text = String::from_utf8_lossy(&bad.bytes).into_owned();
        for none_exist in
            [criteria.clone(), format!("Patient?{criteria}"), text.clone(), format!("identifier={text}")]
        {
            let entry = json!({"resource": {"resourceType": "Patient"},
                "request": {"method": "POST", "url": "Patient", "ifNoneExist": none_exist}});
            let (status, answer) = answer_of(
                app.send("POST", "", &bundle("batch", std::slice::from_ref(&entry))).send().await.unwrap(),
            )
            .await;
            let inner = answer["entry"][0]["response"]["status"].as_str().unwrap_or("4").to_owned();
            assert!(status < 500 && inner.as_str() < "5", "{entry}: {answer}");
            whole_or_refused(&app, &entry).await;
        }
        for url in [format!("Patient?{criteria}"), format!("Patient/{}", encoded(&bad.bytes)), text.clone()] {
            for method in ["GET", "DELETE", "PUT", "PATCH", "POST"] {
                let entry = json!({"resource": {"resourceType": "Patient"}, "fullUrl": format!("urn:uuid:{text}"),
                    "request": {"method": method, "url": url, "ifMatch": text, "ifNoneMatch": text}});
                whole_or_refused(&app, &entry).await;
            }
        }
        let reference = json!({"resource": {"resourceType": "Observation", "status": "final", "code": {"text": "x"},
            "subject": {"reference": format!("Patient?{criteria}")}}, "request": {"method": "POST", "url": "Observation"}});
        whole_or_refused(&app, &reference).await;
    }
}

/// Neither as a batch nor as a transaction is it our fault.
async fn whole_or_refused(app: &TestApp, entry: &Value) {
    for kind in ["batch", "transaction"] {
        let sent = bundle(kind, std::slice::from_ref(entry));
        let (status, answer) = answer_of(app.send("POST", "", &sent).send().await.unwrap()).await;
        let inner = answer["entry"][0]["response"]["status"].as_str().unwrap_or("4");
        assert!(status < 500 && inner < "5", "{kind} {entry}: {answer}");
    }
}

/// What JSON may hold and a resource may not: a question of a patch may.
const IN_JSON: [&str; 4] = ["\\u0001", "\\b", "\\ufffe", "\\uffff"];

/// Texts in JSON and XML, as escapes and as they are: keys, values, attributes, patches.
#[tokio::test]
async fn bodies() {
    let app = TestApp::start().await;
    let start = r#"{"resourceType":"Patient","id":"b","name":[{"family":"a"}],"extension":[{"url":"http://u","valueString":"v"}]}"#;
    app.send("PUT", "Patient/b", start).send().await.unwrap();
    let refused = [
        "\\u0000",
        "\\ud800",
        "\\udfff\\ud800",
        "\\ud800a",
        "\\u0001",
        "\\b",
        "\\ufffe",
        "\\uffff",
        "\0",
        "\u{1}",
        "\n",
        "\\x",
        "\\u12",
    ];
    let odd = ["\\u007f", "\\ufeff", "\\u202e", "😀", "\\\\u0000", "%00", "' or 1=1", "\\r\\n\\t"];
    let long = "x".repeat(100_000);
    let texts = refused.iter().map(|text| (*text, true));
    let texts = texts.chain(odd.iter().map(|text| (*text, false))).chain([(&*long, false)]);
    // Method, path, media type, body, whether the text is content (and not what is compared, or a name).
    let places = [
        (
            "PUT",
            "Patient/b",
            "application/fhir+json",
            r#"{"resourceType":"Patient","id":"b","name":[{"family":"aX"}]}"#,
            true,
        ),
        (
            "PUT",
            "Patient/b",
            "application/fhir+json",
            r#"{"resourceType":"Patient","id":"b","aX":"x"}"#,
            true,
        ),
        ("PUT", "Patient/b", "application/fhir+json", r#"{"resourceType":"Patient","id":"bX"}"#, true),
        ("PUT", "Patient/b", "application/fhir+json", r#"{"resourceType":"PatientX","id":"b"}"#, true),
        (
            "PUT",
            "Patient/b",
            "application/fhir+json",
            r#"{"resourceType":"Patient","id":"b","identifier":[{"system":"sX","value":"vX"}]}"#,
            true,
        ),
        (
            "PUT",
            "Patient/b",
            "application/fhir+json",
            r#"{"resourceType":"Patient","id":"b","birthDate":"2020X"}"#,
            true,
        ),
        (
            "PUT",
            "Patient/b",
            "application/fhir+json",
            r#"{"resourceType":"Patient","id":"b","managingOrganization":{"reference":"Organization/X"}}"#,
            true,
        ),
        (
            "PUT",
            "Patient/b",
            "application/fhir+json",
            r#"{"resourceType":"Patient","id":"b","meta":{"profile":["http://X"],"lastUpdated":"X"}}"#,
            true,
        ),
        (
            "PUT",
            "ValueSet/b",
            "application/fhir+json",
            r#"{"resourceType":"ValueSet","id":"b","status":"draft","url":"http://X","date":"X"}"#,
            true,
        ),
        (
            "POST",
            "Observation",
            "application/fhir+json",
            r#"{"resourceType":"Observation","valueQuantity":{"value":1,"unit":"X","system":"X","code":"X"},"valueString":"X"}"#,
            true,
        ),
        (
            "PATCH",
            "Patient/b",
            "application/json-patch+json",
            r#"[{"op":"replace","path":"/name/0/family","value":"X"}]"#,
            true,
        ),
        (
            "PATCH",
            "Patient/b",
            "application/json-patch+json",
            r#"[{"op":"add","path":"/nameX","value":"a"}]"#,
            true,
        ),
        ("PATCH", "Patient/b", "application/json-patch+json", r#"[{"op":"X","path":"X","from":"X"}]"#, true),
        (
            "PATCH",
            "Patient/b",
            "application/fhir+json",
            r#"{"resourceType":"Parameters","parameter":[{"name":"operation","part":[{"name":"type","valueCode":"replace"},{"name":"path","valueString":"Patient.name.family"},{"name":"value","valueString":"X"}]}]}"#,
            true,
        ),
        (
            "PATCH",
            "Patient/b",
            "application/fhir+json",
            r#"{"resourceType":"Parameters","parameter":[{"name":"operation","part":[{"name":"type","valueCode":"delete"},{"name":"path","valueString":"Patient.X"}]}]}"#,
            true,
        ),
        (
            "PATCH",
            "Patient/b",
            "application/fhir+json",
            r#"{"resourceType":"Parameters","parameter":[{"name":"operation","part":[{"name":"type","valueCode":"delete"},{"name":"path","valueString":"Patient.name.where(family = 'X')"}]}]}"#,
            false,
        ),
        (
            "POST",
            "",
            "application/fhir+json",
            r#"{"resourceType":"Bundle","type":"transaction","entry":[{"fullUrl":"urn:uuid:X","resource":{"resourceType":"Patient","id":"X"},"request":{"method":"POST","url":"Patient?X","ifNoneExist":"X"}}]}"#,
            true,
        ),
        (
            "POST",
            "",
            "application/fhir+json",
            r#"{"resourceType":"Bundle","type":"batchX","entry":[]}"#,
            true,
        ),
        (
            "POST",
            "ValueSet/$expand",
            "application/fhir+json",
            r#"{"resourceType":"Parameters","parameter":[{"name":"url","valueUri":"X"}]}"#,
            true,
        ),
    ];
    for (text, refused) in texts {
        for (method, path, kind, body, is_content) in &places {
            let ask = app.ask(method, path).header("content-type", *kind).body(body.replace('X', text));
            let answer = ask.send().await.unwrap();
            let status = answer.status().as_u16();
            let text = text.get(..text.len().min(40)).unwrap();
            assert!(status < 500, "{method} {path} {body} {text:?}: {status}");
            let refused = refused && (*is_content || !IN_JSON.contains(&text));
            assert!(!refused || (400..500).contains(&status), "{method} {path} {body} {text:?}: {status}");
        }
    }
    let xml_refused =
        ["&#0;", "&#x0;", "&#1;", "&#xD800;", "&#xFFFE;", "&#x110000;", "&nope;", "\0", "\u{1}", "<", "&"];
    for text in xml_refused {
        for body in [
            "<Patient xmlns=\"http://hl7.org/fhir\"><id value=\"b\"/><name><family value=\"aX\"/></name></Patient>",
            "<Patient xmlns=\"http://hl7.org/fhir\"><id value=\"bX\"/></Patient>",
            "<Patient xmlns=\"http://hl7.org/fhir\"><id value=\"b\"/><text><status value=\"generated\"/><div xmlns=\"http://www.w3.org/1999/xhtml\"><p title=\"X\">X</p></div></text></Patient>",
            "<Patient xmlns=\"http://hl7.org/fhir\"><id value=\"b\"/>X</Patient>",
            "<PatientX xmlns=\"http://hl7.org/fhir\"/>",
            "<Patient xmlns=\"http://hl7.org/fhir\"><id value=\"b\"/><extension url=\"X\"><valueString value=\"X\"/></extension></Patient>",
        ] {
            let body = body.replace('X', text);
            let ask =
                app.ask("PUT", "Patient/b").header("content-type", "application/fhir+xml").body(body.clone());
            let status = ask.send().await.unwrap().status().as_u16();
            assert!((400..500).contains(&status), "{body}: {status}");
        }
    }
}
