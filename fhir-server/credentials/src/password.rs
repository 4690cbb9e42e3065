//! Passwords: which are taken, and Argon2id over them (<https://www.rfc-editor.org/rfc/rfc9106>).
//!
//! What is asked of a password follows NIST SP 800-63B: length, and that it is not one that attackers try first; no rules of
//! composition. One hash takes 19 MiB and tens of milliseconds, so as many run as there are cores, the next wait, and more
//! than [`PasswordOptions::waiting_max`] are turned away: a flood of sign-ins takes neither memory nor all threads.

mod breached;
mod common;
mod policy;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::password_hash::{self, PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::Generate;
use fhir_model::{Error, Kind, Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use breached::Breached;

/// Longer ones are refused before anything is computed of them.
const PASSWORD_BYTES_MAX: usize = 1024;

/// How passwords are hashed and checked.
#[derive(Debug, Clone)]
pub struct PasswordOptions {
    /// The memory of one hash.
    pub memory_kib: u32,
    /// How often it is filled.
    pub iterations: u32,
    /// In how many independent parts.
    pub lanes: u32,
    /// How many hashes are computed at once; at least 1.
    pub parallel_max: usize,
    /// How many may wait for that.
    pub waiting_max: usize,
    /// The operator's own list of breached passwords, as Have I Been Pwned gives it: sorted lines `SHA1:count`.
    pub breached: Option<PathBuf>,
}

impl Default for PasswordOptions {
    /// What OWASP recommends, and as many at once as there are cores.
    fn default() -> PasswordOptions {
        PasswordOptions {
            memory_kib: 19_456,
            iterations: 2,
            lanes: 1,
            parallel_max: std::thread::available_parallelism().map_or(1, usize::from),
            waiting_max: 64,
            breached: None,
        }
    }
}

/// What comes of comparing a password with its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// It is the right one.
    pub is_right: bool,
    /// It is, and its hash was made with other options than these: now is when a new one can be made.
    pub wants_new_hash: bool,
}

/// Hashes, verifies and judges passwords.
#[derive(Debug)]
pub struct Passwords {
    argon2: Argon2<'static>,
    /// A hash that no password has, with the current options: for names that nobody has.
    dummy: String,
    running: Arc<Semaphore>,
    waiting: AtomicUsize,
    waiting_max: usize,
    breached: Option<Breached>,
}

impl Passwords {
    /// Reads nothing of the operator's list but its first line.
    ///
    /// # Errors
    /// Options that Argon2 does not know; a list that cannot be read or is none.
    pub fn new(options: PasswordOptions) -> Result<Passwords> {
        let params = Params::new(options.memory_kib, options.iterations, options.lanes, None);
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.map_err(Error::internal)?);
        Ok(Passwords {
            dummy: dummy(&argon2).map_err(Error::internal)?,
            argon2,
            running: Arc::new(Semaphore::new(options.parallel_max.clamp(1, Semaphore::MAX_PERMITS))),
            waiting: AtomicUsize::new(0),
            waiting_max: options.waiting_max,
            breached: options.breached.map(Breached::open).transpose()?,
        })
    }

    /// May somebody have this password? `personal` is what is known about them, such as name and e-mail address.
    ///
    /// # Errors
    /// 400 at `password` with the reason; the operator's list cannot be read.
    pub fn check(&self, password: &str, personal: &[&str]) -> Result<()> {
        let refused = |why: String| Error::value(why).at("password");
        let normal = normalized(password)?;
        policy::check(&normal, personal).map_err(|why| refused(why.to_owned()))?;
        let lower = Zeroizing::new(normal.to_lowercase());
        let mut known = common::contains(&lower);
        if let Some(breached) = self.breached.as_ref().filter(|_| !known) {
            known = breached.contains(&normal)? || breached.contains(&lower)?;
        }
        match known {
            true => {
                Err(refused("This password is known to those who guess passwords: choose another".to_owned()))
            }
            false => Ok(()),
        }
    }

    /// The hash to be stored, a PHC string `$argon2id$…`.
    ///
    /// # Errors
    /// 400 when the password is too long to be one; 429 when too many wait.
    pub async fn hash(&self, password: &str) -> Result<String> {
        let password = normalized(password)?;
        let hash = self.run(move |argon2| argon2.hash_password(password.as_bytes())).await?;
        Ok(hash.map_err(Error::internal)?.to_string())
    }

    /// Compares a password with the stored hash. With no hash, as nobody has that name, the same work is done over a hash
    /// that nobody's password has: time does not tell which names there are.
    ///
    /// # Errors
    /// 429 when too many wait; a stored hash that is none.
    pub async fn verify(&self, password: &str, hash: Option<&str>) -> Result<Verified> {
        let wrong = Verified { is_right: false, wants_new_hash: false };
        // Nobody's password is that long, whatever the name.
        let Ok(password) = normalized(password) else { return Ok(wrong) };
        let stored = PasswordHash::new(hash.unwrap_or(&self.dummy)).map_err(Error::internal)?;
        let is_old = self.is_old(&stored);
        let compared = self.run(move |argon2| argon2.verify_password(password.as_bytes(), &stored)).await?;
        match compared {
            Ok(()) if hash.is_some() => Ok(Verified { is_right: true, wants_new_hash: is_old }),
            Ok(()) | Err(password_hash::Error::PasswordInvalid) => Ok(wrong),
            Err(error) => Err(Error::internal(error)),
        }
    }

    /// Was it made with other options than ours?
    fn is_old(&self, hash: &PasswordHash) -> bool {
        let ours = ParamsString::try_from(self.argon2.params()).ok();
        hash.algorithm != Algorithm::Argon2id.ident()
            || hash.version != Some(Version::V0x13.into())
            || Some(&hash.params) != ours.as_ref()
    }

    /// Computes when it is its turn, on a thread that may block.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(Argon2<'static>) -> T + Send + 'static,
    ) -> Result<T> {
        let permit = self.turn().await?;
        let argon2 = self.argon2.clone();
        // The permit goes with the work: that goes on when whoever asked for it has gone.
        let work = move || (work(argon2), permit).0;
        tokio::task::spawn_blocking(work).await.map_err(Error::internal)
    }

    async fn turn(&self) -> Result<OwnedSemaphorePermit> {
        if let Ok(permit) = self.running.clone().try_acquire_owned() {
            return Ok(permit);
        }
        let waiting = Waiting::of(&self.waiting);
        if waiting.number > self.waiting_max {
            return Err(Error::new(
                Kind::Throttled,
                "Too many passwords are being checked: try again in a moment",
            ));
        }
        self.running.clone().acquire_owned().await.map_err(Error::internal)
    }
}

/// One of those who wait, for as long as it lives.
struct Waiting<'a> {
    all: &'a AtomicUsize,
    number: usize,
}

impl Waiting<'_> {
    fn of(all: &AtomicUsize) -> Waiting<'_> {
        Waiting { all, number: all.fetch_add(1, Ordering::Relaxed).saturating_add(1) }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.all.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The same characters, however a keyboard makes them.
fn normalized(password: &str) -> Result<Zeroizing<String>> {
    if password.len() > PASSWORD_BYTES_MAX {
        let text = format!("A password has at most {PASSWORD_BYTES_MAX} bytes");
        return Err(Error::value(text).at("password"));
    }
    Ok(Zeroizing::new(password.nfkc().collect()))
}

/// A hash with these parameters whose output is random: comparing with it is the same work, and no password has it.
fn dummy(argon2: &Argon2<'_>) -> std::result::Result<String, Box<dyn std::error::Error + Send + Sync>> {
    let hash = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(argon2.params())?,
        salt: Some(Salt::new(&<[u8; 16]>::try_generate()?)?),
        hash: Some(Output::new(&<[u8; 32]>::try_generate()?)?),
    };
    Ok(hash.to_string())
}
