//! The form of the committed data: NDJSON in zstd.
//!
//! `zstd -dc FILE` shows the text. What start-up needs is one frame. Terminology is many frames, one after the other,
//! with an index beside it, so that one code system can be had without decoding the others.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::Result;
use serde::Serialize;
use serde_json::Value;

/// High enough to be small; higher levels only cost time.
const LEVEL: i32 = 19;
/// A frame is closed when it has reached this size: decoding it takes well under a millisecond.
const FRAME_BYTES: usize = 256 * 1024;

/// One frame with a line for each record.
pub(crate) fn lines<T: Serialize>(records: &[T]) -> Result<Vec<u8>> {
    let mut text = String::new();
    for record in records {
        text.push_str(&serde_json::to_string(record)?);
        text.push('\n');
    }
    Ok(zstd::bulk::compress(text.as_bytes(), LEVEL)?)
}

/// Frames with a line for each resource, and the index: a line `@ <offset> <compressed bytes> <bytes>` opens a frame, the
/// lines after it are the canonical URLs of its resources in order.
pub(crate) fn framed(resources: &BTreeMap<String, Value>) -> Result<(Vec<u8>, Vec<u8>)> {
    let (mut data, mut index) = (Vec::new(), String::new());
    let (mut frame, mut urls) = (String::new(), String::new());
    let mut left = resources.len();
    for (url, resource) in resources {
        frame.push_str(&serde_json::to_string(resource)?);
        frame.push('\n');
        writeln!(urls, "{url}")?;
        left -= 1;
        if frame.len() >= FRAME_BYTES || left == 0 {
            let packed = zstd::bulk::compress(frame.as_bytes(), LEVEL)?;
            write!(index, "@ {} {} {}\n{urls}", data.len(), packed.len(), frame.len())?;
            data.extend_from_slice(&packed);
            frame.clear();
            urls.clear();
        }
    }
    Ok((data, index.into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_follow_each_other_and_the_index_knows_them() {
        let wide = "x".repeat(FRAME_BYTES);
        let resources = BTreeMap::from([
            ("a".to_owned(), serde_json::json!({ "url": "a" })),
            ("b".to_owned(), serde_json::json!({ "url": "b", "wide": wide })),
            ("c".to_owned(), serde_json::json!({ "url": "c" })),
        ]);
        let (data, index) = framed(&resources).unwrap();
        let text = String::from_utf8(zstd::decode_all(data.as_slice()).unwrap()).unwrap();
        assert_eq!(text.lines().count(), 3);
        let index = String::from_utf8(index).unwrap();
        let heads: Vec<&str> = index.lines().filter(|l| l.starts_with('@')).collect();
        assert_eq!(heads.len(), 2, "{index}");
        assert_eq!(index.lines().filter(|l| !l.starts_with('@')).collect::<Vec<_>>(), ["a", "b", "c"]);
    }
}
