//! What proves who somebody is: the server's keys, access tokens, passwords, one-time codes; and what is sealed at rest.
//!
//! ```
//! # let directory = tempfile::tempdir().map_err(fhir_model::Error::internal)?;
//! # let path = directory.path().join("keys");
//! use fhir_credentials::{Claims, KeyDirectory};
//!
//! let keys = KeyDirectory::open(&path)?;          // made at the first start
//! # let now = 1_800_000_000_000_000;
//! let claims = Claims::new("https://cari.example.org", "Practitioner/1", "fhir", now, now + 300_000_000);
//! let token = keys.token_keys().sign(&claims)?;   // v4.public.…
//! assert_eq!(keys.token_keys().verify(&token, "fhir", "https://cari.example.org", now)?, claims);
//! # Ok::<(), fhir_model::Error>(())
//! ```
//!
//! **Invariants:** the cryptography is that of libraries. Nothing here reads the clock: times are parameters, in microseconds
//! since 1970. No secret is shown by `Debug` or by an error. Files are touched by [`KeyDirectory`] and by the operator's
//! list of breached passwords alone; no database and no network by anything.

mod keys;
mod password;
mod seal;
mod secret;
mod token;
mod totp;

pub use keys::KeyDirectory;
pub use password::{PasswordOptions, Passwords, Verified};
pub use seal::SealKeys;
pub use secret::{code, digest, normalize_code, random_secret};
pub use token::{Claims, TokenKeys};
pub use totp::{TotpSecret, recovery_codes};
