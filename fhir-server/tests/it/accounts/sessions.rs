//! Refresh tokens are used once, on whatever process; their second use ends the session.

use std::time::Duration;

use serde_json::{Value, json};

use super::support::{PASSWORD, Server, Servers, text};

const SECOND: i64 = 1_000_000;

async fn refresh(server: &Server, token: &str) -> (u16, Value) {
    server.post("/api/auth/refresh", json!({ "refresh_token": token })).await
}

#[tokio::test(flavor = "multi_thread")]
async fn of_eight_first_uses_on_two_processes_one_succeeds() {
    let servers = Servers::new(&[]).await;
    let (one, two) = (servers.start().await, servers.start().await);
    one.user("jane@example.com", &[], &[]).await;
    let first = text(&one.sign_in("jane@example.com").await, "refresh_token").to_owned();
    let uses = (0..8).map(|number| refresh(if number % 2 == 0 { &one } else { &two }, &first));
    let answers = futures_util::future::join_all(uses).await;
    let (good, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|(status, _)| *status == 200);
    assert_eq!((good.len(), refused.len()), (1, 7));
    assert!(refused.iter().all(|(status, _)| *status == 401));
    // A client that asked twice goes on with what it got.
    let (access, second) = (text(&good[0].1["data"], "token"), text(&good[0].1["data"], "refresh_token"));
    assert_eq!(two.status_as(access, "/api/auth/me").await, 200);
    let (status, answer) = refresh(&two, second).await;
    assert_eq!(status, 200, "{answer}");
    let (access, third) = (text(&answer["data"], "token"), text(&answer["data"], "refresh_token"));
    servers.clock.shift(9 * SECOND);
    assert_eq!(refresh(&one, &first).await.0, 401);
    assert_eq!(one.status_as(access, "/api/auth/me").await, 200, "the session lives on for 10 s");
    servers.clock.shift(2 * SECOND);
    // A process that knows nothing of before.
    let later = servers.start().await;
    assert_eq!(refresh(&later, &first).await.0, 401);
    assert_eq!(later.status_as(access, "/api/auth/me").await, 401, "and then the old token ends it");
    assert_eq!(refresh(&later, third).await.0, 401);
    let until = async |server: &Server| {
        for _ in 0..15 {
            if server.status_as(access, "/api/auth/me").await == 401 {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        false
    };
    assert!(until(&one).await && until(&two).await, "on all processes within a second");
}

#[tokio::test]
async fn what_was_never_given_is_nothing() {
    let servers = Servers::new(&[]).await;
    let server = servers.start().await;
    for body in [json!({}), json!({ "refresh_token": "" }), json!({ "refresh_token": "x" }), Value::Null] {
        let (status, answer) = server.post("/api/auth/refresh", body.clone()).await;
        assert_eq!((status, &answer["error"]["code"]), (401, &json!("UNAUTHORIZED")), "{body}");
    }
    assert_eq!(server.post("/api/auth/refresh", json!([1])).await.0, 400);
}

#[tokio::test]
async fn a_session_ends_by_time_and_when_nobody_uses_a_shared_computer() {
    let servers = Servers::new(&[]).await;
    let server = servers.start().await;
    server.user("jane@example.com", &[], &[]).await;
    let shared = json!({ "email": "jane@example.com", "password": PASSWORD, "shared_device": true });
    let (_, ward) = server.post("/api/auth/login", shared).await;
    let own = server.sign_in("jane@example.com").await;
    servers.clock.shift(9 * 60 * SECOND);
    let (status, ward) = refresh(&server, text(&ward["data"], "refresh_token")).await;
    assert_eq!(status, 200);
    servers.clock.shift(11 * 60 * SECOND);
    assert_eq!(refresh(&server, text(&ward["data"], "refresh_token")).await.0, 401, "idle for too long");
    let (status, own) = refresh(&server, text(&own, "refresh_token")).await;
    assert_eq!(status, 200);
    let access = text(&own["data"], "token");
    servers.clock.shift(15 * 60 * SECOND + 59 * SECOND);
    assert_eq!(server.status_as(access, "/api/auth/me").await, 200, "clocks may differ by a minute");
    servers.clock.shift(2 * SECOND);
    assert_eq!(server.status_as(access, "/api/auth/me").await, 401);
    servers.clock.shift(31 * 86_400 * SECOND);
    assert_eq!(
        refresh(&server, text(&own["data"], "refresh_token")).await.0,
        401,
        "and the sign-in has ended"
    );
    server.accounts().sweep().await.unwrap();
}

/// Who signs in where somebody else is signed in takes their place.
#[tokio::test]
async fn a_ward_has_one_computer() {
    let servers = Servers::new(&[]).await;
    let server = servers.start().await;
    server.user("jane@example.com", &[], &[]).await;
    server.user("peter@example.com", &[], &[]).await;
    let jane = server.sign_in("jane@example.com").await;
    let cookie = format!("refresh_token={}", text(&jane, "refresh_token"));
    let body = json!({ "email": "peter@example.com", "password": PASSWORD });
    let answer =
        server.request("POST", "/api/auth/login", &body).header("cookie", cookie).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(server.status_as(text(&jane, "token"), "/api/auth/me").await, 401);
}

/// A pool of few connections suffices for many who sign in, refresh and sign out at the same time.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_a_connection_with_one_in_hand() {
    let servers = Servers::new(&[]).await.with_connections(2);
    let server = servers.start().await;
    for number in 0..8 {
        server.user(&format!("user{number}@example.com"), &[], &[("default", &["ORG:STAFF"])]).await;
    }
    let round = async |number: usize| {
        let signed_in = server.sign_in(&format!("user{number}@example.com")).await;
        let (_, next) = refresh(&server, text(&signed_in, "refresh_token")).await;
        let token = text(&next["data"], "token");
        assert_eq!(server.status_as(token, "/fhir/R4/Patient").await, 200);
        assert_eq!(server.post_as(token, "/api/auth/logout", Value::Null).await.0, 200);
        assert_eq!(server.status_as(token, "/fhir/R4/Patient").await, 401);
    };
    futures_util::future::join_all((0..8).map(round)).await;
}
