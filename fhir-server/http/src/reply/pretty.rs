//! `_pretty`: white space for human eyes. <https://hl7.org/fhir/R4/http.html#parameters>

/// Indents valid JSON. Values keep their text, so `1.00` stays `1.00`.
pub(super) fn json(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() * 2);
    let mut depth = 0;
    let mut bytes = text.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' => {}
            b'{' | b'[' => {
                out.push(byte);
                while bytes.next_if(u8::is_ascii_whitespace).is_some() {}
                if let Some(end) = bytes.next_if(|next| matches!(next, b'}' | b']')) {
                    out.push(end);
                } else {
                    depth += 1;
                    new_line(depth, &mut out);
                }
            }
            b'}' | b']' => {
                depth -= 1;
                new_line(depth, &mut out);
                out.push(byte);
            }
            b',' => {
                out.push(byte);
                new_line(depth, &mut out);
            }
            b':' => out.extend_from_slice(b": "),
            b'"' => {
                out.push(byte);
                while let Some(byte) = bytes.next() {
                    out.push(byte);
                    match byte {
                        b'\\' => out.extend(bytes.next()),
                        b'"' => break,
                        _ => {}
                    }
                }
            }
            _ => out.push(byte),
        }
    }
    out.push(b'\n');
    out
}

fn new_line(depth: usize, out: &mut Vec<u8>) {
    out.push(b'\n');
    out.resize(out.len() + 2 * depth, b' ');
}

#[cfg(test)]
mod tests {
    use super::json;

    #[test]
    fn only_white_space_changes() {
        let rows = [
            ("{}", "{}\n"),
            ("{ }", "{}\n"),
            ("[]", "[]\n"),
            (r#"{"a":1.00,"b":[true,null]}"#, "{\n  \"a\": 1.00,\n  \"b\": [\n    true,\n    null\n  ]\n}\n"),
            (r#"{"a" : "x, {y}: \"z\\"}"#, "{\n  \"a\": \"x, {y}: \\\"z\\\\\"\n}\n"),
            (r#"[{"a":{}},[]]"#, "[\n  {\n    \"a\": {}\n  },\n  []\n]\n"),
        ];
        for (sent, wanted) in rows {
            assert_eq!(String::from_utf8(json(sent.as_bytes())).unwrap(), wanted, "{sent}");
        }
    }
}
