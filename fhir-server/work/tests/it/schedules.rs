//! Schedules: once for all processes.

use async_trait::async_trait;
use fhir_model::Result;
use fhir_work::{CancellationToken, Cron, JobRun, JobType, Schedule, Transaction};
use serde_json::{Value, json};

use super::*;

struct Daily;

#[async_trait]
impl JobType for Daily {
    fn name(&self) -> &str {
        "test.daily"
    }

    async fn record(&self, run: &JobRun, _: Value, transaction: &Transaction<'_>) -> Result<()> {
        let insert = "insert into effect (key, process) values ($1, 0)";
        transaction.execute(insert, &[&run.payload.to_string()]).await.unwrap();
        Ok(())
    }
}

#[tokio::test]
async fn a_scheduled_job_is_run_once_for_all_processes() {
    let (url, client) = database().await;
    // Due since yesterday, as no server ran: it is made up for once.
    let due = "insert into schedule (name, cron, next_at) \
        values ('test.nightly', '30 2 * * * UTC', (extract(epoch from now() - interval '3 days') * 1000000)::int8)";
    client.batch_execute(due).await.unwrap();
    let mut all = Vec::new();
    for _ in 0..3 {
        let (store, work) = work(&url).await;
        let cron = Cron::parse("30 2 * * *").unwrap();
        let schedule = Schedule::new("test.nightly", cron, "test.daily", json!("night"));
        all.push((
            store,
            work.job(Arc::new(Daily)).schedule(schedule).start(CancellationToken::new()).unwrap(),
        ));
    }
    until("it is done", async || effects(&client).await.len() == 1).await;
    let later = "select count(*) from schedule where next_at > (extract(epoch from now()) * 1000000)::int8";
    assert_eq!(count(&client, later).await, 1);
    for (store, working) in all {
        working.stop().await;
        store.leave().await;
    }
    assert_eq!(effects(&client).await, ["\"night\""]);
    assert_eq!(count(&client, "select count(*) from job").await, 1);
}
