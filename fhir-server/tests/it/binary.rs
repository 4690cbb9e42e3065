//! A Binary as what it holds: sent, read, in parts. <https://hl7.org/fhir/R4/binary.html#rest>

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Response;

use crate::app::{TestApp, issue, json};

const PDF: &[u8] = b"%PDF-1.4\n\0\x01\x02\xff\xfe not really";

fn header<'a>(answer: &'a Response, name: &str) -> &'a str {
    answer.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

async fn put(app: &TestApp, id: &str, content_type: &str, bytes: &[u8]) -> u16 {
    let ask = app.ask("PUT", &format!("Binary/{id}")).header("content-type", content_type);
    ask.body(bytes.to_vec()).send().await.unwrap().status().as_u16()
}

async fn get(app: &TestApp, path: &str, accept: Option<&str>) -> Response {
    let mut ask = app.ask("GET", path);
    if let Some(accept) = accept {
        ask = ask.header("accept", accept);
    }
    ask.send().await.unwrap()
}

#[tokio::test]
async fn what_is_sent_comes_back() {
    let app = TestApp::start().await;
    let cda = br#"<ClinicalDocument xmlns="urn:hl7-org:v3"/>"#;
    let rows: [(&str, &[u8]); 15] = [
        ("application/pdf", PDF),
        ("image/png", b"\x89PNG\r\n"),
        ("text/plain", "J\u{f6}rg".as_bytes()),
        ("text/plain; charset=iso-8859-1", b"J\xf6rg"),
        ("text/xml", cda),
        ("application/xml", cda),
        ("application/json", b"[1, 2,  3]"),
        ("application/json", b"{not json"),
        ("application/json", b"{\"a\": 1, \"a\": 2}"),
        ("application/x-www-form-urlencoded", b"a=%00&b=\0"),
        ("application/json-patch+json", b"[]"),
        ("multipart/form-data; boundary=x", b"--x--"),
        ("application/octet-stream", b""),
        // FHIR, but no Binary.
        ("application/fhir+json", b"{\"resourceType\" : \"Patient\"}"),
        ("application/fhir+xml", b"<Patient xmlns=\"http://hl7.org/fhir\"/>"),
    ];
    for (at, (content_type, bytes)) in rows.iter().enumerate() {
        let id = format!("b{at}");
        assert_eq!(put(&app, &id, content_type, bytes).await, 201, "{content_type}");
        let made = app.ask("POST", "Binary").header("content-type", *content_type).body(bytes.to_vec());
        let made = made.send().await.unwrap();
        assert_eq!(made.status().as_u16(), 201, "{content_type}");
        let location = header(&made, "location").to_owned();
        let resource = json(made).await.1;
        assert_eq!(
            (&resource["contentType"], &resource["resourceType"]),
            (&(*content_type).into(), &"Binary".into())
        );
        let made = location.strip_prefix(&format!("{}/", app.base())).unwrap();
        for path in [format!("Binary/{id}"), format!("Binary/{id}/_history/1"), made.to_owned()] {
            for accept in [None, Some("*/*"), Some(*content_type)] {
                // FHIR's own types ask for the resource.
                if accept.is_some_and(|accept| accept.starts_with("application/fhir")) {
                    continue;
                }
                let answer = get(&app, &path, accept).await;
                assert_eq!(answer.status().as_u16(), 200, "{path} {accept:?}");
                assert_eq!(header(&answer, "content-type"), *content_type, "{path} {accept:?}");
                assert_eq!(header(&answer, "etag"), "W/\"1\"");
                assert!(header(&answer, "last-modified").ends_with("GMT"));
                assert_eq!(answer.bytes().await.unwrap(), *bytes, "{path} {accept:?}");
            }
        }
        let (status, resource) =
            json(get(&app, &format!("Binary/{id}"), Some("application/fhir+json")).await).await;
        assert_eq!(
            (status, &resource["contentType"], &resource["id"]),
            (200, &(*content_type).into(), &id.into())
        );
        let data = resource["data"].as_str().unwrap_or_default();
        assert_eq!(STANDARD.decode(data).unwrap(), *bytes);
    }
}

#[tokio::test]
async fn a_binary_may_be_sent_as_a_resource() {
    let app = TestApp::start().await;
    let body = r#"{"resourceType":"Binary","id":"r","contentType":"text/plain","data":"aGFs\nbG8="}"#;
    let xml = r#"<?xml version="1.0"?><Binary xmlns="http://hl7.org/fhir"><id value="r"/><contentType value="text/plain"/><data value="aGFsbG8="/></Binary>"#;
    for (content_type, body, wanted) in [
        ("application/fhir+json", body, 201),
        ("application/json", body, 200),
        ("application/fhir+xml", xml, 200),
        ("text/xml", xml, 200),
        // A broken one is refused rather than kept as a text.
        ("application/fhir+json", &body[..body.len() - 1], 400),
        ("application/json", r#"{"resourceType":"Binary","id":"other"}"#, 400),
        ("application/fhir+xml", &xml[..xml.len() - 3], 400),
    ] {
        assert_eq!(put(&app, "r", content_type, body.as_bytes()).await, wanted, "{content_type}");
        let read = get(&app, "Binary/r", None).await;
        assert_eq!(header(&read, "content-type"), "text/plain");
        assert_eq!(read.text().await.unwrap(), "hallo");
    }
    // As any other type it is patched, and is found in a Bundle as a resource.
    let patch = app.ask("PATCH", "Binary/r").header("content-type", "application/json-patch+json");
    let patch =
        patch.body(r#"[{"op":"replace","path":"/contentType","value":"text/csv"}]"#).send().await.unwrap();
    assert_eq!(patch.status().as_u16(), 200);
    let found = json(app.ask("GET", "Binary?_id=r").send().await.unwrap()).await.1;
    assert_eq!(found["entry"][0]["resource"]["contentType"], "text/csv");
    let search =
        app.ask("POST", "Binary/_search").header("content-type", "application/x-www-form-urlencoded");
    assert_eq!(json(search.body("_id=r").send().await.unwrap()).await.1["total"], 1);
    let (_, whole) = json(get(&app, "Binary/r?_format=json", Some("text/csv")).await).await;
    assert_eq!(whole["data"], "aGFsbG8=");
    let part = json(get(&app, "Binary/r?_elements=contentType", None).await).await.1;
    assert_eq!((&part["contentType"], part.get("data")), (&"text/csv".into(), None));
}

#[tokio::test]
async fn what_is_no_media_type_is_refused() {
    let app = TestApp::start().await;
    for content_type in ["nonsense", "*/*", "image/*", "text/", ""] {
        assert_eq!(put(&app, "n", content_type, b"x").await, 415, "{content_type}");
    }
    let none = app.ask("PUT", "Binary/n").body("x").send().await.unwrap();
    assert_eq!(none.status().as_u16(), 415);
    // Other types take FHIR alone.
    for path in ["Patient", "Basic"] {
        let ask = app.ask("POST", path).header("content-type", "application/pdf").body(PDF);
        assert_eq!(ask.send().await.unwrap().status().as_u16(), 415);
    }
}

#[tokio::test]
async fn what_is_not_there_is_said_before_what_cannot_be_given() {
    let app = TestApp::start().await;
    put(&app, "a", "application/pdf", PDF).await;
    let status = async |path: &str, accept: &str| get(&app, path, Some(accept)).await.status().as_u16();
    assert_eq!(status("Binary/none", "image/png").await, 404);
    assert_eq!(status("Binary/a/_history/7", "image/png").await, 404);
    assert_eq!(status("Binary/a", "image/png").await, 406);
    assert_eq!(status("Binary/a?_format=image/png", "*/*").await, 406);
    assert_eq!(status("Binary/a?_format=application/pdf", "application/fhir+json").await, 200);
    assert_eq!(status("Nonsense/a", "image/png").await, 404);
    assert_eq!(app.ask("DELETE", "Binary/a").send().await.unwrap().status().as_u16(), 204);
    assert_eq!(status("Binary/a", "image/png").await, 410);
    let (status, outcome) = json(get(&app, "Binary/a", None).await).await;
    assert_eq!((status, issue(&outcome).0.as_str()), (410, "deleted"));
}

#[tokio::test]
async fn conditions_hold_for_content_too() {
    let app = TestApp::start().await;
    let put = |if_match: &'static str, bytes: &'static str| {
        let ask =
            app.ask("PUT", "Binary/c").header("content-type", "text/plain").header("if-match", if_match);
        ask.body(bytes).send()
    };
    assert_eq!(put("W/\"1\"", "a").await.unwrap().status().as_u16(), 412);
    let first =
        app.ask("PUT", "Binary/c").header("content-type", "text/plain").body("a").send().await.unwrap();
    assert_eq!(first.status().as_u16(), 201);
    assert_eq!(put("W/\"1\"", "b").await.unwrap().status().as_u16(), 200);
    assert_eq!(put("W/\"1\"", "c").await.unwrap().status().as_u16(), 412);
    let read = |tag: &'static str| app.ask("GET", "Binary/c").header("if-none-match", tag).send();
    let same = read("W/\"2\"").await.unwrap();
    assert_eq!((same.status().as_u16(), header(&same, "etag")), (304, "W/\"2\""));
    assert_eq!(read("W/\"1\"").await.unwrap().text().await.unwrap(), "b");
    for (wish, wanted) in
        [("minimal", ""), ("OperationOutcome", "OperationOutcome"), ("representation", "\"Binary\"")]
    {
        let ask = app.ask("PUT", "Binary/c").header("content-type", "text/plain");
        let answer = ask.header("prefer", format!("return={wish}")).body("d").send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200);
        let text = answer.text().await.unwrap();
        assert!(text.contains(wanted) && text.is_empty() == wanted.is_empty(), "{wish}: {text}");
    }
    let create = || {
        let ask = app.ask("POST", "Binary").header("content-type", "text/plain").body("e");
        ask.header("if-none-exist", "_id=c").send()
    };
    assert_eq!(create().await.unwrap().status().as_u16(), 200, "it is there");
    let update = app.ask("PUT", "Binary?_id=c").header("content-type", "text/plain").body("f");
    assert_eq!(update.send().await.unwrap().status().as_u16(), 200);
    assert_eq!(get(&app, "Binary/c", None).await.text().await.unwrap(), "f");
}

#[tokio::test]
async fn the_security_context_is_kept() {
    let app = TestApp::start().await;
    let create = |context: &'static str, kind: &'static str, body: &'static str| {
        let ask = app.ask("POST", "Binary?_filename=a.txt").header("content-type", kind);
        ask.header("x-security-context", context).body(body).send()
    };
    for context in ["DocumentReference/1", "https://ehr.local/fhir/Patient/p"] {
        let made = json(create(context, "text/plain", "x").await.unwrap()).await.1;
        assert_eq!(made["securityContext"]["reference"], context);
        let read = get(&app, &format!("Binary/{}", made["id"].as_str().unwrap()), None).await;
        assert_eq!(header(&read, "x-security-context"), context);
    }
    for context in ["nonsense", "Patient", "Patient/1/x", "Patient?name=a", "#a", ""] {
        assert_eq!(create(context, "text/plain", "x").await.unwrap().status().as_u16(), 400, "{context}");
    }
    let resource = r#"{"resourceType":"Binary","contentType":"text/plain"}"#;
    let refused = create("Patient/1", "application/fhir+json", resource).await.unwrap();
    assert_eq!(refused.status().as_u16(), 400, "a resource says it itself");
}

/// What @medplum/core does to store a file and refer to it.
#[tokio::test]
async fn a_client_of_medplums_is_told_the_address() {
    let app = TestApp::start().await;
    let create = |wish: &'static str| {
        let ask = app.ask("POST", "Binary?_filename=a%20b.pdf").header("content-type", "application/pdf");
        let ask = ask.header("accept", "application/fhir+json, */*; q=0.1").header("x-medplum", wish);
        ask.header("x-security-context", "DocumentReference/1").body(PDF).send()
    };
    let made = json(create("extended").await.unwrap()).await.1;
    let url = format!("{}/Binary/{}", app.base(), made["id"].as_str().unwrap());
    assert_eq!((&made["url"], &made["contentType"]), (&url.clone().into(), &"application/pdf".into()));
    assert_eq!(app.client.get(&url).send().await.unwrap().bytes().await.unwrap(), PDF);
    let stored =
        json(get(&app, &url.replace(&format!("{}/", app.base()), ""), Some("application/fhir+json")).await)
            .await;
    assert_eq!(stored.1.get("url"), None, "it is told, not stored");
    assert_eq!(json(create("").await.unwrap()).await.1.get("url"), None);
}

#[tokio::test]
async fn nothing_of_it_runs_in_a_browser() {
    let app = TestApp::start().await;
    for (content_type, wanted) in [
        ("text/html", "attachment; filename=\"s.html\""),
        ("image/svg+xml", "attachment; filename=\"s.svg\""),
        ("application/xhtml+xml", "attachment; filename=\"s.bin\""),
        ("text/javascript", "attachment; filename=\"s.bin\""),
        ("application/pdf", "inline; filename=\"s.pdf\""),
        ("IMAGE/PNG", "inline; filename=\"s.png\""),
        ("text/plain; charset=utf-8", "inline; filename=\"s.txt\""),
        ("video/mp4", "inline; filename=\"s.bin\""),
    ] {
        put(&app, "s", content_type, b"<script>alert(1)</script>").await;
        let answer = get(&app, "Binary/s", Some("text/html,application/xml;q=0.9,*/*;q=0.8")).await;
        assert_eq!(header(&answer, "content-type"), content_type);
        assert_eq!(header(&answer, "content-disposition"), wanted);
        assert_eq!(header(&answer, "x-content-type-options"), "nosniff");
        assert_eq!(header(&answer, "content-security-policy"), "sandbox; default-src 'none'");
        assert_eq!(header(&answer, "cache-control"), "private, no-cache");
        assert!(header(&answer, "vary").contains("accept"));
    }
}

/// What a resource says of its type becomes a header only when it is a media type.
#[tokio::test]
async fn stored_types_are_hostile() {
    let app = TestApp::start().await;
    for content_type in [
        "text/html\\r\\nX-Evil: 1",
        "text/plain\\nSet-Cookie: a=b",
        "t\u{e4}xt/plain",
        "nonsense",
        "*/*",
        " ",
        "a/b;\\u007f",
    ] {
        let body = format!(
            r#"{{"resourceType":"Binary","id":"h","contentType":"{content_type}","securityContext":{{"reference":"a\r\nX-Evil: 1"}},"data":"YQ=="}}"#
        );
        let made = app.send("PUT", "Binary/h", &body).send().await.unwrap();
        assert!(matches!(made.status().as_u16(), 200 | 201), "{content_type}");
        let answer = get(&app, "Binary/h", None).await;
        assert_eq!(
            (answer.status().as_u16(), header(&answer, "content-type")),
            (200, "application/octet-stream"),
            "{content_type}"
        );
        assert!(!answer.headers().contains_key("x-evil") && !answer.headers().contains_key("set-cookie"));
        assert_eq!(answer.text().await.unwrap(), "a");
    }
    // Data that is none can be had as a resource alone.
    let body = r#"{"resourceType":"Binary","id":"h","contentType":"text/plain","data":"no base64!"}"#;
    app.send("PUT", "Binary/h", body).send().await.unwrap();
    for (accept, wanted) in [("*/*", 200), ("text/plain", 406), ("application/fhir+json", 200)] {
        let (status, answer) = json(get(&app, "Binary/h", Some(accept)).await).await;
        assert_eq!(status, wanted, "{accept}: {answer}");
        assert!(wanted == 406 || answer["data"] == "no base64!", "{answer}");
    }
    for body in [
        r#"{"resourceType":"Binary","id":"h"}"#,
        r#"{"resourceType":"Binary","id":"h","data":1}"#,
        r#"{"resourceType":"Binary","id":"h","contentType":7,"data":"YQ=="}"#,
    ] {
        app.send("PUT", "Binary/h", body).send().await.unwrap();
        assert_eq!(get(&app, "Binary/h", None).await.status().as_u16(), 200, "{body}");
    }
}

#[tokio::test]
async fn parts_of_it_are_given() {
    let app = TestApp::start().await;
    let bytes: Vec<u8> = (0..1_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    put(&app, "p", "application/dicom", &bytes).await;
    let ask = |range: &str| app.ask("GET", "Binary/p").header("range", range).send();
    for (range, from, to) in [
        ("bytes=0-0", 0, 1),
        ("bytes=999999-", 999_999, 1_000_000),
        ("bytes=-10", 999_990, 1_000_000),
        ("bytes=31-700000", 31, 700_001),
    ] {
        let answer = ask(range).await.unwrap();
        assert_eq!(answer.status().as_u16(), 206, "{range}");
        assert_eq!(header(&answer, "content-range"), format!("bytes {from}-{}/1000000", to - 1));
        assert_eq!(header(&answer, "content-length"), (to - from).to_string());
        assert_eq!(header(&answer, "etag"), "W/\"1\"");
        assert_eq!(answer.bytes().await.unwrap(), bytes[from..to]);
    }
    let beyond = ask("bytes=1000000-").await.unwrap();
    assert_eq!((beyond.status().as_u16(), header(&beyond, "content-range")), (416, "bytes */1000000"));
    assert_eq!(json(beyond).await.1["resourceType"], "OperationOutcome");
    assert_eq!(app.metric("fhir_requests_total{interaction=\"read\",status=\"206\"}").await, "4");
    assert_eq!(app.metric("fhir_requests_total{interaction=\"read\",status=\"416\"}").await, "1");
    let whole = ask("bytes=0-1,4-5").await.unwrap();
    assert_eq!((whole.status().as_u16(), header(&whole, "accept-ranges")), (200, "bytes"));
    let modified = header(&whole, "last-modified").to_owned();
    // The tag is weak, so that it never says that two parts are of one whole; the date does.
    for (if_range, wanted) in
        [(modified.as_str(), 206), ("W/\"1\"", 200), ("\"1\"", 200), ("Thu, 01 Jan 1970 00:00:00 GMT", 200)]
    {
        let asked = app.ask("GET", "Binary/p").header("range", "bytes=0-9").header("if-range", if_range);
        assert_eq!(asked.send().await.unwrap().status().as_u16(), wanted, "{if_range}");
    }
    // A resource has no parts, and HEAD asks for the whole.
    let resource =
        app.ask("GET", "Binary/p").header("accept", "application/fhir+json").header("range", "bytes=0-1");
    assert_eq!(resource.send().await.unwrap().status().as_u16(), 200);
    let head = app.ask("HEAD", "Binary/p").header("range", "bytes=0-1").send().await.unwrap();
    assert_eq!((head.status().as_u16(), header(&head, "content-length")), (200, "1000000"));
    assert_eq!(
        (header(&head, "accept-ranges"), header(&head, "content-type")),
        ("bytes", "application/dicom")
    );
    let packed = app.ask("GET", "Binary/p").header("accept-encoding", "gzip").send().await.unwrap();
    assert!(!packed.headers().contains_key("content-encoding"), "places in it are places in what was sent");
}
