//! What goes wrong with a standby is nothing that a caller notices.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fhir_postgres::testing::NetworkCluster;
use fhir_store::Store;
use fhir_store::testing;

use super::{Pair, families, is_of_standby, options, position};
use crate::app::{Setup, TestApp};
use crate::process;

/// Reads while statements of the standby are stopped.
const READS: usize = 400;

/// The standby ends statements that are in the way of what it replays (`max_standby_streaming_delay`), and connections when it is
/// told to.
#[tokio::test]
async fn what_a_standby_stops_the_primary_answers() {
    let pair = Pair::start().await;
    for at in 0..40 {
        pair.write(&format!("p{at}"), &format!("family-{at:02}")).await;
    }
    let last = pair.write("last", "last").await;
    let done = AtomicBool::new(false);
    let standby = pair.app.cx.store.standby().unwrap();
    let conflicts = async {
        let primary = pair.app.cx.store.connections().dedicated().await.unwrap();
        let busy = "select pg_terminate_backend(pid) from pg_stat_activity where datname = 'clinic' and state <> 'idle'";
        while !done.load(Ordering::Relaxed) {
            pair.standby.ask(busy).await;
            // A lock that excludes readers is replayed, and readers in its way are stopped.
            primary
                .batch_execute("begin; lock table resource in access exclusive mode; commit")
                .await
                .unwrap();
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    };
    let reader = async {
        let (mut answered, mut enough) = (0, false);
        while !enough {
            let answer =
                pair.accepting("Patient?_count=100").header("database-position", &last).send().await.unwrap();
            assert_eq!(families(answer).await.len(), 41);
            answered += 1;
            let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
            enough = answered >= READS && count(&standby.retries) > 5 && count(&standby.reads) > 5;
            assert!(
                answered < 100 * READS,
                "{} retries of {} reads",
                count(&standby.retries),
                count(&standby.reads)
            );
        }
        done.store(true, Ordering::Relaxed);
    };
    tokio::join!(conflicts, reader);
}

#[tokio::test]
async fn a_standby_that_is_far_behind_is_not_read_from() {
    let pair = Pair::with(Duration::from_secs(1)).await;
    let before = pair.write("a", "old").await;
    let read = || pair.accepting("Patient").header("database-position", &before);
    pair.until_standby(read).await;
    pair.hold().await;
    pair.write("a", "new").await;
    let began = std::time::Instant::now();
    while is_of_standby(&read().send().await.unwrap()) {
        assert!(began.elapsed().as_secs() < 60, "it is a second behind by now");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(families(read().send().await.unwrap()).await, ["new"]);
    let lag = pair.app.cx.store.standby().unwrap().lag().unwrap();
    assert!(lag.bytes > 0 && lag.time >= Duration::from_secs(1), "{lag:?}");
}

#[tokio::test]
async fn after_a_promotion_the_primary_answers() {
    let mut pair = Pair::start().await;
    let before = pair.write("a", "old").await;
    assert!(before.starts_with("1-"), "{before}");
    pair.until_standby(|| pair.accepting("Patient").header("database-position", &before)).await;
    pair.primary.crash();
    // Without a primary the standby goes on for who says what it has to have.
    let answer = pair.accepting("Patient").header("database-position", &before).send().await.unwrap();
    assert!(is_of_standby(&answer));
    assert_eq!(pair.accepting("Patient").send().await.unwrap().status(), 503);
    pair.standby.ask("select pg_promote()").await;
    let began = std::time::Instant::now();
    let answer = loop {
        let answer = pair.accepting("Patient").header("database-position", &before).send().await.unwrap();
        if answer.status() == 200 && !is_of_standby(&answer) {
            break answer;
        }
        assert!(began.elapsed().as_secs() < 60, "there is a primary by now");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(families(answer).await, ["old"]);
    let after = loop {
        let patient = r#"{"resourceType":"Patient","id":"b"}"#;
        let answer = pair.app.send("PUT", "Patient/b", patient).send().await.unwrap();
        if answer.status().is_success() {
            break position(&answer).unwrap();
        }
        assert!(began.elapsed().as_secs() < 60, "it can be written to by now");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(after.starts_with("2-"), "{after}: what is on the old timeline is not further");
}

/// The url of another database, or of the primary itself.
#[tokio::test]
async fn what_is_no_standby_of_the_database_is_not_read_from() {
    let (_others, other) = NetworkCluster::pair("", "clinic").await;
    let (primary, standby) = NetworkCluster::pair("", "clinic").await;
    let url = format!("postgres://postgres@127.0.0.1:{}/clinic", primary.port);
    drop(standby);
    for port in [other.port, primary.port, 1] {
        let store = options(port, Duration::from_secs(600));
        let setup = Setup { database: Some(url.clone()), store, ..Setup::default() };
        let app = TestApp::set_up(setup).await;
        let written =
            app.send("PUT", "Patient/a", r#"{"resourceType":"Patient","id":"a"}"#).send().await.unwrap();
        let position = position(&written).unwrap();
        for _ in 0..30 {
            let read = app
                .ask("GET", "Patient")
                .header("prefer", "read=standby")
                .header("database-position", &position);
            let answer = read.send().await.unwrap();
            assert_eq!((answer.status().as_u16(), is_of_standby(&answer)), (200, false), "{port}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(app.cx.store.standby().unwrap().lag(), None, "{port}");
        app.cx.store.leave().await;
    }
}

/// What the program itself makes of its settings.
#[tokio::test]
async fn the_settings_name_a_standby() {
    let (primary, standby) = NetworkCluster::pair("", "clinic").await;
    let dir = process::directory();
    let url = |port: u16| format!("postgres://postgres@127.0.0.1:{port}/clinic");
    let settings = |read_url: &str| {
        format!(
            "listen = '127.0.0.1:0'\n[database]\nurl = '{}'\nread_url = '{read_url}'\nread_from = 'standby'\n",
            url(primary.port)
        )
    };
    std::fs::write(dir.path().join("cari.toml"), settings(&url(standby.port))).unwrap();
    let (good, said) = process::run(dir.path(), &["check"]);
    assert!(good && said.contains("standby: good"), "{said}");
    let (mut child, base) = process::serve(dir.path(), &["serve", "--auth", "none"]);
    let client = process::client();
    let metrics = base.replace("/fhir/R4", "/metrics");
    let began = std::time::Instant::now();
    // Nobody says anything, and in the end the standby answers.
    while !is_of_standby(&client.get(format!("{base}/Patient")).send().await.unwrap()) {
        assert!(began.elapsed().as_secs() < 60, "the standby answers");
    }
    let text = client.get(metrics).send().await.unwrap().text().await.unwrap();
    for line in [
        "fhir_standby_present 1",
        "fhir_standby_reads_total 1",
        "fhir_standby_retries_total 0",
        "fhir_standby_lag_seconds 0",
    ] {
        assert!(text.lines().any(|l| l == line), "{line}\n{text}");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    for (read_url, why) in
        [(url(primary.port), "no standby"), (url(1), "refused"), ("mysql://x".to_owned(), "read_url")]
    {
        std::fs::write(dir.path().join("cari.toml"), settings(&read_url)).unwrap();
        let (_, said) = process::run(dir.path(), &["check"]);
        assert!(said.contains(why), "{said}");
    }
    std::fs::write(dir.path().join("cari.toml"), format!("[database]\nread_url = '{}'\n", url(1))).unwrap();
    let (good, said) = process::run(dir.path(), &["check"]);
    assert!(!good && said.contains("which is not set"), "{said}");
}

#[tokio::test]
async fn a_distributed_database_has_none() {
    let url = testing::database().await.unwrap();
    fhir_database::migrate(&url, &[fhir_store::MIGRATIONS]).await.unwrap();
    let placement = Some(fhir_search::sql::Placement::Distributed);
    let options = fhir_store::Options { placement, ..options(1, Duration::from_secs(1)) };
    let refused = Store::open(&url, options, testing::registry().await.unwrap()).await.unwrap_err();
    assert!(refused.text.contains("distributed"), "{refused}");
}
