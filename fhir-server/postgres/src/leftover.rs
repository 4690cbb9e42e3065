//! Processes of an earlier run: found by what they are, never by a number in a file alone.
//!
//! Every PostgreSQL process has its cluster as working directory, so the ones of a cluster are known whether or not
//! `postmaster.pid` survived, and a process that merely got the number of a dead postmaster is never touched. This is
//! asked with the home's lock held: whatever is found has no supervisor any more.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::error::{Error, IoContext, Result};

/// How long each means is given before the next, harder one.
const PATIENCE: [(Signal, Duration); 3] = [
    (Signal::SIGINT, Duration::from_secs(20)),
    (Signal::SIGQUIT, Duration::from_secs(5)),
    (Signal::SIGKILL, Duration::from_secs(5)),
];

/// Stops what runs in `cluster` and removes the files that would keep a new postmaster from starting.
pub(crate) async fn clear(cluster: &Path, sockets: &Path) -> Result<()> {
    let postmaster = postmaster_pid(cluster);
    for (signal, patience) in PATIENCE {
        let pids = find(cluster);
        if pids.is_empty() {
            break;
        }
        // A clean shutdown is the postmaster's to run. Its children without it cannot do one.
        let receivers: Vec<i32> = match signal {
            Signal::SIGINT => pids.iter().copied().filter(|pid| Some(*pid) == postmaster).collect(),
            _ => pids,
        };
        if receivers.is_empty() {
            continue;
        }
        tracing::warn!("stopping PostgreSQL processes of an earlier run ({signal}): {receivers:?}");
        for pid in receivers {
            // Gone already is what we want.
            let _ = kill(Pid::from_raw(pid), signal);
        }
        wait_until_gone(cluster, patience).await;
    }
    let left = find(cluster);
    if !left.is_empty() {
        return Err(Error::Leftover { dir: cluster.to_path_buf(), pids: left });
    }
    remove(&cluster.join("postmaster.pid"))?;
    remove(&sockets.join(".s.PGSQL.5432"))?;
    remove(&sockets.join(".s.PGSQL.5432.lock"))
}

/// The live PostgreSQL processes of `cluster` (canonical).
pub(crate) fn find(cluster: &Path) -> Vec<i32> {
    match fs::read_dir("/proc/self/task") {
        Ok(_) => by_working_directory(cluster),
        Err(_) => by_command_line(cluster),
    }
}

async fn wait_until_gone(cluster: &Path, patience: Duration) {
    let started = Instant::now();
    while started.elapsed() < patience && !find(cluster).is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn postmaster_pid(cluster: &Path) -> Option<i32> {
    fs::read_to_string(cluster.join("postmaster.pid")).ok()?.lines().next()?.trim().parse().ok()
}

fn by_working_directory(cluster: &Path) -> Vec<i32> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    processes
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let pid = entry.file_name().to_str()?.parse().ok()?;
            // Somebody's shell may stand in the directory; only PostgreSQL is ours to stop.
            let is_postgres = || {
                fs::read_link(entry.path().join("exe"))
                    .ok()
                    .and_then(|exe| Some(exe.file_name()?.to_string_lossy().starts_with("postgres")))
                    .unwrap_or(false)
            };
            (fs::read_link(entry.path().join("cwd")).ok()? == cluster && is_postgres()).then_some(pid)
        })
        .collect()
}

/// Without `/proc` (macOS, the BSDs) only the postmaster is known, by the directory on its command line.
fn by_command_line(cluster: &Path) -> Vec<i32> {
    let Ok(output) = std::process::Command::new("ps").args(["-axo", "pid=,command="]).output() else {
        return Vec::new();
    };
    let directory = format!("-D {}", cluster.display());
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter(|line| line.contains("postgres") && line.contains(&directory))
        .filter_map(|line| line.split_whitespace().next()?.parse().ok())
        .collect()
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).doing("remove", path),
        _ => Ok(()),
    }
}
