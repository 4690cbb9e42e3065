//! Entries of a transaction are held to scopes of their own; what they write is held to that of the Bundle, too.

use std::sync::Arc;

use async_trait::async_trait;
use fhir_interactions::{AccessRequest, Guard, Interaction};
use fhir_model::Result;
use fhir_search::TenantId;
use fhir_search::condition::Condition;
use fhir_store::{Rule, Rules, Scope};
use serde_json::{Value, json};

use crate::app::{App, Everybody};
use crate::transaction::{entry, outcome, transaction};

/// Shows everything to Bundles, or to their entries alone; to the other of them no Patient `hidden`.
struct ByInteraction {
    shows_bundles: bool,
    hidden: Condition,
}

#[async_trait]
impl Guard for ByInteraction {
    async fn scope(&self, access: AccessRequest<'_>) -> Result<Scope> {
        let is_bundle = matches!(access.interaction, Interaction::Bundle);
        let rule = Rule { filter: Condition::Not(Box::new(self.hidden.clone())), ..Rule::all() };
        let rules = match is_bundle == self.shows_bundles {
            true => Rules::All,
            false => Rules::by_type([("Patient".into(), rule)].into())?,
        };
        Ok(Scope::new(TenantId::DEFAULT, vec![(TenantId::DEFAULT, rules)]))
    }
}

#[tokio::test]
async fn an_entry_writes_what_it_may_see_itself() {
    let mut app = App::new().await;
    let patient = |id: &str| json!({"resourceType": "Patient", "id": id});
    let hidden = app.cx.store.condition(TenantId::DEFAULT, &app.parse("Patient?_id=hidden").unwrap());
    let guard = |shows_bundles| Arc::new(ByInteraction { shows_bundles, hidden: hidden.clone() });
    app.send("PUT Patient/hidden", &patient("hidden")).await;
    let patch = json!({"resourceType": "Binary", "contentType": "application/json-patch+json",
        "data": "W3sib3AiOiJhZGQiLCJwYXRoIjoiL2dlbmRlciIsInZhbHVlIjoibWFsZSJ9XQ=="});
    let bundle = |method: &str, id: &str| {
        let resource = match method {
            "PUT" => patient(id),
            "PATCH" => patch.clone(),
            _ => Value::Null,
        };
        transaction(vec![entry(method, &format!("Patient/{id}"), "", resource)])
    };

    // The Bundle sees what its entry does not: that is as if there were no such id.
    app.cx.guard = guard(true);
    for method in ["PUT", "PATCH", "DELETE"] {
        let [hidden, free] = ["hidden", "nobody"].map(|id| bundle(method, id));
        let (hidden, free) = (app.send("POST ", &hidden).await, app.send("POST ", &free).await);
        let text = hidden.body.to_string().replace("hidden", "nobody");
        assert_eq!((hidden.status, text), (free.status, free.body.to_string()), "{method}");
        assert_eq!(free.status, if method == "DELETE" { 200 } else { 404 }, "{method}");
    }
    app.cx.guard = Arc::new(Everybody);
    assert_eq!(app.ask("GET Patient/hidden").await.body["meta"]["versionId"], "1", "nothing was done to it");

    // The Bundle does not see what its entry does: what is written must be allowed to both.
    app.cx.guard = guard(false);
    let created = app.send("POST ", &bundle("PUT", "new")).await;
    assert_eq!((created.status, outcome(&created.body)), (200, vec![201]), "{}", created.body);
    let replaced = app.send("POST ", &bundle("PUT", "new")).await;
    assert_eq!((replaced.status, outcome(&replaced.body)), (200, vec![200]), "{}", replaced.body);
    let refused = app.send("POST ", &bundle("PUT", "hidden")).await;
    assert_eq!(refused.status, 403, "{}", refused.body);
}

/// Shows of some types what a condition says, and nothing else.
struct Only(Vec<(&'static str, Condition)>);

#[async_trait]
impl Guard for Only {
    async fn scope(&self, _: AccessRequest<'_>) -> Result<Scope> {
        let rule = |(name, filter): &(&str, Condition)| {
            ((*name).into(), Rule { filter: filter.clone(), ..Rule::all() })
        };
        let rules = Rules::by_type(self.0.iter().map(rule).collect())?;
        Ok(Scope::new(TenantId::DEFAULT, vec![(TenantId::DEFAULT, rules)]))
    }
}

/// The scope of a patient's own application. Of what is about nobody its predicate is neither true nor false.
#[tokio::test]
async fn what_is_about_nobody_is_hidden_from_who_sees_one_patient() {
    let mut app = App::new().await;
    for id in ["p", "q"] {
        app.send(&format!("PUT Patient/{id}"), &json!({"resourceType": "Patient", "id": id})).await;
    }
    let observation = |id: &str, subject: Option<&str>| {
        let mut body =
            json!({"resourceType": "Observation", "id": id, "status": "final", "code": {"text": "x"}});
        if let Some(subject) = subject {
            body["subject"] = json!({"reference": subject});
        }
        body
    };
    for (id, subject) in [("own", Some("Patient/p")), ("other", Some("Patient/q")), ("nobodys", None)] {
        // Twice, and one that is deleted: history holds all of them.
        for _ in 0..2 {
            app.send(&format!("PUT Observation/{id}"), &observation(id, subject)).await;
        }
        app.send(&format!("PUT Observation/gone-{id}"), &observation(&format!("gone-{id}"), subject)).await;
        app.ask(&format!("DELETE Observation/gone-{id}")).await;
    }
    let filter = |question: &str| app.cx.store.condition(TenantId::DEFAULT, &app.parse(question).unwrap());
    let only =
        [("Patient", filter("Patient?_id=p")), ("Observation", filter("Observation?patient=Patient/p"))];
    app.cx.guard = Arc::new(Only(only.into()));
    // Question, and the versions or resources that it finds.
    for (question, wanted) in [
        ("GET _history", 5),
        ("GET _history?_at=2999", 3),
        ("GET Observation/_history", 4),
        ("GET Observation/_history?_at=2999", 2),
        ("GET Observation/own/_history", 2),
        ("GET Observation/gone-own/_history", 2),
        ("GET Observation", 1),
        ("GET Patient", 1),
    ] {
        let answer = app.ask(question).await;
        let found = answer.body["entry"].as_array().map_or(0, Vec::len);
        assert_eq!((answer.status, found), (200, wanted), "{question}: {}", answer.body);
    }
    for hidden in ["other", "nobodys", "gone-other", "gone-nobodys"] {
        for question in [format!("GET Observation/{hidden}"), format!("GET Observation/{hidden}/_history")] {
            assert_eq!(app.ask(&question).await.status, 404, "{question}");
        }
        assert_eq!(app.ask(&format!("GET Observation/{hidden}/_history/1")).await.status, 404, "{hidden}");
    }
}
