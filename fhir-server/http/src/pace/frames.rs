//! Where the frames of HTTP/2 begin and end, so that a frame that never ends is seen.
//!
//! <https://www.rfc-editor.org/rfc/rfc9113#section-4.1>

const HEADER_BYTES: usize = 9;
const DATA: u8 = 0;
/// HEADERS, PUSH_PROMISE and CONTINUATION: together they are one head, until one says END_HEADERS.
const HEADS: [u8; 3] = [1, 5, 9];
const END_HEADERS: u8 = 4;

/// What has arrived in part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Partial {
    /// Nothing: the last frame is complete.
    None,
    /// A frame of a body.
    Data,
    /// A head, or a frame of the protocol's own.
    Head,
}

/// The place in a stream of frames.
#[derive(Debug, Default)]
pub(super) struct Frames {
    header: [u8; HEADER_BYTES],
    /// Bytes of `header` that are there; all of them while the payload arrives.
    header_bytes: usize,
    payload_left: usize,
    is_head_open: bool,
}

impl Frames {
    /// Goes on by these bytes. Returns true when a frame ended that leaves no head open.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) -> bool {
        let mut has_ended = false;
        while !bytes.is_empty() {
            if let Some(place) = self.header.get_mut(self.header_bytes..).filter(|place| !place.is_empty()) {
                let length = place.len().min(bytes.len());
                let (start, rest) = bytes.split_at(length);
                for (to, from) in place.iter_mut().zip(start) {
                    *to = *from;
                }
                self.header_bytes += length;
                bytes = rest;
                if self.header_bytes < HEADER_BYTES {
                    break;
                }
                let [a, b, c, kind, flags, ..] = self.header;
                self.payload_left = u32::from_be_bytes([0, a, b, c]) as usize;
                if HEADS.contains(&kind) {
                    self.is_head_open = flags & END_HEADERS == 0;
                }
            }
            let (_, rest) = bytes.split_at(self.payload_left.min(bytes.len()));
            self.payload_left -= bytes.len() - rest.len();
            bytes = rest;
            if self.payload_left == 0 {
                self.header_bytes = 0;
                has_ended |= !self.is_head_open;
            }
        }
        has_ended
    }

    /// What has arrived in part.
    pub(super) fn partial(&self) -> Partial {
        let [_, _, _, kind, ..] = self.header;
        match (self.is_head_open, self.header_bytes) {
            (true, _) => Partial::Head,
            (false, 0) => Partial::None,
            (false, HEADER_BYTES) if kind == DATA => Partial::Data,
            (false, _) => Partial::Head,
        }
    }
}
