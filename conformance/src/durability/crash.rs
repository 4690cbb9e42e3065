//! `kill -9` of the server under writers, again and again.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::writer::{self, Log};
use super::{Chance, Checks, run_name, wait_until_up};
use crate::client::Subject;

const WRITERS: usize = 8;
/// A start may have to recover the database.
const START_AT_MOST: Duration = Duration::from_secs(60);

/// Starts the server, lets writers write, kills it at a random moment, starts it again and looks: so many rounds.
pub(crate) fn run(base: &str, command: &str, rounds: usize) -> Result<bool> {
    let mut checks = Checks::default();
    let mut chance = Chance::new(7);
    let mut server = start(command)?;
    wait_until_up(base, START_AT_MOST).inspect_err(|_| stop(&mut server))?;
    let mut total = 0;
    for round in 1..=rounds {
        let run = format!("{}-{round}", run_name());
        let after = Duration::from_millis(300 + chance.below(1700));
        let logs = load(base, &run, &mut server, after)?;
        total += logs.iter().map(acknowledged).sum::<usize>();
        server = start(command)?;
        let up = wait_until_up(base, START_AT_MOST).inspect_err(|_| stop(&mut server))?;
        let writes: usize = logs.iter().map(acknowledged).sum();
        println!(
            "round {round}: killed after {} ms and {writes} acknowledged writes, up again in {} ms",
            after.as_millis(),
            up.as_millis()
        );
        let wrong = writer::verify(&Subject::new(base), &logs).inspect_err(|_| stop(&mut server))?;
        checks.note(&format!("round {round}: no acknowledged write is lost"), &wrong.lost);
        checks.note(&format!("round {round}: no Bundle is torn"), &wrong.torn);
        checks.note(&format!("round {round}: no duplicate of a conditional create"), &wrong.duplicates);
        checks.note(&format!("round {round}: the index agrees with the resources"), &wrong.index);
    }
    stop(&mut server);
    println!("{total} acknowledged writes in {rounds} rounds");
    Ok(checks.close())
}

fn acknowledged(log: &Log) -> usize {
    log.statuses.iter().filter(|(status, _)| matches!(status, 200 | 201)).map(|(_, count)| count).sum()
}

/// Writers on the server until it is killed.
fn load(base: &str, run: &str, server: &mut Child, kill_after: Duration) -> Result<Vec<Log>> {
    let stop = AtomicBool::new(false);
    let count = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let (stop, count) = (&stop, &count);
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| scope.spawn(move || writer::write_until(stop, count, base, run, writer)))
            .collect();
        // A round in which nothing was written would prove nothing.
        let start = Instant::now();
        while count.load(Ordering::Relaxed) < WRITERS && start.elapsed() < START_AT_MOST {
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(kill_after);
        let killed = server.kill().context("kill -9 of the server");
        let waited = server.wait().context("waiting for the server's end");
        stop.store(true, Ordering::Relaxed);
        let logs: Vec<Log> = writers.into_iter().filter_map(|writer| writer.join().ok()).collect();
        killed.and(waited)?;
        if logs.len() < WRITERS {
            bail!("a writer broke down");
        }
        Ok(logs)
    })
}

/// `exec`, so that the process that is killed is the server and not its shell; a group of its own, so that it is the
/// server alone that is killed.
fn start(command: &str) -> Result<Child> {
    Command::new("sh")
        .arg("-c")
        .arg(format!("exec {command}"))
        .process_group(0)
        .spawn()
        .context("starting the server")
}

fn stop(server: &mut Child) {
    // Asked first, so that it may stop its database.
    let asked = Command::new("kill").arg("-TERM").arg(server.id().to_string()).status();
    let start = Instant::now();
    while asked.is_ok() && start.elapsed() < Duration::from_secs(20) {
        if matches!(server.try_wait(), Ok(Some(_))) {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    if server.kill().is_ok() {
        let _ended = server.wait();
    }
}
