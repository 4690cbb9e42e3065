//! The functions of the store that fetch rows, each for the caller of a scope.

use fhir_model::{Key, Result};
use fhir_search::Query;
use fhir_search::condition::Condition;

use crate::scope::Scope;
use crate::search::{Count, Explained, Page};
use crate::version::{ResourceState, Version};
use crate::write::Write;
use crate::{EverythingFilter, History, HistoryPage, HistoryTarget, Member, Store};

impl Store {
    /// The current state of a resource.
    ///
    /// # Errors
    ///
    /// `NotFound` when there is no such type; `Unavailable` when the database is away.
    pub async fn read(&self, scope: &Scope, key: &Key) -> Result<ResourceState> {
        self.scoped(scope).read(key).await
    }

    /// The current states of many resources, in the order asked: two statements at most per type.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub async fn read_many(&self, scope: &Scope, keys: &[Key]) -> Result<Vec<ResourceState>> {
        self.scoped(scope).read_many(keys).await
    }

    /// One version of a resource; [`ResourceState::Absent`] when there is no such version.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub async fn vread(&self, scope: &Scope, key: &Key, version: u32) -> Result<ResourceState> {
        self.scoped(scope).vread(key, version).await
    }

    /// The current resources among these keys, in no particular order: one statement, whatever their types.
    ///
    /// # Errors
    ///
    /// `Unavailable` when the database is away.
    pub async fn current(&self, scope: &Scope, keys: &[Key]) -> Result<Vec<Version>> {
        self.scoped(scope).current(keys).await
    }

    /// A page of history, newest first.
    ///
    /// # Errors
    ///
    /// `NotFound` when what is asked for never was there; `Unavailable` when the database is away.
    pub async fn history(&self, scope: &Scope, of: &HistoryTarget, page: &HistoryPage) -> Result<History> {
        self.scoped(scope).history(of, page).await
    }

    /// The next members of a patient's compartment after a position, without the patient: one statement.
    ///
    /// # Errors
    ///
    /// `Unavailable` when the database is away.
    pub async fn compartment(
        &self,
        scope: &Scope,
        patient: &Key,
        wanted: &EverythingFilter,
        after: Option<(i32, i64, i64)>,
        limit: usize,
    ) -> Result<Vec<Member>> {
        self.scoped(scope).compartment(patient, wanted, after, limit).await
    }

    /// Of these types, those that have resources.
    ///
    /// # Errors
    ///
    /// `Unavailable` when the database is away.
    pub async fn types_with_resources(&self, scope: &Scope, types: &[&str]) -> Result<Vec<Box<str>>> {
        self.scoped(scope).types_with_resources(types).await
    }

    /// Looks up what queries speak of besides rows (codes of value sets, words, ends of chains), without searching.
    ///
    /// # Errors
    ///
    /// Those that a search would answer whatever there is to find.
    pub async fn check(&self, scope: &Scope, queries: &[Query]) -> Result<()> {
        self.scoped(scope).check(queries).await
    }

    /// A page of matches with their includes.
    ///
    /// # Errors
    ///
    /// `TooCostly` when chains, value sets or words lead to more values than are looked up, or when more matches than
    /// `sorted_max` would have to be sorted in memory; `Value` for codes that terminology does not know;
    /// `NotSupported` for words without a full text index; `Timeout`, naming the parameter, when a statement takes
    /// too long; `Unavailable` when the database is away.
    pub async fn search(&self, scope: &Scope, query: &Query) -> Result<Page> {
        self.scoped(scope).search_types(std::slice::from_ref(query)).await
    }

    /// A page of a search of several types: one query for each, alike but for the type.
    ///
    /// # Errors
    ///
    /// As [`search`](Self::search).
    pub async fn search_types(&self, scope: &Scope, queries: &[Query]) -> Result<Page> {
        self.scoped(scope).search_types(queries).await
    }

    /// At most `limit` matches, in no particular order.
    ///
    /// # Errors
    ///
    /// As [`search`](Self::search).
    pub async fn matches(&self, scope: &Scope, query: &Query, limit: usize) -> Result<Vec<Version>> {
        self.scoped(scope).matches(query, limit).await
    }

    /// The number of matches.
    ///
    /// # Errors
    ///
    /// As [`search`](Self::search).
    pub async fn count(&self, scope: &Scope, query: &Query) -> Result<Count> {
        self.scoped(scope).count(query).await
    }

    /// Whether the caller may write this: what is replaced, and what comes.
    ///
    /// # Errors
    ///
    /// `Forbidden` when the rules do not allow it.
    pub fn check_write(&self, scope: &Scope, write: &Write) -> Result<()> {
        self.scoped(scope).check_write(write)
    }

    /// True when the caller may not see some resources of a type: such a caller cannot create one by PUT, as the answer would
    /// tell whether the id is taken.
    pub fn hides_some(&self, scope: &Scope, type_name: &str) -> bool {
        self.scoped(scope).visible(type_name) != Condition::default()
    }

    /// A page, and the statements that made it.
    ///
    /// # Errors
    ///
    /// As [`search`](Self::search).
    pub async fn explain(&self, scope: &Scope, queries: &[Query]) -> Result<(Page, Vec<Explained>)> {
        self.scoped(scope).explain(queries).await
    }
}
