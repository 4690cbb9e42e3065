//! Counters in a real Redis: several servers count together, and each for itself while it is away.

use std::io::Write;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fhir_http::{Hosts, MountFigures, RateLimitOptions, RedisOptions};
use redis::{Client, Commands, Connection};

use super::{Served, app, read, said};
use crate::app::{Setup, TestApp};
use crate::process::{client, directory};

/// A Redis of a test's own.
struct Redis {
    process: Child,
    port: u16,
    dir: tempfile::TempDir,
}

impl Redis {
    /// `None` where no `redis-server` is installed, which is said past the capture of tests' output.
    fn start() -> Option<Redis> {
        if Command::new("redis-server").arg("--version").stdout(Stdio::null()).status().is_err() {
            let mut output = std::io::stdout();
            writeln!(output, "skipped: no redis-server").unwrap();
            return None;
        }
        let dir = directory();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let redis = Redis { process: Redis::spawn(port, dir.path()), port, dir };
        redis.connect();
        Some(redis)
    }

    fn spawn(port: u16, dir: &Path) -> Child {
        let port = port.to_string();
        let options = [
            "--port",
            &port,
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
            "--loglevel",
            "warning",
        ];
        Command::new("redis-server").args(options).current_dir(dir).stdout(Stdio::null()).spawn().unwrap()
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/3", self.port)
    }

    /// A connection, as soon as it answers.
    fn connect(&self) -> Connection {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            match Client::open(self.url()).unwrap().get_connection() {
                Ok(connection) => return connection,
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    fn start_again(&mut self) {
        self.process = Redis::spawn(self.port, self.dir.path());
        self.connect();
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn setup(redis: &Redis, database: &str, is_required: bool) -> Setup {
    let redis = Some(RedisOptions { url: redis.url(), is_required });
    let rate_limits = RateLimitOptions { redis, ..RateLimitOptions::default() };
    // By one name, as servers of one database are.
    let names = Some(Hosts::new("127.0.0.1:1".parse().unwrap(), Some("https://ehr.example.org"), &[]));
    Setup { rate_limits, names, database: Some(database.to_owned()), ..Setup::default() }
}

/// Status and what is left.
async fn ask(app: &TestApp) -> (u16, Option<i64>) {
    let answer = app.at("GET", "/api/desk").send().await.unwrap();
    (answer.status().as_u16(), said(&answer).map(|(_, remaining)| remaining))
}

/// Asks until the answer is as wanted.
async fn until(app: &TestApp, wanted: impl Fn((u16, Option<i64>)) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let answer = ask(app).await;
        if wanted(answer) {
            return;
        }
        assert!(Instant::now() < deadline, "{answer:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Two processes of the program on one database and one Redis.
#[tokio::test(flavor = "multi_thread")]
async fn processes_count_together_whoever_asks_at_once() {
    let Some(redis) = Redis::start() else { return };
    let url = fhir_store::testing::database().await.unwrap();
    let dir = directory();
    let settings = format!(
        "base_url = \"https://ehr.example.org\"\n[database]\nurl = \"{url}\"\n[rate_limits]\nauth_per_minute = 30\nredis_down = \"refuse\"\nredis_url = \"{}\"\n",
        redis.url()
    );
    std::fs::write(dir.path().join("cari.toml"), settings).unwrap();
    let dir_of_second = directory();
    std::fs::copy(dir.path().join("cari.toml"), dir_of_second.path().join("cari.toml")).unwrap();
    let servers = [Served::start(dir.path(), "cari.toml"), Served::start(dir_of_second.path(), "cari.toml")];
    let client = client();
    let ask = |n: usize| {
        let asked = client.get(format!("{}/api/auth/nothing", servers[n % 2].root)).send();
        async move {
            let answer = asked.await.unwrap();
            (answer.status().as_u16(), said(&answer).map(|(_, remaining)| remaining))
        }
    };
    let mut answers = Vec::new();
    // The first of each server may come before it is connected.
    for n in 0..2 {
        while answers.last().is_none_or(|(status, _)| *status == 503) || answers.len() < n {
            answers.push(ask(n).await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        answers.push(ask(n).await);
    }
    let asked: Vec<_> = (0..50).map(|n| tokio::spawn(ask(n))).collect();
    for answer in asked {
        answers.push(answer.await.unwrap());
    }
    let mut left = Vec::new();
    for answer in &answers {
        match answer {
            (404, Some(remaining)) => left.push(*remaining),
            other => assert!(matches!(other, (429, Some(0)) | (503, None)), "{other:?}"),
        }
    }
    left.sort_unstable();
    // A request that Redis took too long for may have been counted all the same.
    let is_slow = answers.iter().any(|(status, _)| *status == 503);
    let each_once: Vec<i64> = (0..30).filter(|n| !is_slow || left.contains(n)).collect();
    assert_eq!(left, each_once, "each has a place of its own");
    assert!(left.len() >= 20, "{answers:?}");

    // What stands in Redis is no address, and does not stay.
    let mut connection = redis.connect();
    let keys: Vec<String> = connection.keys("*").unwrap();
    assert!(keys.len() == 1 && keys[0].starts_with("cari:rate:") && keys[0].len() == 42, "{keys:?}");
    let expires: i64 = connection.ttl(&keys[0]).unwrap();
    assert!((1..=62).contains(&expires), "{expires}");
}

/// The law of the counters of a process, in the script: the seconds of the key are moved as the clock would.
#[tokio::test(flavor = "multi_thread")]
async fn a_minute_is_any_minute() {
    let Some(redis) = Redis::start() else { return };
    let url = fhir_store::testing::database().await.unwrap();
    let app = app(MountFigures { api: 10, ..MountFigures::default() }, setup(&redis, &url, true)).await;
    // It may take a moment to connect.
    until(&app, |answer| answer.0 == 200).await;
    let mut connection = redis.connect();
    let keys: Vec<String> = connection.keys("*").unwrap();
    for (ago, counted) in [(0, 8), (30, 8), (58, 8), (61, 0), (70, 0)] {
        let time: (i64, i64) = redis::cmd("TIME").query(&mut connection).unwrap();
        let _: () = connection.del(&keys[0]).unwrap();
        let _: () = connection.hset(&keys[0], time.0 - ago, 8).unwrap();
        let answer = app.at("GET", "/api/desk").send().await.unwrap();
        assert_eq!(said(&answer), Some((10, 10 - counted - 1)), "{ago} s ago");
        let reset = answer.headers()["x-ratelimit-reset"].to_str().unwrap().parse::<i64>().unwrap();
        let oldest = if counted > 0 { time.0 - ago } else { time.0 };
        assert!((oldest + 60..=oldest + 63).contains(&reset), "{ago} s ago: {oldest} {reset}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_away_is_done_without_until_it_is_back() {
    let Some(mut redis) = Redis::start() else { return };
    let url = fhir_store::testing::database().await.unwrap();
    let figures = MountFigures { api: 1000, ..MountFigures::default() };
    let first = app(figures, setup(&redis, &url, false)).await;
    let second = app(figures, setup(&redis, &url, false)).await;
    let failures = async |app: &TestApp| {
        app.metric("cari_rate_limit_redis_failures_total").await.parse::<u64>().unwrap()
    };
    // They count together.
    let together = async || {
        for _ in 0..200 {
            if let ((200, Some(one)), (200, Some(other))) = (ask(&first).await, ask(&second).await)
                && other + 1 == one
                && let (200, Some(third)) = ask(&first).await
                && third + 1 == other
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("they do not count together");
    };
    together().await;
    redis.kill();
    // Each counts for itself: nobody waits, nobody is refused, and it is told.
    let apart = async || {
        for _ in 0..200 {
            if let ((200, Some(one)), (200, Some(_))) = (ask(&first).await, ask(&second).await)
                && let (200, Some(next)) = ask(&first).await
                && next + 1 == one
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("they count together, or not at all");
    };
    apart().await;
    assert!(failures(&first).await >= 1 && failures(&second).await >= 1);
    let began = Instant::now();
    for _ in 0..50 {
        assert_eq!(ask(&first).await.0, 200);
    }
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    redis.start_again();
    together().await;
    let mut connection = redis.connect();
    assert_eq!(redis::cmd("DBSIZE").query::<u64>(&mut connection).unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_must_be_counted_together_is_refused_while_it_cannot_be() {
    let Some(mut redis) = Redis::start() else { return };
    let url = fhir_store::testing::database().await.unwrap();
    let figures = MountFigures { api: 1000, ..MountFigures::default() };
    let app = app(figures, setup(&redis, &url, true)).await;
    until(&app, |answer| answer.0 == 200).await;
    redis.kill();
    let answer = app.at("GET", "/api/desk").send().await.unwrap();
    assert_eq!(answer.headers()["retry-after"], "1");
    let (status, body) = read(answer).await;
    assert_eq!((status, body["error"]["code"].as_str()), (503, Some("UNAVAILABLE")));
    // What has no limit needs no Redis.
    assert_eq!(app.ask("GET", "Patient").send().await.unwrap().status().as_u16(), 200);
    redis.start_again();
    until(&app, |answer| answer.0 == 200).await;
}

/// `/health` says which of the two is down; `/live` does not care.
#[tokio::test(flavor = "multi_thread")]
async fn health_speaks_of_redis() {
    let Some(mut redis) = Redis::start() else { return };
    let database = fhir_store::testing::database().await.unwrap();
    let app = TestApp::set_up(setup(&redis, &database, false)).await;
    let health = async || {
        let answer = app.at("GET", "/health").send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    assert_eq!(
        health().await,
        (200, "{\"status\":\"ok\",\"postgres\":\"ok\",\"redis\":\"ok\"}\n".to_owned())
    );
    redis.kill();
    assert_eq!(
        health().await,
        (503, "{\"status\":\"down\",\"postgres\":\"ok\",\"redis\":\"down\"}\n".to_owned())
    );
    assert_eq!(app.at("GET", "/live").send().await.unwrap().status().as_u16(), 200);
    redis.start_again();
    let deadline = Instant::now() + Duration::from_secs(20);
    while health().await.0 != 200 {
        assert!(Instant::now() < deadline, "Redis is there again");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
