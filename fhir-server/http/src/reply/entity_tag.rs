//! Entity tags of what has no version: <https://www.rfc-editor.org/rfc/rfc9110#section-8.8.3>
//!
//! They are weak: the same content may be written with or without white space, packed or not. JSON and XML are different
//! representations, and have different tags.

use crate::media::Format;

/// The tag of some content in a format.
pub(super) fn new(content: &str, format: Format) -> String {
    let media_type = format.content_type().split(';').next().unwrap_or_default();
    let name = media_type.rsplit(['+', '/']).next().unwrap_or_default();
    format!("W/\"{content}-{name}\"")
}

/// True when the tag is one of those in an `If-None-Match`, which compares weakly: `"a"` is `W/"a"`.
pub(super) fn is_among(tag: &str, has: Option<&str>) -> bool {
    let opaque = |tag: &str| tag.strip_prefix("W/").unwrap_or(tag).to_owned();
    let mut has = has.unwrap_or_default().split(',').map(str::trim);
    has.any(|one| one == "*" || opaque(one) == opaque(tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_compared_weakly() {
        let tag = new("1f", Format::Json);
        assert_eq!(tag, "W/\"1f-json\"");
        let rows = [
            (Some("W/\"1f-json\""), true),
            (Some("\"1f-json\""), true),
            (Some("\"x\", W/\"1f-json\""), true),
            (Some("*"), true),
            (Some("W/\"1f-xml\""), false),
            (Some("1f-json"), false),
            (Some(""), false),
            (None, false),
        ];
        for (has, same) in rows {
            assert_eq!(is_among(&tag, has), same, "{has:?}");
        }
    }
}
