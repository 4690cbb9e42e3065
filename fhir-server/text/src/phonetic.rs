//! How names sound, as a key: names that sound alike have the same one.
//!
//! For the names of East and West Africa as clerks spell them, beside Arabic, English and French ones: Mohamed and Mamadou,
//! Otieno and Othieno, Wanjiru and Wanjilu, Diallo and Jallow, Ouédraogo and Wedraogo. Like Soundex and Metaphone it keeps
//! the consonants; voiced and unvoiced ones are the same, `l` and `r` too, as in many Bantu languages. Tonality, length,
//! vowels and silent letters are left out, but for that a name begins with a vowel.

use crate::normalize::{normalize, words};

/// Longest key: what comes after it tells nothing apart.
const SOUND_BYTES_MAX: usize = 24;

/// Where a spelling stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    /// At the beginning of the word.
    Start,
    /// Anywhere.
    Any,
}

/// A spelling, what may follow it (nothing: anything), and its sound.
struct Rule(At, &'static str, &'static str, &'static str);

const VOWELS: &str = "aeiou";

/// The first that fits is applied. What no rule is for is silent.
const RULES: &[Rule] = &[
    // English
    Rule(At::Start, "kn", "", "N"),  // Knight
    Rule(At::Start, "wr", "", "R"),  // Wright
    Rule(At::Start, "ps", "", "S"),  // Psalm
    Rule(At::Start, "geo", "", "J"), // Geoffrey, Jeffrey
    Rule(At::Any, "ght", "", "T"),   // Knight, Nite
    Rule(At::Any, "dge", "", "J"),   // Hodge
    // French, and names of West Africa in its spelling
    Rule(At::Start, "di", "aeou", "J"),   // Diallo, Jallow
    Rule(At::Start, "ndi", "aeou", "NJ"), // Ndiaye, Njie
    Rule(At::Start, "ou", "aeio", "W"),   // Ouédraogo, Wedraogo
    Rule(At::Any, "dj", "", "J"),         // Djibril, Jibril; Adjoa, Ajoa
    // What is one sound however it is spelled
    Rule(At::Any, "sch", "", "X"),
    Rule(At::Any, "tsh", "", "X"), // Tshabalala, Shabalala
    Rule(At::Any, "tch", "", "X"), // Tchaka, Chaka
    Rule(At::Any, "ch", "", "X"),  // Aicha, Aisha
    Rule(At::Any, "sh", "", "X"),
    Rule(At::Any, "ph", "", "F"),    // Phiri, Philip
    Rule(At::Any, "th", "", "T"),    // Othieno, Otieno
    Rule(At::Any, "dh", "", "T"),    // Odhiambo, Odiambo
    Rule(At::Any, "kh", "", "K"),    // Khumalo, Kumalo; Sheikh, Sheik
    Rule(At::Any, "gh", "", "K"),    // Asghar, Asgar
    Rule(At::Any, "bh", "", "P"),    // Bheki, Beki
    Rule(At::Any, "ck", "", "K"),    // Patrick, Patrik
    Rule(At::Any, "sc", "eiy", "S"), // Priscilla
    Rule(At::Any, "c", "eiy", "S"),  // Cissé, Sissé
    Rule(At::Any, "n", "pb", "M"),   // Nbeki, Mbeki
    Rule(At::Start, "x", "", "S"),   // Xavier, Zavier
    Rule(At::Any, "x", "", "KS"),    // Alex, Aleks
    // A name that begins with a vowel, or with half of one
    Rule(At::Start, "y", VOWELS, "Y"), // Yusuf, Youssef
    Rule(At::Start, "i", "aou", "Y"),  // Iusuf
    Rule(At::Start, "w", "", "W"),
    Rule(At::Start, "h", "", "H"),
    Rule(At::Start, "a", "", "A"),
    Rule(At::Start, "e", "", "A"),
    Rule(At::Start, "i", "", "A"),
    Rule(At::Start, "o", "", "A"),
    Rule(At::Start, "u", "", "A"),
    Rule(At::Start, "y", "", "A"), // Yvonne, Ivonne
    // Single letters
    Rule(At::Any, "b", "", "P"),
    Rule(At::Any, "c", "", "K"),
    Rule(At::Any, "d", "", "T"),
    Rule(At::Any, "f", "", "F"),
    Rule(At::Any, "g", "", "K"),
    Rule(At::Any, "j", "", "J"),
    Rule(At::Any, "k", "", "K"),
    Rule(At::Any, "l", "", "R"), // Wanjilu, Wanjiru
    Rule(At::Any, "m", "", "M"),
    Rule(At::Any, "n", "", "N"),
    Rule(At::Any, "p", "", "P"),
    Rule(At::Any, "q", "", "K"),
    Rule(At::Any, "r", "", "R"),
    Rule(At::Any, "s", "", "S"),
    Rule(At::Any, "t", "", "T"),
    Rule(At::Any, "v", "", "F"), // Steven, Stephen
    Rule(At::Any, "z", "", "S"),
];

/// The key of a word. A word of another script than the Latin one is its own key.
pub fn sound(word: &str) -> String {
    let word = normalize(word);
    if !word.bytes().all(|b| b.is_ascii_lowercase()) {
        return word.into_owned();
    }
    let (mut key, mut at) = (String::new(), 0);
    while let Some(rest) = word.get(at..).filter(|rest| !rest.is_empty() && key.len() < SOUND_BYTES_MAX) {
        let found = RULES.iter().find(|rule| rule.fits(rest, at == 0));
        let Some(Rule(_, spelling, _, sound)) = found else {
            // A vowel between two of the same tells them apart; an `h` does not.
            at += 1;
            if !rest.starts_with('h') && !key.ends_with(SILENT) {
                key.push(SILENT);
            }
            continue;
        };
        at += spelling.len();
        for c in sound.chars() {
            if !key.ends_with(c) {
                key.push(c);
            }
        }
    }
    key.retain(|c| c != SILENT);
    if key.is_empty() { word.into_owned() } else { key }
}

/// What a vowel is while a key is made.
const SILENT: char = '-';

/// The keys of the words of a text, and of each two that follow each other as one word: what is written apart (Abdul Rahman)
/// is written together, too.
pub fn sounds(text: &str) -> Vec<String> {
    let all: Vec<&str> = words(text).collect();
    let pairs = all.windows(2).map(|pair| sound(&pair.concat()));
    let mut keys: Vec<String> =
        all.iter().map(|word| sound(word)).chain(pairs).filter(|key| !key.is_empty()).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

impl Rule {
    fn fits(&self, rest: &str, starts: bool) -> bool {
        let Rule(at, spelling, before, _) = self;
        let Some(after) = rest.strip_prefix(spelling) else { return false };
        (starts || *at == At::Any) && (before.is_empty() || after.starts_with(|c| before.contains(c)))
    }
}
