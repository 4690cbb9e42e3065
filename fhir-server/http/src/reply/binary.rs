//! A Binary, given as what it holds: <https://hl7.org/fhir/R4/binary.html#rest>
//!
//! What is stored comes from anybody: its type may be no type, and its content a program. Nothing of it is believed in a
//! header that is not a media type, and nothing of it runs in a browser under the name of this server.

use std::ops::Range;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use fhir_model::json::{Doc, JsonLimits};
use fhir_model::types::Types;
use fhir_model::{Error, Kind, Result};
use hyper::header::{
    ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    HeaderValue,
};
use hyper::{Response, StatusCode};

use super::body::{Answer, http_date, private, value, whole, with_body};
use super::error::from_error;
use crate::binary::SECURITY_CONTEXT;
use crate::binary_request::BinaryRequest;
use crate::limits::HEAVY_BYTES;
use crate::media::{self, Format};
use crate::shape::Shape;

/// The type of what has none that can be said.
const UNKNOWN: &str = "application/octet-stream";

/// Types that browsers show and do not run. All others are saved as files.
const SHOWN: [&str; 11] = [
    "application/fhir+json",
    "application/json",
    "application/pdf",
    "image/avif",
    "image/bmp",
    "image/gif",
    "image/jpeg",
    "image/png",
    "image/webp",
    "text/csv",
    "text/plain",
];

/// How files of a type are called at their end.
const ENDS: [(&str, &str); 14] = [
    ("application/dicom", "dcm"),
    ("application/json", "json"),
    ("application/msword", "doc"),
    ("application/pdf", "pdf"),
    ("application/xml", "xml"),
    ("application/zip", "zip"),
    ("image/gif", "gif"),
    ("image/jpeg", "jpg"),
    ("image/png", "png"),
    ("image/svg+xml", "svg"),
    ("text/csv", "csv"),
    ("text/html", "html"),
    ("text/plain", "txt"),
    ("text/xml", "xml"),
];

/// A Binary as it is asked for: `body` is the resource.
///
/// # Errors
/// 406 when it cannot be given in any way that is asked for.
pub(super) async fn answer(
    body: Bytes,
    asked: &BinaryRequest,
    last_modified: Option<i64>,
    shape: &Shape,
    types: &impl Types,
) -> Result<Answer> {
    let doc = Doc::parse(body, JsonLimits::NONE).map_err(Error::internal)?;
    let stored = doc.root().get_str("contentType").filter(|text| media::is_media_type(text));
    let content_type = stored.as_deref().unwrap_or(UNKNOWN).to_owned();
    let (format, accept) = (asked.format.as_deref(), asked.accept.as_deref());
    if let Some(format) = media::binary_format(format, accept, &content_type)? {
        return resource(&doc, format, shape, types).await;
    }
    let mut headers = Headers::new(&doc, content_type)?;
    let (range, if_range) = (asked.range.clone(), asked.if_range.clone());
    let is_head = asked.is_head;
    let heavy = doc.text().len() > HEAVY_BYTES;
    let take = move || {
        let part = Content::new(&doc).map(|content| {
            let length = content.length();
            let fits = if_range.is_none_or(|date| last_modified.is_some_and(|at| http_date(at) == date));
            let part = range.filter(|_| fits).map_or(Part::Whole, |range| Part::parse(&range, length));
            let bytes = match &part {
                _ if is_head => Some(Vec::new()),
                Part::Whole => content.decode(0..length),
                Part::Some(range) => content.decode(range.clone()),
                Part::Beyond => Some(Vec::new()),
            };
            (length, part, bytes)
        });
        (doc, part)
    };
    let (doc, part) = match heavy {
        true => tokio::task::spawn_blocking(take).await.map_err(Error::internal)?,
        false => take(),
    };
    let Some((length, part, Some(bytes))) = part else {
        // It was stored so. As a resource it can be given, if that is wanted at all.
        let format = Format::wanted(format, accept).map_err(|e| {
            let text = "the `data` of this Binary is not base64, so that it can be given as a resource alone";
            Error { text: text.to_owned(), ..e }
        })?;
        return resource(&doc, format, shape, types).await;
    };
    if part == Part::Beyond {
        let text = format!("the content has {length} bytes, and nothing in the range that is asked for");
        let error = Error::new(Kind::RangeNotSatisfiable, text).at("http.range");
        let mut answer = from_error(&error, &[], shape, types).await;
        answer.headers_mut().insert(CONTENT_RANGE, value(format!("bytes */{length}"))?);
        return Ok(answer);
    }
    let mut answer = Response::new(whole(Bytes::from(bytes)));
    if let Part::Some(range) = part {
        *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
        let last = range.end.saturating_sub(1);
        headers.range = Some(value(format!("bytes {}-{last}/{length}", range.start))?);
    }
    headers.write(&mut answer, is_head.then_some(length));
    Ok(answer)
}

async fn resource(doc: &Doc, format: Format, shape: &Shape, types: &impl Types) -> Result<Answer> {
    let shape = Shape { format, ..shape.clone() };
    with_body(Bytes::copy_from_slice(doc.text().as_bytes()), &shape, types).await
}

/// What is said of content.
struct Headers {
    content_type: HeaderValue,
    disposition: HeaderValue,
    security_context: Option<HeaderValue>,
    range: Option<HeaderValue>,
}

impl Headers {
    fn new(doc: &Doc, content_type: String) -> Result<Headers> {
        let name = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let is_shown =
            SHOWN.contains(&name.as_str()) || name.starts_with("audio/") || name.starts_with("video/");
        let id = doc.root().get_str("id").unwrap_or_default();
        // An id is of letters, digits, `-` and `.`: it needs no quoting in a file's name.
        let end = ENDS.iter().find(|(known, _)| *known == name).map_or("bin", |(_, end)| end);
        let way = if is_shown { "inline" } else { "attachment" };
        let context = doc.root().get("securityContext").and_then(|context| context.get_str("reference"));
        Ok(Headers {
            content_type: value(content_type)?,
            disposition: value(format!("{way}; filename=\"{id}.{end}\""))?,
            security_context: context.and_then(|reference| HeaderValue::from_str(&reference).ok()),
            range: None,
        })
    }

    fn write(self, answer: &mut Answer, length: Option<usize>) {
        let headers = answer.headers_mut();
        headers.reserve(14);
        private(headers);
        headers.insert(CONTENT_TYPE, self.content_type);
        headers.insert(CONTENT_DISPOSITION, self.disposition);
        // Where it is shown all the same, it has no scripts, no origin, and loads nothing.
        let policy = "sandbox; default-src 'none'";
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        if let Some(range) = self.range {
            headers.insert(CONTENT_RANGE, range);
        }
        if let Some(reference) = self.security_context {
            headers.insert(SECURITY_CONTEXT, reference);
        }
        if let Some(length) = length {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
    }
}

/// What a `Range` asks for: <https://www.rfc-editor.org/rfc/rfc9110#section-14.2>
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Whole,
    Some(Range<usize>),
    /// Nothing of it is there.
    Beyond,
}

impl Part {
    /// Of content of a length. What is not one range of bytes is passed over, as a server may.
    fn parse(header: &str, length: usize) -> Part {
        let range = header.split_once('=').filter(|(unit, _)| unit.trim().eq_ignore_ascii_case("bytes"));
        let Some((first, last)) = range.and_then(|(_, range)| range.trim().split_once('-')) else {
            return Part::Whole;
        };
        let is_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        if !is_digits(first) || !is_digits(last) || (first.is_empty() && last.is_empty()) {
            return Part::Whole;
        }
        // More digits than fit are beyond every content.
        let number = |text: &str| text.parse::<usize>().unwrap_or(usize::MAX);
        let range = match (first.is_empty(), last.is_empty()) {
            (true, _) => length.saturating_sub(number(last))..length,
            (false, true) => number(first)..length,
            (false, false) if number(first) > number(last) => return Part::Whole,
            (false, false) => number(first)..number(last).saturating_add(1).min(length),
        };
        if range.start < range.end { Part::Some(range) } else { Part::Beyond }
    }
}

/// The base64 of a Binary.
struct Content<'d> {
    /// Without white space and padding.
    base64: std::borrow::Cow<'d, str>,
}

impl<'d> Content<'d> {
    /// The content; `None` when the data is no base64 by its length, or no text.
    fn new(doc: &'d Doc) -> Option<Content<'d>> {
        let Some(data) = doc.root().get("data") else { return Some(Content { base64: "".into() }) };
        let mut base64 = data.str()?;
        // FHIR allows white space between the letters, and then places are not where they would be.
        if base64.bytes().any(|b| b.is_ascii_whitespace()) {
            base64 = base64.split_ascii_whitespace().collect::<String>().into();
        }
        let end = base64.trim_end_matches('=').len();
        (end % 4 != 1).then_some(())?;
        Some(Content {
            base64: match base64 {
                std::borrow::Cow::Borrowed(text) => text.get(..end).unwrap_or_default().into(),
                std::borrow::Cow::Owned(mut text) => {
                    text.truncate(end);
                    text.into()
                }
            },
        })
    }

    /// Bytes of the content.
    fn length(&self) -> usize {
        self.base64.len() / 4 * 3 + (self.base64.len() % 4).saturating_sub(1)
    }

    /// Bytes of a range of the content, decoding no more than that; `None` when it is not base64.
    fn decode(&self, range: Range<usize>) -> Option<Vec<u8>> {
        const CONFIG: GeneralPurposeConfig = GeneralPurposeConfig::new()
            .with_decode_padding_mode(DecodePaddingMode::RequireNone)
            .with_decode_allow_trailing_bits(true);
        const ENGINE: GeneralPurpose = GeneralPurpose::new(&STANDARD, CONFIG);
        // Four letters are three bytes.
        let (first, end) = (range.start / 3, range.end.div_ceil(3));
        let letters = self.base64.get(first * 4..(end * 4).min(self.base64.len()))?;
        let mut bytes = ENGINE.decode(letters).ok()?;
        bytes.truncate(range.end - first * 3);
        bytes.drain(..(range.start - first * 3).min(bytes.len()));
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    #[test]
    fn ranges() {
        let some = Part::Some;
        for (header, length, wanted) in [
            ("bytes=0-0", 10, some(0..1)),
            ("bytes=0-9", 10, some(0..10)),
            ("bytes=2-", 10, some(2..10)),
            ("bytes=-3", 10, some(7..10)),
            ("bytes=-30", 10, some(0..10)),
            ("bytes=5-100", 10, some(5..10)),
            ("Bytes = 5-6", 10, some(5..7)),
            ("bytes=0-99999999999999999999999", 10, some(0..10)),
            ("bytes=10-", 10, Part::Beyond),
            ("bytes=10-20", 10, Part::Beyond),
            ("bytes=99999999999999999999999-", 10, Part::Beyond),
            ("bytes=-0", 10, Part::Beyond),
            ("bytes=0-", 0, Part::Beyond),
            // None of bytes, several, or no range at all: passed over.
            ("bytes=5-4", 10, Part::Whole),
            ("bytes=0-1,3-4", 10, Part::Whole),
            ("items=0-1", 10, Part::Whole),
            ("bytes=", 10, Part::Whole),
            ("bytes=-", 10, Part::Whole),
            ("bytes=a-b", 10, Part::Whole),
            ("bytes=+1-2", 10, Part::Whole),
            ("", 10, Part::Whole),
        ] {
            assert_eq!(Part::parse(header, length), wanted, "{header}");
        }
    }

    /// Whatever part is taken, it is the part of the whole.
    #[test]
    fn parts_are_parts_of_the_whole() {
        for length in 0..20_u8 {
            let bytes: Vec<u8> = (0..length).map(|n| n.wrapping_mul(37)).collect();
            let base64 = STANDARD.encode(&bytes);
            let spaced: String = base64.chars().flat_map(|c| [c, '\n', ' ']).collect();
            for text in [base64.clone(), base64.trim_end_matches('=').to_owned(), spaced] {
                let member = if text.is_empty() {
                    String::new()
                } else {
                    format!(",\"data\":{}", serde_json::Value::from(text))
                };
                let doc =
                    Doc::parse(format!("{{\"resourceType\":\"Binary\"{member}}}"), JsonLimits::NONE).unwrap();
                let content = Content::new(&doc).unwrap();
                assert_eq!(content.length(), bytes.len());
                for start in 0..=bytes.len() {
                    for end in start..=bytes.len() {
                        assert_eq!(
                            content.decode(start..end).unwrap(),
                            bytes[start..end],
                            "{length} {start} {end}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_no_base64_is_not_guessed_at() {
        for data in ["\"!\"", "\"YQ=a\"", "\"YQ*=\"", "\"Y\"", "\"ä\"", "1", "{}"] {
            let doc = Doc::parse(format!("{{\"data\":{data}}}"), JsonLimits::NONE).unwrap();
            let decoded = Content::new(&doc).and_then(|content| content.decode(0..content.length()));
            assert_eq!(decoded, None, "{data}");
        }
    }
}
