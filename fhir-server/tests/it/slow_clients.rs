//! Clients that send or take next to nothing are cut, and everybody else is answered meanwhile; who goes away leaves nothing running.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use fhir_http::{CorsOrigins, HttpLimits};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::app::TestApp;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Everything a thousand times faster than a server has it.
fn hurried() -> HttpLimits {
    HttpLimits {
        head_timeout: Duration::from_millis(200),
        idle_timeout: Duration::from_secs(60),
        rate_window: Duration::from_millis(200),
        bytes_per_second_min: 500,
        ..HttpLimits::default()
    }
}

/// An HTTP/2 frame.
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let [_, length @ ..] = (payload.len() as u32).to_be_bytes();
    [&length[..], &[kind, flags, 0, 0, 0, stream], payload].concat()
}

/// A field whose name stands in HPACK's static table at `index`, with a value as it is.
fn field(index: &[u8], value: &str) -> Vec<u8> {
    [index, &[value.len() as u8], value.as_bytes()].concat()
}

/// The head of a request over HTTP/2: `method` is a field of HPACK's static table.
fn head(method: u8, path: &str) -> Vec<u8> {
    let scheme = [0x86];
    [
        &[method][..],
        &scheme,
        &field(&[0x04], path),
        &field(&[0x01], "localhost"),
        &field(&[0x0f, 0x10], "application/fhir+json"),
    ]
    .concat()
}

/// Sends `at_once`, then a byte now and again, until the server ends the connection.
async fn drip(address: SocketAddr, at_once: Vec<u8>, byte: Vec<u8>) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&at_once).await.unwrap();
    let (mut reads, mut writes) = stream.split();
    let mut answer = Vec::new();
    let sending = async {
        let mut pause = tokio::time::interval(Duration::from_millis(20));
        for byte in byte.iter().cycle() {
            pause.tick().await;
            if writes.write_all(&[*byte]).await.is_err() {
                break;
            }
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        _ = reads.read_to_end(&mut answer) => {}
        () = sending => {}
    }
    answer
}

#[tokio::test]
async fn who_sends_a_byte_now_and_again_is_cut() {
    let app = TestApp::with(hurried(), CorsOrigins::default()).await;
    let post = "POST /fhir/R4/Patient HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/fhir+json\r\n";
    let (get, settings) =
        (b"GET /fhir/R4/metadata HTTP/1.1\r\nHost: localhost\r\nx: ", frame(SETTINGS, 0, 0, b""));
    let http2 = [PREFACE, &settings].concat();
    let begun = frame(HEADERS, END_HEADERS, 1, &head(0x83, "/fhir/R4/Patient"));
    let long_data = [&[0, 1, 0, 0, 0, 0, 0, 0, 1][..]].concat();
    let kinds: [(&str, Vec<u8>, Vec<u8>, bool); 7] = [
        ("head", get.to_vec(), b"x".to_vec(), false),
        ("body", format!("{post}Content-Length: 9999\r\n\r\n").into_bytes(), b" ".to_vec(), true),
        (
            "chunks",
            format!("{post}Transfer-Encoding: chunked\r\n\r\n").into_bytes(),
            b"1\r\n \r\n".to_vec(),
            true,
        ),
        ("HTTP/2 preface", Vec::new(), PREFACE.to_vec(), false),
        ("HTTP/2 head", [&http2[..], &[0, 1, 0, 1, 0, 0, 0, 0, 1]].concat(), vec![0x82], false),
        ("HTTP/2 data", [&http2[..], &begun, &long_data].concat(), b" ".to_vec(), false),
        ("HTTP/2 frames", [&http2[..], &begun].concat(), frame(0, 0, 1, b" "), false),
    ];
    let mut clients = Vec::new();
    for (name, at_once, byte, is_told) in kinds {
        for _ in 0..4 {
            let client = tokio::spawn(drip(app.address, at_once.clone(), byte.clone()));
            clients.push((name, is_told, client));
        }
    }
    let count = clients.len();
    for _ in 0..20 {
        assert_eq!(app.ask("GET", "metadata").send().await.unwrap().status().as_u16(), 200);
    }
    for (name, is_told, client) in clients {
        let answer = client.await.unwrap();
        let answer = String::from_utf8_lossy(&answer);
        assert_eq!(answer.starts_with("HTTP/1.1 408 "), is_told, "{name}: {answer}");
    }
    assert_eq!(app.metric("fhir_slow_connections_total").await, count.to_string());
}

#[tokio::test]
async fn who_does_not_take_the_answer_is_cut() {
    let app = TestApp::with(hurried(), CorsOrigins::default()).await;
    let text = "x".repeat(8 * 1024 * 1024);
    let body = format!(r#"{{"resourceType":"Basic","id":"b","code":{{"text":"{text}"}}}}"#);
    assert_eq!(app.send("PUT", "Basic/b", &body).send().await.unwrap().status().as_u16(), 201);
    let get = b"GET /fhir/R4/Basic/b HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec();
    // The windows of HTTP/2, for streams with nothing in them.
    let none = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    let asked = frame(HEADERS, END_HEADERS | END_STREAM, 1, &head(0x82, "/fhir/R4/Basic/b"));
    for (name, request) in [("HTTP/1", get), ("HTTP/2", [PREFACE, &none, &asked].concat())] {
        let before: usize = app.metric("fhir_slow_connections_total").await.parse().unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let mut stream = socket.connect(app.address).await.unwrap();
        stream.write_all(&request).await.unwrap();
        while app.metric("fhir_slow_connections_total").await != (before + 1).to_string() {
            tokio::task::yield_now().await;
        }
        let mut part = Vec::new();
        let read = stream.read_to_end(&mut part).await;
        assert!(read.is_err() || part.len() < body.len(), "{name}: {} bytes", part.len());
        assert_eq!(app.ask("GET", "metadata").send().await.unwrap().status().as_u16(), 200);
    }
}

#[tokio::test]
async fn a_connection_may_be_silent_between_requests() {
    let app = TestApp::with(hurried(), CorsOrigins::default()).await;
    let mut stream = TcpStream::connect(app.address).await.unwrap();
    for _ in 0..2 {
        stream.write_all(b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
        let mut rest = vec![0; 4096];
        while !String::from_utf8_lossy(&rest).contains("ok\"}") {
            let length = stream.read(&mut rest).await.unwrap();
            rest.truncate(length);
            rest.resize(4096, 0);
        }
        // Longer than a head may take: a slow client that began meanwhile is gone, the silent one is not.
        drip(app.address, b"GET / HTTP/1.1\r\nx: ".to_vec(), b"x".to_vec()).await;
    }
}

/// Who goes away leaves nothing behind: neither a statement that runs on, nor a connection on which others wait for it.
#[tokio::test]
async fn a_search_ends_with_its_client() {
    let app = TestApp::start().await;
    let holder = app.cx.store.connections().dedicated().await.unwrap();
    // Who reads resources waits for this.
    holder
        .batch_execute("begin; lock table resource, resource_history in access exclusive mode")
        .await
        .unwrap();
    // What a transaction has seen of others' activity it does not see anew.
    let observer = app.cx.store.connections().dedicated().await.unwrap();
    let waiting = async || {
        let all = "select count(*) from pg_stat_activity a where a.datname = current_database() and a.wait_event_type = 'Lock'";
        observer.query_one(all, &[]).await.unwrap().get::<_, i64>(0)
    };
    for path in
        ["Patient", "Patient?_total=accurate&_count=0", "_history", "Patient?_has:Observation:patient:code=x"]
    {
        let mut client = TcpStream::connect(app.address).await.unwrap();
        let request = format!("GET /fhir/R4/{path} HTTP/1.1\r\nhost: {}\r\n\r\n", app.address);
        client.write_all(request.as_bytes()).await.unwrap();
        let began = Instant::now();
        while waiting().await == 0 {
            assert!(began.elapsed() < Duration::from_secs(20), "{path} does not wait");
        }
        drop(client);
        while waiting().await > 0 {
            assert!(began.elapsed() < Duration::from_secs(20), "{path} waits for nobody");
        }
    }
    holder.batch_execute("rollback").await.unwrap();
    assert_eq!(app.ask("GET", "Patient").send().await.unwrap().status(), 200);
}
