//! `kill -9` of PostgreSQL under load: the server says 503 for a while, and recovers without being started again.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::writer::{self, Log};
use super::{Checks, run_name, wait_until_up};
use crate::client::{Request, Subject};

const WRITERS: usize = 8;
const LOAD_BEFORE: Duration = Duration::from_millis(1500);
const LOAD_AFTER: Duration = Duration::from_millis(1500);
const RECOVERY_AT_MOST: Duration = Duration::from_secs(60);

/// How PostgreSQL is killed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Crash<'a> {
    /// The file that names its process.
    pub(crate) pid_file: Option<&'a Path>,
    /// A shell command that kills it instead.
    pub(crate) kill: Option<&'a str>,
    /// What brings it up again where the server does not do that itself.
    pub(crate) restart: Option<&'a str>,
    /// After which everything that was acknowledged must be there.
    pub(crate) settle: Duration,
}

/// Kills PostgreSQL, so many times.
pub(crate) fn run(base: &str, crash: &Crash<'_>, rounds: usize) -> Result<bool> {
    let mut checks = Checks::default();
    wait_until_up(base, RECOVERY_AT_MOST)?;
    for round in 1..=rounds {
        let run = format!("{}-{round}", run_name());
        let (logs, recovered) = load(base, &run, crash)?;
        let mut statuses = std::collections::BTreeMap::new();
        for (status, count) in logs.iter().flat_map(|log| &log.statuses) {
            *statuses.entry(*status).or_insert(0_usize) += count;
        }
        println!("round {round}: answers by status (0: none) {statuses:?}");
        let improper: Vec<String> = logs.iter().flat_map(|log| log.improper.iter().cloned()).collect();
        checks
            .note(&format!("round {round}: trouble is 503, Retry-After and an OperationOutcome"), &improper);
        let seen = statuses.contains_key(&503);
        let silent = if seen { vec![] } else { vec!["no write met the dead database".to_owned()] };
        checks.note(&format!("round {round}: the writers noticed"), &silent);
        let late = match recovered {
            Some(took) => {
                println!("round {round}: writes again {} ms after the kill", took.as_millis());
                vec![]
            }
            None => vec![format!("no write succeeded within {RECOVERY_AT_MOST:?}")],
        };
        checks.note(&format!("round {round}: recovers without a restart of the server"), &late);
        if !late.is_empty() {
            break;
        }
        std::thread::sleep(crash.settle);
        let wrong = writer::verify(&Subject::new(base), &logs)?;
        checks.note(&format!("round {round}: no acknowledged write is lost"), &wrong.lost);
        checks.note(&format!("round {round}: no Bundle is torn"), &wrong.torn);
        checks.note(&format!("round {round}: no duplicate of a conditional create"), &wrong.duplicates);
        checks.note(&format!("round {round}: the index agrees with the resources"), &wrong.index);
    }
    Ok(checks.close())
}

/// Load before, during and after the kill; and how long after it a write succeeded again.
fn load(base: &str, run: &str, crash: &Crash<'_>) -> Result<(Vec<Log>, Option<Duration>)> {
    let stop = AtomicBool::new(false);
    let count = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let (stop, count) = (&stop, &count);
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| scope.spawn(move || writer::write_until(stop, count, base, run, writer)))
            .collect();
        std::thread::sleep(LOAD_BEFORE);
        let killed = match (crash.pid_file, crash.kill) {
            (Some(pid_file), _) => kill(pid_file),
            (None, command) => command.map_or(Ok(()), shell),
        };
        let killed = killed.and_then(|()| crash.restart.map_or(Ok(()), shell));
        let recovered = killed.is_ok().then(|| wait_for_a_write(base, run)).flatten();
        std::thread::sleep(LOAD_AFTER);
        stop.store(true, Ordering::Relaxed);
        let logs = writers.into_iter().filter_map(|writer| writer.join().ok()).collect();
        killed.map(|()| (logs, recovered))
    })
}

/// The first line of `postmaster.pid` is the process id.
fn kill(pid_file: &Path) -> Result<()> {
    let text = std::fs::read_to_string(pid_file).with_context(|| pid_file.display().to_string())?;
    let pid: u32 =
        text.lines().next().unwrap_or_default().trim().parse().context("the first line is a pid")?;
    let status = Command::new("kill").arg("-9").arg(pid.to_string()).status().context("kill")?;
    ensure!(status.success(), "kill -9 {pid} failed");
    Ok(())
}

fn shell(command: &str) -> Result<()> {
    let status = Command::new("sh").arg("-c").arg(command).status().with_context(|| command.to_owned())?;
    ensure!(status.success(), "`{command}` failed");
    Ok(())
}

fn wait_for_a_write(base: &str, run: &str) -> Option<Duration> {
    let start = Instant::now();
    let subject = Subject::new(base);
    let body = json!({"resourceType": "Basic", "code": {"text": run}});
    // The kill may not have reached every connection yet: a write must fail, or time pass, before one counts.
    std::thread::sleep(Duration::from_millis(200));
    while start.elapsed() < RECOVERY_AT_MOST {
        let answer = subject.send(&Request::new("POST", "/Basic").json(&body));
        if answer.is_ok_and(|answer| answer.status == 201) {
            return Some(start.elapsed());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    None
}
