//! Tokens whose signature was found right, until they end: a signature costs more than all else that is asked of a request.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use uuid::Uuid;

/// Most tokens that are kept: some 6 MB.
const TOKENS_MAX: usize = 10_000;

/// What a token says, once its signature is found right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct VerifiedToken {
    pub(super) user: Uuid,
    pub(super) token: Uuid,
    pub(super) session: Uuid,
    pub(super) not_before: i64,
    pub(super) expires_at: i64,
}

/// By the whole text: what differs in one character is another token.
#[derive(Default)]
pub(super) struct TokenCache(RwLock<HashMap<Box<str>, Arc<VerifiedToken>>>);

impl TokenCache {
    pub(super) fn get(&self, token: &str) -> Option<Arc<VerifiedToken>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(token).cloned()
    }

    /// Keeps one. When there are too many those that have ended go first, then all.
    pub(super) fn insert(&self, token: &str, verified: Arc<VerifiedToken>, now: i64) {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= TOKENS_MAX {
            all.retain(|_, kept| kept.expires_at > now);
        }
        if all.len() >= TOKENS_MAX {
            all.clear();
        }
        all.insert(token.into(), verified);
    }

    /// Forgets all of them, as a key was taken away.
    pub(super) fn clear(&self) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(expires_at: i64) -> Arc<VerifiedToken> {
        let id = Uuid::nil();
        Arc::new(VerifiedToken { user: id, token: id, session: id, not_before: 0, expires_at })
    }

    #[test]
    fn no_more_than_so_many_are_kept() {
        let cache = TokenCache::default();
        for number in 0..TOKENS_MAX {
            cache.insert(&number.to_string(), token(if number == 7 { 9 } else { 2 }), 0);
        }
        assert!(cache.get("7").is_some() && cache.get("8").is_some() && cache.get("x").is_none());
        cache.insert("x", token(9), 5);
        assert!(cache.get("7").is_some() && cache.get("8").is_none() && cache.get("x").is_some());
        cache.clear();
        assert!(cache.get("x").is_none());
    }
}
