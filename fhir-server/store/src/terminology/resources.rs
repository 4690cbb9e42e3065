//! Value sets and code systems that are stored here, and after them those that FHIR publishes.

use fhir_model::{Error, Key, Kind, Result};
use fhir_profiles::{CodeSystem, ValueSet};
use fhir_search::condition::Condition;
use fhir_search::index_hash::{Form, format_server_id};
use fhir_search::sql;
use fhir_search::token::{CodeSet, System, TokenTerm};
use serde::de::DeserializeOwned;
use tokio_postgres::Row;

use super::{
    CODES_MAX, Code, Definition, Definitions, StoredTerminology, Terminology, TerminologyFuture, too_many,
};
use crate::scope::ScopedStore;
use crate::version::{ResourceState, Version};

/// Versions of one url that are looked through.
const VERSIONS_MAX: usize = 100;

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

    /// The resource of a canonical url: of a version, or the one that was written last.
    async fn stored<T: DeserializeOwned>(
        &self,
        type_name: &str,
        url: &str,
        version: Option<&str>,
    ) -> Result<Option<T>> {
        let this = self.registry.for_type(type_name)?;
        self.registry.check_indexed(type_name, "url")?;
        let Some(param) = this.param("url") else { return Ok(None) };
        let key = |index: &str| self.hasher.key(this.number, index, Form::Uri, &[url]);
        let keys = param.indexes.iter().map(|index| key(&index.name)).collect();
        let plan = sql::row_keys(
            self.placement,
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

impl Definitions for ScopedStore<'_> {
    fn code_system<'a>(&'a self, url: &'a str) -> TerminologyFuture<'a, Definition<'a, CodeSystem>> {
        Box::pin(async move {
            let (plain, version) = split(url);
            if let Some(stored) = self.stored::<CodeSystem>("CodeSystem", plain, version).await? {
                return Ok(Definition::Stored(Box::new(stored)));
            }
            match self.registry.definitions().code_system(plain)? {
                Some(published) => Ok(Definition::Published(published)),
                None => Err(Error::value(format!("the code system `{url}` is not known here"))),
            }
        })
    }

    fn value_set<'a>(&'a self, url: &'a str) -> TerminologyFuture<'a, Definition<'a, ValueSet>> {
        Box::pin(async move {
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
        })
    }
}

/// True when it is the wanted business version, if one is wanted.
fn is_version(one: &Version, wanted: Option<&str>) -> Result<bool> {
    let Some(wanted) = wanted else { return Ok(true) };
    Ok(one.doc()?.root().get_str("version").as_deref() == Some(wanted))
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
