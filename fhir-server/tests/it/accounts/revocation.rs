//! What is taken away ends at once on the process that takes it, and within a second on all others.

use std::time::{Duration, Instant};

use serde_json::Value;
use uuid::Uuid;

use super::support::{Server, Servers};

/// Waits until a path answers with a status; how long that took.
async fn until(server: &Server, token: &str, path: &str, wanted: u16) -> Duration {
    let began = Instant::now();
    while server.status_as(token, path).await != wanted {
        assert!(began.elapsed() < Duration::from_secs(5), "{path} is not {wanted}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    began.elapsed()
}

async fn set_active(server: &Server, organization: Uuid, is_active: bool) {
    let mut client = server.app.cx.store.connections().client().await.unwrap();
    let transaction = client.transaction().await.unwrap();
    let accounts = server.accounts();
    accounts.commit_organization_change(transaction, organization, None, Some(is_active)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn on_this_process_at_once_and_on_others_within_a_second() {
    let servers = Servers::new(&[]).await;
    let (one, two) = (servers.start().await, servers.start().await);
    let user = one.user("jane@example.com", &[], &[("default", &["ORG:DOCTOR"])]).await;
    let organization = one.accounts().organization_named("default").await.unwrap().unwrap().id;
    // Each: what takes it away, and what is answered then.
    let patients = "/fhir/R4/Observation";
    for (change, wanted) in
        [("roles", 403), ("suspended", 403), ("logout", 401), ("user", 401), ("password", 401)]
    {
        one.accounts().set_member_user(organization, user, &["ORG:DOCTOR"]).await.unwrap();
        set_active(&one, organization, true).await;
        one.accounts().set_active(user, true).await.unwrap();
        let token = one.token("jane@example.com").await;
        until(&two, &token, patients, 200).await;
        assert_eq!(one.status_as(&token, patients).await, 200, "{change}");
        match change {
            "roles" => one.accounts().set_member_user(organization, user, &["ORG:STAFF"]).await.unwrap(),
            "suspended" => set_active(&one, organization, false).await,
            "logout" => assert_eq!(one.post_as(&token, "/api/auth/logout", Value::Null).await.0, 200),
            "user" => one.accounts().set_active(user, false).await.unwrap(),
            _ => one.accounts().set_password(user, super::support::PASSWORD).await.unwrap(),
        }
        assert_eq!(one.status_as(&token, patients).await, wanted, "{change}, at once");
        let took = until(&two, &token, patients, wanted).await;
        assert!(took < Duration::from_millis(1500), "{change}: {took:?}");
    }
}

/// A process that cannot ask what was revoked lets nobody in.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_database_nobody_is_let_in() {
    let servers = Servers::new(&[]).await;
    let server = servers.start().await;
    server.user("jane@example.com", &[], &[("default", &["ORG:DOCTOR"])]).await;
    let token = server.token("jane@example.com").await;
    assert_eq!(server.status_as(&token, "/api/auth/me").await, 200);
    let client = server.app.cx.store.connections().client().await.unwrap();
    client.batch_execute("alter table access_epoch rename to access_epoch_away").await.unwrap();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(server.status_as(&token, "/fhir/R4/metadata").await, 500);
    client.batch_execute("alter table access_epoch_away rename to access_epoch").await.unwrap();
    assert_eq!(server.status_as(&token, "/fhir/R4/metadata").await, 200);
}
