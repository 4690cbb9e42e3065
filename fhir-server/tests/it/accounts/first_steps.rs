//! The first steps of the product's documents, to the letter; and that a cookie is as good as a header.

use serde_json::{Value, json};

use super::support::{PASSWORD, Servers, text};

/// As the demo has it: nobody sends mail, and the address is invited.
const DEMO: &[(&str, &str)] = &[("CARI_ACCOUNTS__VERIFY_EMAIL", "false")];

fn registration(role: &str) -> Value {
    json!({ "email": "developer@example.com", "password": PASSWORD, "first_name": "Jane", "last_name": "Doe", "registration_role": role })
}

#[tokio::test]
async fn the_four_calls_of_the_documents() {
    let servers = Servers::new(DEMO).await;
    let server = servers.start().await;
    let accounts = server.accounts();
    let organization = accounts.organization_named("default").await.unwrap().unwrap();
    let email = fhir_access::accounts::login_name::LoginName::email("developer@example.com").unwrap();
    accounts.set_member(organization.id, &email, &["DOCTOR"]).await.unwrap();

    let (status, answer) = server.post("/api/auth/register", registration("DOCTOR")).await;
    assert_eq!((status, &answer["success"]), (201, &json!(true)), "{answer}");
    let (status, answer) = server
        .post("/api/auth/login", json!({ "email": "developer@example.com", "password": PASSWORD }))
        .await;
    assert_eq!((status, &answer["success"], answer.get("meta")), (200, &json!(true), None));
    let token = text(&answer["data"], "token");
    assert!(token.starts_with("v4.public."), "{token}");
    assert_eq!(answer["data"]["user"]["email"], "developer@example.com");
    let (status, me) = server.get_as(token, "/api/auth/me").await;
    assert_eq!(status, 200);
    let data = &me["data"];
    for (name, wanted) in [
        ("email", json!("developer@example.com")),
        ("first_name", json!("Jane")),
        ("last_name", json!("Doe")),
        ("roles", json!(["DOCTOR"])),
    ] {
        assert_eq!(data[name], wanted, "{me}");
    }
    assert_eq!(data["scoped_roles"], json!(["BASE:DOCTOR", "ORG:DOCTOR"]));
    assert!(text(data, "id").parse::<uuid::Uuid>().is_ok());
    // The practitioner that the doctor is on the platform.
    assert_eq!(text(data, "fhirUser"), format!("Practitioner/{}", text(data, "id")));

    for number in 0..3 {
        let patient = json!({ "resourceType": "Patient", "name": [{ "family": format!("Otieno{number}") }] });
        assert_eq!(server.fhir(token, "POST", "/fhir/R4/Patient", &patient).await.0, 201);
    }
    let path = format!("/api/organizations/{}/patients", organization.id);
    let (status, page) = server.get_as(token, &path).await;
    assert_eq!((status, &page["success"]), (200, &json!(true)));
    assert_eq!(page["meta"], json!({ "page": 1, "limit": 20, "total": 3 }));
    assert_eq!(page["data"].as_array().unwrap().len(), 3);
    let (_, second) = server.get_as(token, &format!("{path}?page=2&limit=2")).await;
    assert_eq!(second["meta"], json!({ "page": 2, "limit": 2, "total": 3 }));
    assert_eq!(second["data"], json!([page["data"][2]]), "{second}");
    let (_, past) = server.get_as(token, &format!("{path}?page=9&limit=2")).await;
    assert_eq!((&past["data"], &past["meta"]["total"]), (&json!([]), &json!(3)));

    let nobody = json!({ "success": false, "error": { "code": "UNAUTHORIZED", "message": "Invalid or expired token" } });
    for token in ["v4.public.eyJ", "", "x"] {
        assert_eq!(server.get_as(token, "/api/auth/me").await, (401, nobody.clone()), "{token:?}");
    }
    let answer = server.app.at("GET", "/api/auth/me").send().await.unwrap();
    assert_eq!(crate::app::json(answer).await, (401, nobody));
}

#[tokio::test]
async fn nobody_gives_a_role_to_themselves() {
    let servers = Servers::new(DEMO).await;
    let server = servers.start().await;
    for role in ["SUPER:ADMIN", "APP:ADMIN", "ORG:ADMIN", "ORG:DOCTOR", "ADMIN", "doctor", "", "ORG:STAFF"] {
        let (status, answer) = server.post("/api/auth/register", registration(role)).await;
        assert_eq!((status, &answer["error"]["code"]), (400, &json!("VALIDATION_ERROR")), "{role}: {answer}");
    }
    // What is wrong with each of the others.
    for (name, value) in [
        ("email", json!("nobody")),
        ("email", json!("a\u{0}@example.com")),
        ("email", json!(7)),
        ("password", json!("short")),
        ("password", json!("password123")),
        ("password", json!("developer@example.com")),
        ("first_name", json!("")),
        ("first_name", json!("a\u{0}b")),
        ("last_name", json!("x".repeat(101))),
    ] {
        let mut sent = registration("DOCTOR");
        sent[name] = value.clone();
        let (status, answer) = server.post("/api/auth/register", sent).await;
        assert_eq!(
            (status, &answer["error"]["code"]),
            (400, &json!("VALIDATION_ERROR")),
            "{name}={value}: {answer}"
        );
        assert!(!answer.to_string().contains("short"), "a password is not repeated: {answer}");
    }
    for body in ["", "{", "[]", "\"x\"", "{\"email\":\"\\ud800\"}"] {
        let request = server.app.at("POST", "/api/auth/register").header("content-type", "application/json");
        let (status, answer) = crate::app::json(request.body(body).send().await.unwrap()).await;
        assert_eq!((status, &answer["error"]["code"]), (400, &json!("VALIDATION_ERROR")), "{body}: {answer}");
    }
    let form = server.app.at("POST", "/api/auth/register").header("content-type", "text/plain").body("{}");
    assert_eq!(crate::app::json(form.send().await.unwrap()).await.0, 415);
    assert_eq!(server.post("/api/auth/register", registration("PATIENT")).await.0, 201);
    let (status, answer) = server.post("/api/auth/register", registration("DOCTOR")).await;
    assert_eq!((status, &answer["error"]["code"]), (409, &json!("CONFLICT")), "{answer}");
}

#[tokio::test]
async fn a_cookie_is_as_good_as_a_header() {
    let servers = Servers::new(DEMO).await;
    let server = servers.start().await;
    server.user("jane@example.com", &[], &[("default", &["ORG:DOCTOR"])]).await;
    let body = json!({ "email": "jane@example.com", "password": PASSWORD });
    let page = server
        .request("POST", "/api/auth/login", &body)
        .header("sec-fetch-mode", "cors")
        .header("sec-fetch-site", "same-origin");
    let answer = page.send().await.unwrap();
    let cookies: Vec<String> =
        answer.headers().get_all("set-cookie").iter().map(|line| line.to_str().unwrap().to_owned()).collect();
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let (_, signed_in) = crate::app::json(answer).await;
    assert!(signed_in["data"].get("refresh_token").is_none(), "no script of a page needs it");
    for (cookie, name) in cookies.iter().zip(["paseto_token=", "refresh_token="]) {
        assert!(cookie.starts_with(name), "{cookie}");
        for part in ["HttpOnly", "Secure", "SameSite=Strict"] {
            assert!(cookie.contains(part), "{cookie}");
        }
    }
    let jar: Vec<&str> = cookies.iter().map(|cookie| cookie.split(';').next().unwrap()).collect();
    let jar = jar.join("; ");
    let token = text(&signed_in["data"], "token").to_owned();
    for path in [
        "/api/auth/me",
        "/fhir/R4/Patient",
        "/fhir/R4/Observation?_summary=count",
        "/admin/dlq",
        "/fhir/R4/$reindex-status",
    ] {
        let by_cookie = server.app.at("GET", path).header("cookie", &jar).send().await.unwrap();
        assert_eq!(by_cookie.status().as_u16(), server.status_as(&token, path).await, "{path}");
    }
    // A header that does not hold is not mended by a cookie that does.
    let both =
        server.app.at("GET", "/api/auth/me").header("cookie", &jar).bearer_auth("x").send().await.unwrap();
    assert_eq!(both.status(), 401);
    let patient = r#"{"resourceType":"Patient"}"#;
    let write = || server.app.send("POST", "Patient", patient).header("cookie", &jar);
    assert_eq!(write().send().await.unwrap().status(), 201, "no browser");
    for (origin, site, wanted) in [
        (Some("https://evil.example"), None, 403),
        (Some("null"), None, 403),
        (None, Some("cross-site"), 403),
        (None, Some("same-site"), 403),
        (None, Some("same-origin"), 201),
    ] {
        let mut request = write();
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        if let Some(site) = site {
            request = request.header("sec-fetch-site", site);
        }
        assert_eq!(request.send().await.unwrap().status().as_u16(), wanted, "{origin:?} {site:?}");
    }
}

/// A browser without scripts: a form signs in, pages are shown, a form signs out.
#[tokio::test]
async fn a_form_signs_in() {
    let servers = Servers::new(DEMO).await;
    let server = servers.start().await;
    server.user("jane@example.com", &[], &[("default", &["ORG:DOCTOR"])]).await;
    let page = server.app.at("GET", "/sign-in").send().await.unwrap();
    assert_eq!(page.status(), 200);
    assert!(!page.text().await.unwrap().contains("<script"));
    let form = |body: &str| {
        let request =
            server.app.at("POST", "/sign-in").header("content-type", "application/x-www-form-urlencoded");
        request.header("sec-fetch-site", "same-origin").body(body.to_owned())
    };
    let client =
        reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let wrong = form("name=jane%40example.com&password=%3Cb%3E").send().await.unwrap();
    assert_eq!(wrong.status(), 401);
    assert!(!wrong.text().await.unwrap().contains("<b>"));
    let right = form("name=jane%40example.com&password=SecureP%40ss123").build().unwrap();
    let answer = client.execute(right).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["location"].to_str().unwrap()), (303, "/"));
    let jar: Vec<String> =
        answer.headers().get_all("set-cookie").iter().map(|line| line.to_str().unwrap().to_owned()).collect();
    let jar: Vec<&str> = jar.iter().map(|cookie| cookie.split(';').next().unwrap()).collect();
    let seen = server
        .app
        .ask("GET", "Patient")
        .header("cookie", jar.join("; "))
        .header("accept", "text/html")
        .send()
        .await
        .unwrap();
    assert_eq!(seen.status(), 200);
    let out = form("sign_out=1").header("cookie", jar.join("; ")).build().unwrap();
    assert_eq!(client.execute(out).await.unwrap().status(), 303);
    let seen = server.app.ask("GET", "Patient").header("cookie", jar.join("; ")).send().await.unwrap();
    assert_eq!(seen.status(), 401);
}
