//! Which entry decides when several of the files hold the same resource: the last, in the order of the files.
//!
//! All files are looked through before the first is written. What is remembered is little: a bit for each name that was
//! seen, in a field of fixed size, and the place of the last entry for those names that came again. A name that shares
//! its bit with another is remembered, too, and decides for itself all the same.

use fhir_model::Key;
use foldhash::{HashMap, HashMapExt};
use sha2::{Digest, Sha256};

/// Bits of the field: 32 MiB, of which only what is used is real memory.
const BITS: u64 = 1 << 28;

/// The names that the files write, as far as more than one entry writes them.
#[derive(Debug)]
pub(super) struct Repeated {
    seen: Vec<u64>,
    /// By the hash of the name, for there may be millions: where it was seen last.
    last: HashMap<u128, u64>,
}

impl Repeated {
    pub(super) fn new() -> Repeated {
        Repeated { seen: vec![0; (BITS / 64) as usize], last: HashMap::new() }
    }

    /// Nothing comes again.
    pub(super) fn none() -> Repeated {
        Repeated { seen: Vec::new(), last: HashMap::new() }
    }

    /// An entry at `place` writes `key`; places come in the order of the files.
    pub(super) fn note(&mut self, key: &Key, place: u64) {
        let hash = hash(key);
        let bit = (hash as u64) % BITS;
        let Some(word) = self.seen.get_mut((bit / 64) as usize) else { return };
        let mask = 1 << (bit % 64);
        if *word & mask != 0 {
            self.last.insert(hash, place);
        }
        *word |= mask;
    }

    /// All are noted: the field has served.
    pub(super) fn finish(mut self) -> Repeated {
        self.seen = Vec::new();
        self
    }

    /// True when a later entry than the one at `place` writes `key`.
    pub(super) fn is_superseded(&self, key: &Key, place: u64) -> bool {
        !self.last.is_empty() && self.last.get(&hash(key)).is_some_and(|last| *last > place)
    }
}

/// 128 bits of SHA-256: two names that shared it would cost one of them its resource.
fn hash(key: &Key) -> u128 {
    let digest = Sha256::digest(key.to_string().as_bytes());
    digest.iter().take(16).fold(0, |hash, byte| hash << 8 | u128::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_several_decides() {
        let key = |n: u64| Key::new("Patient", n.to_string());
        let mut repeated = Repeated::new();
        for (place, n) in [1, 2, 1, 3, 1, 3].into_iter().enumerate() {
            repeated.note(&key(n), place as u64);
        }
        let repeated = repeated.finish();
        let superseded: Vec<bool> = [1, 2, 1, 3, 1, 3]
            .into_iter()
            .enumerate()
            .map(|(place, n)| repeated.is_superseded(&key(n), place as u64))
            .collect();
        assert_eq!(superseded, [true, false, true, true, false, false]);
        assert!(!Repeated::none().is_superseded(&key(1), 0));
    }
}
