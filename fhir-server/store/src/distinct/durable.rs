//! The distinct texts that this process knows to be in the database, and so need not be written again.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use fhir_search::rows::Distinct;

/// Keys of texts that are remembered as written; when there are more, remembering begins anew.
const REMEMBERED_MAX: usize = 200_000;

/// What this process knows to be durable.
#[derive(Default)]
pub(crate) struct DurableTexts(Mutex<HashSet<(i64, i64)>>);

impl DurableTexts {
    pub(super) fn contains(&self, text: &Distinct) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.contains(&(text.key, text.token))
    }

    pub(super) fn add(&self, texts: &[&Distinct]) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() + texts.len() > REMEMBERED_MAX {
            known.clear();
        }
        known.extend(texts.iter().map(|text| (text.key, text.token)));
    }
}
