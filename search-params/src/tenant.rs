//! Organisations that share a database: tenants.
//!
//! A tenant is the high bits of `type_id` in every row, and part of every hash that the indexes hold. Nothing of one tenant
//! is therefore equal to anything of another: neither a row's type nor a key nor the handle of an id that a client chose.
//! The default organisation is tenant 0 and adds no byte to any hash, so that a database of one organisation holds what it
//! held before there were tenants.

use fhir_model::{Error, Result};

/// The number of a tenant: at most 15 bits, as it is the high half of a positive `integer`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantId(u16);

impl TenantId {
    /// The default organisation: of a server that knows no other, everything.
    pub const DEFAULT: TenantId = TenantId(0);
    /// Conformance resources and terminology that all organisations read.
    pub const SHARED: TenantId = TenantId(1);
    /// People without an organisation: those who registered themselves, and golden records.
    pub const PLATFORM: TenantId = TenantId(2);
    /// The first number of an organisation that is added; those before it are kept for what all organisations share.
    pub const FIRST_ADDED: TenantId = TenantId(16);

    /// The tenant of a number.
    ///
    /// # Errors
    ///
    /// When the number has more than 15 bits.
    pub fn new(number: u16) -> Result<TenantId> {
        match number <= i16::MAX as u16 {
            true => Ok(TenantId(number)),
            false => Err(Error::internal(format!("{number} is no number of a tenant"))),
        }
    }

    /// Its number.
    pub fn number(self) -> u16 {
        self.0
    }

    /// The `type_id` of rows of a resource type in this tenant.
    pub fn type_id(self, type_number: u16) -> i32 {
        i32::from(self.0) << 16 | i32::from(type_number)
    }

    /// The tenant and the number of the resource type that a `type_id` stands for.
    ///
    /// # Errors
    ///
    /// When it is negative, as no `type_id` is.
    pub fn from_type_id(type_id: i32) -> Result<(TenantId, u16)> {
        let bits = u32::try_from(type_id).map_err(Error::internal)?;
        let [type_low, type_high, low, high] = bits.to_le_bytes();
        Ok((TenantId(u16::from_le_bytes([low, high])), u16::from_le_bytes([type_low, type_high])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_id_is_a_tenant_and_a_type() {
        for number in [0, 1, 2, 16, i16::MAX as u16] {
            let tenant = TenantId::new(number).unwrap();
            for type_number in [0, 1, 148, u16::MAX] {
                let type_id = tenant.type_id(type_number);
                assert!(type_id >= 0);
                assert_eq!(TenantId::from_type_id(type_id).unwrap(), (tenant, type_number));
            }
        }
        assert_eq!(TenantId::DEFAULT.type_id(7), 7, "rows of before there were tenants stay as they are");
        assert!(TenantId::new(i16::MAX as u16 + 1).is_err() && TenantId::from_type_id(-1).is_err());
    }
}
