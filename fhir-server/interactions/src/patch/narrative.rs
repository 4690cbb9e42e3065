//! The narrative of a patched resource: <https://hl7.org/fhir/R4/http.html#patch>
//!
//! A server that changes data must not leave a narrative behind that says what the data said before. One that was
//! generated from the data goes, as there is nothing in it that the data do not say; one that somebody wrote, or that
//! holds more than the data (`extensions`, `additional`), is theirs to keep right, and so is one that the patch changes.

use fhir_model::json::Ref;

/// The narrative that a patch made untrue, as far as a server can know.
pub(crate) fn outdated<'d>(before: Ref<'_>, after: Ref<'d>) -> Option<Ref<'d>> {
    let text = after.get("text").filter(|text| text.get_str("status").as_deref() == Some("generated"))?;
    let is_kept = before.get("text").is_some_and(|old| old.to_json() == text.to_json());
    (is_kept && data(before) != data(after)).then_some(text)
}

/// The data that a narrative may describe, without tags and security labels.
fn data(resource: Ref<'_>) -> Vec<(String, String)> {
    let members = resource.children().filter(|member| !member.key_is("meta"));
    members.map(|member| (member.key().into_owned(), member.to_json())).collect()
}

#[cfg(test)]
mod tests {
    use fhir_model::json::{Doc, JsonLimits};

    use super::*;

    #[test]
    fn only_what_was_generated_and_not_patched_is_outdated() {
        let generated = r#""text":{"status":"generated","div":"a"}"#;
        let rows = [
            (generated, r#""active":true"#, generated, r#""active":false"#, true),
            (generated, r#""active":true"#, generated, r#""active":true"#, false),
            (generated, r#""meta":{"tag":[{"code":"a"}]}"#, generated, r#""meta":{"versionId":"1"}"#, false),
            (
                generated,
                "\"id\":\"1\"",
                r#""text":{"status":"generated","div":"b"}"#,
                r#""active":false"#,
                false,
            ),
            (
                generated,
                "\"id\":\"1\"",
                r#""text":{"status":"additional","div":"a"}"#,
                r#""active":false"#,
                false,
            ),
            ("\"id\":\"1\"", "\"a\":1", generated, "\"a\":1", false),
        ];
        for (text, rest, text_after, rest_after, wanted) in rows {
            let doc = |text: &str, rest: &str| {
                Doc::parse(format!("{{{text},{rest}}}"), JsonLimits::default()).unwrap()
            };
            let (before, after) = (doc(text, rest), doc(text_after, rest_after));
            assert_eq!(
                outdated(before.root(), after.root()).is_some(),
                wanted,
                "{text} {rest} {text_after} {rest_after}"
            );
        }
        for status in ["extensions", "additional", "empty"] {
            let doc = |active: bool| {
                let text = format!(r#"{{"text":{{"status":"{status}","div":"a"}},"active":{active}}}"#);
                Doc::parse(text, JsonLimits::default()).unwrap()
            };
            assert!(outdated(doc(true).root(), doc(false).root()).is_none(), "{status}");
        }
    }
}
