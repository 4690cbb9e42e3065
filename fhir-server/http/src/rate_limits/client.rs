//! The other end of a request: its address, and what the rate limits say of it.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use super::verdict::Verdict;
use crate::reply::Answer;

/// The client of one request.
#[derive(Debug)]
pub(crate) struct Client {
    /// Its address, as trusted proxies say it ([`crate::TrustedProxies`]): what anything that is decided by an address goes by.
    pub(crate) address: IpAddr,
    /// Locked only where there is a limit.
    verdict: Mutex<Option<Verdict>>,
}

impl Client {
    pub(crate) fn new(address: IpAddr) -> Client {
        Client { address, verdict: Mutex::new(None) }
    }

    /// Keeps what a rate limit says, for the answer.
    pub(crate) fn note(&self, verdict: Verdict) {
        let mut noted = self.verdict.lock().unwrap_or_else(PoisonError::into_inner);
        *noted = Some(noted.map_or(verdict, |before| before.or_stricter(verdict)));
    }

    /// Tells the client how much it may still ask.
    pub(crate) fn mark(&mut self, answer: &mut Answer) {
        if let Some(verdict) = self.verdict.get_mut().unwrap_or_else(PoisonError::into_inner) {
            verdict.write(answer.headers_mut());
        }
    }
}
