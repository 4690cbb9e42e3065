//! Random secrets and one-time codes, and what is stored of them.
//!
//! A random secret has 256 bits: nobody guesses it from its digest, so a plain SHA-256 is stored of it, by which it is found
//! too. What people choose is hashed by [`crate::Passwords`] instead.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::Generate;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// 32 letters, so that 5 bits of a byte choose each as often as any other; without 0 and O, 1 and I.
const LETTERS: &[u8; 32] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ";

/// 32 random bytes in base64url, 43 letters: for refresh tokens, links in mails, secrets of clients.
///
/// # Panics
/// The system has no randomness: then nothing is safe.
pub fn random_secret() -> String {
    URL_SAFE_NO_PAD.encode(*Zeroizing::new(<[u8; 32]>::generate()))
}

/// What is stored of a random secret: its SHA-256.
pub fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret).into()
}

/// A random code for paper, groups of letters with hyphens between: `K7QD-M2XP-94HT` are three of four. A letter is 5 bits.
/// It is compared and stored as [`normalize_code`] has it.
///
/// # Panics
/// The system has no randomness: then nothing is safe.
pub fn code(groups: usize, letters: usize) -> String {
    let group =
        || -> String { (0..letters).map(|_| letter(u8::from_be_bytes(Generate::generate()))).collect() };
    (0..groups).map(|_| group()).collect::<Vec<_>>().join("-")
}

/// A code as somebody typed it, in the form that is compared: case, spaces and hyphens do not matter.
pub fn normalize_code(code: &str) -> String {
    // What phones and word processors make of a hyphen is one as well.
    let is_hyphen = |c: char| matches!(c, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}');
    code.chars().filter(|c| !c.is_whitespace() && !is_hyphen(*c)).flat_map(char::to_uppercase).collect()
}

/// The letter of a random byte.
fn letter(byte: u8) -> char {
    LETTERS.get(usize::from(byte % 32)).copied().map_or('2', char::from)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn secrets_are_long_and_never_the_same() {
        let secrets: HashSet<String> = (0..1000).map(|_| random_secret()).collect();
        assert_eq!(secrets.len(), 1000);
        assert!(secrets.iter().all(|secret| URL_SAFE_NO_PAD.decode(secret).unwrap().len() == 32));
    }

    #[test]
    fn digests_are_sha_256() {
        let hex: String = digest("abc").iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn codes_have_the_shape_that_is_asked_for() {
        for (groups, letters, length) in [(3, 4, 14), (1, 6, 6), (2, 5, 11), (0, 4, 0), (1, 0, 0)] {
            assert_eq!(code(groups, letters).len(), length, "{groups} {letters}");
        }
        let many: String = (0..1000).map(|_| code(3, 4)).collect();
        let seen: HashSet<char> = many.chars().collect();
        assert_eq!(seen.len(), 33, "all letters, and the hyphen");
        assert!(!many.contains(['0', 'O', '1', 'I']) && !many.contains(char::is_lowercase));
    }

    #[test]
    fn every_letter_is_as_likely() {
        let mut counts = std::collections::HashMap::new();
        for byte in 0..=255 {
            *counts.entry(letter(byte)).or_insert(0) += 1;
        }
        assert!(counts.len() == 32 && counts.values().all(|count| *count == 8), "{counts:?}");
    }

    #[test]
    fn codes_as_they_are_typed() {
        for typed in
            ["K7QD-M2XP-94HT", "k7qdm2xp94ht", " k7qd m2xp\t94ht\n", "K7QD–M2XP—94HT", "K-7-Q-D-M2XP94HT-"]
        {
            assert_eq!(normalize_code(typed), "K7QDM2XP94HT", "{typed}");
        }
        assert_ne!(normalize_code("K7QD"), normalize_code("K7QE"));
    }
}
