//! What does not matter in a text: case, accents, punctuation, white space, strokes and hooks of letters.
//!
//! <https://hl7.org/fhir/R4/search.html#string>

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use unicode_properties::{GeneralCategory as Category, UnicodeGeneralCategory};

use crate::letters;

/// The text without all that does not matter: `Ng'ang'a` and `NGANGA` are `nganga`, `van der Merwe` is `vandermerwe`.
/// Compatibility characters are what they stand for (`ﬁ`, `①`), Latin letters with strokes or hooks the plain ones.
pub fn normalize(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9')) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    if text.is_ascii() {
        out.extend(text.chars().filter(|c| is_significant(*c)).map(|c| c.to_ascii_lowercase()));
        return Cow::Owned(out);
    }
    let letters = text.nfkd().filter(|c| !is_combining_mark(*c)).flat_map(fold_case);
    // Cases can bring marks of their own (`İ`), and marks can stand in the way of what belongs together.
    for c in letters.nfkd().filter(|c| is_significant(*c)) {
        match letters::plain(c) {
            Some(plain) => out.push_str(plain),
            None => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// The text whatever its case, and in one form of those that look the same; all else matters.
pub fn caseless(text: &str) -> Cow<'_, str> {
    let is_plain = |b: u8| b.is_ascii() && !b.is_ascii_uppercase();
    if text.bytes().all(is_plain) {
        return Cow::Borrowed(text);
    }
    if text.is_ascii() {
        return Cow::Owned(text.to_ascii_lowercase());
    }
    // Of what is composed anew one more letter can have a case (`ǰ`), hence twice.
    let folded: String = text.nfd().flat_map(fold_case).nfc().collect();
    Cow::Owned(folded.nfd().flat_map(fold_case).nfc().collect())
}

/// The words of a text, as they are written: what stands between white space and punctuation. Apostrophes, and whatever
/// is written for them, are within a word.
pub fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(is_break).filter(|word| !word.is_empty())
}

/// What follows in a text from each of its words on, but for the first word: `der Merwe` and `Merwe` of `van der Merwe`.
pub fn later_words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text.trim_start_matches(is_break);
    std::iter::from_fn(move || {
        let end = rest.find(is_break)?;
        rest = rest.get(end..)?.trim_start_matches(is_break);
        (!rest.is_empty()).then_some(rest)
    })
}

/// Full case folding with what the standard library has: `ß` and `ẞ` are `ss`, `ς` is `σ`.
fn fold_case(c: char) -> impl Iterator<Item = char> {
    // `ẞ` is a capital already, and only its small form has the capitals `SS`.
    c.to_lowercase().flat_map(char::to_uppercase).flat_map(char::to_lowercase)
}

/// Whether a character tells texts apart. Punctuation, separators, controls and formats (zero-width ones, soft hyphens,
/// directions), accents on their own and other marks do not; letters, digits, and symbols such as `+` and `€` do.
fn is_significant(c: char) -> bool {
    if c.is_ascii_alphanumeric() {
        return true;
    }
    match c.general_category() {
        Category::ConnectorPunctuation
        | Category::DashPunctuation
        | Category::OpenPunctuation
        | Category::ClosePunctuation
        | Category::InitialPunctuation
        | Category::FinalPunctuation
        | Category::OtherPunctuation
        | Category::SpaceSeparator
        | Category::LineSeparator
        | Category::ParagraphSeparator
        | Category::Control
        | Category::Format
        | Category::ModifierSymbol => false,
        _ => !is_combining_mark(c) && !is_written_as_sign(c),
    }
}

/// Letters to Unicode that people write as apostrophes and other signs, or leave out: `ʼ` of Ng'ang'a and of Hausa `ʼy`,
/// `ʿ` and `ʾ` of transliterated Arabic, glottal stops, clicks (`ǃXu`), and the stroke that only lengthens Arabic words.
fn is_written_as_sign(c: char) -> bool {
    matches!(
        c,
        '\u{1C0}'..='\u{1C3}' // clicks
            | '\u{1BE}' | '\u{241}' | '\u{242}' | '\u{294}'..='\u{296}' | '\u{298}' | '\u{2A1}' | '\u{2A2}'
            | '\u{2B0}'..='\u{2FF}' // modifier letters; those that stand for letters are these by now
            | '\u{640}' // tatweel
            | '\u{A722}'..='\u{A725}' // ʾ and ʿ of Egyptologists
            | '\u{A78B}' | '\u{A78C}' | '\u{A78F}'
            | '\u{1DF0A}' | '\u{1DF0E}'
    )
}

/// Whether a character stands between words.
fn is_break(c: char) -> bool {
    if c.is_ascii_alphanumeric() || is_apostrophe(c) {
        return false;
    }
    c.is_whitespace()
        || matches!(
            c.general_category(),
            Category::ConnectorPunctuation
                | Category::DashPunctuation
                | Category::OpenPunctuation
                | Category::ClosePunctuation
                | Category::InitialPunctuation
                | Category::FinalPunctuation
                | Category::OtherPunctuation
        )
}

/// Punctuation that is part of a word. (Backticks and `ʼ` are no punctuation.)
fn is_apostrophe(c: char) -> bool {
    matches!(
        c,
        '\'' | '\u{2018}'
            | '\u{2019}'
            | '\u{201B}'
            | '\u{2032}'
            | '\u{2035}'
            | '\u{FF07}'
            | '\u{55A}'
            | '\u{5F3}'
            | '·'
    )
}
