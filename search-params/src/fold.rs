//! Folding of text for string search: case, accents and runs of white space do not matter.
//!
//! <https://hl7.org/fhir/R4/search.html#string>

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// The longest stored window of a folded text, in bytes: a btree entry must fit a third of a page.
pub const WINDOW_BYTES_MAX: usize = 1800;
/// How much of a window the next one repeats; a `:contains` text may be this long.
pub const CONTAINS_BYTES_MAX: usize = 400;

/// Without case and accents, compatibility characters as what they stand for (`ﬁ`, `①`), white space as single spaces,
/// none at the ends.
pub fn fold(text: &str) -> Cow<'_, str> {
    let plain = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'\'' | b',');
    if text.bytes().all(plain) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut push = |c: char| {
        if c.is_whitespace() {
            if !out.is_empty() && !out.ends_with(' ') {
                out.push(' ');
            }
        } else {
            out.push(c);
        }
    };
    if text.is_ascii() {
        text.chars().for_each(|c| push(c.to_ascii_lowercase()));
    } else {
        let letters = text.nfkd().filter(|c| !is_combining_mark(*c)).flat_map(caseless);
        // Cases can bring marks of their own (`İ`), and marks can stand in the way of what belongs together.
        letters.nfkd().filter(|c| !is_combining_mark(*c)).for_each(push);
    }
    if out.ends_with(' ') {
        out.pop();
    }
    Cow::Owned(out)
}

/// Full case folding with what the standard library has: `ß` and `ẞ` are `ss`, `ς` is `σ`.
fn caseless(c: char) -> impl Iterator<Item = char> {
    // `ẞ` is a capital already, and only its small form has the capitals `SS`.
    c.to_lowercase().flat_map(char::to_uppercase).flat_map(char::to_lowercase)
}

/// Cuts a folded text into windows that overlap by [`CONTAINS_BYTES_MAX`]; nearly always one.
pub fn windows(folded: &str) -> impl Iterator<Item = &str> {
    let mut start = Some(0);
    std::iter::from_fn(move || {
        let from = start?;
        let rest = folded.get(from..)?;
        if rest.len() <= WINDOW_BYTES_MAX {
            start = None;
            return Some(rest);
        }
        let end = folded.floor_char_boundary(from + WINDOW_BYTES_MAX);
        start = Some(folded.floor_char_boundary(end - CONTAINS_BYTES_MAX));
        folded.get(from..end)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding() {
        let rows = [
            ("Müller", "muller"),
            ("  van   der\tBerg ", "van der berg"),
            ("ÉMILE", "emile"),
            ("e\u{301}mile", "emile"),
            ("o'neil", "o'neil"),
            ("Ọlájídé", "olajide"),
            ("İstanbul", "istanbul"),
            ("Straße", "strasse"),
            ("GROẞ", "gross"),
            ("ΣΊΣΥΦΟΣ σίσυφος", "σισυφοσ σισυφοσ"),
            ("\u{fb01}n \u{2460} ½", "fin 1 1\u{2044}2"),
            ("Ｍｕｌｌｅｒ\u{a0}\u{3000}Ⅳ", "muller iv"),
            ("ſchön", "schon"),
            ("", ""),
        ];
        for (text, folded) in rows {
            assert_eq!(fold(text), folded, "{text}");
            assert_eq!(fold(&fold(text)), folded, "folding twice changes nothing");
        }
    }

    #[test]
    fn every_character_folds_for_good_and_whatever_its_case() {
        for c in (0..0x3_0000).filter_map(char::from_u32) {
            let text = c.to_string();
            let folded = fold(&text).into_owned();
            assert_eq!(fold(&folded), folded, "{c:?} folded twice");
            // As a small letter the iota below is a mark, and as a capital it is a letter of its own.
            if !text.nfkd().any(|c| c == '\u{345}') {
                assert_eq!(fold(&text.to_uppercase()), folded, "{c:?} as capital");
            }
            assert_eq!(fold(&text.to_lowercase()), folded, "{c:?} as small letter");
        }
    }

    #[test]
    fn windows_overlap_and_cover() {
        let text = "añb".repeat(2000);
        let parts: Vec<_> = windows(&text).collect();
        assert!(parts.iter().all(|p| p.len() <= WINDOW_BYTES_MAX));
        for start in (0..text.len() - CONTAINS_BYTES_MAX).step_by(97) {
            let start = text.floor_char_boundary(start);
            let end = text.floor_char_boundary(start + CONTAINS_BYTES_MAX);
            let piece = &text[start..end];
            assert!(parts.iter().any(|p| p.contains(piece)), "{start}");
        }
        assert_eq!(windows("short").collect::<Vec<_>>(), ["short"]);
    }
}
