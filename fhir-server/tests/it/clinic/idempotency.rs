//! `Idempotency-Key`: creates that are sent twice.

use serde_json::{Value, json};

use super::server::{Answer, ClinicServer, Person, SUPERADMIN};

async fn create(server: &ClinicServer, who: &Person, key: &str, slug: &str) -> Answer {
    let body = json!({ "name": "New", "slug": slug });
    server.send("POST", "/v1/organizations", Some(who), Some(body), &[("idempotency-key", key)]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn sent_again() {
    let server = ClinicServer::start().await;
    let second = server.second().await;
    let admin = server.person("admin", &[SUPERADMIN]).await;
    let first = create(&server, &admin, "key-1", "new").await;
    assert_eq!((first.status, first.header("idempotency-replayed")), (201, ""));
    for one in [&server, &second] {
        let again = create(one, &admin, "key-1", "new").await;
        assert_eq!((again.status, again.header("idempotency-replayed")), (201, "true"));
        assert_eq!((&again.body, again.header("location")), (&first.body, first.header("location")));
        assert_eq!(again.header("content-type"), "application/json");
    }
    // Another request, another's, and another path.
    assert_eq!(create(&server, &admin, "key-1", "newer").await.fields(), ["Idempotency-Key"]);
    let other = server.person("other", &[SUPERADMIN]).await;
    assert_eq!(create(&server, &other, "key-1", "other").await.status, 201);
    let path = format!("{}/roles", first.header("location"));
    let role = json!({ "name": "New", "permissions": [] });
    let headers = [("idempotency-key", "key-1")];
    let added = server.send("POST", &path, Some(&admin), Some(role), &headers).await;
    assert_eq!(added.status, 201);
    // What failed is not kept.
    for _ in 0..2 {
        assert_eq!(create(&server, &admin, "key-2", "new").await.error(), (409, "conflict"));
    }
    let made = create(&server, &admin, "key-2", "free").await;
    assert_eq!((made.status, made.header("idempotency-replayed")), (201, ""));
    for key in ["abc", "a key", &"k".repeat(129)] {
        assert_eq!(create(&server, &admin, key, "bad").await.fields(), ["Idempotency-Key"], "{key}");
    }
    // Nobody is told of it who may not make one.
    let nobody = server.person("nobody", &[]).await;
    assert_eq!(create(&server, &nobody, "key-1", "new").await.error(), (403, "forbidden"));

    let client = server.database().await;
    // While it is being answered, and after the process that did so is gone.
    client.execute("update clinic_idempotency set status = null where key = 'key-2'", &[]).await.unwrap();
    assert_eq!(create(&server, &admin, "key-2", "free").await.error(), (409, "conflict"));
    client.execute("update clinic_idempotency set lease_at = 0 where key = 'key-2'", &[]).await.unwrap();
    let tried = create(&server, &admin, "key-2", "free").await;
    assert_eq!(tried.error(), (409, "conflict"));
    let count = async || {
        let row = client.query_one("select count(*) from clinic_idempotency", &[]).await.unwrap();
        row.get::<_, i64>(0)
    };
    assert_eq!(count().await, 3);
    // A day later.
    client.execute("update clinic_idempotency set created_at = 0", &[]).await.unwrap();
    assert_eq!(create(&server, &admin, "key-1", "later").await.status, 201);
    let job = fhir_work::NewJob::new("clinic.sweep", Value::Null);
    fhir_work::enqueue(&**client, &job).await.unwrap();
    for _ in 0..200 {
        if count().await == 1 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(count().await, 1);
    drop(client);
    second.stop().await;
    server.stop().await;
}

/// 50 at once on two servers: one effect, and whoever is told of it is told the same.
#[tokio::test(flavor = "multi_thread")]
async fn fifty_at_once() {
    let server = ClinicServer::start().await;
    let second = server.second().await;
    let admin = server.person("admin", &[SUPERADMIN]).await;
    let made = server.organization("ours").await;
    let path = format!("/v1/organizations/{}/roles", made.id);
    // Without the key each of these would be refused but one: what tells is that no answer is a refusal of the name.
    let sent = |n: usize| {
        let one = if n.is_multiple_of(2) { &server } else { &second };
        let body = json!({ "name": "Nurse", "permissions": ["patients.view_org"] });
        one.send("POST", &path, Some(&admin), Some(body), &[("idempotency-key", "fifty")])
    };
    let answers = futures_util::future::join_all((0..50).map(sent)).await;
    let mut first = None;
    for answer in &answers {
        match answer.status {
            201 => {
                let body = first.get_or_insert(&answer.body);
                assert_eq!(*body, &answer.body);
            }
            409 => assert!(answer.body["error"]["message"].as_str().unwrap().contains("Idempotency-Key")),
            other => panic!("{other} {}", answer.body),
        }
    }
    let done = answers.iter().filter(|answer| answer.status == 201);
    assert_eq!(done.filter(|answer| answer.header("idempotency-replayed").is_empty()).count(), 1);
    let roles = server.get(&path, Some(&admin)).await;
    assert_eq!(roles.body["pagination"]["total"], 5);
    second.stop().await;
    server.stop().await;
}
