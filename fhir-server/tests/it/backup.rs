//! Backups of a server that answers, and servers restored from them, against a ledger of what was acknowledged.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::process::{client, directory, program, run, serve};

/// What a write was answered with.
#[derive(Debug, Clone)]
struct Entry {
    id: String,
    version: u64,
    /// The body as it was answered; none: it was deleted.
    body: Option<Value>,
    sent_at: i64,
    acknowledged_at: i64,
}

fn micros() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as i64
}

fn instant(micros: i64) -> String {
    fhir_model::date::format_instant(micros)
}

/// A server with backups, its target and its key.
struct Server {
    dir: tempfile::TempDir,
    child: Child,
    base: String,
}

const SERVE: [&str; 5] = ["serve", "--auth", "none", "--listen", "127.0.0.1:0"];

impl Server {
    fn start() -> Server {
        let dir = directory();
        std::fs::create_dir(dir.path().join("usb")).unwrap();
        let made = program(dir.path(), &["backup", "init", "usb", "--key-file", "key"]).output().unwrap();
        let (said, warned) =
            (String::from_utf8(made.stdout).unwrap(), String::from_utf8(made.stderr).unwrap());
        assert!(made.status.success() && warned.contains("WARNING: the key"), "{said}{warned}");
        assert!(!format!("{said}{warned}").contains("AGE-SECRET-KEY"));
        // What it prints are settings from the table on: a pipe makes a file of them.
        let settings = format!("{}wal_interval_seconds = 1\n", &said[said.find("[backup]").unwrap()..]);
        std::fs::write(dir.path().join("cari.toml"), settings).unwrap();
        let (child, base) = serve(dir.path(), &SERVE);
        Server { dir, child, base }
    }

    async fn metric(&self, name: &str) -> u64 {
        let url = format!("{}/metrics", self.base.strip_suffix("/fhir/R4").unwrap());
        let text = client().get(url).send().await.unwrap().text().await.unwrap();
        let line =
            text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
    }

    /// Waits until what is committed now is archived.
    async fn archived(&self) {
        let began = Instant::now();
        tokio::time::sleep(Duration::from_millis(1100)).await;
        while self.metric("fhir_backup_wal_age_seconds").await >= began.elapsed().as_secs() {
            assert!(began.elapsed() < Duration::from_secs(60), "WAL is not archived");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Creates, updates and deletes patients of its own until it is told to stop.
async fn write(base: String, writer: usize, mut stop: tokio::sync::watch::Receiver<bool>) -> Vec<Entry> {
    let (client, mut ledger) = (client(), Vec::new());
    for round in 0.. {
        if *stop.borrow_and_update() {
            break;
        }
        let id = format!("w{writer}-{}", round / 3);
        let url = format!("{base}/Patient/{id}");
        let sent_at = micros();
        let request = match round % 3 {
            2 if round % 2 == 0 => client.delete(&url),
            _ => client.put(&url).header("content-type", "application/fhir+json").body(
                json!({"resourceType": "Patient", "id": id, "name": [{"family": format!("F{round}")}]})
                    .to_string(),
            ),
        };
        let Ok(answer) = request.send().await else { break };
        assert!(answer.status().is_success(), "{answer:?}");
        let etag = answer.headers()["etag"].to_str().unwrap().to_owned();
        let version = etag.trim_start_matches("W/\"").trim_end_matches('"').parse().unwrap();
        let deleted = round % 3 == 2 && round % 2 == 0;
        let body = if deleted { None } else { Some(parsed(answer).await) };
        ledger.push(Entry { id, version, body, sent_at, acknowledged_at: micros() });
    }
    ledger
}

async fn parsed(answer: reqwest::Response) -> Value {
    serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
}

/// Every version of every patient, by id and version.
async fn versions(base: &str) -> BTreeMap<(String, u64), Option<Value>> {
    let (client, mut found) = (client(), BTreeMap::new());
    let mut next = Some(format!("{base}/Patient/_history?_count=1000"));
    while let Some(url) = next.take() {
        let page = parsed(client.get(&url).send().await.unwrap()).await;
        for entry in page["entry"].as_array().into_iter().flatten() {
            let id = entry["request"]["url"].as_str().unwrap();
            let id = id.trim_start_matches("Patient/").split('/').next().unwrap().to_owned();
            let etag = entry["response"]["etag"].as_str().unwrap();
            let version = etag.trim_start_matches("W/\"").trim_end_matches('"').parse().unwrap();
            found.insert((id, version), entry.get("resource").cloned());
        }
        let links = page["link"].as_array().unwrap();
        let link = links.iter().find(|link| link["relation"] == "next");
        next = link.map(|link| link["url"].as_str().unwrap().to_owned());
    }
    found
}

/// What is there is what was acknowledged by `at`, and at most what was under way then.
fn compare(found: &BTreeMap<(String, u64), Option<Value>>, ledger: &[Entry], at: i64) {
    let mut explained = 0;
    for entry in ledger {
        let there = found.get(&(entry.id.clone(), entry.version));
        if entry.acknowledged_at <= at {
            assert_eq!(there, Some(&entry.body), "acknowledged, and lost or changed: {entry:?}");
        } else if entry.sent_at > at {
            assert_eq!(there, None, "written later: {entry:?}");
        } else if let Some(there) = there {
            assert_eq!(there, &entry.body, "under way: {entry:?}");
        }
        explained += usize::from(there.is_some());
    }
    assert_eq!(explained, found.len(), "nothing else is there");
}

fn restore(dir: &Path, to: &Server, time: Option<&str>) -> (bool, String) {
    let (usb, key) = (to.dir.path().join("usb"), to.dir.path().join("key"));
    let mut arguments = vec!["restore", "--from", usb.to_str().unwrap(), "--key-file", key.to_str().unwrap()];
    arguments.extend(time.map(|time| ["--to", time]).into_iter().flatten());
    run(dir, &arguments)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_restored_exactly() {
    let mut server = Server::start();
    let (stop, stopping) = tokio::sync::watch::channel(false);
    let writers: Vec<_> =
        (0..3).map(|writer| tokio::spawn(write(server.base.clone(), writer, stopping.clone()))).collect();
    tokio::time::sleep(Duration::from_millis(300)).await;
    // A base backup under load, besides the first one of the server itself.
    let dir = server.dir.path().to_path_buf();
    let said = tokio::task::spawn_blocking(move || {
        loop {
            let (good, said) = run(&dir, &["backup"]);
            if good || !said.contains("another backup") {
                return said;
            }
        }
    });
    let said = said.await.unwrap();
    assert!(said.contains("is complete"), "{said}");
    tokio::time::sleep(Duration::from_millis(2500)).await;
    // Milliseconds are what an instant of FHIR can say.
    let at = micros() / 1000 * 1000;
    tokio::time::sleep(Duration::from_millis(1000)).await;
    stop.send(true).unwrap();
    let mut ledger = Vec::new();
    for writer in writers {
        ledger.extend(writer.await.unwrap());
    }
    server.archived().await;
    assert!(server.metric("fhir_backup_age_seconds").await < 60);
    assert_eq!(server.metric("fhir_backup_target_present").await, 1);
    // The machine is lost.
    server.child.kill().unwrap();
    server.child.wait().unwrap();

    for time in [Some(at), None] {
        let dir = directory();
        let text = time.map(instant);
        let (good, said) = restore(dir.path(), &server, text.as_deref());
        assert!(good, "{said}");
        let (good, said) = restore(dir.path(), &server, None);
        assert!(!good && said.contains("is not empty"), "{said}");
        let (mut child, base) = serve(dir.path(), &SERVE);
        compare(&versions(&base).await, &ledger, time.unwrap_or(i64::MAX));
        versions_are_not_given_again(&base, &ledger).await;
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let (good, said) = run(server.dir.path(), &["backup", "verify", "--key-file", "key"]);
    assert!(good && said.contains("good: "), "{said}");
}

/// What a client holds from before must not fit what is written after restoring.
async fn versions_are_not_given_again(base: &str, ledger: &[Entry]) {
    let last = ledger.iter().max_by_key(|entry| entry.acknowledged_at).unwrap();
    let highest = ledger.iter().map(|entry| entry.version).max().unwrap();
    let body = json!({"resourceType": "Patient", "id": last.id}).to_string();
    let put =
        client().put(format!("{base}/Patient/{}", last.id)).header("content-type", "application/fhir+json");
    let answer = put.body(body).send().await.unwrap();
    let etag = answer.headers()["etag"].to_str().unwrap().to_owned();
    let version: u64 = etag.trim_start_matches("W/\"").trim_end_matches('"').parse().unwrap();
    assert!(version > highest, "{version}");
    let search = format!("{base}/Patient?_id={}", last.id);
    let found = parsed(client().get(search).send().await.unwrap()).await;
    assert_eq!(found["total"], 1, "it is found by its index entries");
}

#[test]
fn what_backups_cannot_do_is_said() {
    let dir = directory();
    let url = ["--database-url", "postgres://h/d"];
    for (arguments, why) in [
        (["backup"].to_vec(), "backup.target"),
        ([&["backup"][..], &url].concat(), "pg_basebackup"),
        (["backup", "list", "--from", "nowhere"].to_vec(), "is its disk plugged in?"),
        (["restore", "--from", "nowhere", "--key-file", "nothing"].to_vec(), "nothing"),
        (["backup", "init", "nowhere"].to_vec(), "nowhere"),
        (["backup", "verify", "--restore", "x"].to_vec(), "--key-file"),
    ] {
        let (good, said) = run(dir.path(), &arguments);
        assert!(!good && said.contains(why), "{arguments:?}: {said}");
    }
    std::fs::write(dir.path().join("cari.toml"), "backup.target = 'usb'\n").unwrap();
    let (good, said) = run(dir.path(), &["check"]);
    assert!(!good && said.contains("backup.recipients"), "{said}");
}
