//! Texts without what does not matter, and names by their words: <https://hl7.org/fhir/R4/search.html#string>

use fhir_model::json::Ref;
use fhir_search::query::SearchTerm;
use fhir_search::registry::Param;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup as Group, UnicodeGeneralCategory};

use super::corpus::One;
use super::matches::texts;

/// Case, accents, compatibility forms, punctuation and white space do not matter, nor do strokes and hooks of letters.
pub(super) fn folded(text: &str) -> String {
    let plain = |text: &str| -> String { text.nfkd().filter(|c| !is_combining_mark(*c)).collect() };
    let caseless = plain(text).to_lowercase().to_uppercase().to_lowercase().replace('ς', "σ");
    plain(&caseless).chars().filter(|c| counts(*c)).map(letter).collect()
}

fn counts(c: char) -> bool {
    match c.general_category() {
        GeneralCategory::ModifierSymbol | GeneralCategory::Control | GeneralCategory::Format => return false,
        GeneralCategory::ModifierLetter if ('\u{2b0}'..='\u{2ff}').contains(&c) || c == '\u{640}' => {
            return false;
        }
        _ => {}
    }
    !matches!(c.general_category_group(), Group::Punctuation | Group::Separator | Group::Mark)
}

/// The letter that the name of a letter names.
fn letter(c: char) -> String {
    if c.is_ascii() {
        return c.to_string();
    }
    let name = unicode_names2::name(c).map(|name| name.to_string()).unwrap_or_default();
    let base = name.strip_prefix("LATIN SMALL LETTER ").map(|rest| rest.split(" WITH ").next().unwrap());
    match base {
        Some("AE" | "OE") => base.unwrap().to_lowercase(),
        Some("ENG") => "ng".to_owned(),
        Some("THORN") => "th".to_owned(),
        Some("ETH") => "d".to_owned(),
        Some("DOTLESS I") => "i".to_owned(),
        Some("OPEN E" | "SCHWA") => "e".to_owned(),
        Some("OPEN O") => "o".to_owned(),
        Some(one) if one.len() == 1 => one.to_lowercase(),
        _ if name == "LATIN SMALL LIGATURE OE" => "oe".to_owned(),
        _ => c.to_string(),
    }
}

fn words(text: &str) -> Vec<(usize, &str)> {
    let apart = |c: char| {
        let within = "'\u{2018}\u{2019}\u{201b}\u{2032}\u{2035}\u{ff07}\u{55a}\u{5f3}·".contains(c);
        !within && (c.is_whitespace() || c.general_category_group() == Group::Punctuation)
    };
    let mut all: Vec<(usize, &str)> = Vec::new();
    let mut from = None;
    for (at, c) in text.char_indices().chain([(text.len(), ' ')]) {
        match (apart(c), from) {
            (true, Some(start)) => {
                all.push((start, &text[start..at]));
                from = None;
            }
            (false, None) => from = Some(at),
            _ => {}
        }
    }
    all
}

/// What a text is found by: itself, and what follows in it from each of its words on.
fn starts(text: &str, by_words: bool) -> Vec<String> {
    let later = words(text).into_iter().skip(1).map(|(at, _)| folded(&text[at..]));
    std::iter::once(folded(text)).chain(later.take(if by_words { 15 } else { 0 })).collect()
}

/// Whether the values begin with a text: one of their texts, a word of it, or each word of the text one of a same name.
pub(super) fn begins(term: &SearchTerm, param: &Param, values: &[One]) -> bool {
    let nodes = || {
        values
            .iter()
            .filter_map(|v| if let One::Node(node, kind) = v { Some((*node, &**kind)) } else { None })
    };
    let wanted = match term {
        SearchTerm::Text(text) => text,
        SearchTerm::Flag(missing) => {
            return nodes().any(|(node, kind)| !texts(kind, node).is_empty()) != *missing;
        }
        _ => return false,
    };
    if param.is_phonetic() {
        return sounds_like(wanted, nodes());
    }
    let by_words = |kind: &str| {
        let path = param.definition.expression.as_deref().unwrap_or_default();
        let part = [".family", ".given", ".prefix", ".suffix"].iter().any(|part| path.contains(part));
        matches!(kind, "HumanName" | "Address")
            || (part && path.contains("name"))
            || path.contains("name.text")
            // The value of an extension may be a HumanName, as the mother's maiden name is one to people.
            || (kind == "string" && path.contains(".extension("))
            // The families that a component of an added composite finds by this definition.
            || (kind == "string" && path == "Patient.name")
    };
    let all: Vec<(&str, Vec<String>)> = nodes()
        .map(|(node, kind)| {
            let later = by_words(kind) && kind != "Address";
            (kind, texts(kind, node).iter().flat_map(|t| starts(t, later)).collect())
        })
        .collect();
    if all.iter().flat_map(|(_, starts)| starts).any(|start| start.starts_with(&folded(wanted))) {
        return true;
    }
    let mut each: Vec<String> =
        words(wanted).iter().map(|(_, word)| folded(word)).filter(|w| !w.is_empty()).collect();
    each.sort();
    each.dedup();
    if !(2..=6).contains(&each.len()) {
        return false;
    }
    let holds = |starts: &[&String]| {
        each.iter().all(|word| starts.iter().any(|start| start.starts_with(word.as_str())))
    };
    let of_one = all.iter().filter(|(kind, _)| matches!(*kind, "HumanName" | "Address"));
    // Of names that are strings it is not known which belong together.
    let of_all: Vec<&String> = all
        .iter()
        .filter(|(kind, _)| *kind == "string" && by_words(kind))
        .flat_map(|(_, starts)| starts)
        .collect();
    of_one.into_iter().any(|(_, starts)| holds(&starts.iter().collect::<Vec<_>>())) || holds(&of_all)
}

fn sounds_like<'d>(wanted: &str, names: impl Iterator<Item = (Ref<'d>, &'d str)>) -> bool {
    let mut there = Vec::new();
    for (name, _) in names {
        let parts =
            ["text", "family", "given"].into_iter().filter_map(|part| name.get(part)).flat_map(Ref::items);
        for part in parts.filter_map(|part| part.str()) {
            let words: Vec<&str> = words(&part).into_iter().map(|(_, word)| word).collect();
            there.extend(words.iter().map(|word| fhir_text::sound(word)));
            there.extend(words.windows(2).map(|pair| fhir_text::sound(&format!("{}{}", pair[0], pair[1]))));
        }
    }
    let each: Vec<String> = words(wanted)
        .into_iter()
        .map(|(_, word)| fhir_text::sound(word))
        .filter(|sound| !sound.is_empty())
        .collect();
    there.contains(&fhir_text::sound(wanted)) || each.iter().all(|sound| there.contains(sound))
}
