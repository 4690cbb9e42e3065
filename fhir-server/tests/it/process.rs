//! The program itself: started, asked, stopped.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

/// With its data below `dir`.
pub(crate) fn program(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = bare_program(dir, arguments);
    command.arg("--data-dir").arg(dir.join("data"));
    command
}

/// Without a data directory.
pub(crate) fn bare_program(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fhir-server"));
    command.args(arguments).current_dir(dir);
    // What the developer's own shell says about servers must not reach these.
    for (name, _) in std::env::vars() {
        let is_ours = name.starts_with("CARI_") && name != "CARI_PG_BIN";
        if is_ours || ["DATABASE_URL", "REDIS_URL", "RATE_LIMITING_ENABLED", "RUST_LOG"].contains(&&*name) {
            command.env_remove(name);
        }
    }
    command
}

pub(crate) fn run(dir: &Path, arguments: &[&str]) -> (bool, String) {
    let Output { status, stdout, stderr } = program(dir, arguments).output().unwrap();
    (status.success(), format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr)))
}

/// A started server and its base url.
pub(crate) fn serve(dir: &Path, arguments: &[&str]) -> (Child, String) {
    let mut child = program(dir, arguments).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    // Its standard error stays open in the child's handle: a closed pipe would be an error for the log.
    let mut lines = BufReader::new(child.stderr.as_mut().unwrap());
    while lines.read_line(&mut said).unwrap() > 0 {
        if let Some((_, base)) = said.lines().last().unwrap_or("").split_once("FHIR R4 at ") {
            return (child, base.trim().trim_end_matches("\u{1b}[0m").to_owned());
        }
    }
    let status = child.wait().unwrap();
    panic!("the server did not start ({status}):\n{said}");
}

/// A directory that the user PostgreSQL runs as may enter, also when the tests run as root.
pub(crate) fn directory() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    dir
}

pub(crate) fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

pub(crate) async fn status(base: &str, path: &str) -> u16 {
    client().get(format!("{base}/{path}")).send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn a_server_lives_from_start_to_stop() {
    let dir = directory();
    std::fs::write(dir.path().join("p.json"), r#"{"resourceType":"Patient","id":"p"}"#).unwrap();
    let (good, said) = run(dir.path(), &["migrate"]);
    assert!(good, "{said}");
    let (good, said) = run(dir.path(), &["check"]);
    assert!(good && said.contains("database: good"), "{said}");
    let (good, said) = run(dir.path(), &["load", "p.json"]);
    assert!(good && said.contains("1 resources loaded, 0 unchanged"), "{said}");
    let (good, said) = run(dir.path(), &["load", "p.json"]);
    assert!(good && said.contains("0 resources loaded, 1 unchanged"), "{said}");

    let (mut child, base) = serve(dir.path(), &["serve", "--auth", "none", "--listen", "127.0.0.1:0"]);
    assert_eq!(status(&base, "Patient/p").await, 200);
    let (good, said) = run(dir.path(), &["check"]);
    assert!(!good && said.contains("in use"), "a second server on the same directory: {said}");
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert!(child.wait().unwrap().success());
    let postmaster = dir.path().join("data/pg/postmaster.pid");
    assert!(!postmaster.exists(), "its PostgreSQL is stopped with it");
}

#[tokio::test]
async fn without_a_policy_nothing_but_metadata_and_health_is_answered() {
    let dir = directory();
    std::fs::write(dir.path().join("cari.toml"), "allow_origins = ['https://app.org']\n").unwrap();
    let (mut child, base) = serve(dir.path(), &["serve", "--listen", "127.0.0.1:0"]);
    let answer =
        client().get(format!("{base}/metadata")).header("origin", "https://app.org").send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 200);
    assert_eq!(answer.headers()["access-control-allow-origin"], "https://app.org");
    let answer = client().get(format!("{base}/metadata")).header("host", "evil.org").send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 421);
    for path in ["Patient/p", "Patient", "_history", "Patient/p/_history/1"] {
        assert_eq!(status(&base, path).await, 401, "{path}");
    }
    assert_eq!(status(base.strip_suffix("/fhir/R4").unwrap(), "ready").await, 200);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn what_is_wrong_with_the_settings_stops_the_start() {
    let dir = directory();
    let (good, said) = run(dir.path(), &["serve", "--auth", "perhaps"]);
    assert!(!good && said.contains("--auth"), "{said}");
    std::fs::write(dir.path().join("cari.toml"), "\nlisen = \"127.0.0.1:1\"\n").unwrap();
    let (good, said) = run(dir.path(), &["check"]);
    assert!(!good && said.contains("cari.toml:2") && said.contains("lisen"), "{said}");
}
