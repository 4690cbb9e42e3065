//! Organisations: made by superadmins, seen by members, followed by a FHIR Organization.

use serde_json::{Value, json};

use super::server::{ClinicServer, SUPERADMIN};

const NONE: &str = "/v1/organizations/00000000-0000-4000-8000-000000000000";

#[tokio::test(flavor = "multi_thread")]
async fn made_changed_and_suspended() {
    let server = ClinicServer::start().await;
    let second = server.second().await;
    let admin = server.person("admin", &[SUPERADMIN]).await;
    let sent = json!({ "name": "North Clinic", "slug": "north-clinic", "unknown": 1 });
    let made = server.post("/v1/organizations", &admin, sent.clone()).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let id = made.data()["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/organizations/{id}");
    assert_eq!(made.header("location"), path);
    assert_eq!((&made.data()["slug"], &made.data()["status"]), (&json!("north-clinic"), &json!("active")));
    assert!(made.data()["fhir_base"].as_str().unwrap().ends_with("/o/north-clinic/fhir/R4"));
    // The other process serves its base at once.
    let patients = second.get("/o/north-clinic/fhir/R4/Patient", Some(&admin)).await;
    assert_eq!((patients.status, &patients.body["type"]), (200, &json!("searchset")), "{}", patients.body);
    assert_eq!(server.post("/v1/organizations", &admin, sent).await.error(), (409, "conflict"));
    // Its resource, with what somebody writes into it.
    let resource = format!("/o/north-clinic/fhir/R4/Organization/{id}");
    let found = server.until(&resource, &admin, |answer| answer.status == 200).await;
    assert_eq!((&found.body["name"], &found.body["active"]), (&json!("North Clinic"), &json!(true)));
    let mut written = found.body.clone();
    written["alias"] = json!(["NC"]);
    let put = server.send("PUT", &resource, Some(&admin), Some(written), &[]).await;
    assert_eq!(put.status, 200, "{}", put.body);
    let roles = server.get(&format!("{path}/roles"), Some(&admin)).await;
    assert_eq!(roles.body["pagination"]["total"], 4, "{}", roles.body);

    let change = async |who, body: Value| server.send("PATCH", &path, Some(who), Some(body), &[]).await;
    let chief = server.person("chief", &[]).await;
    let doctor = server.person("doctor", &[]).await;
    for (who, role) in [(&chief, "ORG:ADMIN"), (&doctor, "DOCTOR")] {
        server.accounts().set_member_user(id.parse().unwrap(), who.id, &[role]).await.unwrap();
    }
    assert_eq!(change(&doctor, json!({ "name": "Mine" })).await.error(), (403, "forbidden"));
    assert_eq!(change(&chief, json!({ "name": " " })).await.fields(), ["name"]);
    assert_eq!(change(&chief, json!({ "name": 7 })).await.fields(), ["name"]);
    assert_eq!(change(&chief, json!({ "status": "suspended" })).await.error(), (403, "forbidden"));
    assert_eq!(change(&admin, json!({ "status": "gone" })).await.fields(), ["status"]);
    let changed = change(&chief, json!({ "name": "Northern Clinic" })).await;
    assert_eq!(changed.data()["name"], "Northern Clinic");
    let found = server.until(&resource, &admin, |answer| answer.body["name"] == "Northern Clinic").await;
    assert_eq!(found.body["identifier"][0]["value"], format!("urn:uuid:{id}"));
    assert_eq!(found.body["alias"], json!(["NC"]));

    // Suspended: the next request of a member is refused, whatever it asks.
    let base = "/o/north-clinic/fhir/R4/Patient";
    assert_eq!(server.get(base, Some(&doctor)).await.status, 200);
    assert_eq!(change(&admin, json!({ "status": "suspended" })).await.data()["status"], "suspended");
    assert_eq!(server.get(base, Some(&doctor)).await.status, 403);
    assert_eq!(server.get(&path, Some(&doctor)).await.error(), (404, "not_found"));
    let resolve = "/v1/public/organizations/resolve?slug=north-clinic";
    assert_eq!(server.get(resolve, None).await.error(), (404, "not_found"));
    server.until(&resource, &admin, |answer| answer.body["active"] == json!(false)).await;
    assert_eq!(change(&admin, json!({ "status": "active" })).await.status, 200);
    assert_eq!(server.get(base, Some(&doctor)).await.status, 200);
    assert_eq!(server.get(resolve, None).await.data()["id"], json!(id));
    second.stop().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_know_of_one() {
    let server = ClinicServer::start().await;
    let (ours, other) = (server.organization("ours").await, server.organization("other").await);
    let member = server.member("member", &ours, "STAFF").await;
    let stranger = server.person("stranger", &["BASE:DOCTOR"]).await;
    let admin = server.person("admin", &[SUPERADMIN]).await;
    let (mine, theirs) =
        (format!("/v1/organizations/{}", ours.id), format!("/v1/organizations/{}", other.id));
    assert_eq!(server.get(&mine, Some(&member)).await.data()["slug"], "ours");
    assert_eq!(server.get(&theirs, Some(&admin)).await.data()["slug"], "other");
    for path in [&*theirs, NONE, "/v1/organizations/x"] {
        for who in [&member, &stranger] {
            for below in ["", "/members", "/roles", "/domains"] {
                let answer = server.get(&format!("{path}{below}"), Some(who)).await;
                assert_eq!(answer.error(), (404, "not_found"), "{path}{below}");
            }
        }
    }
    for below in ["/members", "/roles", "/domains"] {
        let answer = server.get(&format!("{mine}{below}"), Some(&member)).await;
        assert_eq!(answer.error(), (403, "forbidden"), "{below}");
    }
    let one = "00000000-0000-4000-8000-000000000000";
    for (method, path, body) in [
        ("POST", format!("{mine}/members"), json!({ "email": "a@example.org", "roles": ["STAFF"] })),
        ("DELETE", format!("{mine}/members/{}", member.id), Value::Null),
        ("POST", format!("{mine}/roles"), json!({ "name": "Nurse", "permissions": [] })),
        ("POST", format!("{mine}/domains"), json!({ "domain": "ours.example.org" })),
        ("DELETE", format!("{mine}/domains/{one}"), Value::Null),
        ("POST", format!("{mine}/domains/{one}/verify"), json!({})),
        ("PATCH", mine.clone(), json!({ "name": "Mine" })),
        ("POST", "/v1/organizations".to_owned(), json!({ "name": "New", "slug": "new" })),
    ] {
        let answer = server.send(method, &path, Some(&member), Some(body.clone()), &[]).await;
        assert_eq!(answer.error(), (403, "forbidden"), "{method} {path}");
        let answer = server.send(method, &path, None, Some(body), &[]).await;
        assert_eq!(answer.error(), (401, "unauthorized"), "{method} {path}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_paged_sorted_and_filtered() {
    let server = ClinicServer::start().await;
    let admin = server.person("admin", &[SUPERADMIN]).await;
    let member = server.person("member", &[]).await;
    for slug in ["cc", "aa", "bb"] {
        let organization = server.organization(slug).await;
        if slug != "bb" {
            server.accounts().set_member_user(organization.id, member.id, &["STAFF"]).await.unwrap();
        }
    }
    let slugs = async |query: &str, who| {
        let answer = server.get(&format!("/v1/organizations?{query}"), Some(who)).await;
        let slugs =
            answer.data().as_array().unwrap().iter().map(|one| one["slug"].as_str().unwrap().to_owned());
        (slugs.collect::<Vec<_>>().join(" "), answer.body["pagination"].clone())
    };
    let page = |page: u64, limit: u64, total: u64| json!({ "page": page, "limit": limit, "total": total });
    assert_eq!(slugs("", &member).await, ("aa cc".to_owned(), page(1, 50, 2)));
    assert_eq!(slugs("sort=-slug", &member).await, ("cc aa".to_owned(), page(1, 50, 2)));
    assert_eq!(slugs("sort=created_at&limit=9999", &member).await, ("cc aa".to_owned(), page(1, 500, 2)));
    assert_eq!(slugs("page=2&limit=1", &member).await, ("cc".to_owned(), page(2, 1, 2)));
    assert_eq!(slugs("page=7", &member).await, (String::new(), page(7, 50, 2)));
    assert_eq!(slugs("slug=aa", &member).await.0, "aa");
    assert_eq!(slugs("slug=bb", &member).await.0, "");
    // All, and the default organisation.
    assert_eq!(
        slugs("sort=-name,slug", &admin).await,
        ("south north default cc bb aa".to_owned(), page(1, 50, 6))
    );
    assert_eq!(slugs("status=suspended", &admin).await, (String::new(), page(1, 50, 0)));
    assert_eq!(slugs("created_after=2020-01-01&created_before=2020-12-31", &admin).await.0, "");
    assert_eq!(slugs("created_after=2020-01-01&name=Clinic+bb", &admin).await.0, "bb");
    for (query, field) in [
        ("sort=password", "sort"),
        ("filter[slug]=aa", "filter[slug]"),
        ("status=x", "status"),
        ("created_after=x", "created_after"),
        ("page=x", "page"),
    ] {
        let answer = server.get(&format!("/v1/organizations?{query}"), Some(&admin)).await;
        assert_eq!(answer.fields(), [field], "{query}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_is_checked() {
    let server = ClinicServer::start().await;
    let admin = server.person("admin", &[SUPERADMIN]).await;
    let path = "/v1/organizations";
    for (body, fields) in [
        (json!({}), vec!["name"]),
        (json!({ "name": "New" }), vec!["slug"]),
        (json!({ "name": "New", "slug": 7 }), vec!["slug"]),
        (json!({ "name": "New", "slug": "Not So" }), vec!["slug"]),
        (json!({ "name": "New", "slug": "default" }), vec!["slug"]),
        (json!({ "name": "a\u{7}b", "slug": "new" }), vec!["name"]),
        (json!(7), vec![]),
    ] {
        assert_eq!(server.post(path, &admin, body.clone()).await.fields(), fields, "{body}");
    }
    let broken = server.send_text("POST", path, Some(&admin), Some("{".to_owned()), &[]).await;
    assert_eq!(broken.error(), (400, "invalid_request"));
    let none = server.send_text("POST", path, Some(&admin), None, &[]).await;
    assert_eq!(none.error(), (415, "unsupported_media_type"));
    let large = json!({ "name": "n".repeat(300_000), "slug": "new" });
    assert_eq!(server.post(path, &admin, large).await.error(), (413, "too_large"));
    assert_eq!(server.send("PUT", path, Some(&admin), None, &[]).await.error(), (405, "method_not_allowed"));
    assert_eq!(server.get("/v1/nothing", Some(&admin)).await.error(), (404, "not_found"));
    server.stop().await;
}

/// Of two servers that make one of the same name, one does; those of other names all are made, each once.
#[tokio::test(flavor = "multi_thread")]
async fn two_servers_make_organisations_at_once() {
    let server = ClinicServer::start().await;
    let second = server.second().await;
    let admin = server.person("admin", &[SUPERADMIN]).await;
    let sent = |slug: &str| json!({ "name": "New", "slug": slug });
    let mut made = Vec::new();
    for n in 0..8_u32 {
        let (slug, same) = (format!("own-{n}"), format!("same-{}", n / 2));
        let one = if n.is_multiple_of(2) { &server } else { &second };
        made.push((
            one.post("/v1/organizations", &admin, sent(&same)),
            one.post("/v1/organizations", &admin, sent(&slug)),
        ));
    }
    let (same, own): (Vec<_>, Vec<_>) = made.into_iter().unzip();
    let (same, own) = tokio::join!(futures_util::future::join_all(same), futures_util::future::join_all(own));
    let mut statuses: Vec<u16> = same.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 201, 201, 201, 409, 409, 409, 409]);
    assert!(
        own.iter().all(|answer| answer.status == 201),
        "{:?}",
        own.iter().map(|a| a.status).collect::<Vec<_>>()
    );
    let all = server.get("/v1/organizations", Some(&admin)).await;
    assert_eq!(all.body["pagination"]["total"], 15);
    second.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn the_description_has_every_route() {
    let server = ClinicServer::start().await;
    let description = server.get("/openapi.json", None).await.body;
    for (path, methods) in [
        ("/v1/public/system-info", "get"),
        ("/v1/public/organizations/resolve", "get"),
        ("/v1/me", "get"),
        ("/v1/me/switch-organization", "put"),
        ("/v1/organizations", "get post"),
        ("/v1/organizations/{id}", "get patch"),
        ("/v1/organizations/{id}/members", "get post"),
        ("/v1/organizations/{id}/members/{userId}", "delete"),
        ("/v1/organizations/{id}/roles", "get post"),
        ("/v1/organizations/{id}/domains", "get post"),
        ("/v1/organizations/{id}/domains/{domainId}", "delete"),
        ("/v1/organizations/{id}/domains/{domainId}/verify", "post"),
    ] {
        for method in methods.split(' ') {
            assert!(description["paths"][path][method].is_object(), "{method} {path}");
        }
    }
    let of_v1 = description["paths"].as_object().unwrap().keys().filter(|path| path.starts_with("/v1"));
    assert_eq!(of_v1.count(), 12);
    server.stop().await;
}
