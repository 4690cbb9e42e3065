//! Every access is seen by whoever records it, with what the answer holds; what cannot be recorded is not answered.

use std::sync::{Arc, Mutex};

use fhir_app::{Error, Kind, Module, Observer, Operation, Result, async_trait};
use fhir_interactions::Access;
use serde_json::{Value, json};

use crate::app::{TestApp, json};

#[derive(Clone, Default)]
struct Witness {
    seen: Arc<Mutex<Vec<String>>>,
    /// Accesses to this type cannot be recorded.
    refuses: Option<&'static str>,
}

impl Module for Witness {
    fn name(&self) -> &'static str {
        "witness"
    }

    fn observers(&self) -> Vec<Arc<dyn Observer>> {
        vec![Arc::new(self.clone())]
    }

    fn operations(&self) -> Vec<Box<dyn Operation>> {
        Module::operations(&fhir_operations::Everything)
    }
}

#[async_trait]
impl Observer for Witness {
    async fn observe(&self, access: &Access<'_>) -> Result<()> {
        let keys: Vec<String> = access.disclosed().map(ToString::to_string).collect();
        let status = access.outcome.map_or_else(|error| error.kind.status(), |reply| reply.status);
        let line = format!("{} {status} {}", access.request.interaction.code(), keys.join(" "));
        self.seen.lock().unwrap().push(line.trim_end().to_owned());
        match self.refuses.is_some_and(|name| access.request.path.starts_with(name)) {
            true => Err(Error::new(Kind::Unavailable, "the access cannot be recorded")),
            false => Ok(()),
        }
    }
}

#[tokio::test]
async fn every_access_is_seen() {
    let witness = Witness { refuses: Some("Basic"), ..Witness::default() };
    let app = TestApp::with_modules(vec![Box::new(witness.clone())]).await;
    let status = async |method: &str, path: &str, body: &Value| {
        app.send(method, path, &body.to_string()).send().await.unwrap().status().as_u16()
    };
    let get = async |path: &str| app.ask("GET", path).send().await.unwrap().status().as_u16();
    let seen = || std::mem::take(&mut *witness.seen.lock().unwrap());
    for id in ["a", "b"] {
        status("PUT", &format!("Patient/{id}"), &json!({"resourceType": "Patient", "id": id})).await;
    }
    let observation = json!({"resourceType": "Observation", "id": "o", "status": "final", "code": {"text": "x"},
        "subject": {"reference": "Patient/a"}});
    status("PUT", "Observation/o", &observation).await;
    assert_eq!(seen(), ["update 201 Patient/a", "update 201 Patient/b", "update 201 Observation/o"]);
    for (path, wanted) in [
        ("Patient/a", "read 200 Patient/a"),
        ("Patient/a/_history/1", "vread 200 Patient/a"),
        ("Patient/none", "read 404"),
        ("Patient?_sort=_id", "search-type 200 Patient/a Patient/b"),
        ("Patient?_sort=_id&_count=1", "search-type 200 Patient/a"),
        ("Patient?_summary=count", "search-type 200"),
        ("Observation?_include=Observation:subject", "search-type 200 Observation/o Patient/a"),
        ("Patient/a/Observation", "search-type 200 Observation/o"),
        ("Patient/a/_history", "history-instance 200 Patient/a"),
        ("Patient/a/$everything", "operation 200 Patient/a Observation/o"),
        ("Patient?birthdate=half", "search-type 400"),
    ] {
        get(path).await;
        assert_eq!(seen(), [wanted], "{path}");
    }
    let batch = json!({"resourceType": "Bundle", "type": "batch", "entry": [
        {"request": {"method": "GET", "url": "Patient/a"}},
        {"request": {"method": "GET", "url": "Observation?_count=5"}}]});
    status("POST", "", &batch).await;
    let mut lines = seen();
    lines.sort();
    assert_eq!(lines, ["read 200 Patient/a", "search-type 200 Observation/o", "transaction 200"]);

    // A transaction that finds a resource in place of creating it gives it away.
    let entry = json!({"request": {"method": "POST", "url": "Patient", "ifNoneExist": "_id=a"}, "resource": {"resourceType": "Patient"}});
    let transaction = json!({"resourceType": "Bundle", "type": "transaction", "entry": [entry]}).to_string();
    let asked = app.send("POST", "", &transaction).header("prefer", "return=representation");
    assert_eq!(asked.send().await.unwrap().status().as_u16(), 200);
    assert_eq!(seen(), ["transaction 200 Patient/a"]);

    // Nothing is read that cannot be recorded; what was written stays written.
    let basic = json!({"resourceType": "Basic", "id": "x", "code": {"text": "x"}});
    assert_eq!(status("PUT", "Basic/x", &basic).await, 503);
    assert_eq!(get("Basic/x").await, 503);
    assert_eq!(get("Basic").await, 503);
    let (_, found) = json(app.ask("GET", "?_type=Basic").send().await.unwrap()).await;
    assert_eq!(found["entry"][0]["resource"]["id"], "x");
}
