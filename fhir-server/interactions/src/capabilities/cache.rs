//! CapabilityStatements that were made already: nothing of them depends on who asks.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use fhir_model::{Error, Result};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use crate::reply::Reply;

/// `mode=`: <https://hl7.org/fhir/R4/http.html#capabilities>
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Everything, without the sentences about search parameters: a third of the text, which every client fetches at
    /// its start and none reads. What is given when no mode is asked for.
    Brief,
    /// Everything.
    Full,
    /// Only what is normative in R4.
    Normative,
    /// A TerminologyCapabilities resource.
    Terminology,
}

/// Statements that were made already, by base url and mode.
#[derive(Debug, Default)]
pub struct Statements {
    made: Mutex<Vec<CachedStatement>>,
}

#[derive(Debug)]
struct CachedStatement {
    base: String,
    mode: Mode,
    /// The version of the search parameters that it names.
    version: i64,
    text: Bytes,
    packed: Bytes,
    /// A hash of the text: clients ask whether they have it already.
    tag: String,
}

/// Statements that are kept: the base url may come from the client, so there is no telling how many there are.
const KEPT_MAX: usize = 16;

impl Statements {
    /// The statement at `base`, where it was made for this version of the search parameters.
    pub(super) fn find(&self, base: &str, mode: Mode, version: i64) -> Option<Reply> {
        self.made().iter().find(|made| made.is(base, mode, version)).map(CachedStatement::reply)
    }

    /// Keeps a statement as JSON, and packed for those who take that: it is the same for all clients, so no answer has to
    /// make anything.
    pub(super) fn keep(&self, base: &str, mode: Mode, version: i64, statement: &Value) -> Result<Reply> {
        let made = CachedStatement::new(base, mode, version, statement)?;
        let reply = made.reply();
        let mut all = self.made();
        all.retain(|made| made.version == version);
        if all.len() >= KEPT_MAX {
            all.clear();
        }
        all.push(made);
        Ok(reply)
    }

    /// A thread that panicked while holding the lock left a whole list behind.
    fn made(&self) -> MutexGuard<'_, Vec<CachedStatement>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CachedStatement {
    fn new(base: &str, mode: Mode, version: i64, statement: &Value) -> Result<CachedStatement> {
        let text = Bytes::from(statement.to_string());
        let mut packed = GzEncoder::new(Vec::new(), Compression::best());
        packed.write_all(&text).map_err(Error::internal)?;
        let packed = Bytes::from(packed.finish().map_err(Error::internal)?);
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let tag = format!("{:016x}", hasher.finish());
        Ok(CachedStatement { base: base.to_owned(), mode, version, text, packed, tag })
    }

    fn is(&self, base: &str, mode: Mode, version: i64) -> bool {
        self.mode == mode && self.base == base && self.version == version
    }

    fn reply(&self) -> Reply {
        let (packed, tag) = (Some(self.packed.clone()), Some(self.tag.clone()));
        Reply { packed, tag, ..Reply::resource(self.text.clone()) }
    }
}
