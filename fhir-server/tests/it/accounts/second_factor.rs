//! The second factor: each code counts once, on whatever process.

use fhir_credentials::TotpSecret;
use serde_json::{Value, json};

use super::support::{Server, Servers, text};

const STEP: i64 = 30_000_000;

/// The code of a secret at a time, found by asking which one the secret takes: the library computes it, not this test.
fn code(secret: &TotpSecret, now: i64) -> String {
    let at = (0..1_000_000)
        .map(|number| format!("{number:06}"))
        .find(|code| secret.step(code, now) == Some(now / STEP));
    at.unwrap()
}

fn secret(enrolled: &Value) -> TotpSecret {
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let (mut bits, mut count, mut bytes) = (0_u32, 0, Vec::new());
    for letter in text(enrolled, "secret").chars() {
        bits = bits << 5 | u32::try_from(alphabet.find(letter).unwrap()).unwrap();
        count += 5;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).unwrap());
        }
    }
    TotpSecret::from_bytes(&bytes).unwrap()
}

async fn challenge(server: &Server) -> String {
    let signed_in = server.sign_in("jane@example.com").await;
    assert_eq!((&signed_in["mfa_required"], signed_in.get("token")), (&json!(true), None), "{signed_in}");
    text(&signed_in, "challenge_id").to_owned()
}

async fn answer(server: &Server, challenge: &str, code: &str) -> (u16, Value) {
    server.post("/api/auth/mfa/challenge", json!({ "challenge_id": challenge, "code": code })).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_counts_once() {
    let servers = Servers::new(&[]).await;
    let (one, two) = (servers.start().await, servers.start().await);
    servers.clock.set(1_800_000_000_000_000);
    one.user("jane@example.com", &[], &[]).await;
    let token = one.token("jane@example.com").await;
    let (status, enrolled) = one.post_as(&token, "/api/auth/mfa/enroll", Value::Null).await;
    assert_eq!(status, 200, "{enrolled}");
    let enrolled = &enrolled["data"];
    assert!(text(enrolled, "otpauth_uri").starts_with("otpauth://totp/"), "{enrolled}");
    let secret = secret(enrolled);
    let now = || servers.clock.now();
    // It does not count yet.
    assert!(one.sign_in("jane@example.com").await["token"].is_string());
    let (status, _) = one.post_as(&token, "/api/auth/mfa/verify", json!({ "code": "000000" })).await;
    assert_eq!(status, 400);
    let (status, _) =
        one.post_as(&token, "/api/auth/mfa/verify", json!({ "code": code(&secret, now()) })).await;
    assert_eq!(status, 200);
    assert_eq!(one.post_as(&token, "/api/auth/mfa/enroll", Value::Null).await.0, 409);

    let first = challenge(&one).await;
    assert_eq!(
        answer(&one, &first, &code(&secret, now())).await.0,
        401,
        "the code that confirmed it was used"
    );
    servers.clock.shift(STEP);
    let code_now = code(&secret, now());
    let (other, third) = (challenge(&two).await, challenge(&one).await);
    let (a, b) = tokio::join!(answer(&one, &first, &code_now), answer(&two, &other, &code_now));
    let mut statuses = [a.0, b.0];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 401], "on two processes at the same time");
    assert_eq!(answer(&two, &third, &code_now).await.0, 401);
    // Each recovery code stands for the second factor once.
    let recovery = enrolled["recovery_codes"][3].as_str().unwrap().to_lowercase();
    assert_eq!(answer(&two, &third, &recovery).await.0, 200);
    assert_eq!(answer(&two, &challenge(&two).await, &recovery).await.0, 401);
    assert_eq!(answer(&two, "x", &recovery).await.0, 401);
    // A challenge ends after five minutes.
    let late = challenge(&one).await;
    servers.clock.shift(301_000_000);
    assert_eq!(answer(&one, &late, &code(&secret, now())).await.0, 401);
    // Taken away, a password is enough again.
    let kept = challenge(&one).await;
    let (_, signed_in) = answer(&one, &kept, &code(&secret, now())).await;
    let token = text(&signed_in["data"], "token").to_owned();
    servers.clock.shift(STEP);
    let (status, _) =
        one.post_as(&token, "/api/auth/mfa/remove", json!({ "code": code(&secret, now()) })).await;
    assert_eq!(status, 200);
    assert!(one.sign_in("jane@example.com").await["token"].is_string());
}

#[tokio::test]
async fn codes_are_not_guessed() {
    let servers = Servers::new(&[]).await;
    let server = servers.start().await;
    servers.clock.set(1_800_000_000_000_000);
    server.user("jane@example.com", &[], &[]).await;
    let token = server.token("jane@example.com").await;
    let (_, enrolled) = server.post_as(&token, "/api/auth/mfa/enroll", Value::Null).await;
    let secret = secret(&enrolled["data"]);
    let right = code(&secret, servers.clock.now());
    assert_eq!(server.post_as(&token, "/api/auth/mfa/verify", json!({ "code": right })).await.0, 200);
    servers.clock.shift(STEP);
    let open = challenge(&server).await;
    let mut statuses = Vec::new();
    for number in 0..12 {
        statuses.push(answer(&server, &open, &format!("{number:06}")).await.0);
    }
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 2, "{statuses:?}");
    let right = code(&secret, servers.clock.now());
    assert_eq!(answer(&server, &open, &right).await.0, 429, "also a right one has to wait");
}
