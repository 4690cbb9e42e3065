//! Escapes in search values: `\,` `\|` `\$` `\\`. <https://hl7.org/fhir/R4/search.html#escaping>

/// Splits at commas that are not escaped. The parts keep their escapes.
pub(crate) fn split_comma(text: &str) -> Vec<&str> {
    split(text, b',')
}

/// Splits at dollar signs that are not escaped. The parts keep their escapes.
pub(crate) fn split_dollar(text: &str) -> Vec<&str> {
    split(text, b'$')
}

/// Splits at bars that are not escaped, and takes the escapes out of the parts.
pub(crate) fn split_bar(text: &str) -> Vec<String> {
    split(text, b'|').into_iter().map(unescape).collect()
}

fn split(text: &str, at: u8) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut escaped) = (0, false);
    for (i, b) in text.bytes().enumerate() {
        if escaped {
            escaped = false;
        } else if b == b'\\' {
            escaped = true;
        } else if b == at {
            parts.extend(text.get(start..i));
            start = i + 1;
        }
    }
    parts.extend(text.get(start..));
    parts
}

/// Takes the escapes out. A backslash before anything else stays what it is.
pub(crate) fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match (c, rest.peek()) {
            ('\\', Some(&next)) if matches!(next, ',' | '|' | '$' | '\\') => {
                out.push(next);
                rest.next();
            }
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitting_and_escapes() {
        assert_eq!(split_comma("a,b\\,c,,d"), ["a", "b\\,c", "", "d"]);
        assert_eq!(split_bar("a\\|b|c\\\\|d"), ["a|b", "c\\", "d"]);
        assert_eq!(unescape("a\\$b\\n\\"), "a$b\\n\\");
    }
}
