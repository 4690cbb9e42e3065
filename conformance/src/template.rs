//! Variables in pages: `{{run}}`, values captured from earlier answers, and two generators for bodies nobody wants
//! to type: `{{repeat 500 [}}` and `{{bytes ff fe}}`.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};

/// The variables of one page, while it runs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Variables(BTreeMap<String, String>);

/// How a value is written where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    /// As it is.
    Text,
    /// Within a query: everything but letters, digits and `-._~` is percent-encoded.
    Query,
}

impl Variables {
    pub(crate) fn set(&mut self, name: &str, value: impl Into<String>) {
        self.0.insert(name.to_owned(), value.into());
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The text with every variable replaced. Bytes, because a body may be wrong on purpose.
    pub(crate) fn bytes(&self, text: &str) -> Result<Vec<u8>> {
        self.fill(text, |_| Encoding::Text)
    }

    /// As `bytes`, where only text makes sense.
    pub(crate) fn text(&self, text: &str) -> Result<String> {
        String::from_utf8(self.bytes(text)?).context("bytes that are no text stand where text belongs")
    }

    /// A request target: values after the first `?` are percent-encoded, and so is what no URL may hold as it is.
    pub(crate) fn target(&self, text: &str) -> Result<String> {
        let question = text.find('?').unwrap_or(text.len());
        let filled =
            self.fill(text, |at| if at > question && at > 0 { Encoding::Query } else { Encoding::Text })?;
        Ok(encode_unsafe(&filled))
    }

    fn fill(&self, text: &str, place: impl Fn(usize) -> Encoding) -> Result<Vec<u8>> {
        let mut out = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let at = text.len() - after.len();
            let (name, tail) = after.split_once("}}").context("`{{` without `}}`")?;
            out.extend_from_slice(before.as_bytes());
            let value = self.value(name)?;
            match place(at) {
                Encoding::Text => out.extend_from_slice(&value),
                Encoding::Query => out.extend_from_slice(encode(&value).as_bytes()),
            }
            rest = tail;
        }
        out.extend_from_slice(rest.as_bytes());
        Ok(out)
    }

    fn value(&self, name: &str) -> Result<Vec<u8>> {
        if let Some(rest) = name.strip_prefix("repeat ") {
            let (count, what) = rest.split_once(' ').context("`{{repeat COUNT TEXT}}`")?;
            // A closing brace cannot stand before the closing braces, so it has an escape.
            let what = what.replace("\\x7d", "}");
            return Ok(what.repeat(count.parse().context("`{{repeat COUNT TEXT}}`")?).into_bytes());
        }
        if let Some(rest) = name.strip_prefix("bytes ") {
            let byte = |text: &str| u8::from_str_radix(text, 16).context("`{{bytes ff fe}}` holds hex bytes");
            return rest.split(' ').map(byte).collect();
        }
        match self.get(name) {
            Some(value) => Ok(value.as_bytes().to_vec()),
            None => bail!("the variable `{name}` has no value here: was the step that captures it passed?"),
        }
    }
}

/// Percent-encodes everything but what RFC 3986 calls unreserved.
fn encode(value: &[u8]) -> String {
    encode_where(value, |byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
}

/// Percent-encodes only what may not stand in a URL at all, so that pages can show readable URLs.
fn encode_unsafe(value: &[u8]) -> String {
    encode_where(value, |byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}#".contains(&byte))
}

fn encode_where(value: &[u8], keep: impl Fn(u8) -> bool) -> String {
    let mut out = String::with_capacity(value.len());
    for &byte in value {
        if keep(byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::Variables;

    fn variables() -> Variables {
        let mut variables = Variables::default();
        variables.set("run", "r1");
        variables.set("when", "2020-01-01T00:00:00+02:00");
        variables.set("next", "http://x/y?a=b&c=d");
        variables
    }

    #[test]
    fn targets() {
        let rows = [
            ("/Patient/{{run}}-a", "/Patient/r1-a"),
            ("/Patient?_since={{when}}", "/Patient?_since=2020-01-01T00%3A00%3A00%2B02%3A00"),
            ("/Patient?date=2020-01-01T00:00:00%2B02:00", "/Patient?date=2020-01-01T00:00:00%2B02:00"),
            ("{{next}}", "http://x/y?a=b&c=d"),
            ("/Patient?name=Müller|x y", "/Patient?name=M%C3%BCller%7Cx%20y"),
        ];
        for (text, expected) in rows {
            assert_eq!(variables().target(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn generators() {
        assert_eq!(variables().bytes("a{{repeat 3 [}}b{{bytes ff 00}}").unwrap(), b"a[[[b\xff\x00");
        assert_eq!(variables().text("{{repeat 2 \\x7d}}").unwrap(), "}}");
        assert!(variables().text("{{unknown}}").is_err());
    }
}
