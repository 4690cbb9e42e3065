//! What terminology says of codes, as far as searches ask: which are in a value set, above or below a code.
//!
//! <https://hl7.org/fhir/R4/search.html#token>. Value sets and code systems that are stored here come before those that
//! FHIR publishes. A terminology service can take this over: see [`Terminology`].

mod expand;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use fhir_model::json::{Doc, JsonLimits};
use fhir_model::{Error, Key, Kind, Result};
use fhir_profiles::{CodeSystem, ValueSet};
use fhir_search::condition::Condition;
use fhir_search::index_hash::{Form, format_server_id};
use fhir_search::sql;
use fhir_search::token::{CodeSet, System, TokenTerm};
use serde::de::DeserializeOwned;
use tokio_postgres::Row;

use crate::Store;
use crate::scope::ScopedStore;
use crate::version::{ResourceState, Version};

/// Most codes that one condition asks for.
pub(crate) const CODES_MAX: usize = 10_000;
/// Versions of one url that are looked through.
const VERSIONS_MAX: usize = 100;

/// A code with its system.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code {
    /// The system.
    pub system: String,
    /// The code.
    pub code: String,
}

/// An answer that takes time.
pub type TerminologyFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// Who knows about codes. At most [`CODES_MAX`](Kind::TooCostly) of them are of use to a search.
pub trait Terminology: Send + Sync {
    /// The codes of a value set: by url (with `|version` or without), or by reference (`ValueSet/1`).
    fn expand<'a>(
        &'a self,
        store: &'a ScopedStore<'a>,
        value_set: &'a str,
    ) -> TerminologyFuture<'a, Vec<Code>>;

    /// A code and all below it.
    fn below<'a>(&'a self, store: &'a ScopedStore<'a>, code: &'a Code) -> TerminologyFuture<'a, Vec<Code>>;

    /// A code and all above it.
    fn above<'a>(&'a self, store: &'a ScopedStore<'a>, code: &'a Code) -> TerminologyFuture<'a, Vec<Code>>;
}

/// Value sets and code systems as they stand, enumerated and in hierarchies.
#[derive(Debug, Clone, Copy, Default)]
pub struct StoredTerminology;

impl Terminology for StoredTerminology {
    fn expand<'a>(
        &'a self,
        store: &'a ScopedStore<'a>,
        value_set: &'a str,
    ) -> TerminologyFuture<'a, Vec<Code>> {
        Box::pin(async move {
            let codes = expand::value_set(store, value_set.to_owned(), 0).await?;
            Ok(codes.into_iter().collect())
        })
    }

    fn below<'a>(&'a self, store: &'a ScopedStore<'a>, code: &'a Code) -> TerminologyFuture<'a, Vec<Code>> {
        Box::pin(related(store, code, |system, asked, other| system.subsumes(asked, other)))
    }

    fn above<'a>(&'a self, store: &'a ScopedStore<'a>, code: &'a Code) -> TerminologyFuture<'a, Vec<Code>> {
        Box::pin(related(store, code, |system, asked, other| system.subsumes(other, asked)))
    }
}

async fn related(
    store: &ScopedStore<'_>,
    code: &Code,
    holds: impl Fn(&CodeSystem, &str, &str) -> bool,
) -> Result<Vec<Code>> {
    let system = store.code_system(&code.system).await?;
    let system = system.get();
    let of = |concept: &&fhir_profiles::code_system::Concept| holds(system, &code.code, &concept.code);
    let codes = system.concepts.iter().filter(of);
    let codes = codes.map(|c| Code { system: code.system.clone(), code: c.code.to_string() });
    // A code that the system does not know is above and below itself alone.
    let mut all: Vec<Code> = codes.chain([code.clone()]).collect();
    all.sort_unstable();
    all.dedup();
    Ok(all)
}

/// A resource that is stored here, or one that FHIR publishes.
pub(crate) enum Definition<'s, T> {
    Stored(Box<T>),
    Published(&'s T),
}

impl<T> Definition<'_, T> {
    pub(crate) fn get(&self) -> &T {
        match self {
            Definition::Stored(one) => one,
            Definition::Published(one) => one,
        }
    }
}

impl Store {
    /// Asks somebody else about codes from now on. The first one stays.
    pub fn set_terminology(&self, terminology: Arc<dyn Terminology>) {
        // A second one is none of a server's doing.
        let _ = self.terminology.set(terminology);
    }
}

impl ScopedStore<'_> {
    /// The codes that a condition is about.
    pub(crate) async fn codes(&self, codes: &CodeSet) -> Result<Vec<Code>> {
        let terminology: &dyn Terminology = match self.terminology.get() {
            Some(other) => &**other,
            None => &StoredTerminology,
        };
        let code = |term: &TokenTerm| match (&term.system, &term.code) {
            (System::Is(system), Some(code)) => Ok(Code { system: system.clone(), code: code.clone() }),
            _ => Err(Error::value("`:above` and `:below` need the system of the code: system|code")),
        };
        let found = match codes {
            CodeSet::ValueSet(value_set) => terminology.expand(self, value_set).await?,
            CodeSet::Below(term) => terminology.below(self, &code(term)?).await?,
            CodeSet::Above(term) => terminology.above(self, &code(term)?).await?,
        };
        match found.len() > CODES_MAX {
            true => Err(too_many()),
            false => Ok(found),
        }
    }

    pub(crate) async fn code_system(&self, url: &str) -> Result<Definition<'_, CodeSystem>> {
        let (plain, version) = split(url);
        if let Some(stored) = self.stored::<CodeSystem>("CodeSystem", plain, version).await? {
            return Ok(Definition::Stored(Box::new(stored)));
        }
        match self.registry.definitions().code_system(plain)? {
            Some(published) => Ok(Definition::Published(published)),
            None => Err(Error::value(format!("the code system `{url}` is not known here"))),
        }
    }

    pub(crate) async fn value_set(&self, url: &str) -> Result<Definition<'_, ValueSet>> {
        if let Some(key) = local(url, self) {
            let found = self.read(&key).await?;
            let ResourceState::Current(version) = found else {
                return Err(Error::value(format!("there is no {key} here")));
            };
            return Ok(Definition::Stored(Box::new(parse(version.body.as_deref().unwrap_or_default())?)));
        }
        let (plain, version) = split(url);
        if let Some(stored) = self.stored::<ValueSet>("ValueSet", plain, version).await? {
            return Ok(Definition::Stored(Box::new(stored)));
        }
        match self.registry.definitions().value_set(plain)? {
            Some(published) => Ok(Definition::Published(published)),
            None => Err(Error::value(format!("the value set `{url}` is not known here"))),
        }
    }

    /// The resource of a canonical url: of a version, or the one that was written last.
    async fn stored<T: DeserializeOwned>(
        &self,
        type_name: &str,
        url: &str,
        version: Option<&str>,
    ) -> Result<Option<T>> {
        let this = self.registry.for_type(type_name)?;
        let Some(param) = this.param("url") else { return Ok(None) };
        let key = |index: &str| self.hasher.key(this.number, index, Form::Uri, &[url]);
        let keys = param.indexes.iter().map(|index| key(&index.name)).collect();
        let plan = sql::row_keys(
            self.hasher.type_id(this.number),
            Condition::All(vec![Condition::Keys(keys), self.visible(type_name)]).simplify(),
            VERSIONS_MAX,
        );
        let key = |row: &Row| {
            let id: Option<String> = row.try_get(1)?;
            Ok(Key::new(type_name, id.unwrap_or(format_server_id(row.try_get(0)?))))
        };
        let places = self.run_plan(&plan, VERSIONS_MAX).await?;
        let keys: std::result::Result<Vec<Key>, tokio_postgres::Error> = places.iter().map(key).collect();
        // One by one, as each may be large.
        let mut last: Option<Version> = None;
        for key in keys.map_err(Error::internal)? {
            let ResourceState::Current(one) = self.read(&key).await? else { continue };
            let is_later = last.as_ref().is_none_or(|last| one.updated_at > last.updated_at);
            if is_later && is_version(&one, version)? {
                last = Some(one);
            }
        }
        last.map(|one| parse(one.body.as_deref().unwrap_or_default())).transpose()
    }
}

/// True when it is the wanted business version, if one is wanted.
fn is_version(one: &Version, wanted: Option<&str>) -> Result<bool> {
    let Some(wanted) = wanted else { return Ok(true) };
    let doc = Doc::parse(one.body.as_deref().unwrap_or_default().to_vec(), JsonLimits::NONE);
    Ok(doc.map_err(Error::internal)?.root().get_str("version").as_deref() == Some(wanted))
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    serde_json::from_slice(body).map_err(|e| {
        Error::new(Kind::NotSupported, "the value set or code system that is stored here cannot be read")
            .because(e)
    })
}

/// Of `url|version`.
fn split(url: &str) -> (&str, Option<&str>) {
    url.split_once('|').map_or((url, None), |(url, version)| (url, Some(version)))
}

/// `ValueSet/1`, relative or below a base of ours.
fn local(text: &str, store: &ScopedStore<'_>) -> Option<Key> {
    let (type_name, id) = store.index_settings().bases.below(text).unwrap_or(text).split_once('/')?;
    (type_name == "ValueSet" && Key::is_id(id)).then(|| Key::new(type_name, id))
}

pub(crate) fn too_many() -> Error {
    let text = format!("more than {CODES_MAX} codes are asked for at once");
    Error::new(Kind::TooCostly, text)
}
