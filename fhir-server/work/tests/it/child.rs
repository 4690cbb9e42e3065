//! A process of its own that works, until its standard input ends or somebody kills it.

use std::io::{Read, Write as _};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use fhir_model::Result;
use fhir_work::{CancellationToken, Consumer, FeedChange, JobRun, JobType, Transaction};
use serde_json::Value;

/// The database, and the file of effects outside of it.
const URL: &str = "CARI_WORK_CHILD";
const OUTSIDE: &str = "CARI_WORK_OUTSIDE";
const CRASH_AT: &str = "CARI_CRASH_AT";

/// Leaves an effect outside and one in the database.
pub(crate) struct Effect {
    pub(crate) outside: PathBuf,
}

impl Effect {
    fn outside(&self, key: &str) {
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(&self.outside).unwrap();
        file.write_all(format!("{key}\n").as_bytes()).unwrap();
    }

    async fn inside(&self, key: &str, transaction: &Transaction<'_>) -> Result<()> {
        let process = i32::try_from(std::process::id()).unwrap();
        let insert = "insert into effect (key, process) values ($1, $2)";
        transaction.execute(insert, &[&key, &process]).await.map(drop).map_err(fhir_model::Error::internal)
    }
}

#[async_trait]
impl JobType for Effect {
    fn name(&self) -> &str {
        "test.effect"
    }

    fn attempts_max(&self) -> u32 {
        2
    }

    async fn perform(&self, run: &JobRun) -> Result<Value> {
        self.outside(&run.key());
        tokio::time::sleep(Duration::from_millis(run.payload["ms"].as_u64().unwrap_or(0))).await;
        Ok(Value::Null)
    }

    async fn record(&self, run: &JobRun, _: Value, transaction: &Transaction<'_>) -> Result<()> {
        self.inside(&run.key(), transaction).await
    }
}

#[async_trait]
impl Consumer for Effect {
    fn name(&self) -> &str {
        "test.follow"
    }

    fn types(&self) -> &[&'static str] {
        &["Basic"]
    }

    fn attempts_max(&self) -> u32 {
        2
    }

    async fn perform(&self, changes: &[FeedChange]) -> Result<()> {
        changes.iter().for_each(|change| self.outside(&change.key()));
        Ok(())
    }

    async fn record(&self, changes: &[FeedChange], transaction: &Transaction<'_>) -> Result<()> {
        for change in changes {
            self.inside(&change.key(), transaction).await?;
        }
        Ok(())
    }
}

/// Not a test: what the child processes of tests run.
#[tokio::test(flavor = "multi_thread")]
async fn child_process() {
    let (Ok(url), Ok(outside)) = (std::env::var(URL), std::env::var(OUTSIDE)) else { return };
    let stop = CancellationToken::new();
    let told = stop.clone();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        told.cancel();
    });
    let (store, work) = super::work(&url).await;
    let effect = Arc::new(Effect { outside: outside.into() });
    let working = work.job(effect.clone()).consumer(effect).start(stop.clone()).unwrap();
    stop.cancelled().await;
    working.stop().await;
    store.leave().await;
}

/// Starts a child, which kills itself at a step where one is named.
pub(crate) fn start(url: &str, outside: &Path, crash_at: Option<&str>) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child::child_process", "--nocapture"]).env(URL, url).env(OUTSIDE, outside);
    if let Some(step) = crash_at {
        command.env(CRASH_AT, step);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap()
}

/// Waits for the end of a child without holding up the test's runtime.
pub(crate) async fn ended(mut child: Child) -> ExitStatus {
    tokio::task::spawn_blocking(move || child.wait().unwrap()).await.unwrap()
}

/// Waits for a child that kills itself.
pub(crate) async fn killed(child: Child) {
    let status = ended_by_itself(child).await;
    assert_eq!(status.signal(), Some(9), "{status}");
}

async fn ended_by_itself(mut child: Child) -> ExitStatus {
    let stdin = child.stdin.take();
    let status = ended(child).await;
    drop(stdin);
    status
}

/// Stops a child, which must end in order.
pub(crate) async fn stopped(mut child: Child) {
    drop(child.stdin.take());
    let status = ended(child).await;
    assert!(status.success(), "{status}");
}

/// The keys of effects outside of the database, each once, in order.
pub(crate) fn outside(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let mut keys: Vec<String> = text.lines().map(str::to_owned).collect();
    keys.sort();
    keys.dedup();
    keys
}
