//! Blanks in values: those around a value of a list mean nothing, but one where a number begins may be a `+` that was not
//! encoded (`phone=+254..`): in a query string `+` is a blank, and a plus is written `%2B`.

/// The value without the blanks around it and after its bars. A bar that is escaped is part of a text.
pub(super) fn without(value: &str) -> String {
    let value = value.trim_matches(' ');
    let parts: Vec<&str> = value.split("| ").collect();
    let mut plain = String::with_capacity(value.len());
    for (at, part) in parts.iter().enumerate() {
        plain.push_str(part);
        if at + 1 < parts.len() {
            plain.push_str(if ends_escaped(part) { "| " } else { "|" });
        }
    }
    plain
}

/// True when what follows the text is escaped.
fn ends_escaped(text: &str) -> bool {
    text.bytes().rev().take_while(|b| *b == b'\\').count() % 2 == 1
}

/// The value with a `+` where a number begins with a blank, if there is such a place.
pub(super) fn as_plus(value: &str) -> Option<String> {
    if let Some(number) = begins(value) {
        return Some(format!("+{}", number.trim_end_matches(' ')));
    }
    let (system, rest) = value.split_once('|')?;
    Some(format!("{}|+{}", system.trim_matches(' '), begins(rest)?.trim_end_matches(' ')))
}

/// What follows a blank, when it is a number.
fn begins(rest: &str) -> Option<&str> {
    rest.strip_prefix(' ').filter(|number| number.starts_with(|c: char| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_and_pluses() {
        let rows = [
            ("a", "a", None),
            (" a ", "a", None),
            (" 254700", "254700", Some("+254700")),
            ("phone| 254700 1", "phone|254700 1", Some("phone|+254700 1")),
            ("254 700", "254 700", None),
            ("  254", "254", None),
            ("s| A\\| B", "s|A\\| B", None),
            ("s\\\\| B", "s\\\\|B", None),
        ];
        for (value, plain, plus) in rows {
            assert_eq!((without(value).as_str(), as_plus(value).as_deref()), (plain, plus), "{value:?}");
        }
    }
}
