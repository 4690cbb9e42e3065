//! Search parameters that are added at runtime, and how far each has come. What a SearchParameter resource must be to take
//! effect, [`read`] says.

mod checked_paths;
mod components;
mod read;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use fhir_model::{Error, Result};

pub use self::read::{Defined, overlap, read};
use crate::parameters::Parameter;

/// A parameter that was added.
#[derive(Debug)]
pub struct Custom {
    /// A number that no other parameter has had or will have.
    pub number: i64,
    /// What it is.
    pub definition: Arc<Parameter>,
    /// The resource types it is for.
    pub types: Vec<Box<str>>,
    /// How far it has come.
    pub stage: Stage,
    /// The version of all that was added, as it came so far.
    pub since: i64,
    /// How many of the old resources are indexed.
    pub progress: Arc<Progress>,
}

impl Custom {
    /// The progress, while not all old resources are indexed.
    pub(crate) fn building(&self) -> Option<Arc<Progress>> {
        matches!(self.stage, Stage::Known | Stage::Building).then(|| self.progress.clone())
    }
}

/// The steps in which a parameter comes and goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Its entries are taken away with a version that is replaced; nobody writes them.
    Known,
    /// Its entries are written; old resources get them.
    Building,
    /// All resources have its entries.
    Ready,
    /// It is gone, but for entries that are still to be taken away.
    Retiring,
}

impl Stage {
    /// As the database has it.
    pub fn number(self) -> i16 {
        match self {
            Stage::Known => 1,
            Stage::Building => 2,
            Stage::Ready => 3,
            Stage::Retiring => 4,
        }
    }

    /// The stage of a number.
    ///
    /// # Errors
    ///
    /// `Internal` for a number that no stage has.
    pub fn from_number(number: i16) -> Result<Stage> {
        let all = [Stage::Known, Stage::Building, Stage::Ready, Stage::Retiring];
        let found = all.into_iter().find(|stage| stage.number() == number);
        found.ok_or_else(|| Error::internal(format!("{number} is no stage of a search parameter")))
    }

    /// A word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Stage::Known => "waiting",
            Stage::Building => "building",
            Stage::Ready => "ready",
            Stage::Retiring => "retiring",
        }
    }
}

/// The share of the resources that are indexed, in percent.
#[derive(Debug, Default)]
pub struct Progress(AtomicU32);

impl Progress {
    /// Percent, below 100.
    pub fn percent(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    /// `done` of `all` resources are indexed.
    pub fn set(&self, done: i64, all: i64) {
        let percent = done.saturating_mul(100).checked_div(all).unwrap_or(0).clamp(0, 99);
        self.0.store(u32::try_from(percent).unwrap_or(0), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
