//! Which parameters a type has at the moment, for whom.

use std::collections::HashMap;
use std::sync::Arc;

use super::index_change::{ChangedCodes, PendingChange};
use super::type_search::TypeSearch;
use crate::custom::Custom;

/// Which of a type's parameters: they differ only while some come or go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Set {
    /// Those that can be asked for.
    Searched,
    /// Those that a version which is written now has entries of.
    Written,
    /// Those that a version which is replaced may have entries of.
    Replaced,
}

/// What was added to R4, at some version, and what changes.
#[derive(Debug, Clone, Default)]
pub(super) struct CustomParameters {
    pub(super) version: i64,
    pub(super) customs: Vec<Arc<Custom>>,
    pub(super) types: HashMap<Box<str>, Arc<Sets>>,
    /// `None` when all resources have the entries of this build's format.
    pub(super) pending: Option<Arc<Pending>>,
}

/// Changes that not all resources have yet.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) change: Arc<PendingChange>,
    /// The parameters that rely on what changes.
    pub(super) codes: ChangedCodes,
}

#[derive(Debug)]
pub(super) struct Sets {
    /// What they were made for.
    pub(super) customs: Vec<Arc<Custom>>,
    pub(super) searched: Arc<TypeSearch>,
    pub(super) written: Arc<TypeSearch>,
    pub(super) replaced: Arc<TypeSearch>,
    pub(super) building: bool,
}

impl Sets {
    pub(super) fn are_for(&self, customs: &[Arc<Custom>]) -> bool {
        let same = |(a, b): (&Arc<Custom>, &Arc<Custom>)| {
            (a.number, a.stage, &a.definition) == (b.number, b.stage, &b.definition)
                && Arc::ptr_eq(&a.progress, &b.progress)
        };
        self.customs.len() == customs.len() && self.customs.iter().zip(customs).all(same)
    }
}
