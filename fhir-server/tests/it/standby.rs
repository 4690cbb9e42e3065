//! Reads on a standby: a real primary and a real standby of it, whose replay is held where a test wants it to be behind.

mod failures;
mod pages;

use std::time::{Duration, Instant};

use fhir_postgres::testing::NetworkCluster;
use fhir_store::{Options, StandbyOptions};
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::app::{self, Setup, TestApp};

/// A primary, a standby, and a server that may read from it.
struct Pair {
    primary: NetworkCluster,
    standby: NetworkCluster,
    app: TestApp,
    /// Of the full text index.
    _folder: TempDir,
}

impl Pair {
    async fn start() -> Pair {
        Pair::with(Duration::from_secs(600)).await
    }

    /// Of a standby that is not read from when it is further behind.
    async fn with(lag_max: Duration) -> Pair {
        let settings = "synchronous_commit = on\nmax_standby_streaming_delay = 0";
        let (primary, standby) = NetworkCluster::pair(settings, "clinic").await;
        // After a promotion the server finds the new primary.
        let url = format!(
            "postgres://postgres@127.0.0.1:{},127.0.0.1:{}/clinic?target_session_attrs=read-write",
            standby.port, primary.port
        );
        let folder = tempfile::tempdir().unwrap();
        let setup = Setup {
            full_text: Some(folder.path().join("words")),
            database: Some(url),
            store: Options { connections_max: 4, ..options(standby.port, lag_max) },
            modules: vec![Box::new(fhir_operations::Everything)],
            ..Setup::default()
        };
        let pair = Pair { primary, standby, app: TestApp::set_up(setup).await, _folder: folder };
        pair.wait_for(|pair| pair.app.cx.store.standby().unwrap().lag().is_some()).await;
        pair
    }

    async fn wait_for(&self, holds: impl Fn(&Pair) -> bool) {
        let began = Instant::now();
        while !holds(self) {
            assert!(began.elapsed() < Duration::from_secs(60), "waited in vain");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// From now on the standby stays where it is.
    async fn hold(&self) {
        self.standby.ask("select pg_wal_replay_pause()").await;
        while self.standby.ask("select pg_get_wal_replay_pause_state()").await.as_deref() != Some("paused") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn go_on(&self) {
        self.standby.ask("select pg_wal_replay_resume()").await;
    }

    /// Writes a patient, and says where the log was then.
    async fn write(&self, id: &str, family: &str) -> String {
        let patient = json!({"resourceType": "Patient", "id": id, "name": [{"family": family}]});
        let answer =
            self.app.send("PUT", &format!("Patient/{id}"), &patient.to_string()).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.status());
        let etag = header(&answer, "etag").unwrap();
        let version = etag.strip_prefix("W/\"").and_then(|rest| rest.strip_suffix('"'));
        assert!(
            version.is_some_and(|version| version.parse::<u32>().is_ok()),
            "{etag} is more than a version"
        );
        position(&answer).unwrap()
    }

    /// Asks until the standby answers; nobody else's answer is looked at.
    async fn until_standby(&self, request: impl Fn() -> RequestBuilder) -> Response {
        let began = Instant::now();
        loop {
            let answer = request().send().await.unwrap();
            if is_of_standby(&answer) {
                return answer;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "the standby does not answer");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// A search or history of a caller who accepts a standby.
    fn accepting(&self, path: &str) -> RequestBuilder {
        self.app.ask("GET", path).header("prefer", "read=standby")
    }
}

fn options(port: u16, lag_max: Duration) -> Options {
    let url = format!("postgres://postgres@127.0.0.1:{port}/clinic");
    Options { standby: Some(StandbyOptions { url, lag_max }), ..Options::default() }
}

fn header(answer: &Response, name: &str) -> Option<String> {
    answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned())
}

fn position(answer: &Response) -> Option<String> {
    header(answer, "database-position")
}

/// True when a standby answered.
fn is_of_standby(answer: &Response) -> bool {
    header(answer, "preference-applied").as_deref() == Some("read=standby")
}

/// The families of the patients in a Bundle, sorted.
async fn families(answer: Response) -> Vec<String> {
    let (status, page) = app::json(answer).await;
    assert_eq!(status, 200, "{page}");
    let entries = page["entry"].as_array().cloned().unwrap_or_default();
    let name = |entry: &Value| Some(entry["resource"]["name"][0]["family"].as_str()?.to_owned());
    let mut all: Vec<String> = entries.iter().filter_map(name).collect();
    all.sort();
    all
}

/// What may be read on a standby, each about the patient `a`.
const READS: [&str; 8] = [
    "Patient",
    "Patient?_id=a",
    "Patient?family:exact=new,old",
    "?_type=Patient",
    "_history",
    "Patient/_history",
    "Patient/a/_history",
    "Patient/a/$everything",
];

#[tokio::test]
async fn a_caller_never_sees_less_than_it_wrote() {
    let pair = Pair::start().await;
    let before = pair.write("a", "old").await;
    // Until the standby has it, the primary answers.
    let mut of_standby = false;
    for _ in 0..500 {
        let answer = pair.accepting("Patient").header("database-position", &before).send().await.unwrap();
        of_standby |= is_of_standby(&answer);
        assert_eq!(families(answer).await, ["old"]);
    }
    assert!(of_standby);
    pair.hold().await;
    let after = pair.write("a", "new").await;
    assert_ne!(before, after);
    for path in READS {
        let answer = pair.accepting(path).header("database-position", &before).send().await.unwrap();
        assert!(is_of_standby(&answer), "{path}");
        assert!(position(&answer).is_some(), "{path}");
        assert_eq!(header(&answer, "etag"), None, "{path}");
        assert_eq!(families(answer).await, ["old"], "{path}: what the standby has");
        let on_primary = [
            ("its own last write", pair.accepting(path).header("database-position", &after)),
            ("as of now", pair.accepting(path)),
            ("a caller who does not say", pair.app.ask("GET", path).header("database-position", &before)),
            (
                "a caller who will not",
                pair.app
                    .ask("GET", path)
                    .header("prefer", "read=primary")
                    .header("database-position", &before),
            ),
        ];
        for (case, request) in on_primary {
            let answer = request.send().await.unwrap();
            assert!(!is_of_standby(&answer), "{path}: {case}");
            assert!(families(answer).await.contains(&"new".to_owned()), "{path}: {case}");
        }
    }
    let form = pair.app.at("POST", "/fhir/R4/Patient/_search").header("prefer", "read=standby");
    let form = form.header("content-type", "application/x-www-form-urlencoded").body("_id=a");
    let answer = form.header("database-position", &before).send().await.unwrap();
    assert!(is_of_standby(&answer));
    assert_eq!(families(answer).await, ["old"]);
    pair.go_on().await;
    let began = Instant::now();
    loop {
        let answer = pair.accepting("Patient").header("database-position", &after).send().await.unwrap();
        let of_standby = is_of_standby(&answer);
        assert_eq!(families(answer).await, ["new"]);
        if of_standby {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "the standby has it by now");
    }
}

#[tokio::test]
async fn what_is_no_search_is_read_on_the_primary() {
    let pair = Pair::start().await;
    let before = pair.write("a", "old").await;
    pair.until_standby(|| pair.accepting("Patient")).await;
    pair.hold().await;
    pair.write("b", "new").await;
    let old = |request: RequestBuilder| {
        request.header("prefer", "read=standby").header("database-position", &before)
    };
    for path in ["Patient/b", "Patient/b/_history/1", "metadata"] {
        let answer = old(pair.app.ask("GET", path)).send().await.unwrap();
        assert!(!is_of_standby(&answer), "{path}");
        assert_eq!(answer.status(), 200, "{path}");
    }
    // A conditional create that asked the standby would make a second one.
    let patient = json!({"resourceType": "Patient", "name": [{"family": "new"}]}).to_string();
    let create = old(pair.app.send("POST", "Patient", &patient)).header("if-none-exist", "family:exact=new");
    let answer = create.send().await.unwrap();
    assert_eq!(answer.status(), 200, "it is there");
    assert!(position(&answer).is_some(), "the caller relies on it from now on");
    let batch = json!({"resourceType": "Bundle", "type": "batch",
        "entry": [{"request": {"method": "GET", "url": "Patient?family:exact=new"}}]});
    let answer = old(pair.app.send("POST", "", &batch.to_string())).send().await.unwrap();
    let (_, answer) = app::json(answer).await;
    assert_eq!(answer["entry"][0]["resource"]["total"], 1, "{answer}");
    // Words are found by an index that follows the primary, and plans are those of the primary.
    for path in ["Patient?_content=new", "Patient?family=new&_explain=true"] {
        let answer = old(pair.app.ask("GET", path)).send().await.unwrap();
        assert!(!is_of_standby(&answer), "{path}");
        assert_eq!(families(answer).await, ["new"], "{path}");
    }
    for wrong in ["", "0", "1-0", "1-0/G", "1-0/0, 1-0/0", "-1-0/0"] {
        let request = pair.accepting("Patient").header("database-position", wrong);
        assert_eq!(request.send().await.unwrap().status(), 400, "{wrong}");
    }
    assert_eq!(pair.accepting("Patient?_position=1").send().await.unwrap().status(), 400);
}

/// A search by a parameter that is new would miss what the standby has not indexed yet.
#[tokio::test]
async fn a_standby_knows_the_search_parameters() {
    let pair = Pair::start().await;
    let before = pair.write("a", "old").await;
    pair.until_standby(|| pair.accepting("Patient")).await;
    pair.hold().await;
    let parameter = json!({"resourceType": "SearchParameter", "id": "eye", "url": "http://example.org/eye", "name": "eye", "code": "eye",
        "status": "active", "base": ["Patient"], "type": "string", "expression": "Patient.name.family", "description": "-"});
    let answer = pair.app.send("PUT", "SearchParameter/eye", &parameter.to_string()).send().await.unwrap();
    assert_eq!(answer.status(), 201);
    let search = |by: &str| pair.accepting(by).header("database-position", &before);
    let began = Instant::now();
    loop {
        let answer = search("Patient?eye=old").send().await.unwrap();
        assert!(!is_of_standby(&answer));
        if answer.status() == 200 && families(answer).await == ["old"] {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "it is not indexed");
    }
    assert!(!is_of_standby(&search("Patient").send().await.unwrap()), "whatever is asked");
    pair.go_on().await;
    assert_eq!(families(pair.until_standby(|| search("Patient?eye=old")).await).await, ["old"]);
}
