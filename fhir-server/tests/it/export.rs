//! `export` and `postgres upgrade`: what was there comes out of them.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{client, directory, run, serve};

const SERVE: [&str; 5] = ["serve", "--auth", "none", "--listen", "127.0.0.1:0"];

/// Two patients, one of them with line breaks and a second version, and an observation; a third patient was deleted.
async fn fill(base: &str) {
    for (path, body) in [
        ("Patient/a", r#"{"resourceType":"Patient","id":"a","active":true}"#),
        (
            "Patient/a",
            "{\n  \"resourceType\": \"Patient\",\r\n  \"id\": \"a\",\n  \"name\": [{\"family\": \"Łęcka\"}]\n}\n",
        ),
        ("Patient/b", r#"{"resourceType":"Patient","id":"b","name":[{"family":"back\\slash\ttab"}]}"#),
        ("Patient/c", r#"{"resourceType":"Patient","id":"c"}"#),
        (
            "Observation/o",
            r#"{"resourceType":"Observation","id":"o","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/a"},"valueQuantity":{"value":1.50}}"#,
        ),
    ] {
        let put = client().put(format!("{base}/{path}")).header("content-type", "application/fhir+json");
        assert!(put.body(body).send().await.unwrap().status().is_success(), "{path}");
    }
    client().delete(format!("{base}/Patient/c")).send().await.unwrap();
}

async fn text(url: String) -> String {
    client().get(url).send().await.unwrap().text().await.unwrap()
}

/// What clients see: current resources, a search, a version, a deletion.
async fn seen(base: &str) -> Vec<String> {
    let mut seen = Vec::new();
    for path in ["Patient/a", "Patient/b", "Patient/a/_history/1", "Patient/c", "Observation/o"] {
        seen.push(text(format!("{base}/{path}")).await);
    }
    for path in ["Patient?name=łęcka", "Observation?subject=Patient/a&value-quantity=1.5", "Patient"] {
        let found: serde_json::Value = serde_json::from_str(&text(format!("{base}/{path}")).await).unwrap();
        seen.push(found["total"].to_string());
    }
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_holds_what_is_current_and_is_loaded_again() {
    let dir = directory();
    let (mut child, base) = serve(dir.path(), &SERVE);
    fill(&base).await;
    let (good, said) = run(dir.path(), &["export", "while-serving"]);
    assert!(good && said.contains("3 resources exported"), "{said}");
    for (path, mode) in [("while-serving", 0o700), ("while-serving/Patient.ndjson", 0o600)] {
        let metadata = std::fs::metadata(dir.path().join(path)).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, mode, "{path}");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let (good, said) = run(dir.path(), &["export", "out", "--gzip"]);
    assert!(good && said.contains("3 resources exported"), "{said}");
    let (good, said) = run(dir.path(), &["export", "out"]);
    assert!(!good && said.contains("there already"), "{said}");
    let patients = std::fs::read_to_string(dir.path().join("while-serving/Patient.ndjson")).unwrap();
    assert_eq!(patients.lines().count(), 2, "{patients}");
    assert!(patients.contains("Łęcka") && !patients.contains("\"c\""), "{patients}");
    assert!(dir.path().join("out/Observation.ndjson.gz").exists());
    let mut left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["data", "out", "while-serving"]);
    for folder in ["while-serving", "out"] {
        let other = directory();
        let folder = dir.path().join(folder);
        let (good, said) = run(other.path(), &["load", folder.to_str().unwrap()]);
        assert!(good && said.contains("3 resources loaded"), "{said}");
    }
}

/// The programs that an upgrade fetches, kept from one run to the next.
fn cache() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("postgresql-fetched")
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_is_brought_to_the_next_postgresql() {
    const OLD: &str = "/usr/lib/postgresql/15/bin";
    const NEW: &str = "postgresql-17.10.0-beta.17";
    if !Path::new(OLD).exists() {
        eprintln!("skipped: PostgreSQL 15 is not installed");
        return;
    }
    let dir = directory();
    let settings = |text: &str| std::fs::write(dir.path().join("cari.toml"), text).unwrap();
    settings(&format!("[postgres]\nbin_dir = '{OLD}'\n"));
    let (mut child, base) = serve(dir.path(), &SERVE);
    fill(&base).await;
    let before = seen(&base).await;
    settings("");
    let (good, said) = run(dir.path(), &["postgres", "upgrade", "--without-backup"]);
    assert!(!good && said.contains("in use"), "a server runs: {said}");
    child.kill().unwrap();
    child.wait().unwrap();
    let data = dir.path().join("data");
    let (good, said) = run(dir.path(), &["postgres", "upgrade"]);
    assert!(!good && said.contains("--without-backup"), "{said}");
    if cache().exists() {
        copy(&cache(), &data.join(NEW));
    }
    let (good, said) = run(dir.path(), &["postgres", "upgrade", "--without-backup"]);
    if said.contains("fetching PostgreSQL from") && !good {
        eprintln!("skipped: PostgreSQL 17 cannot be fetched here");
        return;
    }
    assert!(good && said.contains("upgraded from PostgreSQL 15 to 17"), "{said}");
    if !cache().exists() {
        copy(&data.join(NEW), &cache());
    }
    let version = |cluster: &str| std::fs::read_to_string(data.join(cluster).join("PG_VERSION")).unwrap();
    assert_eq!((version("pg").trim(), version("pg.old-15").trim()), ("17", "15"));
    let (mut child, base) = serve(dir.path(), &SERVE);
    assert_eq!(seen(&base).await, before);
    child.kill().unwrap();
    child.wait().unwrap();

    // Killed between its renames, it is finished by the next start.
    std::fs::rename(data.join("pg"), data.join("pg.upgraded")).unwrap();
    let (mut child, base) = serve(dir.path(), &SERVE);
    assert_eq!(seen(&base).await, before);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!data.join("pg.upgraded").exists());

    // The old programs are gone, and nothing is fetched: what to do is said, and nothing is touched.
    std::fs::rename(data.join("pg"), data.join("pg.aside")).unwrap();
    std::fs::rename(data.join("pg.old-15"), data.join("pg")).unwrap();
    std::fs::write(data.join("pg/PG_VERSION"), "16\n").unwrap();
    settings("[postgres]\ndownload = false\n");
    let (good, said) = run(dir.path(), &["check"]);
    assert!(!good && said.contains("postgresql-16`") && said.contains("postgres upgrade"), "{said}");
}
