//! What is sent by mail: addresses that are verified, passwords that are forgotten.

use std::time::Duration;

use fhir_access::accounts::login_name::LoginName;
use serde_json::{Value, json};

use super::support::{PASSWORD, Servers};

fn registration(email: &str) -> Value {
    json!({ "email": email, "password": PASSWORD, "first_name": "Jane", "last_name": "Doe", "registration_role": "DOCTOR" })
}

/// Waits until so many were sent; the one to an address with a subject.
async fn sent(servers: &Servers, count: usize, subject: &str) -> String {
    for _ in 0..100 {
        let all = servers.mail();
        if all.len() >= count {
            return all.into_iter().find(|text| text.contains(subject)).unwrap();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{:?}", servers.mail());
}

/// The secret that stands alone in a line.
fn secret(mail: &str) -> String {
    let lines = mail.lines().map(str::trim);
    lines
        .filter(|line| line.len() == 43 && !line.contains(' '))
        .map(str::to_owned)
        .next()
        .unwrap_or_else(|| panic!("{mail}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_counts_when_it_is_verified() {
    let servers = Servers::new(&[]).await;
    let server = servers.start().await;
    let accounts = server.accounts();
    let north = accounts.organization_named("north").await.unwrap().unwrap().id;
    accounts
        .set_member(north, &LoginName::email("jane@example.com").unwrap(), &["ORG:DOCTOR"])
        .await
        .unwrap();
    let (status, answer) = server.post("/api/auth/register", registration("jane@example.com")).await;
    assert_eq!((status, &answer["data"]["email_verification"]), (201, &json!("pending")), "{answer}");
    assert!(answer["data"].get("token").is_none());
    let login = json!({ "email": "jane@example.com", "password": PASSWORD });
    let (status, refused) = server.post("/api/auth/login", login.clone()).await;
    assert_eq!((status, &refused["error"]["message"]), (401, &json!("Invalid credentials")), "{refused}");
    let mail = sent(&servers, 1, "Verify your address").await;
    let secret = secret(&mail);
    // The queue does not show what it holds.
    let client = server.app.cx.store.connections().client().await.unwrap();
    let rows = client.query("select payload from job where type = 'accounts.mail'", &[]).await.unwrap();
    assert!(rows.iter().all(|row| !row.get::<_, String>(0).contains(&secret)) && !rows.is_empty());
    drop(client);
    let verify_by = async |token: &str, password: &str| {
        let body = json!({ "token": token, "password": password });
        server.post("/api/auth/verify-email", body).await.0
    };
    let verify = async |token: &str| verify_by(token, PASSWORD).await;
    assert_eq!(
        verify_by(&secret, "of somebody else").await,
        401,
        "whoever registered it for them is not let in"
    );
    assert_eq!(verify("x").await, 410);
    assert_eq!(verify(&secret).await, 200);
    assert_eq!(verify(&secret).await, 410);
    let (_, signed_in) = server.post("/api/auth/login", login).await;
    assert_eq!(signed_in["data"]["user"]["organizations"][0]["slug"], "north", "{signed_in}");
    // Whoever registers an address of somebody else learns nothing, and takes nothing.
    let (status, other) = server.post("/api/auth/register", registration("jane@example.com")).await;
    assert_eq!((status, &other["data"]["email_verification"]), (201, &json!("pending")));
    let shape =
        |value: &Value| value["data"]["user"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(shape(&other), shape(&answer));
    sent(&servers, 2, "There is an account of this address").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_password_is_set_by_mail() {
    let servers = Servers::new(&[]).await;
    let server = servers.start().await;
    server.user("jane@example.com", &[], &[]).await;
    let before = server.token("jane@example.com").await;
    let mut answers = Vec::new();
    for email in ["nobody@example.com", "jane@example.com"] {
        answers.push(server.post("/api/auth/password/forgot", json!({ "email": email })).await);
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0].0, 202);
    let secret = secret(&sent(&servers, 1, "Set a new password").await);
    let reset = async |token: &str| {
        let body = json!({ "token": token, "password": "a new good one" });
        server.post("/api/auth/password/reset", body).await.0
    };
    assert_eq!(reset("x").await, 410);
    assert_eq!(reset(&secret).await, 200);
    assert_eq!(reset(&secret).await, 410);
    assert_eq!(server.status_as(&before, "/api/auth/me").await, 401);
    let login = json!({ "email": "jane@example.com", "password": "a new good one" });
    assert_eq!(server.post("/api/auth/login", login).await.0, 200);
    assert_eq!(servers.mail().len(), 1, "nobody got none");
}
