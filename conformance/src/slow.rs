//! Clients that send a byte a second, and clients that take nothing of their answers: they are cut, slow but honest ones are
//! not, and a bystander is answered as if there were none.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::client::{Request, Subject};

/// By then a client that sends a byte a second is cut.
const CUT_WITHIN: Duration = Duration::from_secs(30);
/// By then one is cut that takes nothing: what a connection takes is seen in lumps, over a longer time.
const TAKEN_WITHIN: Duration = Duration::from_secs(35);
/// The longest time that the slowest of a hundred requests of a bystander may take.
const BYSTANDER_P99_MAX: Duration = Duration::from_millis(250);
/// Bytes a second of a slow line.
const SLOW_LINE: usize = 4096;
/// How long a slow line is at it.
const SLOW_LINE_SECONDS: usize = 40;
const TICK: Duration = Duration::from_secs(1);

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// An empty SETTINGS frame.
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
/// The head of a HEADERS frame of 256 bytes.
const LONG_HEAD: &[u8] = &[0, 1, 0, 1, 0, 0, 0, 0, 1];

struct Slow {
    kind: &'static str,
    stream: TcpStream,
    bytes: Vec<u8>,
    sent: usize,
    reads: bool,
    cut_after: Option<Duration>,
}

/// Runs `connections` slow clients against the server, and says what became of them.
pub(crate) fn run(subject: &Subject, connections: usize) -> Result<bool> {
    let address = subject.origin().trim_start_matches("http://").to_owned();
    let path = subject.base.strip_prefix(subject.origin()).unwrap_or_default().to_owned();
    let long = json!({"resourceType": "Basic", "id": "slow-clients", "code": {"text": "x".repeat(4 << 20)}});
    let put = subject.send(&Request::new("PUT", "/Basic/slow-clients").json(&long))?;
    ensure!(matches!(put.status, 200 | 201), "PUT Basic/slow-clients answers {}", put.status);
    let is_over = AtomicBool::new(false);
    let (slow, times, lines) = std::thread::scope(|scope| {
        let bystander = scope.spawn(|| bystander(subject, &is_over));
        let sends = scope.spawn(|| slow_upload(&address, &path));
        let takes = scope.spawn(|| slow_download(&address, &path));
        let slow = drip(&address, &path, connections);
        let joined = |name, line: std::thread::ScopedJoinHandle<'_, Result<()>>| {
            (name, line.join().unwrap_or_else(|_| Err(anyhow::anyhow!("it panicked"))))
        };
        let lines = [joined("sends 4 KiB a second", sends), joined("takes 4 KiB a second", takes)];
        is_over.store(true, Ordering::Relaxed);
        let times = bystander.join().unwrap_or_else(|_| Err(anyhow::anyhow!("the bystander panicked")));
        (slow, times, lines)
    });
    let mut good = report(&slow?);
    for (name, line) in lines {
        println!(
            "a slow line that {name} for {SLOW_LINE_SECONDS} s: {}",
            match &line {
                Ok(()) => "served".to_owned(),
                Err(error) => format!("CUT: {error:#}"),
            }
        );
        good &= line.is_ok();
    }
    let mut times = times?;
    times.sort_unstable();
    let of = |part: usize| {
        times.get((times.len() * part / 100).min(times.len().saturating_sub(1))).copied().unwrap_or_default()
    };
    println!(
        "bystander: {} requests, median {:?}, p99 {:?}, longest {:?}",
        times.len(),
        of(50),
        of(99),
        of(100)
    );
    good &= of(99) < BYSTANDER_P99_MAX;
    subject.send(&Request::new("DELETE", "/Basic/slow-clients"))?;
    Ok(good)
}

/// Opens all slow connections and sends a byte a second on each until all are cut, or should have been.
fn drip(address: &str, path: &str, connections: usize) -> Result<Vec<Slow>> {
    let kinds = kinds(path);
    let mut all = Vec::new();
    for (kind, at_once, bytes, reads) in kinds.iter().cycle().take(connections) {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(at_once)?;
        stream.set_nonblocking(true)?;
        all.push(Slow { kind, stream, bytes: bytes.clone(), sent: 0, reads: *reads, cut_after: None });
    }
    let began = Instant::now();
    while all.iter().any(|slow| slow.cut_after.is_none()) && began.elapsed() < TAKEN_WITHIN + TICK * 5 {
        std::thread::sleep(TICK);
        for slow in all.iter_mut().filter(|slow| slow.cut_after.is_none()) {
            if slow.is_cut() {
                slow.cut_after = Some(began.elapsed());
            }
        }
    }
    Ok(all)
}

/// What is sent at once, what byte by byte, and whether the client reads.
fn kinds(path: &str) -> Vec<(&'static str, Vec<u8>, Vec<u8>, bool)> {
    let post =
        format!("POST {path}/Patient HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/fhir+json\r\n");
    let get = format!("GET {path}/Basic/slow-clients HTTP/1.1\r\nHost: localhost\r\n\r\n");
    vec![
        (
            "head",
            Vec::new(),
            b"GET / HTTP/1.1\r\nx: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx".to_vec(),
            true,
        ),
        ("body", format!("{post}Content-Length: 9999\r\n\r\n").into(), b" ".to_vec(), true),
        ("chunks", format!("{post}Transfer-Encoding: chunked\r\n\r\n").into(), b"1\r\n \r\n".to_vec(), true),
        ("HTTP/2 preface", Vec::new(), PREFACE.to_vec(), true),
        ("HTTP/2 head", [PREFACE, SETTINGS, LONG_HEAD].concat(), vec![0x82], true),
        ("answer", get.into(), b"G".to_vec(), false),
    ]
}

impl Slow {
    /// Sends the next byte. True when the server has ended the connection.
    fn is_cut(&mut self) -> bool {
        let byte = self.bytes.get(self.sent % self.bytes.len()).copied().unwrap_or(b' ');
        self.sent += 1;
        if is_broken(self.stream.write(&[byte])) {
            return true;
        }
        let mut buffer = [0; 4096];
        while self.reads {
            match self.stream.read(&mut buffer) {
                Ok(0) => return true,
                Ok(_) => {}
                other => return is_broken(other),
            }
        }
        false
    }
}

fn is_broken(done: std::io::Result<usize>) -> bool {
    done.is_err_and(|error| error.kind() != ErrorKind::WouldBlock)
}

/// One line for each kind. True when all were cut in time.
fn report(all: &[Slow]) -> bool {
    let mut good = true;
    let mut kinds: Vec<&str> = all.iter().map(|slow| slow.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    for kind in kinds {
        let of_kind: Vec<&Slow> = all.iter().filter(|slow| slow.kind == kind).collect();
        let within = if kind == "answer" { TAKEN_WITHIN } else { CUT_WITHIN };
        let cut = of_kind.iter().filter(|slow| slow.cut_after.is_some_and(|after| after <= within)).count();
        let last = of_kind.iter().filter_map(|slow| slow.cut_after).max().unwrap_or_default();
        println!("{kind}: {cut} of {} cut within {within:?}, the last after {last:.1?}", of_kind.len());
        good &= cut == of_kind.len();
    }
    good
}

/// Asks all the time, and notes how long each answer took.
fn bystander(subject: &Subject, is_over: &AtomicBool) -> Result<Vec<Duration>> {
    let mut times = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        let began = Instant::now();
        let answer = subject.send(&Request::new("GET", "/Patient?_count=1&_summary=true"))?;
        ensure!(answer.status == 200, "the bystander got {}", answer.status);
        times.push(began.elapsed());
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(times)
}

/// A body over a slow line, answered like any other.
fn slow_upload(address: &str, path: &str) -> Result<()> {
    let text = "x".repeat(SLOW_LINE * SLOW_LINE_SECONDS);
    let body = json!({"resourceType": "Basic", "code": {"text": text}}).to_string();
    let mut stream = TcpStream::connect(address)?;
    let head = format!(
        "POST {path}/Basic HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/fhir+json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    for part in body.as_bytes().chunks(SLOW_LINE) {
        stream.write_all(part)?;
        std::thread::sleep(TICK);
    }
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    ensure!(answer.starts_with("HTTP/1.1 201"), "{}", answer.lines().next().unwrap_or("nothing"));
    Ok(())
}

/// An answer that is taken slowly.
fn slow_download(address: &str, path: &str) -> Result<()> {
    let mut stream = TcpStream::connect(address)?;
    write!(stream, "GET {path}/Basic/slow-clients HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    let mut part = vec![0; SLOW_LINE];
    for _ in 0..SLOW_LINE_SECONDS {
        stream.read_exact(&mut part)?;
        std::thread::sleep(TICK);
    }
    // What the kernel has of it already would hide that the server is gone.
    stream.write_all(b"\r\n").context("the connection is gone")?;
    stream.write_all(b"\r\n").context("the connection is gone")
}
