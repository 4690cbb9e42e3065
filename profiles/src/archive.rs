//! Resources by canonical URL, each decoded when it is first asked for.
//!
//! The data is zstd frames of NDJSON; the index beside it names each frame (`@ <offset> <packed> <bytes>`) and then the
//! URLs of its lines. Neither is touched before the first question.

use std::sync::OnceLock;

use fhir_model::{Error, Result};
use foldhash::{HashMap, HashMapExt};
use serde::de::DeserializeOwned;

pub(crate) struct Archive<T> {
    data: &'static [u8],
    index: &'static str,
    slots: OnceLock<HashMap<&'static str, Slot<T>>>,
}

struct Slot<T> {
    frame: Frame,
    line: usize,
    value: OnceLock<T>,
}

#[derive(Clone, Copy, Default)]
struct Frame {
    offset: usize,
    packed: usize,
    bytes: usize,
}

impl<T: DeserializeOwned> Archive<T> {
    pub(crate) fn new(data: &'static [u8], index: &'static str) -> Archive<T> {
        Archive { data, index, slots: OnceLock::new() }
    }

    /// The resource of a URL. Returns `None` when there is no such resource.
    pub(crate) fn get(&self, url: &str) -> Result<Option<&T>> {
        let Some(slot) = self.slots()?.get(url) else { return Ok(None) };
        if let Some(value) = slot.value.get() {
            return Ok(Some(value));
        }
        let decoded = self.decode(slot)?;
        // When two threads decode at once, one result is dropped.
        Ok(Some(slot.value.get_or_init(|| decoded)))
    }

    /// All URLs, in the order of the index.
    pub(crate) fn urls(&self) -> impl Iterator<Item = &str> {
        self.index.lines().filter(|line| !line.starts_with('@'))
    }

    fn slots(&self) -> Result<&HashMap<&'static str, Slot<T>>> {
        if let Some(slots) = self.slots.get() {
            return Ok(slots);
        }
        let read =
            self.read_index().ok_or_else(|| Error::internal("the index of the definitions is damaged"))?;
        Ok(self.slots.get_or_init(|| read))
    }

    fn read_index(&self) -> Option<HashMap<&'static str, Slot<T>>> {
        let (mut frame, mut line) = (Frame::default(), 0);
        let mut slots = HashMap::new();
        for text in self.index.lines() {
            if let Some(head) = text.strip_prefix("@ ") {
                let mut numbers = head.split(' ').map(str::parse);
                let mut next = || numbers.next()?.ok();
                frame = Frame { offset: next()?, packed: next()?, bytes: next()? };
                line = 0;
            } else {
                slots.insert(text, Slot { frame, line, value: OnceLock::new() });
                line += 1;
            }
        }
        Some(slots)
    }

    fn decode(&self, slot: &Slot<T>) -> Result<T> {
        let Frame { offset, packed, bytes } = slot.frame;
        let frame = offset.checked_add(packed).and_then(|end| self.data.get(offset..end));
        let frame = frame.ok_or_else(|| Error::internal("a frame of the definitions is missing"))?;
        let text = zstd::bulk::decompress(frame, bytes).map_err(Error::internal)?;
        let line = text.split(|b| *b == b'\n').nth(slot.line).unwrap_or_default();
        serde_json::from_slice(line).map_err(Error::internal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_archive_is_an_error_and_an_unknown_url_is_none() {
        let archive: Archive<serde_json::Value> =
            Archive::new(b"not zstd", "@ 0 8 100\nurl:a\n@ 8 9 9\nurl:b\n");
        assert!(archive.get("url:c").unwrap().is_none());
        assert!(archive.get("url:a").is_err());
        assert!(archive.get("url:b").is_err());
        let archive: Archive<serde_json::Value> = Archive::new(b"", "@ zero\nurl:a\n");
        assert!(archive.get("url:a").is_err());
    }
}
