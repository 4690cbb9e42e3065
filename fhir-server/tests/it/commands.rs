//! The commands, as somebody sees them who has just installed the program.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use fhir_store::testing::registry;
use fhir_store::{Options, Store};

use crate::process::{bare_program, directory, program, run, serve, status};

fn write(dir: &Path, name: &str, text: &str) {
    std::fs::write(dir.join(name), text).unwrap();
}

/// Everything below a directory.
fn below(dir: &Path) -> Vec<String> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        all.push(path.display().to_string());
        if path.is_dir() && !path.is_symlink() {
            all.extend(below(&path));
        }
    }
    all.sort();
    all
}

fn stop(mut child: Child) {
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert!(child.wait().unwrap().success());
}

/// The PostgreSQL that the tests share, with another database's name.
async fn database(name: &str) -> String {
    let server = fhir_postgres::testing::server().await;
    format!("{}/{name}", server.rsplit_once('/').unwrap().0)
}

#[tokio::test]
async fn a_fresh_install_is_checked_and_stays_fresh() {
    let dir = directory();
    let (good, said) = run(dir.path(), &["check"]);
    assert!(good && said.contains("database: good (none yet: a start makes one)"), "{said}");
    assert_eq!(below(dir.path()), Vec::<String>::new(), "nothing is left behind");

    // An empty data directory that somebody made is left as it is, too.
    std::fs::create_dir(dir.path().join("data")).unwrap();
    let (good, said) = run(dir.path(), &["check"]);
    assert!(good, "{said}");
    assert_eq!(below(dir.path()), [dir.path().join("data").display().to_string()]);

    // What would keep a start from succeeding keeps the check from it.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    write(dir.path(), "cari.toml", &format!("listen = '{}'\n", taken.local_addr().unwrap()));
    let (good, said) = run(dir.path(), &["check"]);
    assert!(!good && said.contains("cannot listen on 127.0.0.1:"), "{said}");
    write(dir.path(), "cari.toml", "[postgres]\nbin_dir = '/nowhere'\n");
    let (good, said) = run(dir.path(), &["check"]);
    assert!(!good && said.contains("/nowhere"), "{said}");
    std::fs::remove_file(dir.path().join("cari.toml")).unwrap();
    assert_eq!(below(dir.path()).len(), 1, "{:?}", below(dir.path()));
    std::fs::remove_dir(dir.path().join("data")).unwrap();
    write(dir.path(), "data", "");
    let (good, said) = run(dir.path(), &["check"]);
    assert!(!good && said.contains("cannot make the data directory"), "{said}");
}

#[tokio::test]
async fn a_database_that_is_named_is_checked_and_not_touched() {
    let dir = directory();
    let url = fhir_postgres::testing::database().await;
    let check = |url: &str| run(dir.path(), &["check", "--database-url", url]);
    let (good, said) = check(&url);
    assert!(good && said.contains("database: good (empty: a start makes its tables)"), "{said}");
    let (good, said) = check(&url);
    assert!(good && said.contains("(empty:"), "the first check made nothing: {said}");
    let (good, said) = run(dir.path(), &["migrate", "--database-url", &url]);
    assert!(good && said.contains("the database has the schema of this version"), "{said}");
    let (good, said) = check(&url);
    assert!(good && said.ends_with("database: good\n") || said.contains("database: good\n"), "{said}");
    assert!(!dir.path().join("data").exists(), "a database that is named needs no directory");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_cluster_is_distributed() {
    let dir = directory();
    let (good, text) = run(dir.path(), &["migrate", "--distribute"]);
    assert!(!good && text.contains("--distribute needs `database.url`"), "{text}");
    assert!(below(dir.path()).is_empty(), "nothing is begun");
    let url = fhir_postgres::testing::database().await;
    let (good, text) = run(dir.path(), &["migrate", "--distribute", "--database-url", &url]);
    assert!(!good && text.contains("does not have the extension `citus`"), "{text}");
}

/// A database that its own tools restored goes on as one of ours.
#[tokio::test(flavor = "multi_thread")]
async fn versions_jump_in_a_database_that_was_restored() {
    let dir = directory();
    let url = fhir_postgres::testing::database().await;
    let (good, text) = run(dir.path(), &["migrate", "--database-url", &url]);
    assert!(good, "{text}");
    let store = async || Store::open(&url, Options::default(), registry().await.unwrap()).await.unwrap();
    let opened = store().await;
    assert_eq!(opened.version_min(), 1);
    opened.leave().await;
    let (good, text) = run(dir.path(), &["migrate", "--restored", "--database-url", &url]);
    assert!(good && text.contains("go on above"), "{text}");
    assert_eq!(store().await.version_min(), 1_000_000);
}

#[tokio::test]
async fn errors_name_the_database_and_the_cause_and_never_the_password() {
    let dir = directory();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let refused = format!("postgres://ada:secret@127.0.0.1:{free}/clinic");
    let tls = format!("postgres://ada:secret@127.0.0.1:{free}/clinic?sslmode=require");
    let unknown = database("no_such_database").await;
    let rows = [
        (
            refused.as_str(),
            format!("database `clinic` on 127.0.0.1:{free} as user `ada`, without TLS: Connection refused"),
        ),
        (
            &tls,
            format!(
                "on 127.0.0.1:{free} as user `ada`, with TLS, the database's certificate not verified: Conn"
            ),
        ),
        (&unknown, "database \"no_such_database\" does not exist; create it with `createdb`".to_owned()),
        (
            "postgres://ada:secret@host.invalid/clinic",
            "on host.invalid:5432 as user `ada`, with TLS, the database's certificate verified: ".to_owned(),
        ),
    ];
    for (url, wanted) in rows {
        for command in ["check", "migrate", "serve", "capabilities"] {
            let mut arguments = vec![command, "--database-url", url];
            if command == "serve" {
                arguments.extend(["--listen", "127.0.0.1:0"]);
            }
            let (good, said) = run(dir.path(), &arguments);
            assert!(!good && said.contains(&wanted), "{command} {url}: {said}");
            assert!(!said.contains("secret") && !said.contains("the log has the details"), "{said}");
        }
    }
    // Where it was named is in the log.
    let output = program(dir.path(), &["check"]).env("DATABASE_URL", &refused).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("which is named by environment variable DATABASE_URL"), "{said}");
}

#[tokio::test]
async fn a_demo_is_for_this_machine_alone() {
    let dir = directory();
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:8080"] {
        let (good, said) = run(dir.path(), &["demo", "--listen", address]);
        assert!(!good && said.contains("this machine alone"), "{said}");
        assert!(said.contains(&format!("serve --listen {address}")), "{said}");
        assert!(below(dir.path()).is_empty(), "{address}: nothing was started");
    }
    let (good, said) = run(dir.path(), &["demo", "--listen", "127.0.0.1:0", "--allow-origin", "no origin"]);
    assert!(!good && said.contains("--allow-origin"), "{said}");
}

#[tokio::test]
async fn a_folder_is_loaded_as_far_as_it_can_be() {
    let dir = directory();
    let folder = dir.path().join("files");
    std::fs::create_dir_all(folder.join("deep")).unwrap();
    write(&folder, "a.json", r#"{"resourceType":"Patient","id":"a"}"#);
    write(
        &folder,
        "b.ndjson",
        "{\"resourceType\":\"Patient\",\"id\":\"b\"}\n{\"resourceType\":\"Patient\",\"id\":\"b_b\"}\n",
    );
    write(&folder, "c.xml", r#"<Patient xmlns="http://hl7.org/fhir"><id value="c"/></Patient>"#);
    write(&folder, "readme.txt", "x");
    write(&folder, "deep/d.csv", "x");
    symlink(folder.join("nowhere"), folder.join("broken.json")).unwrap();
    symlink(&folder, folder.join("deep/back")).unwrap();
    assert!(Command::new("mkfifo").arg(folder.join("pipe.json")).status().unwrap().success());
    for (loaded, unchanged) in [(3, 0), (0, 3)] {
        let (good, said) = run(dir.path(), &["load", "files", "missing"]);
        assert!(!good, "what could not be loaded is an error: {said}");
        let wanted = format!(
            "{loaded} resources loaded, {unchanged} unchanged, 0 superseded by later files, 1 failed; 3 files, 5 errors in "
        );
        assert!(said.contains(&wanted), "{said}");
        for line in [
            "missing: does not exist",
            "files/broken.json: a symbolic link to ",
            "files/deep/back: a link that leads back",
            "files/pipe.json: a named pipe cannot be loaded",
            "files/b.ndjson:2: \"b_b\" is not an id that FHIR allows",
            "\n2 files skipped, which are not .json, .ndjson or .xml: files/deep/d.csv, files/readme.txt",
        ] {
            assert!(said.contains(line), "{line}: {said}");
        }
    }
}

#[tokio::test]
async fn a_running_server_is_loaded_into_over_http() {
    let dir = directory();
    write(dir.path(), "a.json", r#"{"resourceType":"Patient","id":"a"}"#);
    let (child, base) = serve(dir.path(), &["serve", "--auth", "none", "--listen", "127.0.0.1:0"]);
    let (good, said) = run(dir.path(), &["load", "a.json"]);
    assert!(!good && said.contains("in use by another server") && said.contains("--to http://"), "{said}");
    let host = base.strip_suffix("/fhir/R4").unwrap();
    // With `--to` there is no data directory, which `run` gives.
    let load = |arguments: &[&str]| {
        let output = bare_program(dir.path(), &["load"]).args(arguments).output().unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.success(), format!("{out}{err}"))
    };
    let (good, said) = load(&["a.json", "--to", host]);
    assert!(good && said.contains("1 resources loaded, 0 unchanged"), "{said}");
    let (good, said) = load(&["a.json", "--to", &format!("{base}/"), "--header", "X-Any: thing"]);
    assert!(good && said.contains("0 resources loaded, 1 unchanged"), "{said}");
    assert_eq!(status(&base, "Patient/a").await, 200);
    for (url, wanted) in [
        (host.replace("http://", "ftp://"), "is not the base URL"),
        (format!("{host}/ready"), "no FHIR R4 server answers at"),
        ("http://127.0.0.1:1".to_owned(), "Connection refused"),
        ("here".to_owned(), "is no URL"),
    ] {
        let (good, said) = load(&["a.json", "--to", &url]);
        assert!(!good && said.contains(wanted), "{url}: {said}");
    }
    stop(child);
}

/// A server that says it is one, and then answers each Bundle as told.
fn stub(answers: Vec<&'static str>) -> (String, std::thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/fhir", listener.local_addr().unwrap());
    let statement = r#"{"resourceType":"CapabilityStatement","fhirVersion":"4.0.1"}"#;
    let first = format!("200 OK\r\ncontent-length: {}\r\n\r\n{statement}", statement.len());
    let serving = std::thread::spawn(move || {
        let mut heads = Vec::new();
        for answer in std::iter::once(first).chain(answers.into_iter().map(str::to_owned)) {
            let (mut stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut head, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                if line == "\r\n" {
                    break;
                }
                head.push_str(&line);
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            heads.push(head);
            if answer == "slow" {
                std::thread::sleep(std::time::Duration::from_secs(12));
                continue;
            }
            let _ = stream.write_all(
                format!("HTTP/1.1 {answer}").replacen("\r\n", "\r\nconnection: close\r\n", 1).as_bytes(),
            );
        }
        heads
    });
    (url, serving)
}

const NONE: &str = "200 OK\r\ncontent-length: 87\r\n\r\n{\"resourceType\":\"Bundle\",\"type\":\"x\",\"entry\":[{\"response\":{\"status\":\"404 Not Found\"}}]}  ";
const DONE: &str = "200 OK\r\ncontent-length: 87\r\n\r\n{\"resourceType\":\"Bundle\",\"type\":\"x\",\"entry\":[{\"response\":{\"status\":\"201 Created\"}}]}    ";
const BUSY: &str = "503 Service Unavailable\r\nretry-after: 0\r\ncontent-length: 0\r\n\r\n";
const MANY: &str = "429 Too Many Requests\r\ncontent-length: 0\r\n\r\n";
const AWAY: &str = "302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";

fn load_into(dir: &Path, url: &str) -> (bool, String, String) {
    let mut command = bare_program(dir, &["load", "a.json", "--to", url]);
    command.env("CARI_LOAD_TOKEN", "secret-token");
    let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_busy_server_is_asked_again_and_a_silent_load_says_how_far_it_is() {
    let dir = directory();
    write(dir.path(), "a.json", r#"{"resourceType":"Patient","id":"a"}"#);
    let (url, serving) = stub(vec![BUSY, MANY, NONE, "slow", DONE]);
    let (good, out, err) = load_into(dir.path(), &url);
    assert!(good && out.contains("1 resources loaded"), "{out}{err}");
    assert!(err.contains("loading: 0 of 1 files, 0 resources, 0/s, 0 errors"), "{err}");
    let heads = serving.join().unwrap();
    assert!(
        heads.iter().all(|head| head.to_lowercase().contains("authorization: bearer secret-token")),
        "{heads:?}"
    );
    assert!(!out.contains("secret-token") && !err.contains("secret-token"), "{out}{err}");
}

#[test]
fn a_token_goes_to_no_other_server() {
    let dir = directory();
    write(dir.path(), "a.json", r#"{"resourceType":"Patient","id":"a"}"#);
    let (url, serving) = stub(vec![AWAY]);
    let (good, out, err) = load_into(dir.path(), &url);
    assert!(!good && format!("{out}{err}").contains("302"), "{out}{err}");
    serving.join().unwrap();
}
