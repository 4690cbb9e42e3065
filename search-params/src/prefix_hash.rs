//! Prefix hashes: the first characters of a resource's texts, as hashes in its row.
//!
//! Entries of texts are in the order of the texts, so that what few resources have is found among them. What many have is
//! looked for along the order of the answer, and there a row says by these hashes whether one of its texts begins so. Of
//! a longer text it says the first characters, and its body is asked for the rest.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

/// The longest prefix that has a hash, in characters.
const PREFIX_CHARS_MAX: usize = 3;

/// True when the text is no longer than a hashed prefix, so that the hash decides.
pub(crate) fn is_covered(text: &str) -> bool {
    text.chars().count() <= PREFIX_CHARS_MAX
}

/// The hash that a row has when one of its texts under a key begins with `text`, as far as a hashed prefix reaches.
pub(crate) fn longest(key: i64, text: &str) -> i64 {
    hash(key, prefixes(text).last().unwrap_or_default())
}

/// The hashes of all prefixes of a text.
pub(crate) fn every(key: i64, text: &str) -> impl Iterator<Item = i64> {
    prefixes(text).map(move |prefix| hash(key, prefix))
}

/// The shortest first.
fn prefixes(text: &str) -> impl Iterator<Item = &str> {
    let ends = text.char_indices().map(|(at, c)| at + c.len_utf8()).take(PREFIX_CHARS_MAX);
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
            let hashes: Vec<i64> = every(7, text).collect();
            assert_eq!(hashes.len(), text.chars().count().min(PREFIX_CHARS_MAX), "{text}");
            for (end, c) in text.char_indices() {
                assert!(hashes.contains(&longest(7, &text[..end + c.len_utf8()])), "{text}, {end}");
            }
            assert!(!hashes.contains(&longest(8, text)) && !hashes.contains(&longest(7, "x")), "{text}");
            assert_eq!(
                is_covered(text),
                hashes.last() == Some(&longest(7, text)) && text.chars().count() < 4,
                "{text}"
            );
        }
    }
}
