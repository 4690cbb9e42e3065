//! Packed bodies: a codec number and the compressed exact text.

use bytes::Bytes;
use fhir_model::{Error, Kind, Result};

/// zstd without a dictionary.
const ZSTD: [u8; 2] = [0, 0];
/// Compression level: the figures are in the storage decision.
const LEVEL: i32 = 3;
/// Longest text a packed body may unfold to.
const TEXT_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Packs a text.
pub(crate) fn pack(text: &[u8]) -> Result<Vec<u8>> {
    if text.len() > TEXT_BYTES_MAX {
        let text = format!("a resource may have at most {TEXT_BYTES_MAX} bytes here");
        return Err(Error::new(Kind::TooLarge, text));
    }
    let mut out = ZSTD.to_vec();
    out.extend(zstd::bulk::compress(text, LEVEL).map_err(Error::internal)?);
    Ok(out)
}

/// Unpacks it again.
pub(crate) fn unpack(packed: &[u8]) -> Result<Bytes> {
    match packed.split_first_chunk::<2>() {
        Some((&ZSTD, frame)) => {
            let size = zstd::zstd_safe::get_frame_content_size(frame).ok().flatten().unwrap_or(0);
            let size = usize::try_from(size).unwrap_or(usize::MAX).min(TEXT_BYTES_MAX);
            zstd::bulk::decompress(frame, size).map(Bytes::from).map_err(Error::internal)
        }
        _ => Err(Error::internal("a packed body of an unknown codec")),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn unpacking_undoes_packing() {
        for text in ["", "{}", &"{\"a\":1.00}".repeat(10_000)] {
            let packed = super::pack(text.as_bytes()).unwrap();
            assert_eq!(super::unpack(&packed).unwrap(), text.as_bytes());
        }
        let longest = vec![b' '; super::TEXT_BYTES_MAX + 1];
        assert!(super::pack(&longest[1..]).is_ok());
        assert_eq!(super::pack(&longest).unwrap_err().kind.status(), 413);
        assert!(super::unpack(&[9, 9, 0]).is_err());
        assert!(super::unpack(&[]).is_err());
    }
}
