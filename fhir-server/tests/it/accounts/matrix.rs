//! The matrix of roles: every route and every type, for every role, at the own organisation and at another one.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Method;
use serde_json::{Value, json};

use super::support::{Server, Servers};

const TABLE: &str = include_str!("matrix.txt");

/// Letter, role on the platform, role in the default organisation.
const ROLES: [(char, Option<&str>, Option<&str>); 8] = [
    ('S', Some("SUPER:ADMIN"), None),
    ('A', Some("APP:ADMIN"), None),
    ('O', None, Some("ORG:ADMIN")),
    ('D', None, Some("ORG:DOCTOR")),
    ('T', None, Some("ORG:STAFF")),
    ('P', None, Some("ORG:PATIENT")),
    ('d', Some("BASE:DOCTOR"), None),
    ('p', Some("BASE:PATIENT"), None),
];

/// The lines of a part of the table, as words.
fn part(name: &str) -> impl Iterator<Item = Vec<&'static str>> {
    let after = TABLE.split(&format!("\n[{name}]\n")).nth(1).unwrap();
    let lines = after.split("\n[").next().unwrap().lines();
    lines
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| line.split_whitespace().collect())
}

/// A user of each role, signed in, and nobody.
async fn tokens(server: &Server) -> BTreeMap<char, Option<String>> {
    let mut all = BTreeMap::from([('n', None)]);
    for (letter, platform, member) in ROLES {
        let email = format!(
            "{}@example.com",
            if letter.is_lowercase() { format!("base-{letter}") } else { letter.to_string() }
        );
        let id = uuid::Uuid::new_v4();
        let type_name = if letter == 'd' { "Practitioner" } else { "Patient" };
        let fhir_user = letter.is_lowercase().then(|| fhir_model::Key::new(type_name, id.to_string()));
        let user = fhir_access::accounts::users::NewUser {
            id,
            first_name: "Jane".to_owned(),
            last_name: "Doe".to_owned(),
            logins: vec![(fhir_access::accounts::login_name::LoginName::email(&email).unwrap(), true)],
            roles: platform.into_iter().collect(),
            fhir_user,
        };
        server.accounts().create_user(&user, Some(super::support::PASSWORD)).await.unwrap();
        if let Some(role) = member {
            let organization = server.accounts().organization_named("default").await.unwrap().unwrap().id;
            server.accounts().set_member_user(organization, id, &[role]).await.unwrap();
            if letter == 'P' {
                server.accounts().set_member_patient(organization, id, "jane").await.unwrap();
            }
        }
        all.insert(letter, Some(server.token(&email).await));
    }
    all
}

async fn status(server: &Server, token: Option<&String>, method: &str, path: &str, body: &Value) -> u16 {
    let mut request = server.app.client.request(
        Method::from_bytes(method.as_bytes()).unwrap(),
        format!("http://{}{path}", server.app.address),
    );
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    if !body.is_null() {
        let kind = if path.starts_with("/fhir") || path.starts_with("/o/") {
            "application/fhir+json"
        } else {
            "application/json"
        };
        request = request.header("content-type", kind).body(body.to_string());
    }
    request.send().await.unwrap().status().as_u16()
}

/// True for an answer to somebody who is let in, whatever else is wrong.
fn is_let_in(status: u16) -> bool {
    assert!(status < 500, "{status}");
    !matches!(status, 401 | 403)
}

/// The letters of those who are let in.
async fn let_in(
    server: &Server,
    tokens: &BTreeMap<char, Option<String>>,
    method: &str,
    path: &str,
    body: &Value,
) -> BTreeSet<char> {
    let mut all = BTreeSet::new();
    for (letter, token) in tokens {
        let found = status(server, token.as_ref(), method, path, body).await;
        assert!(
            (found == 401) == (*letter == 'n' && !is_let_in(found)) || path.starts_with("/api/auth"),
            "{letter} {method} {path}: {found}"
        );
        if is_let_in(found) {
            all.insert(*letter);
        }
    }
    all
}

fn letters(text: &str) -> BTreeSet<char> {
    text.chars().filter(|letter| *letter != '.').collect()
}

/// Who may read and write a type by its row; and what is theirs by compartments.
fn of_type(server: &Server, type_name: &str) -> (BTreeSet<char>, BTreeSet<char>) {
    let rows: Vec<_> = part("types").collect();
    let named: Vec<_> = rows.iter().filter(|row| row[3..].contains(&type_name)).collect();
    assert!(named.len() <= 1, "{type_name} is in two rows");
    let row = named.first().copied().or(rows.iter().find(|row| row[3] == "*")).unwrap();
    let (mut read, mut written) = (letters(row[1]), letters(row[2]));
    let compartments = server.app.cx.registry.compartments();
    let is_in = |around: &str| {
        around == type_name
            || compartments.for_resource(around, type_name).is_some_and(|codes| !codes.is_empty())
    };
    if is_in("Patient") {
        read.extend(['P', 'p']);
    }
    if is_in("Practitioner") {
        read.insert('d');
        if ["directory", "staff"].contains(&row[0]) && (type_name == "Patient" || !is_in("Patient")) {
            written.insert('d');
        }
    }
    (read, written)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_for_every_role() {
    let servers = Servers::new(&[]).await;
    let server = servers.start().await;
    let tokens = tokens(&server).await;
    let types: Vec<String> = server.app.cx.definitions.resource_types().map(str::to_owned).collect();
    assert!(types.len() > 140);
    for row in part("types") {
        let unknown = row[3..].iter().find(|name| **name != "*" && !types.iter().any(|known| known == *name));
        assert_eq!(unknown, None, "of {row:?}");
    }
    let mut wrong = Vec::new();
    for type_name in &types {
        let (read, written) = of_type(&server, type_name);
        let body = json!({ "resourceType": type_name });
        for (method, path, body, wanted) in [
            ("GET", format!("/fhir/R4/{type_name}?_count=1"), &Value::Null, &read),
            ("GET", format!("/fhir/R4/{type_name}/x"), &Value::Null, &read),
            // Another organisation is open to who may act in all of them.
            ("GET", format!("/o/south/fhir/R4/{type_name}?_count=1"), &Value::Null, &letters("S")),
            ("POST", format!("/fhir/R4/{type_name}"), &body, &written),
        ] {
            let wanted = if path.starts_with("/o/") && !read.contains(&'S') {
                BTreeSet::new()
            } else {
                wanted.clone()
            };
            for (letter, token) in &tokens {
                // What a practitioner may write it must be the practitioner of, which this is not: it is refused as a row, not as a type.
                if method == "POST" && *letter == 'd' {
                    continue;
                }
                let found = status(&server, token.as_ref(), method, &path, body).await;
                let refused = if *letter == 'n' { 401 } else { 403 };
                if is_let_in(found) != wanted.contains(letter) || (!is_let_in(found) && found != refused) {
                    wrong.push(format!("{letter} {method} {path}: {found}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Each interaction, on types that differ for the roles: at the level of the type the answer is that of the table, at the other
/// organisation nobody is let in but who may act in all.
#[tokio::test(flavor = "multi_thread")]
async fn every_interaction_for_every_role() {
    let servers = Servers::new(&[]).await;
    let server = servers.start().await;
    let tokens = tokens(&server).await;
    let admin = tokens[&'S'].as_ref().unwrap();
    for (key, body) in [
        ("Patient/jane", json!({ "resourceType": "Patient", "id": "jane" })),
        ("Patient/x", json!({ "resourceType": "Patient", "id": "x" })),
        (
            "Observation/x",
            json!({ "resourceType": "Observation", "id": "x", "subject": { "reference": "Patient/x" } }),
        ),
        ("Organization/x", json!({ "resourceType": "Organization", "id": "x" })),
    ] {
        assert_eq!(server.fhir(admin, "PUT", &format!("/fhir/R4/{key}"), &body).await.0, 201, "{key}");
    }
    let mut wrong = Vec::new();
    for type_name in ["Patient", "Observation", "Organization", "AuditEvent", "SearchParameter"] {
        let (read, written) = of_type(&server, type_name);
        let body = json!({ "resourceType": type_name });
        let own = json!({ "resourceType": type_name, "id": "x" });
        let patch = json!({ "resourceType": "Parameters" });
        let removed = match type_name {
            // R09 patients.delete
            "Patient" => letters("SO"),
            _ => written.clone(),
        };
        let rows: [(&str, String, &Value, &BTreeSet<char>); 14] = [
            ("GET", format!("{type_name}/x"), &Value::Null, &read),
            ("HEAD", format!("{type_name}/x"), &Value::Null, &read),
            ("GET", format!("{type_name}/x/_history/1"), &Value::Null, &read),
            ("GET", format!("{type_name}/x/_history"), &Value::Null, &read),
            ("GET", format!("{type_name}/_history"), &Value::Null, &read),
            ("GET", format!("{type_name}?_id=x"), &Value::Null, &read),
            ("GET", format!("Patient/x/{type_name}"), &Value::Null, &read),
            ("POST", type_name.to_owned(), &body, &written),
            ("PUT", format!("{type_name}/x"), &own, &written),
            ("PUT", format!("{type_name}?_id=x"), &body, &written),
            ("PATCH", format!("{type_name}/x"), &patch, &written),
            ("PATCH", format!("{type_name}?_id=x"), &patch, &written),
            ("DELETE", format!("{type_name}/y"), &Value::Null, &removed),
            ("DELETE", format!("{type_name}?_id=y"), &Value::Null, &removed),
        ];
        for (method, path, body, wanted) in rows {
            for (letter, token) in &tokens {
                if *letter == 'd' && method != "GET" && method != "HEAD" {
                    continue;
                }
                let found = status(&server, token.as_ref(), method, &format!("/fhir/R4/{path}"), body).await;
                if is_let_in(found) != wanted.contains(letter) {
                    wrong.push(format!("{letter} {method} {path}: {found}"));
                }
                // The same in a batch.
                if let (Some(token), false) = (token, method == "HEAD" || path.starts_with("Patient/x/")) {
                    let mut entry = json!({ "request": { "method": method, "url": path } });
                    if !body.is_null() {
                        entry["resource"] = body.clone();
                    }
                    let bundle = json!({ "resourceType": "Bundle", "type": "batch", "entry": [entry] });
                    let (_, answer) = server.fhir(token, "POST", "/fhir/R4", &bundle).await;
                    let found = answer["entry"][0]["response"]["status"]
                        .as_str()
                        .map(|status| status[..3].to_owned());
                    let found: u16 = found.unwrap_or_else(|| panic!("{answer}")).parse().unwrap();
                    if is_let_in(found) != wanted.contains(letter) {
                        wrong.push(format!("{letter} {method} {path} in a batch: {found}"));
                    }
                    let other =
                        status(&server, Some(token), method, &format!("/o/south/fhir/R4/{path}"), body).await;
                    if is_let_in(other) != (*letter == 'S' && wanted.contains(letter)) {
                        wrong.push(format!("{letter} {method} {path} at another organisation: {other}"));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_and_operation_for_every_role() {
    let servers = Servers::new(&[("CARI_ACCOUNTS__REGISTRATION", "open")]).await;
    let server = servers.start().await;
    let tokens = tokens(&server).await;
    let own = server.accounts().organization_named("default").await.unwrap().unwrap().id.to_string();
    let other = server.accounts().organization_named("south").await.unwrap().unwrap().id.to_string();
    let (_, openapi) = crate::app::json(server.app.at("GET", "/openapi.json").send().await.unwrap()).await;
    let mut served = BTreeSet::new();
    for (path, item) in openapi["paths"].as_object().unwrap() {
        if path.starts_with("/fhir")
            || ["/health", "/live", "/ready", "/metrics", "/docs/", "/openapi.json"].contains(&path.as_str())
        {
            continue;
        }
        for method in item
            .as_object()
            .unwrap()
            .keys()
            .filter(|key| ["get", "post", "put", "patch", "delete"].contains(&key.as_str()))
        {
            served.insert((method.to_uppercase(), path.clone()));
        }
    }
    let mut wrong = Vec::new();
    for row in part("routes") {
        let [rule, method, path, at_own, at_other] = row[..] else { panic!("{row:?}") };
        assert!(
            served.remove(&(method.to_owned(), path.to_owned())),
            "{rule}: {method} {path} is not served"
        );
        // What is public is asked by nobody at all, so that a wrong password stays a wrong password.
        if letters(at_own).contains(&'n') {
            let found = status(&server, None, method, path, &json!({})).await;
            assert!(
                found != 403
                    && found < 500
                    && (found != 401 || ["/api/auth/refresh", "/sign-in"].contains(&path)),
                "{method} {path}: {found}"
            );
            continue;
        }
        for (organization, wanted) in [(&own, at_own), (&other, at_other)] {
            let id = if path.starts_with("/v1/") { organization } else { "0000000000000001" };
            let path = path
                .replace("{org_id}", organization)
                .replace("{user_id}", "x")
                .replace("{userId}", "x")
                .replace("{domainId}", "x")
                .replace("{id}", id);
            for (letter, token) in &tokens {
                let user_name = format!("user-{letter}-{}", u8::from(letter.is_lowercase()));
                let body = match method {
                    "GET" | "DELETE" => Value::Null,
                    _ if path.starts_with("/v1/") => json!({
                        "email": "jane@example.com", "roles": ["STAFF"], "name": "Jane", "slug": "jane",
                        "permissions": [], "domain": "jane.example.com", "organization_id": organization,
                    }),
                    _ => {
                        json!({ "user_name": user_name, "first_name": "a", "last_name": "b", "roles": ["STAFF"] })
                    }
                };
                let found = status(&server, token.as_ref(), method, &path, &body).await;
                // An organisation that one has nothing to do with is not there.
                let is_in = is_let_in(found) && (found != 404 || letters(wanted).contains(letter));
                if is_in != letters(wanted).contains(letter) {
                    wrong.push(format!("{rule} {letter} {method} {path}: {found}"));
                }
            }
        }
    }
    assert!(served.is_empty(), "routes without a row: {served:?}");
    let mut operations: BTreeSet<&str> =
        server.app.cx.operations.routes().iter().map(|route| route.code).collect();
    for row in part("operations") {
        let path = if row[0] == "everything" {
            "/fhir/R4/Patient/x/$everything"
        } else {
            &*format!("/fhir/R4/${}", row[0])
        };
        let method = if row[0] == "reindex" { "POST" } else { "GET" };
        let found = let_in(&server, &tokens, method, path, &Value::Null).await;
        if found != letters(row[1]) {
            wrong.push(format!("${}: {found:?}", row[0]));
        }
        operations.remove(row[0]);
    }
    // Those of tests are nobody's but who looks after the server.
    operations.retain(|code| !["hold", "panic", "away"].contains(code));
    assert!(operations.is_empty(), "operations without a row: {operations:?}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
