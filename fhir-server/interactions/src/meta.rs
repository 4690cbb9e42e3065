//! The final text of a resource: what the client sent, with what the server owns written into it.
//!
//! `id`, `meta.versionId` and `meta.lastUpdated` are the server's; everything else in `meta` is kept as it was sent.
//! <https://hl7.org/fhir/R4/resource.html#Meta>

use fhir_model::Result;
use fhir_model::date::format_instant;
use fhir_model::json::{Doc, Edits, JsonLimits, Ref};

/// Members of `meta` that a client cannot choose, with the extensions a primitive may have.
const OWNED: &[&str] = &["versionId", "_versionId", "lastUpdated", "_lastUpdated"];

/// Writes `resource` with `edits` applied and stamped. `id` holds only what an id may hold.
pub(crate) fn stamp(
    resource: Ref<'_>,
    mut edits: Edits,
    id: &str,
    version: u32,
    updated_at: i64,
    limits: JsonLimits,
) -> Result<Doc> {
    let own = format!("\"versionId\":\"{version}\",\"lastUpdated\":\"{}\"", format_instant(updated_at));
    let mut head = format!("\"id\":\"{id}\",\"meta\":");
    match resource.get("meta").filter(|meta| meta.is_object()) {
        Some(meta) => {
            OWNED.iter().filter_map(|name| meta.get(name)).for_each(|member| edits.drop(member));
            edits.insert(meta, own);
            meta.write(&edits, &mut head);
            edits.drop(meta);
        }
        None => {
            head.push('{');
            head.push_str(&own);
            head.push('}');
        }
    }
    if let Some(sent) = resource.get("id") {
        edits.drop(sent);
    }
    edits.insert(resource, head);
    let mut text = String::with_capacity(resource.raw().len() + 128);
    resource.write(&edits, &mut text);
    Ok(Doc::parse(text, limits)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_owns_id_version_and_time() {
        let tail = "\"versionId\":\"2\",\"lastUpdated\":\"1970-01-01T00:00:01.000Z\"";
        let rows = [
            (r#"{"active":true,"resourceType":"Patient"}"#, "}", r#","active":true}"#),
            (r#"{"resourceType":"Patient","id":"x","meta":{"versionId":"9"}}"#, "}", "}"),
            (
                r#"{"resourceType":"Patient","meta":{"lastUpdated":"2000","_lastUpdated":{"id":"a"},"tag":[{"code":"t"}]},"id":"x"}"#,
                r#","tag":[{"code":"t"}]}"#,
                "}",
            ),
        ];
        for (sent, meta_rest, rest) in rows {
            let doc = Doc::parse(sent, JsonLimits::default()).unwrap();
            let found =
                stamp(doc.root(), Edits::default(), "1", 2, 1_000_000, JsonLimits::default()).unwrap();
            let wanted =
                format!("{{\"resourceType\":\"Patient\",\"id\":\"1\",\"meta\":{{{tail}{meta_rest}{rest}");
            assert_eq!(found.text(), wanted);
        }
    }
}
