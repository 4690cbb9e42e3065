//! Counts visits: a table, a route, an operation, a job and a consumer. To be served it needs one line in the server's list.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use fhir_app::envelope::{Answered, success};
use fhir_app::*;
use fhir_database::failure::classify;
use fhir_interactions::Cx;
use serde_json::{Value, json};

/// The module.
#[derive(Debug)]
pub struct Visits;

#[async_trait]
impl Module for Visits {
    fn name(&self) -> &'static str {
        "visits"
    }
    fn migrations(&self) -> &'static [MigrationFile] {
        &[(1, "encounter", include_str!("../migrations/0001_encounter.sql"))]
    }
    fn routes(&self, app: &Arc<App>) -> Routes {
        Routes::new().add(Access::Caller, routes!(count)).with_state(app.clone())
    }
    fn operations(&self) -> Vec<Box<dyn Operation>> {
        vec![Box::new(ForgetVisits)]
    }
    fn jobs(&self, _: &Arc<App>) -> Vec<Arc<dyn JobType>> {
        vec![Arc::new(Forget)]
    }
    fn consumers(&self, _: &Arc<App>) -> Vec<Arc<dyn Consumer>> {
        vec![Arc::new(Count)]
    }
}

/// How many visits there were.
#[utoipa::path(get, path = "/api/visits", responses((status = 200, description = "Their number.")))]
async fn count(State(app): State<Arc<App>>) -> Answered {
    let sql = "select count(*) from visits_encounter";
    let row = app.client().await?.query_one(sql, &[]).await.map_err(classify)?;
    Ok(success(StatusCode::OK, &json!({ "visits": row.get::<_, i64>(0) })))
}

struct Count;

#[async_trait]
impl Consumer for Count {
    fn name(&self) -> &str {
        "visits.count"
    }
    fn types(&self) -> &[&'static str] {
        &["Encounter"]
    }
    async fn record(&self, changes: &[FeedChange], transaction: &Transaction<'_>) -> Result<()> {
        let keys: Vec<String> = changes.iter().map(FeedChange::key).collect();
        let sql = "insert into visits_encounter select unnest($1::text[])";
        transaction.execute(sql, &[&keys]).await.map(drop).map_err(classify)
    }
}

struct Forget;

#[async_trait]
impl JobType for Forget {
    fn name(&self) -> &str {
        "visits.forget"
    }
    async fn record(&self, _: &JobRun, _: Value, transaction: &Transaction<'_>) -> Result<()> {
        transaction.execute("delete from visits_encounter", &[]).await.map(drop).map_err(classify)
    }
}

struct ForgetVisits;

#[async_trait]
impl Operation for ForgetVisits {
    fn definition(&self) -> &'static str {
        include_str!("definition.json")
    }
    async fn run(&self, cx: &Cx, _: Call) -> Result<Reply> {
        let client = cx.store.connections().client().await?;
        enqueue(&**client, &NewJob::new("visits.forget", Value::Null)).await?;
        Ok(Reply::empty(202))
    }
}
