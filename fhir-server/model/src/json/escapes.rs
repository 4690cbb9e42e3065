//! Escapes in strings: `\n`, `\u00e9`.

/// Decodes the escapes of a string that the parser has accepted.
pub(super) fn unescape(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        let mut used = 2;
        match escape.as_bytes().get(1).copied().unwrap_or(b'\\') {
            b'b' => out.push('\u{8}'),
            b'f' => out.push('\u{c}'),
            b'n' => out.push('\n'),
            b'r' => out.push('\r'),
            b't' => out.push('\t'),
            b'u' => {
                let unit = |from: usize| hex(escape.as_bytes().get(from..from + 4).unwrap_or_default());
                let mut point = unit(2);
                used = 6;
                if (0xD800..0xDC00).contains(&point) {
                    point = 0x10000 + ((point - 0xD800) << 10) + unit(8).saturating_sub(0xDC00);
                    used = 12;
                }
                out.push(char::from_u32(point).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            other => out.push(other as char),
        }
        rest = escape.get(used..).unwrap_or("");
    }
    out.push_str(rest);
    out
}

pub(super) fn hex(digits: &[u8]) -> u32 {
    digits.iter().fold(0, |n, &d| n * 16 + (d as char).to_digit(16).unwrap_or(0))
}
