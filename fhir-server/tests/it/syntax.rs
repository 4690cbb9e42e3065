//! The syntax of HTTP, byte by byte: what is not clear is refused, and nothing is read after it.
//! <https://www.rfc-editor.org/rfc/rfc9112>

use std::time::Duration;

use fhir_http::{CorsOrigins, HttpLimits};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::app::TestApp;

/// Sends bytes and reads until the server closes; whether it did so in time.
async fn raw(app: &TestApp, bytes: &[u8]) -> (String, bool) {
    let mut stream = TcpStream::connect(app.address).await.unwrap();
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let closed = tokio::time::timeout(Duration::from_millis(1500), async {
        let mut some = [0; 4096];
        while let Ok(read @ 1..) = stream.read(&mut some).await {
            answer.extend_from_slice(&some[..read]);
        }
    });
    let closed = closed.await.is_ok();
    (String::from_utf8_lossy(&answer).into_owned(), closed)
}

fn status(answer: &str) -> u16 {
    answer.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0)
}

/// Smuggled behind each request: it must never be answered.
const SECOND: &str = "GET /fhir/R4/$panic HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[tokio::test]
async fn what_is_not_clear_is_refused_and_the_connection_closed() {
    let app = TestApp::with(
        HttpLimits { head_bytes_max: 16 * 1024, ..HttpLimits::default() },
        CorsOrigins::default(),
    )
    .await;
    let get = "GET /fhir/R4/metadata HTTP/1.1\r\n";
    let post = "POST /fhir/R4/Basic HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/fhir+json\r\n";
    let long = "x".repeat(20_000);
    let rows: Vec<(&str, String, &[u16])> = vec![
        ("no Host", format!("{get}\r\n{SECOND}"), &[400]),
        ("two Hosts", format!("{get}Host: localhost\r\nHost: localhost\r\n\r\n{SECOND}"), &[400]),
        ("a Host that is none", format!("{get}Host: a b\r\n\r\n{SECOND}"), &[400]),
        ("a Host with a path", format!("{get}Host: localhost/x\r\n\r\n{SECOND}"), &[400]),
        ("a Host with a user", format!("{get}Host: me@localhost\r\n\r\n{SECOND}"), &[400]),
        ("a Host beyond ASCII", format!("{get}Host: loc\u{e4}l\r\n\r\n{SECOND}"), &[400]),
        (
            "absolute, no Host",
            format!("GET http://localhost/fhir/R4/metadata HTTP/1.1\r\n\r\n{SECOND}"),
            &[400],
        ),
        (
            "a folded header",
            format!("{get}Host: localhost\r\nAccept: application/fhir+json,\r\n */*\r\n\r\n{SECOND}"),
            &[400],
        ),
        ("a space before the colon", format!("{get}Host : localhost\r\n\r\n{SECOND}"), &[400]),
        ("a NUL in a header", format!("{get}Host: localhost\r\nAccept: a\0b\r\n\r\n{SECOND}"), &[400]),
        ("a bare CR in a header", format!("{get}Host: localhost\r\nAccept: a\rb\r\n\r\n{SECOND}"), &[400]),
        (
            "no such version",
            format!("GET /fhir/R4/metadata HTTP/9.9\r\nHost: localhost\r\n\r\n{SECOND}"),
            &[400, 505],
        ),
        ("no HTTP", format!("hello\r\n\r\n{SECOND}"), &[400]),
        (
            "a space in the target",
            format!("GET /fhir/R4/Patient?name=a b HTTP/1.1\r\nHost: localhost\r\n\r\n{SECOND}"),
            &[400],
        ),
        ("two lengths", format!("{post}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{{}}x{SECOND}"), &[400]),
        ("a length that is none", format!("{post}Content-Length: two\r\n\r\n{{}}{SECOND}"), &[400]),
        ("a negative length", format!("{post}Content-Length: -2\r\n\r\n{{}}{SECOND}"), &[400]),
        ("a length with a sign", format!("{post}Content-Length: +2\r\n\r\n{{}}{SECOND}"), &[400]),
        (
            "an endless length",
            format!("{post}Content-Length: 99999999999999999999999\r\n\r\n{{}}{SECOND}"),
            &[400, 413],
        ),
        (
            "an encoding that is not the last",
            format!("{post}Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n{SECOND}"),
            &[400],
        ),
        (
            "an unknown encoding",
            format!("{post}Transfer-Encoding: cow\r\n\r\n0\r\n\r\n{SECOND}"),
            &[400, 501],
        ),
        (
            "a chunk size that is none",
            format!("{post}Transfer-Encoding: chunked\r\n\r\nzz\r\n{{}}\r\n0\r\n\r\n{SECOND}"),
            &[400],
        ),
        (
            "a chunk without its end",
            format!("{post}Transfer-Encoding: chunked\r\n\r\n2\r\n{{}}XX0\r\n\r\n{SECOND}"),
            &[400],
        ),
        (
            "an endless chunk size",
            format!(
                "{post}Transfer-Encoding: chunked\r\n\r\nfffffffffffffffffffff\r\n{{}}\r\n0\r\n\r\n{SECOND}"
            ),
            &[400, 413],
        ),
        ("a long header", format!("{get}Host: localhost\r\nX-Long: {long}\r\n\r\n"), &[431]),
        (
            "a long line",
            format!("GET /fhir/R4/Patient?name={long} HTTP/1.1\r\nHost: localhost\r\n\r\n"),
            &[414, 431],
        ),
        ("many headers", format!("{get}Host: localhost\r\n{}\r\n", "X: y\r\n".repeat(1000)), &[431]),
    ];
    let mut wrong = Vec::new();
    for (name, sent, wanted) in rows {
        let (answer, closed) = raw(&app, sent.as_bytes()).await;
        let answers =
            answer.split("HTTP/1.1 ").filter(|one| one.starts_with(|c: char| c.is_ascii_digit())).count();
        if !wanted.contains(&status(&answer)) || answers != 1 || !closed {
            let head: String = answer.chars().take(300).collect();
            wrong.push(format!("{name}: {answers} answers, closed: {closed}, {head}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn what_is_clear_is_answered() {
    let app = TestApp::start().await;
    let close = "Connection: close\r\n\r\n";
    let rows = [
        ("HTTP/1.0 without Host", "GET /fhir/R4/Patient/none HTTP/1.0\r\n\r\n".to_owned(), 404),
        (
            "HTTP/1.0 with Host",
            "GET /fhir/R4/Patient/none HTTP/1.0\r\nHost: localhost\r\n\r\n".to_owned(),
            404,
        ),
        (
            "absolute",
            format!("GET http://localhost/fhir/R4/Patient/none HTTP/1.1\r\nHost: localhost\r\n{close}"),
            404,
        ),
        (
            "absolute, whose name counts",
            format!("GET http://localhost/fhir/R4/Patient/none HTTP/1.1\r\nHost: evil.org\r\n{close}"),
            404,
        ),
        (
            "absolute, of another",
            format!("GET http://evil.org/fhir/R4/Patient/none HTTP/1.1\r\nHost: localhost\r\n{close}"),
            421,
        ),
        ("an asterisk", format!("OPTIONS * HTTP/1.1\r\nHost: localhost\r\n{close}"), 404),
        (
            "the same length twice in one",
            format!("GET /fhir/R4/Patient/none HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n{close}"),
            404,
        ),
    ];
    for (name, sent, wanted) in rows {
        let (answer, closed) = raw(&app, sent.as_bytes()).await;
        assert_eq!((status(&answer), closed), (wanted, true), "{name}: {answer}");
    }
    let (answer, _) = raw(
        &app,
        format!("GET http://ehr.local:99/fhir/R4/Patient HTTP/1.1\r\nHost: localhost\r\n{close}").as_bytes(),
    )
    .await;
    assert!(
        answer.contains("http://ehr.local:99/fhir/R4/Patient"),
        "links begin with what was asked: {answer}"
    );
}

/// With a length beside chunks the chunks count, as RFC 9112 (6.3) lets a server decide, and nothing is read after them: who
/// goes by the length, and sees a second request, gets no answer to it.
#[tokio::test]
async fn a_length_beside_chunks_smuggles_nothing() {
    let app = TestApp::start().await;
    let post = "POST /fhir/R4/Basic HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/fhir+json\r\n";
    let chunks = "18\r\n{\"resourceType\":\"Basic\"}\r\n0\r\n\r\n";
    for lengths in [
        "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: nonsense\r\n",
    ] {
        let (answer, closed) = raw(&app, format!("{post}{lengths}\r\n{chunks}{SECOND}").as_bytes()).await;
        let answers = answer.matches("HTTP/1.1 ").count();
        assert_eq!((status(&answer), answers, closed), (201, 1, true), "{lengths}: {answer}");
    }
    assert_eq!(app.metric("fhir_panics_total").await, "0");
}

/// Bytes in headers, each in every header the server reads.
#[tokio::test]
async fn headers_of_any_bytes() {
    let app = TestApp::start().await;
    app.send("PUT", "Basic/h", r#"{"resourceType":"Basic","id":"h"}"#).send().await.unwrap();
    let names = [
        "Accept",
        "Accept-Encoding",
        "Content-Type",
        "Content-Encoding",
        "If-Match",
        "If-None-Match",
        "If-None-Exist",
        "If-Modified-Since",
        "If-Range",
        "Range",
        "Prefer",
        "X-Request-Id",
        "Origin",
        "X-Security-Context",
        "Expect",
        "Access-Control-Request-Method",
        "Authorization",
    ];
    let values: [&[u8]; 22] = [
        b"",
        b" ",
        b"\xff",
        b"\xc3\xa4",
        b"\xed\xa0\x80",
        b"\t",
        b",",
        b",,,",
        b";",
        b";;q=",
        b"q=1",
        b"\"",
        b"W/",
        b"W/\"",
        b"*",
        b"*/*;q=2",
        b"a/b;q=-1",
        b"bytes=",
        b"return=",
        b"identifier=%00",
        b"identifier=%",
        b"99999999999999999999",
    ];
    let resource = br#"{"resourceType":"Basic","id":"h"}"#;
    let requests = [
        ("GET", "Basic/h"),
        ("HEAD", "Basic/h"),
        ("PUT", "Basic/h"),
        ("POST", "Basic"),
        ("PUT", "Binary/h"),
        ("GET", "Binary/h"),
        ("DELETE", "Basic/none"),
        ("OPTIONS", "Basic/h"),
        ("GET", "Basic?_count=1"),
        ("PATCH", "Basic/h"),
        ("POST", ""),
    ];
    for name in names {
        for value in values.iter().copied().chain([&[b'x'; 5000][..]]) {
            for (method, path) in requests {
                let body: &[u8] = if matches!(method, "PUT" | "POST" | "PATCH") { resource } else { b"" };
                let mut sent = format!("{method} /fhir/R4/{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n", body.len()).into_bytes();
                if name != "Content-Type" {
                    sent.extend_from_slice(b"Content-Type: application/fhir+json\r\n");
                }
                sent.extend_from_slice(format!("{name}: ").as_bytes());
                sent.extend_from_slice(value);
                sent.extend_from_slice(b"\r\n\r\n");
                sent.extend_from_slice(body);
                let (answer, closed) = raw(&app, &sent).await;
                let found = status(&answer);
                let value = String::from_utf8_lossy(&value[..value.len().min(30)]).into_owned();
                assert!((200..500).contains(&found) && closed, "{method} {path} {name}: {value:?}: {answer}");
            }
        }
    }
}
