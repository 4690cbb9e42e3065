//! Calls to other systems: what they reach, what they never reach, and their limits.

use std::net::SocketAddr;
use std::time::Duration;

use fhir_app::{OutboundClient, OutboundLimits, OutboundRequest, header};
use fhir_model::Kind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::app::outbound;

const BYTES_MAX: usize = 4096;

/// A client that may call these networks, with small limits.
fn client(networks: &[&str]) -> OutboundClient {
    let limits = OutboundLimits {
        connect_timeout: Duration::from_secs(5),
        timeout: Duration::from_millis(800),
        answer_bytes_max: BYTES_MAX,
    };
    OutboundClient::new(networks.iter().map(|network| network.parse().unwrap()).collect(), limits).unwrap()
}

fn get(url: &str) -> OutboundRequest {
    OutboundRequest { url: url.to_owned(), ..OutboundRequest::default() }
}

/// Another system: it answers by the path it is asked for.
async fn other_system() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut bytes = [0; 4096];
                let read = stream.read(&mut bytes).await.unwrap_or(0);
                let request = String::from_utf8_lossy(&bytes[..read]).into_owned();
                let path = request.split(' ').nth(1).unwrap_or_default();
                let answer = match path {
                    "/moved" => "HTTP/1.1 307 Moved\r\nLocation: http://169.254.169.254/secrets\r\nContent-Length: 0\r\n\r\n".to_owned(),
                    "/small" => body(BYTES_MAX),
                    "/large" => body(BYTES_MAX + 1),
                    "/endless" => "HTTP/1.1 200 OK\r\n\r\n".to_owned() + &"x".repeat(1 << 20),
                    "/late" => return std::future::pending().await,
                    "/nonsense" => "what?\r\n\r\n".to_owned(),
                    _ => format!("HTTP/1.1 404 Nothing\r\nContent-Length: {}\r\n\r\n{request}", request.len()),
                };
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    address
}

fn body(bytes: usize) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\n\r\n{}", "x".repeat(bytes))
}

#[tokio::test]
async fn networks_of_the_operator_are_reached() {
    let other = other_system().await;
    for (networks, host) in [
        (vec!["127.0.0.0/8"], "127.0.0.1"),
        (vec!["10.0.0.0/8", "127.0.0.1/32", "::1/128"], "localhost"),
        (vec!["127.0.0.1/32"], "[::ffff:127.0.0.1]"),
    ] {
        let mut request = get(&format!("http://{host}:{}/Patient?name=Amina", other.port()));
        request.method = fhir_app::Method::POST;
        request.headers.insert(header::CONTENT_TYPE, "text/plain".parse().unwrap());
        request.body = b"hello".to_vec();
        let answer = client(&networks).send(request).await.unwrap();
        assert_eq!(answer.status, 404, "{host}");
        let seen = String::from_utf8(answer.body).unwrap();
        assert!(
            seen.starts_with("POST /Patient?name=Amina HTTP/1.1\r\n") && seen.ends_with("hello"),
            "{seen}"
        );
        assert!(
            seen.contains("content-type: text/plain\r\n") && seen.contains("user-agent: cari/"),
            "{seen}"
        );
    }
}

#[tokio::test]
async fn nothing_else_of_this_machine_and_its_neighbours_is_reached() {
    let other = other_system().await;
    let port = other.port();
    let nothing = client(&[]);
    let neighbours = client(&["10.20.0.0/16"]);
    for host in [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "2130706433",
        "0x7f.1",
        "017700000001",
        "0.0.0.0",
        "[::]",
        "169.254.169.254",
        "10.0.0.1",
        "192.168.0.1",
        "127.0.0.1.",
        "LOCALHOST",
        "１２７.0.0.1",
    ] {
        for scheme in ["http", "https"] {
            for client in [&nothing, &neighbours] {
                let url = format!("{scheme}://{host}:{port}/Patient?name=Amina");
                let error = client.send(get(&url)).await.expect_err(&url);
                assert_eq!(error.kind, Kind::Forbidden, "{url}: {error}");
                assert!(!error.to_string().contains("Amina"), "{error}");
            }
        }
    }
    // Public addresses are called with encryption alone.
    let error = nothing.send(get("http://1.1.1.1/")).await.unwrap_err();
    assert_eq!(error.kind, Kind::Forbidden, "{error}");
    assert!(outbound().send(get(&format!("http://{other}/"))).await.is_err());
}

#[tokio::test]
async fn urls_that_are_none_to_call_are_refused() {
    for url in [
        "",
        "/x",
        "x",
        "file:///etc/passwd",
        "ftp://127.0.0.1/",
        "http://",
        "https://ada:secret@example.org/",
        "data:,x",
    ] {
        let error = client(&["0.0.0.0/0"]).send(get(url)).await.expect_err(url);
        assert_eq!(error.kind, Kind::Invalid, "{url}: {error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}

#[tokio::test]
async fn a_call_may_not_say_whom_it_is_meant_for_nor_where_it_ends() {
    let other = other_system().await;
    for name in [
        "host",
        "content-length",
        "transfer-encoding",
        "connection",
        "upgrade",
        "expect",
        "proxy-authorization",
    ] {
        let mut request = get(&format!("http://{other}/Patient?name=Amina"));
        request.headers.insert(name, "admin".parse().unwrap());
        request.headers.insert(header::AUTHORIZATION, "secret".parse().unwrap());
        let shown = format!("{request:?}");
        assert!(!shown.contains("Amina") && !shown.contains("secret"), "{shown}");
        let error = client(&["127.0.0.0/8"]).send(request).await.expect_err(name);
        assert!(error.kind == Kind::Invalid && error.to_string().contains(name), "{error}");
    }
}

#[tokio::test]
async fn redirections_are_not_followed_and_limits_hold() {
    let other = other_system().await;
    let client = client(&["127.0.0.0/8"]);
    let answer = client.send(get(&format!("http://{other}/moved"))).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.location()), (307, Some("http://169.254.169.254/secrets")));
    let answer = client.send(get(&format!("http://{other}/small"))).await.unwrap();
    assert_eq!(answer.body.len(), BYTES_MAX);
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let rows = [
        (format!("http://{other}/large"), Kind::TooLarge),
        (format!("http://{other}/endless"), Kind::TooLarge),
        (format!("http://{other}/late"), Kind::Timeout),
        (format!("http://{other}/nonsense"), Kind::Unavailable),
        // It speaks no TLS.
        (format!("https://{other}/small"), Kind::Unavailable),
        (format!("http://{closed}/"), Kind::Unavailable),
    ];
    for (url, wanted) in rows {
        let error = client.send(get(&url)).await.expect_err(&url);
        assert_eq!(error.kind, wanted, "{url}: {error}");
    }
}
