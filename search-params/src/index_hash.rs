//! Keyed hashes: what equality in search is stored as.
//!
//! Equality entries are 64-bit SipHashes of (type, index, form, parts) under a secret of the database, so that
//! nobody can choose values that collide. With 10^9 distinct values the chance that one query meets a false match
//! is about 10^9 / 2^64, so matches are not rechecked.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

use crate::tenant::TenantId;

/// Makes keys and handles; one per database and tenant.
#[derive(Clone, Copy)]
pub struct IndexHasher {
    secret: (u64, u64),
    fold_codes: bool,
    tenant: TenantId,
}

impl std::fmt::Debug for IndexHasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IndexHasher")
    }
}

/// The forms in which one value can be asked for. Part of the hash: a value of one form never meets another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Form {
    /// A token's code, whatever its system; its case matters.
    Code = 1,
    /// A token's system (may be empty) and code.
    SystemCode = 2,
    /// A token's system, whatever its code.
    System = 3,
    /// A string, exactly as written.
    Exact = 4,
    /// A string, folded: the key of its ordered entries.
    Normalized = 5,
    /// A reference to `Type/id`.
    Local = 6,
    /// A reference to anything else, or a uri.
    Uri = 7,
    /// The identifier of a logical reference: value, whatever its system.
    IdentifierValue = 8,
    /// The identifier of a logical reference: system and value.
    IdentifierSystemValue = 9,
    /// Dates, numbers and quantities: the key of their ordered entries.
    Ordered = 10,
    /// Quantities by a unit that is not their code.
    Unit = 11,
    /// A unit of measure: system and code.
    UnitCode = 12,
    /// The parameter has a value (for parameters without a bit of their own).
    Present = 13,
    /// The identifier of a logical reference: system, whatever its value.
    IdentifierSystem = 14,
    /// An identifier with its type: system and code of the type, value.
    OfType = 20,
    /// A canonical: url, and a version or the beginning of one.
    Version = 21,
    /// Numbers and quantities that are ranges: the key of their ordered entries, whatever the unit.
    Span = 22,
    /// The same for one unit: system and code.
    SpanUnitCode = 23,
    /// The same for one unit that is not its code.
    SpanUnit = 24,
    /// The text of a token, folded.
    Text = 25,
    /// The key of the distinct UCUM units of an index.
    Units = 26,
    /// A reference leads to a resource within the same document: its type. Without one, the key of these distinct types.
    Embedded = 27,
    /// A token's code, whatever its system and its case.
    FoldedCode = 28,
    /// A token's system (may be empty), and its code whatever the case.
    FoldedSystemCode = 29,
    /// How a word of a name sounds.
    Sound = 30,
}

impl IndexHasher {
    /// A hasher with the database's secret.
    pub fn new(secret: [u8; 16]) -> IndexHasher {
        let word = |bytes: &[u8]| bytes.iter().fold(0u64, |n, b| n << 8 | u64::from(*b));
        let (a, b) = secret.split_at(8);
        IndexHasher { secret: (word(a), word(b)), fold_codes: false, tenant: TenantId::DEFAULT }
    }

    /// The same where the case of codes and identifiers does not matter.
    #[must_use]
    pub fn with_fold_codes(self, fold_codes: bool) -> IndexHasher {
        IndexHasher { fold_codes, ..self }
    }

    /// The same for the rows of a tenant: no key or handle of it is one of another.
    #[must_use]
    pub fn with_tenant(self, tenant: TenantId) -> IndexHasher {
        IndexHasher { tenant, ..self }
    }

    /// The tenant whose rows it makes keys for.
    pub fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// The `type_id` of rows of a resource type.
    pub fn type_id(&self, type_number: u16) -> i32 {
        self.tenant.type_id(type_number)
    }

    /// True when the case of codes and identifiers does not matter.
    pub(crate) fn fold_codes(&self) -> bool {
        self.fold_codes
    }

    /// The key of a value of one index of a type.
    pub fn key(&self, type_number: u16, index: &str, form: Form, parts: &[&str]) -> i64 {
        let mut hasher = SipHasher13::new_with_keys(self.secret.0, self.secret.1);
        self.write_tenant(&mut hasher);
        hasher.write(&type_number.to_le_bytes());
        hasher.write(index.as_bytes());
        hasher.write(&[0, form as u8]);
        for part in parts {
            hasher.write(part.as_bytes());
            hasher.write(&[0]);
        }
        hasher.finish() as i64
    }

    /// The key of an entry that is made of several.
    pub fn combined(&self, keys: impl Iterator<Item = i64>) -> i64 {
        let mut hasher = SipHasher13::new_with_keys(self.secret.0, self.secret.1);
        keys.for_each(|key| hasher.write_i64(key));
        hasher.finish() as i64
    }

    /// The default organisation adds nothing, so that what was hashed before there were others stays. For any other the
    /// four bytes begin with two that are no type's number.
    fn write_tenant(&self, hasher: &mut SipHasher13) {
        if self.tenant != TenantId::DEFAULT {
            hasher.write(&[0xff, 0xff]);
            hasher.write(&self.tenant.number().to_le_bytes());
        }
    }

    /// The handle an id stands for when nothing else says otherwise: the number within a server-given id, a
    /// negative hash of type and id for any other. It is a pure function of the id's text, so that references can
    /// be indexed without looking at what they point to.
    pub fn handle(&self, type_number: u16, id: &str) -> i64 {
        parse_server_id(id).unwrap_or_else(|| self.foreign_handle(type_number, id))
    }

    /// The handle of a resource whose id a client chose: always negative.
    pub fn foreign_handle(&self, type_number: u16, id: &str) -> i64 {
        let mut hasher = SipHasher13::new_with_keys(self.secret.1, self.secret.0);
        self.write_tenant(&mut hasher);
        hasher.write(&type_number.to_le_bytes());
        hasher.write(id.as_bytes());
        -((hasher.finish() >> 1) as i64) - 1
    }
}

/// The handle within a server-given id: 16 lowercase hexadecimal digits of a number that is not negative.
pub fn parse_server_id(id: &str) -> Option<i64> {
    let digits = id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    (id.len() == 16 && digits).then(|| i64::from_str_radix(id, 16).ok()).flatten()
}

/// The id the server gives to a handle.
pub fn format_server_id(handle: i64) -> String {
    format!("{handle:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_ids_are_their_handles() {
        for handle in [0, 1, 0x0193_a5c1_e2f0_0a41, i64::MAX] {
            assert_eq!(parse_server_id(&format_server_id(handle)), Some(handle));
        }
        for other in ["", "1", "0193A5C1E2F00A41", "ffffffffffffffff", "0193a5c1e2f00a4", "0193a5c1-2f00a41"]
        {
            assert_eq!(parse_server_id(other), None, "{other}");
        }
    }

    #[test]
    fn keys_differ_by_every_part() {
        let hasher = IndexHasher::new([7; 16]);
        let base = hasher.key(1, "code", Form::SystemCode, &["s", "c"]);
        let others = [
            hasher.key(2, "code", Form::SystemCode, &["s", "c"]),
            hasher.key(1, "cod", Form::SystemCode, &["s", "c"]),
            hasher.key(1, "code", Form::Code, &["s", "c"]),
            hasher.key(1, "code", Form::SystemCode, &["sc", ""]),
            IndexHasher::new([8; 16]).key(1, "code", Form::SystemCode, &["s", "c"]),
        ];
        assert!(others.iter().all(|k| *k != base));
        assert_eq!(base, hasher.key(1, "code", Form::SystemCode, &["s", "c"]));
        assert!(hasher.handle(1, "example") < 0);
    }
}
