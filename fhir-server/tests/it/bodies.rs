//! Bodies: packed, unpacked, too long, too slow, incomplete. Each limit is tried at the limit and past it.

use std::io::{Read, Write};
use std::time::Duration;

use fhir_http::{CorsOrigins, HttpLimits};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::app::{TestApp, issue, json};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A Basic of exactly so many bytes.
fn basic(bytes: usize) -> String {
    let frame = r#"{"resourceType":"Basic","id":"b","code":{"text":""}}"#;
    frame.replace(r#""""#, &format!("\"{}\"", "x".repeat(bytes - frame.len())))
}

#[tokio::test]
async fn a_body_may_be_as_long_as_the_limit() {
    let limits = HttpLimits { body_bytes_max: 4096, ..HttpLimits::default() };
    let app = TestApp::with(limits, CorsOrigins::default()).await;
    for (bytes, wanted) in [(4096, 201), (4097, 413)] {
        let body = basic(bytes);
        assert_eq!(body.len(), bytes);
        let answer = app.send("PUT", "Basic/b", &body).send().await.unwrap();
        let status = answer.status().as_u16();
        assert!(status == wanted || (wanted == 201 && status == 200), "{bytes} bytes: {status}");
        if wanted == 413 {
            assert_eq!(issue(&json(answer).await.1).0, "too-long");
        }
        // The same without an announced length, and packed.
        let chunks = futures_util::stream::iter(
            body.clone().into_bytes().chunks(1000).map(<[u8]>::to_vec).collect::<Vec<_>>(),
        );
        let chunked =
            reqwest::Body::wrap_stream(futures_util::StreamExt::map(chunks, Ok::<_, std::io::Error>));
        let ask = app.ask("PUT", "Basic/b").header("content-type", "application/json").body(chunked);
        let status = ask.send().await.unwrap().status().as_u16();
        assert_eq!(status, if wanted == 201 { 200 } else { 413 }, "in chunks");
        let ask =
            app.send("PUT", "Basic/b", "").header("content-encoding", "gzip").body(gzip(body.as_bytes()));
        let status = ask.send().await.unwrap().status().as_u16();
        assert_eq!(status, if wanted == 201 { 200 } else { 413 }, "packed");
    }
}

#[tokio::test]
async fn bodies_that_are_not_what_they_say() {
    let app = TestApp::start().await;
    let ask = || app.send("PUT", "Basic/b", &basic(200));
    for (encoding, wanted) in [("gzip", 400), ("br", 415), ("identity", 201)] {
        let status = ask().header("content-encoding", encoding).send().await.unwrap().status().as_u16();
        assert_eq!(status, wanted, "{encoding}");
    }
    for text in ["{", "\u{0}", "{\"resourceType\":\"Basic\",\"id\":\"\\ud800\"}"] {
        let (status, outcome) = json(app.send("PUT", "Basic/b", text).send().await.unwrap()).await;
        assert_eq!((status, issue(&outcome).0.as_str()), (400, "structure"), "{text}");
    }
    let marked = format!("\u{feff}{}", basic(200));
    assert_eq!(app.send("PUT", "Basic/b", &marked).send().await.unwrap().status().as_u16(), 200);
    let (status, _) = json(app.send("PUT", "Basic/b", "").send().await.unwrap()).await;
    assert!((400..500).contains(&status), "{status}");
}

#[tokio::test]
async fn long_answers_are_packed_for_those_who_take_it() {
    let app = TestApp::start().await;
    app.send("PUT", "Basic/b", &basic(5000)).send().await.unwrap();
    let plain = app.ask("GET", "Basic/b").send().await.unwrap();
    assert!(!plain.headers().contains_key("content-encoding"));
    let plain = plain.bytes().await.unwrap();
    let packed = app.ask("GET", "Basic/b").header("accept-encoding", "gzip").send().await.unwrap();
    assert_eq!(packed.headers()["content-encoding"], "gzip");
    let packed = packed.bytes().await.unwrap();
    assert!(packed.len() < 500);
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut unpacked).unwrap();
    assert_eq!(unpacked, plain);
    let short = app.ask("GET", "Patient/none").header("accept-encoding", "gzip").send().await.unwrap();
    assert!(!short.headers().contains_key("content-encoding"), "short answers are not worth it");
}

#[tokio::test]
async fn a_url_may_be_as_long_as_the_limit() {
    let limits = HttpLimits { url_bytes_max: 1000, ..HttpLimits::default() };
    let app = TestApp::with(limits, CorsOrigins::default()).await;
    let path = |bytes: usize| {
        let start = "/fhir/R4/Patient?unknown=";
        format!("{start}{}", "x".repeat(bytes - start.len()))
    };
    assert_eq!(app.at("GET", &path(1000)).send().await.unwrap().status().as_u16(), 200);
    let (status, outcome) = json(app.at("GET", &path(1001)).send().await.unwrap()).await;
    assert_eq!(status, 414);
    assert!(issue(&outcome).1.contains("POST"), "{outcome}");
}

#[tokio::test]
async fn a_client_that_stops_sending_is_answered_all_the_same() {
    let limits = HttpLimits { rate_window: Duration::from_millis(50), ..HttpLimits::default() };
    let app = TestApp::with(limits, CorsOrigins::default()).await;
    let mut stream = TcpStream::connect(app.address).await.unwrap();
    let head = "POST /fhir/R4/Patient HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/fhir+json\r\n\
                Content-Length: 100\r\nConnection: close\r\n\r\n{\"resourceType\"";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("did not arrive"), "{answer}");
}

#[tokio::test]
async fn a_silent_connection_and_an_endless_head_are_ended() {
    let limits =
        HttpLimits { head_timeout: Duration::from_millis(50), head_bytes_max: 8192, ..HttpLimits::default() };
    let app = TestApp::with(limits, CorsOrigins::default()).await;
    let mut silent = TcpStream::connect(app.address).await.unwrap();
    silent.write_all(b"GET /fhir/R4/metadata HTTP/1.1\r\n").await.unwrap();
    let mut answer = Vec::new();
    silent.read_to_end(&mut answer).await.unwrap();
    let mut endless = TcpStream::connect(app.address).await.unwrap();
    let head =
        format!("GET /fhir/R4/metadata HTTP/1.1\r\nHost: localhost\r\nx: {}\r\n\r\n", "x".repeat(20_000));
    let _ = endless.write_all(head.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = endless.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[tokio::test]
async fn bodies_wait_for_room_and_are_told_to_come_back() {
    // Room for one body of 300 KiB beside those up to 256 KiB.
    let limits = HttpLimits {
        bodies_bytes_max: 800 * 1024,
        queue_wait_max: Duration::from_millis(20),
        ..HttpLimits::default()
    };
    let app = TestApp::with(limits, CorsOrigins::default()).await;
    let parameters = format!(
        r#"{{"resourceType":"Parameters","parameter":[{{"name":"x","valueString":"{}"}}]}}"#,
        "x".repeat(300 * 1024)
    );
    let long = || app.send("PUT", "Basic/b", &basic(310 * 1024));
    let inside = tokio::spawn(app.send("POST", "$hold", &parameters).send());
    app.hold.arrived.acquire().await.unwrap().forget();
    let refused = long().send().await.unwrap();
    assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (503, &"1".parse().unwrap()));
    assert_eq!(issue(&json(refused).await.1).0, "transient");
    let packed = long().header("content-encoding", "gzip").body(gzip(basic(310 * 1024).as_bytes()));
    assert_eq!(packed.send().await.unwrap().status().as_u16(), 503, "also one that becomes long");
    let short = app.send("PUT", "Basic/b", &basic(200)).send().await.unwrap();
    assert_eq!(short.status().as_u16(), 201, "short bodies have room of their own");
    // Who sent it goes away, but the write goes on, and its body is still there.
    inside.abort();
    assert!(inside.await.unwrap_err().is_cancelled());
    assert_eq!(long().send().await.unwrap().status().as_u16(), 503);
    app.hold.go_on.notify_waiters();
    while long().send().await.unwrap().status().as_u16() != 200 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_body_of_nothing_but_values_is_refused() {
    let app = TestApp::start().await;
    let ones = |count: usize| {
        format!(
            r#"{{"resourceType":"Basic","id":"v","_x":[{}{{"id":"1"}}]}}"#,
            r#"{"id":"1"},"#.repeat(count)
        )
    };
    let taken = app.send("PUT", "Basic/v", &ones(30_000)).send().await.unwrap();
    assert_eq!(taken.status().as_u16(), 201);
    // One value in 5.5 bytes: more of them than the length pays for.
    let (status, outcome) = json(app.send("PUT", "Basic/v", &ones(200_000)).send().await.unwrap()).await;
    assert_eq!((status, issue(&outcome).0.as_str()), (413, "too-costly"), "{outcome}");
    let patch = format!("[{}1]", "1,".repeat(200_000));
    let ask = app.ask("PATCH", "Basic/v").header("content-type", "application/json-patch+json").body(patch);
    let (status, outcome) = json(ask.send().await.unwrap()).await;
    assert_eq!((status, issue(&outcome).0.as_str()), (413, "too-costly"), "{outcome}");
}

#[tokio::test]
async fn xml_of_nothing_but_elements_is_refused() {
    let app = TestApp::start().await;
    let names = |count: usize| {
        let names = r#"<name id="1"/>"#.repeat(count);
        format!(r#"<Patient xmlns="http://hl7.org/fhir"><id value="x"/>{names}</Patient>"#)
    };
    for (count, wanted) in [(30_000, 201), (500_000, 413)] {
        let ask = app.ask("PUT", "Patient/x").header("content-type", "application/fhir+xml");
        let answer = ask.body(names(count)).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), wanted, "{count}");
    }
}

#[tokio::test]
async fn what_is_quoted_is_cut() {
    let app = TestApp::start().await;
    let long = "ä".repeat(1_000_000);
    let entry = format!(r#"{{"request":{{"method":"GET","url":"http://{long}"}}}}"#);
    let bundle = format!(r#"{{"resourceType":"Bundle","type":"batch","entry":[{entry}]}}"#);
    let xml = format!(r#"<Patient xmlns="http://hl7.org/fhir"><{long}/></Patient>"#);
    for (kind, path, body) in [("json", "", bundle), ("xml", "Patient", xml)] {
        let ask = app.ask("POST", path).header("content-type", format!("application/fhir+{kind}"));
        let answer = ask.body(body).send().await.unwrap().text().await.unwrap();
        assert!(answer.contains("OperationOutcome") && answer.len() < 5000, "{}", answer.len());
    }
}

#[tokio::test]
async fn a_write_that_xml_cannot_show_is_done_and_said_in_json() {
    let app = TestApp::with(HttpLimits::default(), CorsOrigins::default()).await;
    let body = r#"{"resourceType":"Patient","foo":{"bar":1}}"#;
    let answer =
        app.send("POST", "Patient", body).header("accept", "application/fhir+xml").send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 201);
    let location = answer.headers()["location"].to_str().unwrap().to_owned();
    assert_eq!(json(answer).await.1["resourceType"], "Patient");
    let read = app.client.get(location).header("accept", "application/fhir+xml").send().await.unwrap();
    assert_eq!(read.status().as_u16(), 406, "a read is refused");
}
