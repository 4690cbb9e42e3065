use super::*;

const HEAD: Duration = Duration::from_secs(15);
const IDLE: Duration = Duration::from_secs(75);

fn after(start: Instant, seconds: f64) -> Instant {
    start + Duration::from_secs_f64(seconds)
}

fn pace() -> (Arc<Pace>, Instant) {
    let start = Instant::now();
    let limits = HttpLimits { head_timeout: HEAD, idle_timeout: IDLE, ..HttpLimits::default() };
    (Arc::new(Pace::new(&limits, start)), start)
}

/// An HTTP/2 frame on stream 1.
fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let [_, length @ ..] = (payload.len() as u32).to_be_bytes();
    [&length[..], &[kind, flags, 0, 0, 0, 1], payload].concat()
}

/// A connection that spoke the preface and empty SETTINGS.
fn http2() -> (Arc<Pace>, Instant) {
    let (pace, start) = pace();
    pace.on_read(PREFACE, start);
    pace.on_read(&frame(4, 0, &[]), start);
    (pace, start)
}

/// Sends a byte a second, and says when and why the connection is ended.
fn drip(pace: &Pace, start: Instant, bytes: &[u8]) -> Option<(u64, Slow)> {
    (1..).zip(bytes).find_map(|(second, byte)| {
        let now = after(start, second as f64);
        pace.on_read(&[*byte], now);
        pace.check(now).map(|slow| (second, slow))
    })
}

#[test]
fn a_head_has_its_time_from_its_first_byte() {
    for (name, head) in [
        ("HTTP/1", b"GET /fhir/R4/metadata HTTP/1.1\r\nHost: x\r\n".as_slice()),
        ("a method that begins as HTTP/2 does", b"PRIOR /fhir/R4/metadata HTTP/1.1\r\n"),
        ("a preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ] {
        let (pace, start) = pace();
        // The silence before belongs to nothing.
        let start = after(start, 60.0);
        assert_eq!(drip(&pace, start, head), Some((16, Slow::Head)), "{name}");
    }
}

#[test]
fn a_connection_without_a_request_has_a_longer_time() {
    let (pace, start) = pace();
    assert_eq!(pace.check(after(start, 74.9)), None);
    assert_eq!(pace.check(after(start, 75.0)), Some(Slow::Idle));
    pace.on_read(b"GET / HTTP/1.1\r\n\r\n", after(start, 74.9));
    let request = pace.begin();
    assert_eq!(pace.check(after(start, 1000.0)), None, "what is worked on may take its time");
    drop(request);
    let end = Instant::now();
    assert_eq!(pace.check(after(end, 74.0)), None);
    assert_eq!(pace.check(after(end, 76.0)), Some(Slow::Idle));
}

#[test]
fn frames_of_http_2_that_never_end_are_seen() {
    let head = frame(1, 4, &[0; 100]);
    let (pace, start) = http2();
    assert_eq!(drip(&pace, start, &head), Some((16, Slow::Head)));
    // A head in many frames is one head.
    let (pace, start) = http2();
    let mut parts = frame(1, 0, &[]);
    (0..10).for_each(|_| parts.extend(frame(9, 0, &[])));
    assert_eq!(drip(&pace, start, &parts), Some((16, Slow::Head)));
    // Also beside a request that is worked on.
    let (pace, start) = http2();
    let _request = pace.begin();
    assert_eq!(drip(&pace, start, &head), Some((16, Slow::Head)));
    // Data of a request is its body's affair, without one it is a frame like others.
    let data = frame(0, 0, &[0; 30]);
    assert_eq!(
        {
            let (pace, start) = http2();
            let _request = pace.begin();
            drip(&pace, start, &data)
        },
        None
    );
    assert_eq!(
        {
            let (pace, start) = http2();
            drip(&pace, start, &data)
        },
        Some((16, Slow::Head))
    );
}

#[test]
fn frames_of_http_2_that_end_are_no_requests() {
    let (pace, start) = http2();
    // Nine bytes of header and eight of payload, every ten seconds.
    for second in [10, 20, 30, 40, 50, 60, 70] {
        let ping = frame(6, 0, &[0; 8]);
        let (first, second_part) = ping.split_at(5);
        pace.on_read(first, after(start, second as f64));
        pace.on_read(second_part, after(start, second as f64 + 0.1));
        assert_eq!(pace.check(after(start, second as f64 + 0.5)), None);
    }
    assert_eq!(pace.check(after(start, 75.0)), Some(Slow::Idle));
    // A stream of frames is always in the middle of one, but never for long.
    let (pace, start) = http2();
    let frames = frame(4, 0, &[0; 6]).repeat(60);
    for (tenth, bytes) in (1..).zip(frames.chunks(4)) {
        let now = after(start, f64::from(tenth) / 4.0);
        pace.on_read(bytes, now);
        assert_eq!(pace.check(now).filter(|slow| *slow != Slow::Idle), None);
    }
}

#[test]
fn an_answer_is_taken_at_a_rate() {
    let taken = |bytes: usize, every: u64| {
        let (pace, start) = pace();
        let request = pace.begin();
        request.set_untaken(true);
        (1..600).find(|second| {
            if second % every == 0 {
                pace.on_written(bytes);
            }
            pace.on_write_blocked();
            pace.check(after(start, *second as f64)).is_some()
        })
    };
    assert_eq!(taken(0, 1), Some(31));
    assert_eq!(taken(100, 1), Some(31), "a trickle");
    assert_eq!(taken(32 * 1024, 20), None, "lumps of a slow line");
    assert_eq!(taken(600, 1), None);
}

#[test]
fn who_waits_for_the_server_is_not_slow() {
    let (pace, start) = pace();
    let request = pace.begin();
    request.set_untaken(true);
    assert_eq!(pace.check(start), None);
    assert_eq!(pace.check(after(start, 29.0)), None);
    request.set_untaken(false);
    assert_eq!(pace.check(after(start, 31.0)), None);
    request.set_untaken(true);
    assert_eq!(pace.check(after(start, 32.0)), None);
    assert_eq!(pace.check(after(start, 62.0)), Some(Slow::Answer));
}
