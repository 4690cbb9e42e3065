//! Access tokens: PASETO `v4.public`, signed with Ed25519: <https://github.com/paseto-standard/paseto-spec>
//!
//! The footer `{"kid":"k4.pid.…"}` names the key. The algorithm is that of the version, so there is none to choose, and
//! none to be talked into.

mod claims;
#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fhir_model::{Error, Kind, Result};
use pasetors::Public;
use pasetors::keys::{AsymmetricKeyPair, AsymmetricPublicKey, AsymmetricSecretKey, Generate};
use pasetors::paserk::{FormatAsPaserk, Id};
use pasetors::token::UntrustedToken;
use pasetors::version4::{PublicToken, V4};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

pub use claims::Claims;

/// Longer than any token of ours; what is longer is not looked at.
const TOKEN_BYTES_MAX: usize = 4096;

/// A footer of ours has 61 bytes.
const FOOTER_BYTES_MAX: usize = 256;

/// The keys that sign and verify access tokens: the one of the highest number signs, all verify.
#[derive(Clone)]
pub struct TokenKeys {
    /// In the order of their numbers; never empty, as [`TokenKeys::new`] sees to.
    keys: Vec<TokenKey>,
}

/// One key pair.
#[derive(Clone)]
pub(crate) struct TokenKey {
    pub(crate) number: u32,
    id: String,
    secret: AsymmetricSecretKey<V4>,
    public: AsymmetricPublicKey<V4>,
}

impl TokenKeys {
    /// Returns `None` when there is no key.
    pub(crate) fn new(mut keys: Vec<TokenKey>) -> Option<TokenKeys> {
        keys.sort_by_key(|key| key.number);
        (!keys.is_empty()).then_some(TokenKeys { keys })
    }

    /// A token with these claims, signed with the newest key.
    ///
    /// # Errors
    /// Our own mistakes: a time that is none, an extra claim with the name of another, more than a token may hold.
    pub fn sign(&self, claims: &Claims) -> Result<String> {
        let key = self.keys.last().ok_or_else(|| Error::internal("there is no token key"))?;
        let footer = footer(&key.id);
        let token =
            PublicToken::sign(&key.secret, claims.to_json()?.as_bytes(), Some(footer.as_bytes()), None)
                .map_err(Error::internal)?;
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Error::internal(format!("a token of {} bytes is too long", token.len())));
        }
        Ok(token)
    }

    /// The claims of a token that one of these keys signed, that is meant for `audience`, that `issuer` gave out, and that
    /// holds `now` (in microseconds since 1970; clocks may differ by a minute).
    ///
    /// # Errors
    /// 401 with one and the same text for everything that is wrong: whoever tries tokens learns nothing from it.
    pub fn verify(&self, token: &str, audience: &str, issuer: &str, now: i64) -> Result<Claims> {
        self.payload(token)
            .and_then(|payload| Claims::from_json(&payload))
            .filter(|claims| *claims.audience == *audience && *claims.issuer == *issuer && claims.hold(now))
            .ok_or_else(|| Error::new(Kind::Unauthorized, "Invalid or expired token"))
    }

    /// Each key's id (`k4.pid.…`) and public key (`k4.public.…`), the oldest first: for those who verify elsewhere.
    pub fn public_keys(&self) -> Vec<(String, String)> {
        self.keys.iter().map(|key| (key.id.clone(), paserk(&key.public))).collect()
    }

    /// What a token says, when the key it names signed it.
    fn payload(&self, token: &str) -> Option<String> {
        let id = key_id(token)?;
        let key = self.keys.iter().find(|key| key.id == id)?;
        verify_raw(&key.public, token, b"")
    }
}

impl TokenKey {
    /// A new key.
    ///
    /// # Errors
    /// The system has no randomness.
    pub(crate) fn generate(number: u32) -> Result<TokenKey> {
        let pair = AsymmetricKeyPair::<V4>::generate().map_err(Error::internal)?;
        Ok(TokenKey::of(number, pair.secret, pair.public))
    }

    /// The key of a file's text, a PASERK `k4.secret.…`. Returns `None` when it is none.
    pub(crate) fn from_text(number: u32, text: &str) -> Option<TokenKey> {
        // pasetors panics at a seed of zeros, as a file that was never written through has them.
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text.strip_prefix("k4.secret.")?).ok()?);
        if bytes.iter().take(32).all(|byte| *byte == 0) {
            return None;
        }
        let secret = AsymmetricSecretKey::<V4>::try_from(text).ok()?;
        let public = AsymmetricPublicKey::<V4>::try_from(&secret).ok()?;
        Some(TokenKey::of(number, secret, public))
    }

    /// The text of its file.
    pub(crate) fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(paserk(&self.secret))
    }

    fn of(number: u32, secret: AsymmetricSecretKey<V4>, public: AsymmetricPublicKey<V4>) -> TokenKey {
        TokenKey { number, id: paserk(&Id::from(&public)), secret, public }
    }
}

impl fmt::Debug for TokenKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids = self.keys.iter().map(|key| (key.number, &key.id));
        f.write_str("TokenKeys ")?;
        f.debug_map().entries(ids).finish()
    }
}

/// The library's own verification: signature and encoding, nothing about claims.
fn verify_raw(public: &AsymmetricPublicKey<V4>, token: &str, implicit_assertion: &[u8]) -> Option<String> {
    let untrusted = UntrustedToken::<Public, V4>::try_from(token).ok()?;
    let trusted = PublicToken::verify(public, &untrusted, None, Some(implicit_assertion)).ok()?;
    Some(trusted.payload().to_owned())
}

/// The key that an unverified token's footer names. Lengths are checked before anything is decoded.
fn key_id(token: &str) -> Option<String> {
    if token.len() > TOKEN_BYTES_MAX {
        return None;
    }
    let encoded = token.strip_prefix(PublicToken::HEADER)?.split_once('.')?.1;
    if encoded.len() > FOOTER_BYTES_MAX.div_ceil(3) * 4 {
        return None;
    }
    let footer = URL_SAFE_NO_PAD.decode(encoded).ok().filter(|footer| footer.len() <= FOOTER_BYTES_MAX)?;
    let footer: Map<String, Value> = serde_json::from_slice(&footer).ok()?;
    if footer.values().any(|value| value.is_object() || value.is_array()) {
        return None;
    }
    footer.get("kid")?.as_str().map(str::to_owned)
}

fn footer(id: &str) -> String {
    serde_json::json!({ "kid": id }).to_string()
}

fn paserk(key: &impl FormatAsPaserk) -> String {
    let mut text = String::new();
    // Writing to a String does not fail, and keys have the length that base64 wants.
    let _ = key.fmt(&mut text);
    text
}
