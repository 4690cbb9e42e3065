//! Reading a body: bounded in bytes, in time, and in what it may unpack to.

use std::io::{Cursor, Read};

use bytes::Buf;
use fhir_model::{Error, Kind, Result};
use flate2::read::MultiGzDecoder;
use http_body_util::BodyExt;
use hyper::HeaderMap;
use hyper::body::Body;
use hyper::header::CONTENT_ENCODING;

use super::body_budget::BodyPermit;
use super::limits::{HEAVY_BYTES, HttpLimits};
use super::pace::{BodyError, RequestBody};

/// Reads the whole body and unpacks it, within the body budget.
pub(crate) async fn read(
    body: RequestBody,
    headers: &HeaderMap,
    limits: &HttpLimits,
    held: &mut BodyPermit,
) -> Result<Vec<u8>> {
    let bytes = collect(body, limits, held).await?;
    let Some(encoding) = headers.get(CONTENT_ENCODING) else { return Ok(bytes) };
    match encoding.as_bytes().to_ascii_lowercase().as_slice() {
        b"identity" => Ok(bytes),
        b"gzip" | b"x-gzip" => unpack(bytes, limits.body_bytes_max, held).await,
        _ => Err(Error::new(Kind::UnsupportedMediaType, "the only Content-Encoding read here is gzip")
            .at("http.content-encoding")),
    }
}

async fn collect(mut body: RequestBody, limits: &HttpLimits, held: &mut BodyPermit) -> Result<Vec<u8>> {
    // What the client announces is refused before a byte of it is read.
    let announced = body.size_hint().lower();
    if announced > limits.body_bytes_max as u64 {
        return Err(too_large(limits.body_bytes_max));
    }
    held.grow_to(announced as usize).await?;
    let mut bytes: Vec<u8> = Vec::new();
    while let Some(frame) = body.frame().await {
        // Trailers say nothing to us.
        let Ok(chunk) = frame.map_err(ended_early)?.into_data() else { continue };
        let length = bytes.len() + chunk.remaining();
        if length > limits.body_bytes_max {
            return Err(too_large(limits.body_bytes_max));
        }
        // Without a Content-Length the permit grows with what arrives.
        held.grow_to(length).await?;
        if bytes.is_empty() {
            // Not the announced length at once: announcing is free, memory is not.
            bytes.reserve_exact((announced as usize).min(1024 * 1024).max(chunk.remaining()));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn ended_early(error: BodyError) -> Error {
    let kind = match &error {
        BodyError::Slow(_) => Kind::RequestTimeout,
        BodyError::Broken(_) => Kind::Invalid,
    };
    Error::new(kind, error.to_string()).because(error)
}

/// Unpacks at most `max` bytes, step by step: a small body may unpack to a very large one.
async fn unpack(packed: Vec<u8>, max: usize, held: &mut BodyPermit) -> Result<Vec<u8>> {
    let length = packed.len();
    let mut one = Unpacking { decoder: MultiGzDecoder::new(Cursor::new(packed)), bytes: Vec::new() };
    // Most bodies end within the first step.
    let mut at_end = if length <= HEAVY_BYTES / 8 { one.step()? } else { false };
    loop {
        if one.bytes.len() > max {
            return Err(too_large(max));
        }
        held.grow_to(length + one.bytes.len()).await?;
        if at_end {
            return Ok(one.bytes);
        }
        let step = move || one.step().map(|at_end| (one, at_end));
        (one, at_end) = tokio::task::spawn_blocking(step).await.map_err(Error::internal)??;
    }
}

struct Unpacking {
    decoder: MultiGzDecoder<Cursor<Vec<u8>>>,
    bytes: Vec<u8>,
}

impl Unpacking {
    /// Unpacks some more; true at the end.
    fn step(&mut self) -> Result<bool> {
        let bytes =
            (&mut self.decoder).take(HEAVY_BYTES as u64).read_to_end(&mut self.bytes).map_err(|e| {
                Error::invalid("the body is not the gzip that its Content-Encoding says").because(e)
            })?;
        Ok(bytes < HEAVY_BYTES)
    }
}

fn too_large(max: usize) -> Error {
    Error::new(Kind::TooLarge, format!("a body may have at most {max} bytes here"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::body_budget::BodyBudget;

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[tokio::test]
    async fn unpacking_stops_at_the_limit() {
        let budget = Arc::new(BodyBudget::new(1 << 20, Duration::from_millis(1)));
        let unpack = |packed: &[u8], max| {
            let (packed, mut held) = (packed.to_vec(), budget.reserve(1));
            async move { unpack(packed, max, &mut held).await }
        };
        let text = vec![b'a'; 1000];
        assert_eq!(unpack(&packed(&text), 1000).await.unwrap(), text);
        assert_eq!(unpack(&packed(&text), 999).await.unwrap_err().kind, Kind::TooLarge);
        let bomb = packed(&vec![0; 10_000_000]);
        assert!(bomb.len() < 20_000);
        assert_eq!(unpack(&bomb, 100_000).await.unwrap_err().kind, Kind::TooLarge);
        assert_eq!(unpack(b"{\"resourceType\":", 1000).await.unwrap_err().kind, Kind::Invalid);
        assert_eq!(unpack(&packed(&text)[..20], 1000).await.unwrap_err().kind, Kind::Invalid);
        // In many steps, and two parts after each other.
        let text: Vec<u8> = (0..2_000_000_u32).map(|i| (i.wrapping_mul(i) >> 7) as u8).collect();
        let (a, b) = text.split_at(700_000);
        let both = [packed(a), packed(b)].concat();
        assert_eq!(unpack(&both, text.len()).await.unwrap(), text);
        let mut other = budget.reserve(1);
        other.grow_to(usize::MAX).await.unwrap();
        assert_eq!(unpack(&both, text.len()).await.unwrap_err().kind, Kind::Unavailable);
    }
}
