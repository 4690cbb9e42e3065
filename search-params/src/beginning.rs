//! What the texts of a resource begin with, as hashes within its row.
//!
//! Entries of texts are in the order of the texts, so that what few resources have is found among them. What many have is
//! looked for along the order of the answer, and there a row says by these hashes whether one of its texts begins so. Of
//! a longer text it says the first characters, and its body is asked for the rest.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

/// Characters of a beginning that rows tell.
const CHARS_MAX: usize = 3;

/// True when rows tell all of a text that is asked for.
pub(crate) fn is_told(text: &str) -> bool {
    text.chars().count() <= CHARS_MAX
}

/// The hash that a row has when one of its texts under a key begins so.
pub(crate) fn of(key: i64, text: &str) -> i64 {
    hash(key, prefixes(text).last().unwrap_or_default())
}

/// The hashes of all that a text begins with.
pub(crate) fn all(key: i64, text: &str) -> impl Iterator<Item = i64> {
    prefixes(text).map(move |prefix| hash(key, prefix))
}

/// The shortest first.
fn prefixes(text: &str) -> impl Iterator<Item = &str> {
    let ends = text.char_indices().map(|(at, c)| at + c.len_utf8()).take(CHARS_MAX);
    ends.filter_map(|end| text.get(..end))
}

/// The keys of indexes are made with the database's secret, so that nobody can choose texts that collide, and no more than
/// other keys are these rechecked.
fn hash(key: i64, prefix: &str) -> i64 {
    let mut hasher = SipHasher13::new_with_keys(key as u64, 0);
    hasher.write(prefix.as_bytes());
    hasher.finish() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_the_hash_of_whatever_it_begins_with() {
        for text in ["w", "wa", "wan", "wanjiku", "ßeta", "é", "日本語話"] {
            let hashes: Vec<i64> = all(7, text).collect();
            assert_eq!(hashes.len(), text.chars().count().min(CHARS_MAX), "{text}");
            for (end, c) in text.char_indices() {
                assert!(hashes.contains(&of(7, &text[..end + c.len_utf8()])), "{text}, {end}");
            }
            assert!(!hashes.contains(&of(8, text)) && !hashes.contains(&of(7, "x")), "{text}");
            assert_eq!(
                is_told(text),
                hashes.last() == Some(&of(7, text)) && text.chars().count() < 4,
                "{text}"
            );
        }
    }
}
