//! What is sealed before it is stored, such as the secrets of one-time codes: XChaCha20-Poly1305
//! (<https://datatracker.ietf.org/doc/html/draft-irtf-cfrg-xchacha-03>) with a random nonce.
//!
//! A sealed value is the key's number (4 bytes, the highest first), the nonce (24), the ciphertext and its tag (16). What it is
//! for, its purpose, is authenticated with it: a value sealed for one purpose does not open for another, so that whoever can
//! write into the database cannot put one in the place of the other.

#[cfg(test)]
mod tests;

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead, Generate, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use fhir_model::{Error, Result};
use zeroize::Zeroizing;

/// The keys that seal and open: the one of the highest number seals, all open.
#[derive(Clone)]
pub struct SealKeys {
    /// In the order of their numbers; never empty, as [`SealKeys::new`] sees to.
    keys: Vec<SealKey>,
}

/// One key, with its number.
#[derive(Clone)]
pub(crate) struct SealKey {
    pub(crate) number: u32,
    key: Zeroizing<[u8; 32]>,
}

impl SealKeys {
    /// Returns `None` when there is no key.
    pub(crate) fn new(mut keys: Vec<SealKey>) -> Option<SealKeys> {
        keys.sort_by_key(|key| key.number);
        (!keys.is_empty()).then_some(SealKeys { keys })
    }

    /// The keys of a text, as an environment variable holds it: 32 bytes in base64url; or several, separated by commas or
    /// spaces, each with its number before it: `2:…,1:…`. A key without a number has the number 1.
    ///
    /// # Errors
    /// 400 when it is something else; the text is not repeated.
    pub fn from_text(text: &str) -> Result<SealKeys> {
        let wrong =
            || Error::value("A sealing key is 32 bytes in base64url, with its number and `:` before it");
        let mut keys: Vec<SealKey> = Vec::new();
        for entry in text.split([',', ' ', '\n', '\r', '\t']).filter(|entry| !entry.is_empty()) {
            let (number, key) = entry.split_once(':').unwrap_or(("1", entry));
            let number = number.parse().map_err(|_| wrong())?;
            if keys.iter().any(|key| key.number == number) {
                return Err(Error::value(format!("There are two sealing keys of the number {number}")));
            }
            keys.push(SealKey::from_text(number, key).ok_or_else(wrong)?);
        }
        SealKeys::new(keys).ok_or_else(wrong)
    }

    /// Seals bytes for a purpose (`totp`), with the newest key.
    ///
    /// # Errors
    /// The system has no randomness, or there is more than a cipher can take.
    pub fn seal(&self, purpose: &str, plain: &[u8]) -> Result<Vec<u8>> {
        let key = self.keys.last().ok_or_else(|| Error::internal("there is no sealing key"))?;
        let nonce = XNonce::try_generate().map_err(Error::internal)?;
        let payload = Payload { msg: plain, aad: purpose.as_bytes() };
        let sealed = key.cipher().encrypt(&nonce, payload).map_err(|_| Error::internal("sealing failed"))?;
        Ok([&key.number.to_be_bytes(), nonce.as_slice(), &sealed].concat())
    }

    /// Opens what [`SealKeys::seal`] made for the same purpose.
    ///
    /// # Errors
    /// 500: it is not ours, it was sealed for another purpose, or its key is missing; the log has which.
    pub fn open(&self, purpose: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let refused = |why: &str| Error::internal(format!("what is sealed for `{purpose}` {CANNOT}: {why}"));
        let (number, nonce, sealed) = parts(sealed).ok_or_else(|| refused("it is too short"))?;
        let Some(key) = self.keys.iter().find(|key| key.number == number) else {
            return Err(refused(&format!("sealing key {number} is missing")));
        };
        let payload = Payload { msg: sealed, aad: purpose.as_bytes() };
        let plain = key.cipher().decrypt(&XNonce::from(nonce), payload);
        plain
            .map(Zeroizing::new)
            .map_err(|_| refused(&format!("it is not of sealing key {number}, or was changed")))
    }

    /// Was it sealed with the newest key? If not it should be opened and sealed again before the old key goes.
    pub fn is_current(&self, sealed: &[u8]) -> bool {
        let newest = self.keys.last().map(|key| key.number);
        parts(sealed).map(|(number, ..)| number) == newest && newest.is_some()
    }
}

/// Said of everything that does not open.
const CANNOT: &str = "cannot be opened with the keys of this server";

impl SealKey {
    /// A new key.
    ///
    /// # Errors
    /// The system has no randomness.
    pub(crate) fn generate(number: u32) -> Result<SealKey> {
        Ok(SealKey { number, key: Zeroizing::new(Generate::try_generate().map_err(Error::internal)?) })
    }

    /// The key of a file's text. Returns `None` when it is none, or nothing but zeros.
    pub(crate) fn from_text(number: u32, text: &str) -> Option<SealKey> {
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()?);
        let key = Zeroizing::new(<[u8; 32]>::try_from(bytes.as_slice()).ok()?);
        key.iter().any(|byte| *byte != 0).then_some(SealKey { number, key })
    }

    /// The text of its file.
    pub(crate) fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(URL_SAFE_NO_PAD.encode(*self.key))
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&*self.key).into())
    }
}

impl fmt::Debug for SealKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKeys ")?;
        f.debug_list().entries(self.keys.iter().map(|key| key.number)).finish()
    }
}

/// Number, nonce, and ciphertext with its tag.
fn parts(sealed: &[u8]) -> Option<(u32, [u8; 24], &[u8])> {
    let (number, rest) = sealed.split_first_chunk::<4>()?;
    let (nonce, rest) = rest.split_first_chunk::<24>()?;
    Some((u32::from_be_bytes(*number), *nonce, rest))
}
