//! Passwords: wrong, forgotten, changed, printed.

use serde_json::{Value, json};

use super::support::{PASSWORD, Server, Servers, text};

async fn sign_in(server: &Server, name: &str, password: &str) -> (u16, Value) {
    server.post("/api/auth/login", json!({ "email": name, "password": password })).await
}

#[tokio::test]
async fn a_wrong_password_and_a_name_that_nobody_has_are_answered_alike() {
    let servers = Servers::new(&[]).await;
    let server = servers.start().await;
    server.user("jane@example.com", &[], &[]).await;
    let wrong = sign_in(&server, "jane@example.com", "SecureP@ss124").await;
    assert_eq!(wrong.0, 401);
    for name in
        ["nobody@example.com", "nobody", "+254700000000", "not a name", "\u{1}", "", &"x".repeat(10_000)]
    {
        assert_eq!(sign_in(&server, name, PASSWORD).await, wrong, "{name:.20}");
    }
    let (status, answer) = sign_in(&server, "a\u{0}", "b\u{0}").await;
    assert_eq!((status, &answer["error"]["code"]), (400, &json!("VALIDATION_ERROR")));
    for password in ["", "\u{1}", &"x".repeat(5000)] {
        assert_eq!(sign_in(&server, "jane@example.com", password).await, wrong, "{password:.20}");
    }
    // In other cases and forms it is the same name, and the same password.
    assert_eq!(sign_in(&server, " JANE@Example.com", PASSWORD).await.0, 200);
    assert_eq!(sign_in(&server, "jane@example.com", "SecureP@ss\u{ff11}23").await.0, 200);
}

#[tokio::test]
async fn after_ten_wrong_ones_even_the_right_one_waits() {
    let servers = Servers::new(&[]).await;
    let server = servers.start().await;
    server.user("jane@example.com", &[], &[]).await;
    for name in ["jane@example.com", "nobody@example.com"] {
        for _ in 0..10 {
            assert_eq!(sign_in(&server, name, "wrong password").await.0, 401);
        }
        let (status, answer) = sign_in(&server, name, PASSWORD).await;
        assert_eq!((status, &answer["error"]["code"]), (429, &json!("RATE_LIMITED")), "{name}");
    }
    servers.clock.shift(31_000_000);
    assert_eq!(sign_in(&server, "jane@example.com", "wrong password").await.0, 401);
    assert_eq!(sign_in(&server, "jane@example.com", PASSWORD).await.0, 429, "twice as long now");
    servers.clock.shift(61_000_000);
    assert_eq!(sign_in(&server, "jane@example.com", PASSWORD).await.0, 200);
    assert_eq!(
        sign_in(&server, "jane@example.com", "wrong password").await.0,
        401,
        "and the count began anew"
    );
}

#[tokio::test]
async fn a_changed_password_ends_all_sign_ins() {
    let servers = Servers::new(&[]).await;
    let server = servers.start().await;
    server.user("jane@example.com", &[], &[]).await;
    let (here, there) = (server.token("jane@example.com").await, server.token("jane@example.com").await);
    let change = |current: &str, new: &str| json!({ "current_password": current, "new_password": new });
    for (current, new, wanted) in
        [("wrong", "a new good one", 401), (PASSWORD, "short", 400), (PASSWORD, "jane@example.com", 400)]
    {
        assert_eq!(
            server.post_as(&here, "/api/auth/password", change(current, new)).await.0,
            wanted,
            "{current} {new}"
        );
    }
    let (status, answer) =
        server.post_as(&here, "/api/auth/password", change(PASSWORD, "a new good one")).await;
    assert_eq!(status, 200, "{answer}");
    for token in [&here, &there] {
        assert_eq!(server.status_as(token, "/api/auth/me").await, 401);
    }
    assert_eq!(server.status_as(text(&answer["data"], "token"), "/api/auth/me").await, 200);
    assert_eq!(sign_in(&server, "jane@example.com", PASSWORD).await.0, 401);
    assert_eq!(sign_in(&server, "jane@example.com", "a new good one").await.0, 200);
}

/// People without e-mail: an administrator makes the account, and prints a code.
#[tokio::test]
async fn people_without_mail_get_a_printed_code() {
    let servers = Servers::new(&[]).await;
    let server = servers.start().await;
    server.user("admin@example.com", &[], &[("north", &["ORG:ADMIN"])]).await;
    server.user("staff@example.com", &[], &[("north", &["ORG:STAFF"])]).await;
    let (admin, staff) = (server.token("admin@example.com").await, server.token("staff@example.com").await);
    let (north, south) = (organization(&server, "north").await, organization(&server, "south").await);
    let users = |organization: &str| format!("/api/organizations/{organization}/users");
    let nurse = json!({ "phone": "+254 700 000 001", "user_name": "Nurse-7", "first_name": "Njeri", "last_name": "Kamau", "roles": ["STAFF"] });
    assert_eq!(server.post_as(&staff, &users(&north), nurse.clone()).await.0, 403);
    assert_eq!(server.post_as(&admin, &users(&south), nurse.clone()).await.0, 404);
    let (status, made) = server.post_as(&admin, &users(&north), nurse.clone()).await;
    assert_eq!(status, 201, "{made}");
    assert_eq!(server.post_as(&admin, &users(&north), nurse).await.0, 409);
    let printed = text(&made["data"], "one_time_code").to_lowercase().replace('-', " ");
    let reset = |code: &str, password: &str| json!({ "token": code, "password": password });
    assert_eq!(
        server.post("/api/auth/password/reset", reset(&printed, "short")).await.0,
        400,
        "it may choose another"
    );
    assert_eq!(server.post("/api/auth/password/reset", reset(&printed, "njeri of nakuru")).await.0, 200);
    assert_eq!(server.post("/api/auth/password/reset", reset(&printed, "another good one")).await.0, 410);
    for name in [
        json!({ "phone": "+254700000001" }),
        json!({ "user_name": "nurse-7" }),
        json!({ "email": "NURSE-7" }),
    ] {
        let mut body = name;
        body["password"] = json!("njeri of nakuru");
        assert_eq!(server.post("/api/auth/login", body.clone()).await.0, 200, "{body}");
    }
    let id = text(&made["data"]["user"], "id").to_owned();
    let code_of = |user: &str| format!("/api/organizations/{north}/users/{user}/one-time-code");
    assert_eq!(server.post_as(&admin, &code_of(&id), Value::Null).await.0, 200);
    // Whoever has an address, or is known elsewhere, is not taken over by the administrator of one organisation.
    let doctor = server.user("doctor@example.com", &[], &[("north", &["ORG:DOCTOR"])]).await;
    assert_eq!(server.post_as(&admin, &code_of(&doctor.to_string()), Value::Null).await.0, 403);
    let south = server.accounts().organization_named("south").await.unwrap().unwrap().id;
    server.accounts().set_member_user(south, id.parse().unwrap(), &["ORG:STAFF"]).await.unwrap();
    assert_eq!(server.post_as(&admin, &code_of(&id), Value::Null).await.0, 403);
    assert_eq!(server.post_as(&admin, &code_of("x"), Value::Null).await.0, 404);
}

async fn organization(server: &Server, slug: &str) -> String {
    server.accounts().organization_named(slug).await.unwrap().unwrap().id.to_string()
}
