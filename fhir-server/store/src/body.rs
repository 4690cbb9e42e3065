//! Bodies: JSONB for analysts, packed where JSONB is not exact, text with `resourceType` first for clients.

use bytes::Bytes;
use fhir_model::json::{Doc, Kind, Ref};
use fhir_model::{Error, Result};
use memchr::memmem;
use tokio_postgres::types::{FromSql, ToSql, Type, to_sql_checked};

use crate::codec;

/// JSONB as its text, without a copy.
pub(crate) struct Jsonb<'a>(pub(crate) &'a str);

/// The version byte of JSONB's binary form.
const JSONB_VERSION: u8 = 1;

impl<'a> FromSql<'a> for Jsonb<'a> {
    fn from_sql(
        _: &Type,
        raw: &'a [u8],
    ) -> std::result::Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        match raw.split_first() {
            Some((&JSONB_VERSION, text)) => Ok(Jsonb(std::str::from_utf8(text)?)),
            _ => Err("not a known version of jsonb".into()),
        }
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::JSONB
    }
}

impl std::fmt::Debug for Jsonb<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Jsonb({} bytes)", self.0.len())
    }
}

impl ToSql for Jsonb<'_> {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut bytes::BytesMut,
    ) -> std::result::Result<tokio_postgres::types::IsNull, Box<dyn std::error::Error + Sync + Send>> {
        out.extend_from_slice(&[JSONB_VERSION]);
        out.extend_from_slice(self.0.as_bytes());
        Ok(tokio_postgres::types::IsNull::No)
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::JSONB
    }

    to_sql_checked!();
}

/// What JSONB makes of the numbers of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum AsJsonb {
    /// They come back as they were written.
    Exact,
    /// They keep their value, but not their text: exponents, negative zero.
    Rewritten,
    /// One is beyond what a `numeric` holds, or there is more than should become JSONB.
    Impossible,
}

/// Bodies with more than this are kept packed alone. PostgreSQL refuses a container of 256 MiB and an array of 2^24
/// values, and takes ten times as much memory on its way there.
const JSONB_BYTES_MAX: usize = 64 * 1024 * 1024;
/// What a value may take in JSONB besides its text: heads of its key and itself, alignment.
const JSONB_BYTES_PER_VALUE: usize = 24;

/// Exponents and numbers of digits beyond this are not given to PostgreSQL, which writes exponents out: a short body
/// must not become a long one.
const EXPONENT_MAX: i32 = 60;
/// Numbers with exponents beyond this many are not given to it either, for the same reason.
const REWRITTEN_MAX: usize = 1000;

/// What JSONB makes of a body.
pub(crate) fn as_jsonb(doc: &Doc) -> AsJsonb {
    if doc.text().len() + doc.values() * JSONB_BYTES_PER_VALUE > JSONB_BYTES_MAX {
        return AsJsonb::Impossible;
    }
    fn value_as_jsonb(value: Ref<'_>) -> AsJsonb {
        match value.kind() {
            Kind::Number => number_as_jsonb(value.raw()),
            Kind::Array | Kind::Object => {
                value.children().map(value_as_jsonb).max().unwrap_or(AsJsonb::Exact)
            }
            _ => AsJsonb::Exact,
        }
    }
    match value_as_jsonb(doc.root()) {
        AsJsonb::Rewritten if exponents(doc.root()) > REWRITTEN_MAX => AsJsonb::Impossible,
        found => found,
    }
}

fn exponents(value: Ref<'_>) -> usize {
    match value.kind() {
        Kind::Number => usize::from(number_as_jsonb(value.raw()) == AsJsonb::Rewritten),
        Kind::Array | Kind::Object => value.children().map(exponents).sum(),
        _ => 0,
    }
}

fn number_as_jsonb(digits: &str) -> AsJsonb {
    if let Some((_, exponent)) = digits.split_once(['e', 'E']) {
        return match exponent.parse::<i32>() {
            Ok(exponent) if exponent.abs() <= EXPONENT_MAX && digits.len() <= EXPONENT_MAX as usize => {
                AsJsonb::Rewritten
            }
            _ => AsJsonb::Impossible,
        };
    }
    let negative_zero = digits.starts_with('-') && digits.bytes().all(|b| matches!(b, b'-' | b'0' | b'.'));
    match digits.len() > EXPONENT_MAX as usize {
        true => AsJsonb::Impossible,
        false if negative_zero => AsJsonb::Rewritten,
        false => AsJsonb::Exact,
    }
}

/// The text of a row's body, `resourceType` first.
pub(crate) fn read(json: Option<Jsonb<'_>>, packed: Option<&[u8]>) -> Result<Bytes> {
    // Where both are there, JSONB is for analysts and sorting, and the packed text is what was sent.
    match (json, packed) {
        (_, Some(packed)) => codec::unpack(packed),
        (Some(json), None) => Ok(type_first(json.0)),
        (None, None) => Err(Error::internal("a row without a body")),
    }
}

/// JSONB orders members by length and name; clients that stream want the type first.
fn type_first(json: &str) -> Bytes {
    let Some((start, end)) = type_member(json) else { return Bytes::copy_from_slice(json.as_bytes()) };
    let (Some(before), Some(member), Some(after)) =
        (json.get(1..start.saturating_sub(2)), json.get(start..end), json.get(end..))
    else {
        // It is first already.
        return Bytes::copy_from_slice(json.as_bytes());
    };
    let mut out = Vec::with_capacity(json.len());
    out.push(b'{');
    out.extend_from_slice(member.as_bytes());
    out.extend_from_slice(b", ");
    out.extend_from_slice(before.as_bytes());
    out.extend_from_slice(after.as_bytes());
    Bytes::from(out)
}

/// The span of the outermost `"resourceType": ".."` in JSONB's text.
fn type_member(json: &str) -> Option<(usize, usize)> {
    const NAME: &[u8] = br#""resourceType": ""#;
    let bytes = json.as_bytes();
    let mut found = memmem::find_iter(bytes, NAME);
    let first = found.next()?;
    // Nearly always it is the only one; otherwise it is the one at the outermost level.
    let start = if found.next().is_none() { first } else { outermost(json)? };
    let value = start + NAME.len();
    let length = memchr::memchr(b'"', bytes.get(value..)?)?;
    Some((start, value + length + 1))
}

/// Offset of the key `resourceType` at the outermost level.
fn outermost(json: &str) -> Option<usize> {
    let bytes = json.as_bytes();
    let (mut depth, mut at) = (0usize, 0);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => {
                if depth == 1 && bytes.get(at..)?.starts_with(br#""resourceType": "#) {
                    return Some(at);
                }
                at += 1;
                while let Some(stop) = memchr::memchr2(b'"', b'\\', bytes.get(at..)?) {
                    at += stop;
                    if bytes.get(at) == Some(&b'"') {
                        break;
                    }
                    at += 2;
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use fhir_model::json::JsonLimits;

    #[test]
    fn the_type_comes_first() {
        let rows = [
            (r#"{"id": "1", "resourceType": "A"}"#, r#"{"resourceType": "A", "id": "1"}"#),
            (r#"{"resourceType": "A", "id": "1"}"#, r#"{"resourceType": "A", "id": "1"}"#),
            (
                r#"{"id": "\"", "contained": [{"resourceType": "B"}], "resourceType": "A", "x": {"y": 1}}"#,
                r#"{"resourceType": "A", "id": "\"", "contained": [{"resourceType": "B"}], "x": {"y": 1}}"#,
            ),
            (r#"{"resourceType": "A"}"#, r#"{"resourceType": "A"}"#),
        ];
        for (stored, sent) in rows {
            assert_eq!(type_first(stored), sent, "{stored}");
        }
    }

    #[test]
    fn what_is_too_much_for_jsonb_is_kept_packed() {
        let of = |text: String| as_jsonb(&Doc::parse(text, JsonLimits::NONE).unwrap());
        // As text, and as values: each at the bound and past it.
        let text = |bytes: usize| format!("\"{}\"", "x".repeat(bytes - 2));
        let most = JSONB_BYTES_MAX - JSONB_BYTES_PER_VALUE;
        assert_eq!((of(text(most)), of(text(most + 1))), (AsJsonb::Exact, AsJsonb::Impossible));
        let ones = |count: usize| format!("[{}1]", "1,".repeat(count - 1));
        let most = (JSONB_BYTES_MAX - 1 - JSONB_BYTES_PER_VALUE) / (2 + JSONB_BYTES_PER_VALUE);
        assert_eq!((of(ones(most)), of(ones(most + 1))), (AsJsonb::Exact, AsJsonb::Impossible));
    }

    #[test]
    fn what_jsonb_makes_of_numbers() {
        use AsJsonb::{Exact, Impossible, Rewritten};
        for (text, wanted) in [
            ("1.00", Exact),
            ("12345678901234567890123456789.12345", Exact),
            ("-1.50", Exact),
            ("1e3", Rewritten),
            ("1.5E-10", Rewritten),
            ("-0", Rewritten),
            ("-0.00", Rewritten),
            ("[1,{\"a\":2e1}]", Rewritten),
            ("[1e3,1e999999]", Impossible),
            ("1e60", Rewritten),
            ("1e61", Impossible),
            (&format!("[{}1]", "1e9,".repeat(REWRITTEN_MAX)), Rewritten),
            (&format!("[{}1]", "1e9,".repeat(REWRITTEN_MAX + 1)), Impossible),
            ("1e99999999999999999999", Impossible),
            ("\"1e3\"", Exact),
        ] {
            let doc = Doc::parse(text, JsonLimits::default()).unwrap();
            assert_eq!(as_jsonb(&doc), wanted, "{text}");
        }
    }
}
