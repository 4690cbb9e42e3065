//! Common passwords, embedded: `data/README.md` says whose list it is.

use sha2::{Digest, Sha256};

/// The first bytes of the SHA-256 of each, sorted.
const HASHES: &[u8] = include_bytes!("../../data/common-passwords.bin");

/// Of 40,000 hashes of 40 bits, one in 27 million other passwords has one by chance.
const HASH_BYTES: usize = 5;

/// Is it among them? `lower` is normalised and in lower case.
pub(super) fn contains(lower: &str) -> bool {
    let (hashes, _) = HASHES.as_chunks::<HASH_BYTES>();
    hash(lower).is_some_and(|hash| hashes.binary_search(&hash).is_ok())
}

fn hash(lower: &str) -> Option<[u8; HASH_BYTES]> {
    Sha256::digest(lower).first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use unicode_normalization::UnicodeNormalization;

    use super::*;

    /// As many as fit into 200 kB.
    const PASSWORDS: usize = 40_000;

    #[test]
    fn the_list() {
        assert_eq!(HASHES.len(), PASSWORDS * HASH_BYTES);
        let (hashes, rest) = HASHES.as_chunks::<HASH_BYTES>();
        assert!(rest.is_empty() && hashes.is_sorted());
        for common in ["1234567890", "qwertyuiop", "password123", "basketball", "1q2w3e4r5t"] {
            assert!(contains(common), "{common}");
        }
        for other in ["", "correct horse battery staple", "Password123", "tvoitroya-9h"] {
            assert!(!contains(other), "{other}");
        }
    }

    /// Makes the list anew: `COMMON_PASSWORDS=<file> UPDATE=1 cargo test -p fhir-credentials common`.
    #[test]
    fn the_list_is_that_of_its_source() {
        let Ok(source) = std::env::var("COMMON_PASSWORDS") else { return };
        let text = std::fs::read_to_string(source).unwrap();
        let mut hashes = BTreeSet::new();
        for line in text.lines() {
            let lower: String = line.nfkc().collect::<String>().to_lowercase();
            if lower.chars().count() >= 10 && hashes.len() < PASSWORDS {
                hashes.insert(hash(&lower).unwrap());
            }
        }
        let bytes: Vec<u8> = hashes.into_iter().flatten().collect();
        if std::env::var_os("UPDATE").is_some() {
            let path = concat!(env!("CARGO_MANIFEST_DIR"), "/data/common-passwords.bin");
            std::fs::write(path, &bytes).unwrap();
        } else {
            assert!(bytes == HASHES);
        }
    }
}
