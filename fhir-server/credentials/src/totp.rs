//! One-time codes of an authenticator: <https://www.rfc-editor.org/rfc/rfc6238>; SHA-1, 6 digits, 30 seconds, which is what
//! all apps know.

use std::fmt;

use chacha20poly1305::aead::Generate;
use fhir_model::{Error, Result};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use totp_rs::{Algorithm, Builder, Secret, Totp};
use zeroize::Zeroizing;

use crate::secret::code;

/// In seconds.
const STEP: u64 = 30;

/// In microseconds.
const SECOND: i64 = 1_000_000;

/// The specification asks for at least 128 bits (RFC 4226, 4, R6).
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 16..=64;

/// As many as fit on a card.
const RECOVERY_CODES: usize = 10;

/// The secret that the server and an authenticator share.
#[derive(Clone)]
pub struct TotpSecret(Zeroizing<Vec<u8>>);

impl TotpSecret {
    /// A new secret, of 160 bits.
    ///
    /// # Panics
    /// The system has no randomness: then nothing is safe.
    pub fn generate() -> TotpSecret {
        let bytes = Zeroizing::new(<[u8; 20]>::generate());
        TotpSecret(Zeroizing::new(bytes.to_vec()))
    }

    /// The secret of what [`TotpSecret::bytes`] gave.
    ///
    /// # Errors
    /// It has fewer than 16 bytes or more than 64.
    pub fn from_bytes(bytes: &[u8]) -> Result<TotpSecret> {
        if !SECRET_BYTES.contains(&bytes.len()) {
            return Err(Error::internal(format!("a secret of one-time codes has no {} bytes", bytes.len())));
        }
        Ok(TotpSecret(Zeroizing::new(bytes.to_vec())))
    }

    /// Its bytes, to be sealed before they are stored.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The `otpauth:` address, which an authenticator reads as a QR code
    /// (<https://github.com/google/google-authenticator/wiki/Key-Uri-Format>). It holds the secret.
    pub fn uri(&self, issuer: &str, account: &str) -> String {
        // A colon separates the two, and nothing can say that it does not.
        let encoded = |text: &str| utf8_percent_encode(&text.replace(':', " "), NON_ALPHANUMERIC).to_string();
        let (issuer, account, secret) = (encoded(issuer), encoded(account), self.secret_text());
        format!(
            "otpauth://totp/{issuer}:{account}?secret={secret}&issuer={issuer}&algorithm=SHA1&digits=6&period={STEP}"
        )
    }

    /// The secret in base32, for those who type it.
    pub fn secret_text(&self) -> String {
        self.secret().to_base32()
    }

    /// The time step whose code this is: that of `now` (in microseconds since 1970), the one before or the one after, as
    /// clocks differ and people type slowly. Returns `None` for any other code.
    ///
    /// A code is good once: the caller stores the step, and refuses one that is not above the last it stored.
    pub fn step(&self, code: &str, now: i64) -> Option<i64> {
        let code = digits(code)?;
        let totp = self.totp();
        let current = now.div_euclid(SECOND).div_euclid(STEP.cast_signed());
        let mut found = -1_i64;
        // All are computed and compared to their end, so that time says nothing about which it was, or how near.
        for step in [current - 1, current, current + 1] {
            let Some(time) = u64::try_from(step).ok().and_then(|step| step.checked_mul(STEP)) else {
                continue;
            };
            found.conditional_assign(&step, is_code(&totp, time, &code));
        }
        (found >= 0).then_some(found)
    }

    fn secret(&self) -> Secret {
        Secret::new(self.0.as_slice().into())
    }

    fn totp(&self) -> Totp {
        let totp = Builder::new().with_algorithm(Algorithm::SHA1).with_digits(6).with_step_duration(STEP);
        // What it would check besides is what `from_bytes` has checked.
        totp.with_secret(self.secret()).build_noncompliant()
    }
}

impl fmt::Debug for TotpSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// Codes for somebody whose authenticator is lost: each is good once. They are stored as [`crate::digest`]s of what
/// [`crate::normalize_code`] makes of them; with 60 bits each they need no slower hash.
pub fn recovery_codes() -> Vec<String> {
    (0..RECOVERY_CODES).map(|_| code(3, 4)).collect()
}

/// Six digits, however they are spaced.
fn digits(code: &str) -> Option<String> {
    let digits: String = code.chars().filter(|c| *c != ' ').collect();
    (digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(digits)
}

fn is_code(totp: &Totp, time: u64, code: &str) -> Choice {
    totp.generate(time).to_string().as_bytes().ct_eq(code.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Appendix B of the RFC: seconds, and the 8 digits of SHA-1, of which 6 digits are the last.
    const VECTORS: &[(i64, &str)] = &[
        (59, "94287082"),
        (1_111_111_109, "07081804"),
        (1_111_111_111, "14050471"),
        (1_234_567_890, "89005924"),
        (2_000_000_000, "69279037"),
        (20_000_000_000, "65353130"),
    ];

    fn rfc() -> TotpSecret {
        TotpSecret::from_bytes(b"12345678901234567890").unwrap()
    }

    #[test]
    fn the_vectors_of_the_rfc() {
        for (seconds, code) in VECTORS {
            let (step, code) = (seconds / 30, &code[2..]);
            // Steps from now on, and whether the code is good then.
            for (later, good) in [(-2, false), (-1, true), (0, true), (1, true), (2, false)] {
                let now = (step + later) * 30 * SECOND;
                for now in [now, now + 30 * SECOND - 1] {
                    assert_eq!(rfc().step(code, now), good.then_some(step), "{seconds} {later}");
                }
            }
        }
    }

    #[test]
    fn codes_as_they_are_typed() {
        let now = 59 * SECOND;
        for typed in ["287082", "287 082", " 28 70 82 "] {
            assert_eq!(rfc().step(typed, now), Some(1), "{typed}");
        }
        for typed in [
            "",
            "28708",
            "2870820",
            "94287082",
            "28708a",
            "287-082",
            "287\n082",
            "２８７０８２",
            "+28708",
            "287083",
        ] {
            assert_eq!(rfc().step(typed, now), None, "{typed}");
        }
        for now in [i64::MIN, -1, 0, i64::MAX] {
            assert_eq!(rfc().step("000000", now), None, "{now}");
        }
    }

    #[test]
    fn what_an_authenticator_reads() {
        let uri = rfc().uri("Clinic: North", "ann@example.org");
        let expected = "otpauth://totp/Clinic%20%20North:ann%40example%2Eorg?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\
            &issuer=Clinic%20%20North&algorithm=SHA1&digits=6&period=30";
        assert_eq!(uri, expected);
        assert_eq!(rfc().secret_text(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
    }

    #[test]
    fn secrets() {
        let (a, b) = (TotpSecret::generate(), TotpSecret::generate());
        assert!(a.bytes().len() == 20 && a.bytes() != b.bytes());
        assert_eq!(TotpSecret::from_bytes(a.bytes()).unwrap().secret_text(), a.secret_text());
        for length in [0, 15, 65] {
            assert!(TotpSecret::from_bytes(&vec![1; length]).is_err());
        }
        assert_eq!(format!("{a:?}"), "(secret)");
    }

    #[test]
    fn recovery_codes_are_ten_and_different() {
        let codes: std::collections::HashSet<String> = recovery_codes().into_iter().collect();
        assert!(codes.len() == 10 && codes.iter().all(|code| code.len() == 14));
    }
}
