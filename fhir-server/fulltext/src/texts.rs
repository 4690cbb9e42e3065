//! The texts of a resource.

use fhir_model::json::{Doc, JsonLimits, Ref};
use fhir_model::{Error, Result};

/// What a resource says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Texts {
    /// Its narrative without markup: `_text`.
    pub(crate) narrative: String,
    /// All its texts, the narrative among them: `_content`.
    pub(crate) content: String,
}

/// Attachments and binaries are not texts.
const DATA: &[&str] = &["data", "contentType", "hash"];
/// Structure rather than content.
const STRUCTURE: &[&str] = &["resourceType", "id", "reference", "system", "url", "div", "profile"];

impl Texts {
    /// The texts of a stored body.
    pub(crate) fn from_body(body: &[u8]) -> Result<Texts> {
        let limits = JsonLimits { depth_max: usize::MAX, bytes_max: usize::MAX, ..JsonLimits::default() };
        let doc = Doc::parse(body.to_vec(), limits).map_err(Error::internal)?;
        let mut texts = Texts::default();
        if let Some(div) = doc.root().get("text").and_then(|text| text.get_str("div")) {
            without_markup(&div, &mut texts.narrative);
        }
        gather(doc.root(), &mut texts.content);
        texts.content.push_str(&texts.narrative);
        Ok(texts)
    }
}

fn gather(value: Ref<'_>, out: &mut String) {
    for member in value.children() {
        let skipped = |names: &[&str]| names.iter().any(|name| member.key_is(name));
        if value.is_object() && (skipped(DATA) || skipped(STRUCTURE)) {
            continue;
        }
        match member.str() {
            Some(text) => {
                out.push_str(&text);
                // A gap that no phrase spans.
                out.push_str(" \u{b7} ");
            }
            None => gather(member, out),
        }
    }
}

/// The text of XHTML. Elements separate words.
fn without_markup(html: &str, out: &mut String) {
    let mut rest = html;
    while let Some((text, markup)) = rest.split_once('<') {
        unescape(text, out);
        out.push(' ');
        rest = markup.split_once('>').map_or("", |(_, after)| after);
    }
    unescape(rest, out);
}

fn unescape(text: &str, out: &mut String) {
    match text.contains('&') {
        false => out.push_str(text),
        true => out.push_str(
            &text.replace("&lt;", "<").replace("&gt;", ">").replace("&nbsp;", " ").replace("&amp;", "&"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::Texts;

    #[test]
    fn what_a_resource_says() {
        let body = br#"{"resourceType":"Observation","id":"x","text":{"status":"generated",
            "div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"><p>Blood&nbsp;pressure</p><b>high</b></div>"},
            "code":{"coding":[{"system":"http://loinc.org","display":"Systolic"}]},"note":[{"text":"a note"}],
            "valueAttachment":{"data":"QUJD"}}"#;
        let texts = Texts::from_body(body).unwrap();
        let words = |t: &str| t.split_whitespace().filter(|w| *w != "\u{b7}").collect::<Vec<_>>().join(" ");
        assert_eq!(words(&texts.narrative), "Blood pressure high");
        assert_eq!(words(&texts.content), "generated Systolic a note Blood pressure high");
    }
}
