//! The string literals of a Rust source file, found by a small lexer: comments, characters and lifetimes are not
//! taken for texts.

/// One literal.
pub(super) struct Literal {
    pub(super) text: String,
    pub(super) line: usize,
    /// The macro it is the first argument of, such as `format`.
    pub(super) of_macro: Option<String>,
}

/// All literals of the part of a file before its unit tests.
pub(super) fn literals(source: &str) -> Vec<Literal> {
    let source = source.split("#[cfg(test)]").next().unwrap();
    let bytes = source.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &source[at..];
        match bytes[at] {
            b'/' if rest.starts_with("//") => at += rest.find('\n').unwrap_or(rest.len()),
            b'/' if rest.starts_with("/*") => at += rest.find("*/").unwrap_or(rest.len()),
            b'\'' => at += character(rest),
            b'r' if !is_word(source, at) && raw(rest).is_some() => {
                let (text, length) = raw(rest).unwrap();
                found.push(literal(source, at, text.to_owned()));
                at += length;
            }
            b'"' => {
                let (text, length) = quoted(rest);
                found.push(literal(source, at, text));
                at += length;
            }
            _ => at += 1,
        }
        while !source.is_char_boundary(at) {
            at += 1;
        }
    }
    found
}

fn literal(source: &str, at: usize, text: String) -> Literal {
    let before = source[..at].trim_end();
    let of_macro = before.strip_suffix("!(").map(|head| {
        let start = head.rfind(|c: char| !c.is_alphanumeric() && c != '_').map_or(0, |i| i + 1);
        head[start..].to_owned()
    });
    Literal { text, line: 1 + source[..at].matches('\n').count(), of_macro }
}

fn is_word(source: &str, at: usize) -> bool {
    source[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_')
}

/// The length of `'x'`, `'\n'`, or of the quote alone before a lifetime.
fn character(rest: &str) -> usize {
    let mut letters = rest.char_indices().skip(1);
    match letters.next() {
        Some((_, '\\')) => rest[2..].find('\'').map_or(1, |i| i + 3).max(4.min(rest.len())),
        Some((i, c)) if rest[i + c.len_utf8()..].starts_with('\'') => i + c.len_utf8() + 1,
        _ => 1,
    }
}

/// `r"..."` and `r#"..."#`.
fn raw(rest: &str) -> Option<(&str, usize)> {
    let hashes = rest[1..].bytes().take_while(|b| *b == b'#').count();
    let body = rest[1 + hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = body.find(&end)?;
    Some((&body[..length], 1 + hashes + 1 + length + end.len()))
}

fn quoted(rest: &str) -> (String, usize) {
    let mut text = String::new();
    let mut letters = rest.char_indices().skip(1).peekable();
    while let Some((i, c)) = letters.next() {
        match c {
            '"' => return (text, i + 1),
            '\\' => match letters.next() {
                // A line that goes on: the white space at the start of the next one does not count.
                Some((_, '\n')) => while letters.next_if(|(_, c)| c.is_whitespace()).is_some() {},
                Some((_, 'n')) => text.push('\n'),
                Some((_, 'u')) => {
                    let digits: String =
                        letters.by_ref().map(|(_, c)| c).take_while(|c| *c != '}').skip(1).collect();
                    text.extend(u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32));
                }
                Some((_, c)) => text.push(c),
                None => {}
            },
            c => text.push(c),
        }
    }
    (text, rest.len())
}

#[test]
fn literals_are_found_and_comments_are_not() {
    let source = r####"
        // "no"
        fn f<'a>(x: &'a str) { let q = '"'; let e = '\''; g("a \"b\"", r#"c "d""#); format!("e {x}"); h("f \
            g"); /* "no" */ }
        #[cfg(test)] mod tests { const X: &str = "no"; }
    "####;
    let found = literals(source);
    let texts: Vec<_> = found.iter().map(|l| (l.text.as_str(), l.of_macro.as_deref(), l.line)).collect();
    assert_eq!(
        texts,
        [("a \"b\"", None, 3), ("c \"d\"", None, 3), ("e {x}", Some("format"), 3), ("f g", None, 3)]
    );
}
