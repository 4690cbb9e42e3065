//! Percent-encoding and the pairs of a query string.
//!
//! <https://url.spec.whatwg.org/#application/x-www-form-urlencoded>, stricter: what is not properly encoded UTF-8 is
//! refused, because a guess would search for something else than was asked.
//!
//! **Invariant:** no text of a URL or a form passes here with a U+0000 in it, which PostgreSQL cannot take. The texts of
//! bodies come through [`crate::json::Doc`], which refuses it as well: there is no third way to the database.

use std::borrow::Cow;

use crate::{Error, Result};

/// The decoded pairs of a query string or an urlencoded form, in order. Empty pieces (`a=1&&b=2`) are passed over.
///
/// # Errors
///
/// `Invalid` for a `%` that is not followed by two hexadecimal digits, for what is not UTF-8 once decoded, and for
/// U+0000.
pub fn pairs(query: &str) -> Result<Vec<(String, String)>> {
    let pieces = query.split('&').filter(|piece| !piece.is_empty());
    pieces
        .map(|piece| {
            let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
            Ok((decode(name, true)?.into_owned(), decode(value, true)?.into_owned()))
        })
        .collect()
}

/// The decoded text of a path segment.
///
/// # Errors
///
/// As [`pairs`].
pub fn segment(text: &str) -> Result<Cow<'_, str>> {
    decode(text, false)
}

/// Appends `text` so that it stands for itself in the name or value of a query.
pub fn encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        // Unreserved characters, and those of FHIR's own syntax that a query may hold as they are.
        if byte.is_ascii_alphanumeric() || b"-._~:/,$*!@'()".contains(&byte) {
            out.push(byte as char);
        } else {
            out.push('%');
            out.push(hex(byte >> 4));
            out.push(hex(byte & 15));
        }
    }
}

/// The query string of pairs.
pub fn query(pairs: &[(String, String)]) -> String {
    let mut out = String::new();
    for (name, value) in pairs {
        if !out.is_empty() {
            out.push('&');
        }
        encode(name, &mut out);
        out.push('=');
        encode(value, &mut out);
    }
    out
}

fn hex(nibble: u8) -> char {
    char::from_digit(u32::from(nibble), 16).unwrap_or('0').to_ascii_uppercase()
}

fn decode(text: &str, plus_is_space: bool) -> Result<Cow<'_, str>> {
    // A form holds bytes as they are, so that U+0000 is looked for in what needs no decoding, too.
    if !text.bytes().any(|b| matches!(b, b'%' | 0) || (plus_is_space && b == b'+')) {
        return Ok(Cow::Borrowed(text));
    }
    let refused = || Error::invalid("the URL holds a `%` that is not followed by two hexadecimal digits");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let mut digit = || rest.next().and_then(|b| (b as char).to_digit(16)).ok_or_else(refused);
                bytes.push((digit()? * 16 + digit()?) as u8);
            }
            b'+' if plus_is_space => bytes.push(b' '),
            _ => bytes.push(byte),
        }
    }
    let text = String::from_utf8(bytes).map_err(|_| Error::invalid("the URL is not encoded as UTF-8"))?;
    match text.contains('\0') {
        // PostgreSQL has no such character, so nothing could ever match.
        true => Err(Error::invalid("the URL holds the character U+0000")),
        false => Ok(Cow::Owned(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A query, and its pairs unless it is refused.
    type Row = (&'static str, Option<&'static [(&'static str, &'static str)]>);

    #[test]
    fn queries_are_decoded_or_refused() {
        let rows: &[Row] = &[
            ("", Some(&[])),
            ("a=1&b=2", Some(&[("a", "1"), ("b", "2")])),
            ("a=1&&a=2&", Some(&[("a", "1"), ("a", "2")])),
            ("name=J%C3%B6rg+A", Some(&[("name", "Jörg A")])),
            ("q=a%2Bb%26c%3D", Some(&[("q", "a+b&c=")])),
            ("name%3Aexact=x=y", Some(&[("name:exact", "x=y")])),
            ("flag", Some(&[("flag", "")])),
            ("a=%", None),
            ("a=%4", None),
            ("a=%zz", None),
            ("a=%FF", None),
            ("a=%00", None),
            ("a=x\0", None),
            ("\0=x", None),
            ("a=+\0", None),
            // A lone surrogate, and a zero in two bytes.
            ("a=%ED%A0%80", None),
            ("a=%C0%80", None),
        ];
        for (query, wanted) in rows {
            let found = pairs(query);
            match wanted {
                None => assert_eq!(found.unwrap_err().kind.status(), 400, "{query}"),
                Some(wanted) => {
                    let wanted: Vec<_> =
                        wanted.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
                    assert_eq!(found.unwrap(), wanted, "{query}");
                }
            }
        }
    }

    #[test]
    fn segments_are_decoded_or_refused() {
        for (text, wanted) in [("a+b%2F", Some("a+b/")), ("a%00", None), ("a\0", None), ("%FF", None)] {
            assert_eq!(segment(text).ok().as_deref(), wanted, "{text}");
        }
    }

    #[test]
    fn what_is_encoded_is_decoded_again() {
        let sent = vec![("code:in".to_owned(), "http://loinc.org|8480-6,ä&=+#% \"\\$".to_owned())];
        let text = query(&sent);
        assert!(text.bytes().all(|b| b.is_ascii_graphic()), "{text}");
        assert_eq!(pairs(&text).unwrap(), sent);
    }
}
