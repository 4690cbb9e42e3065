//! What is about oneself: a patient sees its own record and nothing else, by whatever way it asks; a doctor of no organisation what it
//! is the practitioner of.

use serde_json::{Value, json};

use super::support::{Server, Servers, text};

async fn put(server: &Server, token: &str, key: &str, mut body: Value) {
    let (type_name, id) = key.split_once('/').unwrap();
    body["resourceType"] = json!(type_name);
    body["id"] = json!(id);
    let (status, answer) = server.fhir(token, "PUT", &format!("/fhir/R4/{key}"), &body).await;
    assert!(status == 201 || status == 200, "{key}: {status} {answer}");
}

/// Types and ids of the resources of a Bundle.
fn keys(bundle: &Value) -> Vec<String> {
    let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
    let key = |entry: &Value| {
        format!("{}/{}", text(&entry["resource"], "resourceType"), text(&entry["resource"], "id"))
    };
    let mut keys: Vec<String> =
        entries.iter().filter(|entry| entry.get("resource").is_some()).map(key).collect();
    keys.sort();
    keys.dedup();
    keys
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patient_sees_its_own_record() {
    let servers = Servers::new(&[]).await;
    let server = servers.start().await;
    server.user("admin@example.com", &["SUPER:ADMIN"], &[]).await;
    server.user("chief@example.com", &[], &[("default", &["ORG:ADMIN"])]).await;
    server.user("achieng@example.com", &[], &[]).await;
    let admin = server.token("admin@example.com").await;
    for (id, doctor) in [("achieng", "d"), ("otieno", "d")] {
        put(&server, &admin, &format!("Patient/{id}"), json!({ "name": [{ "family": id }] })).await;
        let subject = json!({ "reference": format!("Patient/{id}") });
        put(&server, &admin, &format!("Observation/{id}"), json!({ "status": "final", "subject": subject }))
            .await;
        let author = json!([{ "reference": format!("Practitioner/{doctor}") }]);
        put(
            &server,
            &admin,
            &format!("Observation/{id}-2"),
            json!({ "status": "final", "subject": subject, "performer": author }),
        )
        .await;
        put(&server, &admin, &format!("Condition/{id}"), json!({ "subject": subject })).await;
    }
    put(&server, &admin, "Practitioner/d", json!({})).await;
    let chief = server.token("chief@example.com").await;
    let organization = server.accounts().organization_named("default").await.unwrap().unwrap().id;
    let members = format!("/v1/organizations/{organization}/members");
    let member = |patient: &str| json!({ "email": "achieng@example.com", "roles": ["PATIENT"], "patient_id": patient });
    assert_eq!(server.post_as(&chief, &members, member("a/b")).await.0, 422);
    assert_eq!(server.post_as(&chief, &members, member("achieng")).await.0, 201);
    let nobody = json!({ "email": "nobody@example.com", "roles": ["PATIENT"], "patient_id": "achieng" });
    assert_eq!(server.post_as(&chief, &members, nobody).await.0, 422);
    let patient = server.token("achieng@example.com").await;
    let own = ["Condition/achieng", "Observation/achieng", "Observation/achieng-2", "Patient/achieng"];
    // What is asked, and what is seen of it.
    let rows: [(&str, &[&str]); 12] = [
        ("Patient", &["Patient/achieng"]),
        ("Patient?_id=otieno", &[]),
        ("Observation", &["Observation/achieng", "Observation/achieng-2"]),
        ("Observation?subject=Patient/otieno", &[]),
        ("Observation?subject:Patient.name=otieno", &[]),
        (
            "Patient?_revinclude=Observation:subject",
            &["Observation/achieng", "Observation/achieng-2", "Patient/achieng"],
        ),
        // Whom its resources refer to is not part of the record.
        ("Observation?_include=*", &["Observation/achieng", "Observation/achieng-2", "Patient/achieng"]),
        ("Patient/achieng/$everything", &own),
        ("Patient/otieno/Observation", &[]),
        ("_history?_count=100", &own),
        ("Condition/_history", &["Condition/achieng"]),
        ("?_type=Patient,Condition,Observation", &own),
    ];
    for (path, wanted) in rows {
        let (status, bundle) = server.fhir(&patient, "GET", &format!("/fhir/R4/{path}"), &Value::Null).await;
        assert_eq!(
            (status, keys(&bundle)),
            (200, wanted.iter().map(|key| (*key).to_owned()).collect()),
            "{path}"
        );
    }
    for (method, path, body, wanted) in [
        ("GET", "Observation/otieno", Value::Null, 404),
        ("GET", "Observation/otieno/_history", Value::Null, 404),
        ("GET", "Patient/otieno/$everything", Value::Null, 404),
        ("GET", "Practitioner/d", Value::Null, 403),
        ("PUT", "Patient/achieng", json!({ "resourceType": "Patient", "id": "achieng" }), 403),
        ("POST", "Observation", json!({ "resourceType": "Observation" }), 403),
        ("DELETE", "Condition/achieng", Value::Null, 403),
    ] {
        let found = server.fhir(&patient, method, &format!("/fhir/R4/{path}"), &body).await.0;
        assert_eq!(found, wanted, "{method} {path}");
    }
    // Moved to somebody else, it is gone with its past.
    put(
        &server,
        &admin,
        "Observation/achieng",
        json!({ "status": "final", "subject": { "reference": "Patient/otieno" } }),
    )
    .await;
    for path in ["Observation/achieng", "Observation/achieng/_history/1", "Observation/achieng/_history"] {
        assert_eq!(
            server.fhir(&patient, "GET", &format!("/fhir/R4/{path}"), &Value::Null).await.0,
            404,
            "{path}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_doctor_of_no_organisation_has_patients_of_its_own() {
    let servers = Servers::new(&[("CARI_ACCOUNTS__VERIFY_EMAIL", "false")]).await;
    let server = servers.start().await;
    let register = async |email: &str, role: &str| {
        let body = json!({ "email": email, "password": super::support::PASSWORD, "first_name": "A", "last_name": "B", "registration_role": role });
        let (status, answer) = server.post("/api/auth/register", body).await;
        assert_eq!(status, 201, "{answer}");
        (text(&answer["data"], "token").to_owned(), text(&answer["data"]["user"], "fhirUser").to_owned())
    };
    let (one, practitioner) = register("one@example.com", "DOCTOR").await;
    let (two, _) = register("two@example.com", "DOCTOR").await;
    let (patient, own) = register("patient@example.com", "PATIENT").await;
    let post = async |token: &str, body: Value| {
        let path = format!("/fhir/R4/{}", text(&body, "resourceType"));
        server.fhir(token, "POST", &path, &body).await.0
    };
    let of = |practitioner: &str| json!({ "resourceType": "Patient", "generalPractitioner": [{ "reference": practitioner }] });
    assert_eq!(post(&one, of(&practitioner)).await, 201);
    assert_eq!(post(&one, of("Practitioner/other")).await, 403, "not its own");
    assert_eq!(post(&one, json!({ "resourceType": "Patient" })).await, 403);
    // Anybody can say that they are a doctor: nothing is written about a patient who did not agree.
    let allergy = json!({ "resourceType": "AllergyIntolerance", "patient": { "reference": own }, "recorder": { "reference": practitioner } });
    assert_eq!(post(&one, allergy).await, 403);
    let count = async |token: &str, type_name: &str| {
        let (status, bundle) =
            server.fhir(token, "GET", &format!("/fhir/R4/{type_name}?_summary=count"), &Value::Null).await;
        (status, bundle["total"].clone())
    };
    for (token, wanted) in [(&one, 1), (&two, 0), (&patient, 1)] {
        assert_eq!(count(token, "Patient").await, (200, json!(wanted)));
    }
    assert_eq!(count(&one, "Practitioner").await, (200, json!(1)), "itself");
    assert_eq!(server.status_as(&one, &format!("/fhir/R4/{own}")).await, 404);
    assert_eq!(server.status_as(&patient, &format!("/fhir/R4/{own}")).await, 200);
    assert_eq!(server.fhir(&one, "DELETE", &format!("/fhir/R4/{practitioner}"), &Value::Null).await.0, 403);
}
