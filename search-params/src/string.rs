//! `string` parameters: <https://hl7.org/fhir/R4/search.html#string>
//!
//! A match begins with the text, whatever the case, the accents, the punctuation and the white space (`fhir-text`);
//! `:contains` finds it anywhere; `:exact` is exact. Names and addresses are searched by each of their parts, names by each
//! word of a part, too: of addresses that would cost every create of a patient a tenth. `phonetic` compares how words
//! sound.

use std::borrow::Cow;

use fhir_model::json::Ref;
use fhir_model::{Error, Result};
use fhir_text::{later_words, normalize, sound, sounds, words};

use crate::condition::Condition;
use crate::index_hash::{Form, IndexHasher};
use crate::index_writer::IndexWriter;
use crate::param::{Index, Param};
use crate::query::Modifier;
use crate::rows::{CONTINUED, WORD, element_bit};
use crate::windows::{CONTAINS_BYTES_MAX, asked_part, windows};

/// The parameter that compares how names sound.
pub(crate) const PHONETIC_URL: &str = "http://hl7.org/fhir/SearchParameter/individual-phonetic";

/// Parts of a HumanName that are searched.
const NAME_PARTS: &[&str] = &["text", "family", "given", "prefix", "suffix"];
/// Those of them that sound.
const SOUND_PARTS: &[&str] = &["text", "family", "given"];
/// Parts of an Address that are searched.
const ADDRESS_PARTS: &[&str] = &["text", "line", "city", "district", "state", "postalCode", "country"];

/// Words of one part by which it is found; of a part with more of them further ones are not.
const WORDS_MAX: usize = 16;
/// Words that are looked for one by one; a text of more is looked for as a whole alone.
pub(crate) const ASKED_WORDS_MAX: usize = 6;

pub(crate) fn index(value: Ref<'_>, type_name: &str, writer: &mut IndexWriter<'_>) {
    let parts: &[&str] = match type_name {
        "HumanName" => NAME_PARTS,
        "Address" => ADDRESS_PARTS,
        _ => return part(value, element_bit(0), writer.index.words, writer),
    };
    let by_words = writer.index.words && type_name == "HumanName";
    for name in parts {
        for item in value.get(name).into_iter().flat_map(Ref::items) {
            part(item, element_bit(writer.ordinal), by_words, writer);
            if writer.index.sounds && SOUND_PARTS.contains(name) {
                sounds_of(item, writer);
            }
        }
    }
}

fn part(value: Ref<'_>, element: i16, by_words: bool, writer: &mut IndexWriter<'_>) {
    let Some(text) = value.str() else { return };
    writer.equality(Form::Exact, &[&text]);
    let element = if writer.index.words { element } else { 0 };
    let plain = normalize(&text);
    // Nothing but signs: a text that nobody finds, but not a missing one when it is sorted.
    let plain = if plain.is_empty() { " ".into() } else { plain };
    for (i, window) in windows(&plain).enumerate() {
        writer.text(window, if i == 0 { element } else { CONTINUED });
    }
    if by_words {
        for later in later_words(&text).take(WORDS_MAX - 1) {
            let plain = normalize(later);
            if !plain.is_empty() {
                writer.text(asked_part(&plain), WORD | element);
            }
        }
    }
}

fn sounds_of(value: Ref<'_>, writer: &mut IndexWriter<'_>) {
    for sound in value.str().map(|text| sounds(&text)).unwrap_or_default().into_iter().take(WORDS_MAX) {
        writer.equality(Form::Sound, &[&sound]);
    }
}

/// A text of a query, refused when it is longer than what can be found.
pub(crate) fn parse(text: String, modifier: &Modifier) -> Result<String> {
    if *modifier == Modifier::Exact {
        return Ok(text);
    }
    let plain = normalize(&text);
    // Everything begins with nothing: what is asked for is a text.
    if plain.is_empty() {
        return Err(Error::value(
            "there is nothing to search for in this text: it needs a letter, a digit or a symbol; punctuation does not count",
        ));
    }
    if plain.len() > CONTAINS_BYTES_MAX {
        let text = format!(
            "a search text has at most {CONTAINS_BYTES_MAX} bytes, this one {}; with `:exact` it may be longer",
            plain.len()
        );
        return Err(Error::value(text));
    }
    Ok(text)
}

pub(crate) fn condition(text: &str, modifier: &Modifier, param: &Param, hasher: &IndexHasher) -> Condition {
    let each = param.indexes.iter().map(|index| {
        let key = |form, parts: &[&str]| hasher.key(param.type_number, &index.name, form, parts);
        match modifier {
            Modifier::Exact => Condition::Keys(vec![key(Form::Exact, &[text])]),
            Modifier::Contains => {
                Condition::TextContains(key(Form::Normalized, &[]), normalize(text).into_owned())
            }
            _ if param.is_phonetic() => sounds_like(text, &|sound| key(Form::Sound, &[sound])),
            _ => begins(text, index, key(Form::Normalized, &[])),
        }
    });
    Condition::Any(each.collect())
}

/// It begins with the text; or, of names and addresses, each word of the text begins a word of the same one.
fn begins(text: &str, index: &Index, key: i64) -> Condition {
    let whole = Condition::TextPrefix(key, normalize(text).into_owned());
    if !index.words {
        return whole;
    }
    let mut asked: Vec<String> =
        words(text).map(normalize).filter(|word| !word.is_empty()).map(Cow::into_owned).collect();
    asked.sort_unstable();
    asked.dedup();
    match asked.len() {
        2..=ASKED_WORDS_MAX => Condition::Any(vec![whole, Condition::TextWords(key, asked)]),
        _ => whole,
    }
}

/// Each word sounds like one that is there, or all of them together do.
fn sounds_like(text: &str, key: &dyn Fn(&str) -> i64) -> Condition {
    let whole = Condition::Tokens(vec![key(&sound(text))]);
    let each: Vec<Condition> = words(text)
        .map(sound)
        .filter(|sound| !sound.is_empty())
        .take(WORDS_MAX)
        .map(|sound| Condition::Tokens(vec![key(&sound)]))
        .collect();
    Condition::Any(vec![whole, Condition::All(each)])
}

impl Param {
    /// True when it compares how words sound.
    pub fn is_phonetic(&self) -> bool {
        *self.definition.url == *PHONETIC_URL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_text_has_something_to_find() {
        for blank in ["", " ", "\t \u{a0}", "\u{301}", " \u{301} \u{3000}", "-", "’", "\u{200b}", "..."] {
            for modifier in [Modifier::None, Modifier::Contains] {
                let refused = parse(blank.to_owned(), &modifier).unwrap_err();
                assert_eq!(refused.kind.status(), 400, "{blank:?}, {modifier:?}");
            }
            assert!(parse(blank.to_owned(), &Modifier::Exact).is_ok(), "{blank:?} as it is written");
        }
        assert!(parse(" a ".to_owned(), &Modifier::None).is_ok());
    }
}
