//! Members and roles of an organisation.

use serde_json::{Value, json};

use super::server::{ClinicServer, SUPERADMIN};

#[tokio::test(flavor = "multi_thread")]
async fn members_are_added_changed_invited_and_removed() {
    // No request takes a second connection.
    let server = ClinicServer::with_connections(&[], 1).await;
    let ours = server.organization("ours").await;
    let chief = server.member("chief", &ours, "ADMIN").await;
    let doctor = server.person("doctor", &[]).await;
    let path = format!("/v1/organizations/{}/members", ours.id);
    let set = async |email: &str, roles: Value| {
        server.post(&path, &chief, json!({ "email": email, "roles": roles })).await
    };
    let added = set("DOCTOR@example.org", json!(["DOCTOR"])).await;
    let wanted =
        json!({ "user_id": doctor.id, "email": doctor.email, "roles": ["ORG:DOCTOR"], "status": "active" });
    assert_eq!((added.status, added.data()), (201, &wanted));
    // Again: nothing is there twice.
    let changed = set(&doctor.email, json!(["DOCTOR", "ORG:STAFF"])).await;
    assert_eq!((changed.status, &changed.data()["roles"]), (200, &json!(["ORG:DOCTOR", "ORG:STAFF"])));
    let invited = set("new@example.org", json!(["STAFF"])).await;
    assert_eq!((invited.status, &invited.data()["status"]), (202, &json!("invited")));
    for _ in 0..200 {
        if !server.mail().is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let mail = server.mail();
    assert!(
        mail.len() == 1 && mail[0].contains("new@example.org") && mail[0].contains("Clinic ours"),
        "{mail:?}"
    );
    // Who proves the address is a member.
    let new = server.person("new", &[]).await;
    let me = server.get("/v1/me", Some(&new)).await;
    assert_eq!(me.data()["memberships"][0]["roles"], json!(["ORG:STAFF"]));
    for (body, fields) in [
        (json!({ "email": "no address", "roles": ["STAFF"] }), vec!["email"]),
        (json!({ "email": "+254700000000", "roles": ["STAFF"] }), vec!["email"]),
        (json!({ "email": "a@example.org", "roles": ["SUPER:ADMIN"] }), vec!["roles"]),
        (json!({ "email": "a@example.org", "roles": [] }), vec!["roles"]),
        (json!({ "email": "a@example.org" }), vec!["roles"]),
        (json!({ "email": "a@example.org", "roles": [7] }), vec!["roles[0]"]),
        (json!({ "roles": ["STAFF"] }), vec!["email"]),
    ] {
        assert_eq!(server.post(&path, &chief, body.clone()).await.fields(), fields, "{body}");
    }

    let listed = server.get(&format!("{path}?sort=-first_name&limit=2"), Some(&chief)).await;
    let names: Vec<&str> =
        listed.data().as_array().unwrap().iter().map(|one| one["first_name"].as_str().unwrap()).collect();
    assert_eq!(names, ["new", "doctor"]);
    assert_eq!(listed.body["pagination"], json!({ "page": 1, "limit": 2, "total": 3 }));
    assert_eq!(listed.data()[1]["email"], doctor.email);
    assert_eq!(server.get(&format!("{path}?sort=email"), Some(&chief)).await.fields(), ["sort"]);

    let remove =
        async |user: &str| server.send("DELETE", &format!("{path}/{user}"), Some(&chief), None, &[]).await;
    // The last administrator neither goes nor becomes something else.
    assert_eq!(remove(&chief.id.to_string()).await.error(), (409, "conflict"));
    assert_eq!(set(&chief.email, json!(["STAFF"])).await.error(), (409, "conflict"));
    assert_eq!(remove(&doctor.id.to_string()).await.status, 204);
    assert_eq!(remove(&doctor.id.to_string()).await.error(), (404, "not_found"));
    assert_eq!(remove("x").await.error(), (404, "not_found"));
    assert_eq!(server.get(&path, Some(&doctor)).await.error(), (404, "not_found"));
    server.stop().await;
}

/// Two administrators remove each other, by two servers: one of them stays.
#[tokio::test(flavor = "multi_thread")]
async fn the_last_administrator_stays() {
    let server = ClinicServer::start().await;
    let second = server.second().await;
    let admin = server.person("admin", &[SUPERADMIN]).await;
    for round in 0..5 {
        let ours = server.organization(&format!("ours-{round}")).await;
        let one = server.member(&format!("one{round}"), &ours, "ADMIN").await;
        let other = server.member(&format!("other{round}"), &ours, "ADMIN").await;
        let path = |id| format!("/v1/organizations/{}/members/{id}", ours.id);
        let (path_one, path_other) = (path(one.id), path(other.id));
        let (first, second) = tokio::join!(
            server.send("DELETE", &path_one, Some(&admin), None, &[]),
            second.send("DELETE", &path_other, Some(&admin), None, &[])
        );
        let mut statuses = [first.status, second.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [204, 409]);
        let left = server.get(&format!("/v1/organizations/{}/members", ours.id), Some(&admin)).await;
        assert_eq!(left.body["pagination"]["total"], 1);
    }
    second.stop().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_of_an_organisations_own() {
    let server = ClinicServer::with_connections(&[], 1).await;
    let (ours, other) = (server.organization("ours").await, server.organization("other").await);
    let chief = server.member("chief", &ours, "ADMIN").await;
    let nurse = server.person("nurse", &[]).await;
    let path = format!("/v1/organizations/{}/roles", ours.id);
    let sent = json!({ "name": "Nurse", "permissions": ["patients.view_org", "forms.fill_org"] });
    let key = [("idempotency-key", "nurse")];
    let added = server.send("POST", &path, Some(&chief), Some(sent.clone()), &key).await;
    assert_eq!((added.status, &added.data()["is_system"]), (201, &json!(false)), "{}", added.body);
    assert_eq!(added.data()["permissions"], sent["permissions"]);
    assert_eq!(server.post(&path, &chief, sent).await.error(), (409, "conflict"));
    for (body, fields) in [
        (json!({ "name": "ORG:X", "permissions": [] }), vec!["name"]),
        (json!({ "name": "X", "permissions": ["no.such"] }), vec!["permissions"]),
        (json!({ "name": "X", "permissions": ["organizations.manage_all"] }), vec!["permissions"]),
        (json!({ "name": "X" }), vec!["permissions"]),
    ] {
        assert_eq!(server.post(&path, &chief, body.clone()).await.fields(), fields, "{body}");
    }
    let listed = server.get(&path, Some(&chief)).await;
    assert_eq!(
        (listed.body["pagination"]["total"].as_u64(), &listed.data()[4]["name"]),
        (Some(5), &json!("Nurse"))
    );
    let listed = server.get(&format!("{path}?sort=name&limit=1"), Some(&chief)).await;
    assert_eq!(listed.data()[0]["name"], "Nurse");
    // It counts, and is no role of another organisation.
    let members = format!("/v1/organizations/{}/members", ours.id);
    let of_nurse = json!({ "email": nurse.email, "roles": ["Nurse"] });
    assert_eq!(server.post(&members, &chief, of_nurse.clone()).await.status, 201);
    let me = server.get("/v1/me", Some(&nurse)).await;
    assert_eq!(me.data()["permissions"], json!(["patients.view_org", "forms.fill_org"]));
    // Who manages members and may do nothing else gives nobody more, by no role and by no new one.
    let sent = json!({ "name": "Manager", "permissions": ["organizations.manage_members"] });
    assert_eq!(server.post(&path, &chief, sent).await.status, 201);
    let manager = server.member("manager", &ours, "Manager").await;
    for (roles, status) in
        [(json!(["ADMIN"]), 403), (json!(["Manager", "DOCTOR"]), 403), (json!(["Manager"]), 200)]
    {
        let sent = json!({ "email": manager.email, "roles": roles });
        assert_eq!(server.post(&members, &manager, sent).await.status, status, "{roles}");
    }
    let sent = json!({ "name": "Reader", "permissions": ["records.read"] });
    assert_eq!(server.post(&path, &manager, sent).await.error(), (403, "forbidden"));

    let admin = server.person("admin", &[SUPERADMIN]).await;
    let members = format!("/v1/organizations/{}/members", other.id);
    assert_eq!(server.post(&members, &admin, of_nurse).await.fields(), ["roles"]);
    server.stop().await;
}
