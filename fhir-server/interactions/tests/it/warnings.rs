//! Warnings of rules: they refuse nothing, and stand in the outcome where the client asks for it.

use async_trait::async_trait;
use fhir_interactions::{Rules, Verdict, WriteContext, WriteRule};
use fhir_model::error::Issue;
use fhir_model::{Kind, Result};
use fhir_store::Write;
use serde_json::{Value, json};

use crate::app::App;
use crate::transaction::{entry, transaction};

/// Warns of every write, and refuses Groups.
struct Warns;

#[async_trait]
impl WriteRule for Warns {
    fn applies_to(&self, _: &Write) -> bool {
        true
    }

    async fn check(&self, context: &WriteContext<'_>) -> Result<Verdict> {
        let type_name = &context.write.key.type_name;
        let warning = Issue::warning(Kind::Rule, "mind this").at(format!("{type_name}.id"));
        let error = (**type_name == *"Group").then(|| Issue::error(Kind::Duplicate, "no groups"));
        Ok(Verdict { issues: [Some(warning), error].into_iter().flatten().collect(), ..Verdict::default() })
    }
}

async fn app() -> App {
    let mut app = App::new().await;
    app.cx.rules = Rules::new(vec![Box::new(Warns)]);
    app
}

/// Severity and location of each issue.
fn issues(outcome: &Value) -> String {
    let issues = outcome["issue"].as_array().cloned().unwrap_or_default();
    let one = |issue: &Value| {
        format!("{} {}", issue["severity"].as_str().unwrap(), issue["expression"][0].as_str().unwrap_or("-"))
    };
    issues.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[tokio::test]
async fn warnings_stand_in_the_outcome_of_a_write() {
    let app = app().await;
    let patient = json!({"resourceType": "Patient", "id": "p"});
    let outcome = " | Prefer: return=OperationOutcome";
    let silent = app.send("PUT Patient/p", &patient).await;
    assert_eq!((silent.status, &silent.body["resourceType"]), (201, &json!("Patient")));
    let told = "information -, warning Patient.id";
    for line in ["PUT Patient/p", "POST Patient"] {
        assert_eq!(issues(&app.send(&format!("{line}{outcome}"), &patient).await.body), told, "{line}");
    }
    assert_eq!(issues(&app.ask(&format!("DELETE Patient/p{outcome}")).await.body), told);
    let refused = app.send("POST Group", &json!({"resourceType": "Group"})).await;
    assert_eq!((refused.status, issues(&refused.body).as_str()), (409, "error -, warning Group.id"));
}

#[tokio::test]
async fn warnings_of_a_transaction_stand_at_their_entries() {
    let app = app().await;
    app.send("PUT Patient/gone", &json!({"resourceType": "Patient", "id": "gone"})).await;
    let whole = transaction(vec![
        entry("POST", "Patient", "", json!({"resourceType": "Patient"})),
        entry("DELETE", "Patient?_id=gone", "", Value::Null),
    ]);
    let answer = app.send("POST  | Prefer: return=OperationOutcome", &whole).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    for (at, entry) in answer.body["entry"].as_array().unwrap().iter().enumerate() {
        let wanted = format!("information -, warning Bundle.entry[{at}].resource.id");
        assert_eq!(issues(&entry["response"]["outcome"]), wanted);
    }
    let bare = app
        .send(
            "POST ",
            &transaction(vec![entry("PUT", "Patient/q", "", json!({"resourceType": "Patient", "id": "q"}))]),
        )
        .await;
    assert_eq!(bare.body["entry"][0]["response"]["outcome"], Value::Null);
}
