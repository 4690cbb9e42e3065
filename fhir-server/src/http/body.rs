//! Reading a body: bounded in bytes, in time, and in what it may unpack to.

use std::io::Read;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Buf, Bytes};
use fhir_model::{Error, Kind, Result};
use flate2::read::MultiGzDecoder;
use http_body_util::BodyExt;
use hyper::HeaderMap;
use hyper::body::{Body, Incoming};
use hyper::header::CONTENT_ENCODING;
use tokio::time::{Instant, timeout};

use super::limits::Limits;

/// What is longer than this is unpacked, parsed or packed on a thread that may block.
pub(crate) const HEAVY_BYTES: usize = 256 * 1024;

/// Bytes of bodies in memory, over all requests.
#[derive(Debug, Default)]
pub(crate) struct Memory(AtomicUsize);

impl Memory {
    fn take(&self, bytes: usize, max: usize) -> Result<Held<'_>> {
        let held = Held { memory: self, bytes };
        if self.0.fetch_add(bytes, Ordering::Relaxed) + bytes > max {
            return Err(Error::new(
                Kind::Unavailable,
                "too many large bodies are arriving; try again in a moment",
            ));
        }
        Ok(held)
    }
}

/// A share of the memory, given back when dropped.
#[derive(Debug)]
pub(crate) struct Held<'a> {
    memory: &'a Memory,
    bytes: usize,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.memory.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Reads the whole body and unpacks it.
pub(crate) async fn read<'m>(
    body: Incoming,
    headers: &HeaderMap,
    limits: &Limits,
    memory: &'m Memory,
) -> Result<(Vec<u8>, Held<'m>)> {
    let (bytes, held) = collect(body, limits, memory).await?;
    let Some(encoding) = headers.get(CONTENT_ENCODING) else { return Ok((bytes, held)) };
    match encoding.as_bytes().to_ascii_lowercase().as_slice() {
        b"identity" => Ok((bytes, held)),
        b"gzip" | b"x-gzip" => {
            let max = limits.body_bytes_max;
            let bytes = match bytes.len() > HEAVY_BYTES / 8 {
                true => tokio::task::spawn_blocking(move || unpack(&bytes, max))
                    .await
                    .map_err(Error::internal)??,
                false => unpack(&bytes, max)?,
            };
            drop(held);
            let held = memory.take(bytes.len(), limits.bodies_bytes_max)?;
            Ok((bytes, held))
        }
        _ => Err(Error::new(Kind::UnsupportedMediaType, "the only Content-Encoding read here is gzip")
            .at("http.content-encoding")),
    }
}

async fn collect<'m>(mut body: Incoming, limits: &Limits, memory: &'m Memory) -> Result<(Vec<u8>, Held<'m>)> {
    // What the client announces is refused before a byte of it is read.
    let announced = body.size_hint().lower();
    if announced > limits.body_bytes_max as u64 {
        return Err(too_large(limits.body_bytes_max));
    }
    let mut held = memory.take(announced as usize, limits.bodies_bytes_max)?;
    let mut bytes: Vec<u8> = Vec::new();
    let mut began: Option<Instant> = None;
    while let Some(chunk) = next(&mut body, limits, &mut began).await? {
        let length = bytes.len() + chunk.remaining();
        if length > limits.body_bytes_max {
            return Err(too_large(limits.body_bytes_max));
        }
        if length > held.bytes {
            // Without an announcement the share grows with what arrives.
            let more = memory.take(length - held.bytes, limits.bodies_bytes_max)?;
            held.bytes += more.bytes;
            std::mem::forget(more);
        }
        if bytes.is_empty() {
            // Not the announced length at once: announcing is free, memory is not.
            bytes.reserve_exact((announced as usize).min(1024 * 1024).max(chunk.remaining()));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok((bytes, held))
}

async fn next(body: &mut Incoming, limits: &Limits, began: &mut Option<Instant>) -> Result<Option<Bytes>> {
    let slow = |wait: Duration| {
        let text = format!("the body did not arrive within {} seconds", wait.as_secs());
        Error::new(Kind::RequestTimeout, text)
    };
    loop {
        let left = match began {
            None => limits.body_wait_max,
            Some(began) => limits.body_wait_max.saturating_sub(began.elapsed()),
        };
        let frame = match timeout(limits.body_pause_max.min(left), body.frame()).await {
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(e))) => {
                return Err(Error::invalid("the body ended before it was complete").because(e));
            }
            Ok(None) => return Ok(None),
            Err(_) => {
                return Err(slow(if left.is_zero() { limits.body_wait_max } else { limits.body_pause_max }));
            }
        };
        began.get_or_insert_with(Instant::now);
        // Trailers say nothing to us.
        if let Ok(data) = frame.into_data() {
            return Ok(Some(data));
        }
    }
}

/// Unpacks at most `max` bytes: a small body may unpack to a very large one.
fn unpack(packed: &[u8], max: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    MultiGzDecoder::new(packed)
        .take(max as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| Error::invalid("the body is not the gzip that its Content-Encoding says").because(e))?;
    match bytes.len() > max {
        true => Err(too_large(max)),
        false => Ok(bytes),
    }
}

fn too_large(max: usize) -> Error {
    Error::new(Kind::TooLarge, format!("a body may have at most {max} bytes here"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn unpacking_stops_at_the_limit() {
        let text = vec![b'a'; 1000];
        assert_eq!(unpack(&packed(&text), 1000).unwrap(), text);
        assert_eq!(unpack(&packed(&text), 999).unwrap_err().kind, Kind::TooLarge);
        let bomb = packed(&vec![0; 10_000_000]);
        assert!(bomb.len() < 20_000);
        assert_eq!(unpack(&bomb, 100_000).unwrap_err().kind, Kind::TooLarge);
        assert_eq!(unpack(b"{\"resourceType\":", 1000).unwrap_err().kind, Kind::Invalid);
        assert_eq!(unpack(&packed(&text)[..20], 1000).unwrap_err().kind, Kind::Invalid);
    }

    #[test]
    fn memory_is_shared_and_given_back() {
        let memory = Memory::default();
        let held = memory.take(60, 100).unwrap();
        assert_eq!(memory.take(41, 100).unwrap_err().kind, Kind::Unavailable);
        let rest = memory.take(40, 100).unwrap();
        drop((held, rest));
        assert!(memory.take(100, 100).is_ok());
    }
}
