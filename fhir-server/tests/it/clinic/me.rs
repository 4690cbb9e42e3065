//! Who one is, and what everybody may ask.

use serde_json::{Value, json};

use super::server::{ClinicServer, SUPERADMIN};

#[tokio::test(flavor = "multi_thread")]
async fn who_one_is_and_for_whom_one_works() {
    let server = ClinicServer::start().await;
    let (ours, other) = (server.organization("ours").await, server.organization("other").await);
    let third = server.organization("third").await;
    let member = server.member("member", &ours, "STAFF").await;
    server.accounts().set_member_user(other.id, member.id, &["DOCTOR"]).await.unwrap();
    assert_eq!(server.get("/v1/me", None).await.error(), (401, "unauthorized"));
    let me = server.get("/v1/me", Some(&member)).await;
    let data = me.data();
    assert_eq!((&data["user"]["id"], &data["user"]["email"]), (&json!(member.id), &json!(member.email)));
    assert_eq!(data["user"]["is_superadmin"], false);
    assert_eq!(data["current_organization"]["slug"], "ours");
    assert_eq!(data["memberships"][1]["organization"]["name"], "Clinic other");
    assert_eq!(data["memberships"][1]["roles"], json!(["ORG:DOCTOR"]));
    let has = |data: &Value, code: &str| data["permissions"].as_array().unwrap().contains(&json!(code));
    assert!(has(data, "patients.view_org") && !has(data, "prescriptions.write"));
    // A request may be for another of one's organisations, and for no other's.
    let named = [("x-organization-id", "other")];
    let me = server.send("GET", "/v1/me", Some(&member), None, &named).await;
    assert!(has(me.data(), "prescriptions.write"));
    let named = [("x-organization-id", "third")];
    assert_eq!(server.send("GET", "/v1/me", Some(&member), None, &named).await.error(), (403, "forbidden"));

    let switch = async |body: Value| {
        server.send("PUT", "/v1/me/switch-organization", Some(&member), Some(body), &[]).await
    };
    for id in [json!(third.id), json!("00000000-0000-4000-8000-000000000000"), json!("other")] {
        assert_eq!(switch(json!({ "organization_id": id })).await.error(), (403, "forbidden"), "{id}");
    }
    assert_eq!(switch(json!({})).await.fields(), ["organization_id"]);
    assert_eq!(switch(json!({ "organization_id": 7 })).await.fields(), ["organization_id"]);
    let switched = switch(json!({ "organization_id": other.id })).await;
    assert_eq!(switched.data()["current_organization"]["slug"], "other");
    assert_eq!(server.get("/v1/me", Some(&member)).await.data()["current_organization"]["slug"], "other");
    // Who is no member any more works for the first that is left.
    server.accounts().remove_member(other.id, member.id).await.unwrap();
    let me = server.get("/v1/me", Some(&member)).await;
    assert_eq!(me.data()["current_organization"]["slug"], "ours");
    assert_eq!(me.data()["memberships"].as_array().unwrap().len(), 1);

    let nobody = server.person("nobody", &["BASE:PATIENT"]).await;
    let me = server.get("/v1/me", Some(&nobody)).await;
    assert_eq!((&me.data()["current_organization"], &me.data()["memberships"]), (&Value::Null, &json!([])));
    let admin = server.person("admin", &[SUPERADMIN]).await;
    let me = server.get("/v1/me", Some(&admin)).await;
    assert_eq!(me.data()["user"]["is_superadmin"], true);
    assert!(has(me.data(), "organizations.manage_all"));
    server.stop().await;
}

#[tokio::test]
async fn what_everybody_may_ask() {
    let server = ClinicServer::with(&[
        ("CARI_CLINIC__MANUFACTURER", "Cari Health"),
        ("CARI_CLINIC__UDI_DI", "04012345678901"),
    ])
    .await;
    let info = server.get("/v1/public/system-info", None).await;
    let data = info.data();
    assert_eq!(data["manufacturer"], json!({ "name": "Cari Health", "address": null }));
    assert_eq!(data["udi"], json!({ "di": "04012345678901", "pi": null }));
    assert!(data["name"].is_string() && data["version"].is_string() && data["mdr_class"].is_null());
    let ours = server.organization("ours").await;
    let resolve =
        async |query: &str| server.get(&format!("/v1/public/organizations/resolve?{query}"), None).await;
    let found = resolve("slug=ours").await;
    assert_eq!((&found.data()["id"], &found.data()["name"]), (&json!(ours.id), &json!("Clinic ours")));
    let id = format!("slug={}", ours.id);
    for query in ["slug=none", "domain=none.example.org", "slug=OURS", &id] {
        assert_eq!(resolve(query).await.error(), (404, "not_found"), "{query}");
    }
    for query in ["", "slug=", "slug=ours&domain=ours.example.org"] {
        assert_eq!(resolve(query).await.fields(), ["slug"], "{query}");
    }
    server.stop().await;
}
