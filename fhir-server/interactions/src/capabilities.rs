//! capabilities: what this server does. <https://hl7.org/fhir/R4/http.html#capabilities>
//!
//! Made from the same registries that answer the requests, so that it states what works and nothing else.

mod statement;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use fhir_model::{Error, Result};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use crate::cx::Cx;
use crate::reply::Reply;
use crate::request_context::RequestContext;

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

pub(crate) fn capabilities(ctx: &RequestContext<'_>) -> Result<Reply> {
    let mode = match ctx.parameter("mode") {
        None => Mode::Brief,
        Some("full") => Mode::Full,
        Some("normative") => Mode::Normative,
        Some("terminology") => Mode::Terminology,
        Some(other) => {
            let text = format!("`mode` is full, normative or terminology, not `{other}`");
            return Err(Error::value(text).at("mode"));
        }
    };
    ctx.only(&["mode"], "the capabilities")?;
    ctx.cx.statements.get(ctx.cx, &ctx.request.base, mode)
}

impl Statements {
    /// The statement of a server at `base`, as JSON, and packed for those who take that: it is the same for all clients,
    /// so no answer has to make anything.
    fn get(&self, cx: &Cx, base: &str, mode: Mode) -> Result<Reply> {
        let version = cx.registry.version();
        // A thread that panicked while holding the lock left a whole list behind.
        let lock = || self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = lock().iter().find(|made| made.is(base, mode, version)) {
            return Ok(made.reply());
        }
        let statement = match mode {
            Mode::Terminology => statement::terminology(cx, base),
            Mode::Brief | Mode::Full | Mode::Normative => statement::statement(cx, base, mode),
        };
        let made = CachedStatement::new(base, mode, version, &statement)?;
        let reply = made.reply();
        let mut all = lock();
        all.retain(|made| made.version == version);
        if all.len() >= KEPT_MAX {
            all.clear();
        }
        all.push(made);
        Ok(reply)
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
