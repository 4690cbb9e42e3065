//! What a caller may see and change, and the store as that caller sees it.
//!
//! A [`Scope`] is a list of (tenant, rules). The store asks for one in every function that fetches or writes rows, and makes
//! of its rules a condition on rows that becomes part of each statement: on pages, totals, the other ends of references,
//! includes, sort keys and history alike. What is hidden is therefore not found, not counted and not followed.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use fhir_model::{Error, Key, Result};
use fhir_search::IndexSettings;
use fhir_search::condition::Condition;
use fhir_search::index_hash::{IndexHasher, parse_server_id};
use fhir_search::rows::Rows;
use fhir_search::tenant::TenantId;

use crate::Store;
use crate::read_source::ReadSource;

/// What a caller may do with resources of one type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Read them: by id, by search, as part of another answer.
    pub read: bool,
    /// Create, change and delete them.
    pub write: bool,
    /// Those of which this holds; by default all. Of a row alone: patient, keys, tokens, codes, ids, and their combinations.
    pub filter: Condition,
    /// Those of them that may be written, where not all of them may be; by default all.
    pub writable: Condition,
}

impl Rule {
    /// Reading and writing all of them.
    pub fn all() -> Rule {
        Rule { read: true, write: true, filter: Condition::default(), writable: Condition::default() }
    }

    /// Reading all of them.
    pub fn read() -> Rule {
        Rule { write: false, ..Rule::all() }
    }

    fn shows_all(&self) -> bool {
        self.read && self.filter == Condition::default()
    }

    /// Neither.
    pub fn none() -> Rule {
        Rule { read: false, write: false, filter: Condition::never(), ..Rule::all() }
    }
}

/// What a caller may do in one tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rules {
    /// Nothing.
    None,
    /// Everything.
    All,
    /// By resource type.
    ByType(Arc<TypeRules>),
}

impl Rules {
    /// A rule for each of these types; of a type that is not here nothing.
    ///
    /// # Errors
    ///
    /// When a rule's filter asks for more than a row tells.
    pub fn by_type(types: BTreeMap<Box<str>, Rule>) -> Result<Rules> {
        Ok(Rules::ByType(Arc::new(TypeRules::new(types, Rule::none())?)))
    }
}

/// Rules by resource type, checked when they are made: those who ask the same share them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeRules {
    types: BTreeMap<Box<str>, Rule>,
    others: Rule,
}

impl TypeRules {
    /// A rule for each of these types, and one for all others.
    ///
    /// # Errors
    ///
    /// When a rule's filter asks for more than a row tells.
    pub fn new(types: BTreeMap<Box<str>, Rule>, others: Rule) -> Result<TypeRules> {
        for (type_name, rule) in types.iter().map(|(name, rule)| (&**name, rule)).chain([("others", &others)])
        {
            if !is_row_predicate(&rule.filter) || !is_row_predicate(&rule.writable) {
                return Err(Error::internal(format!(
                    "a rule for {type_name} asks for more than its row tells"
                )));
            }
        }
        Ok(TypeRules { types, others })
    }

    /// The rule for a type.
    pub fn rule(&self, type_name: &str) -> &Rule {
        self.types.get(type_name).unwrap_or(&self.others)
    }
}

/// What a caller may see and change: a tenant that the request is about, and rules for each tenant. A server makes one from
/// what its guard decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    tenant: TenantId,
    parts: Vec<(TenantId, Rules)>,
    /// Where its rows are read.
    source: ReadSource,
}

impl Scope {
    /// All resources of the default organisation, for reading and writing.
    pub fn everything() -> Scope {
        Scope::everything_of(TenantId::DEFAULT)
    }

    /// All resources of a tenant, for reading and writing.
    pub fn everything_of(tenant: TenantId) -> Scope {
        Scope { tenant, parts: vec![(tenant, Rules::All)], source: ReadSource::Primary }
    }

    /// No resource.
    pub fn nothing() -> Scope {
        Scope { tenant: TenantId::DEFAULT, parts: Vec::new(), source: ReadSource::Primary }
    }

    /// The rules for each tenant, for a request that is about one of them. A tenant that is not in the list shows nothing.
    pub fn new(tenant: TenantId, parts: Vec<(TenantId, Rules)>) -> Scope {
        Scope { tenant, parts, source: ReadSource::Primary }
    }

    /// The same, of rows that are read from this source.
    #[must_use]
    pub fn read_from(self, source: ReadSource) -> Scope {
        Scope { source, ..self }
    }

    pub(crate) fn source(&self) -> &ReadSource {
        &self.source
    }

    /// The tenant that the request is about.
    pub fn tenant(&self) -> TenantId {
        self.tenant
    }

    fn rules(&self) -> &Rules {
        self.parts.iter().find(|(tenant, _)| *tenant == self.tenant).map_or(&Rules::None, |(_, rules)| rules)
    }
}

/// True for a condition that each row tells by its own columns, in history as in the table of current versions.
fn is_row_predicate(condition: &Condition) -> bool {
    match condition {
        Condition::All(parts) | Condition::Any(parts) => parts.iter().all(is_row_predicate),
        Condition::Not(inner) => is_row_predicate(inner),
        Condition::Keys(_) | Condition::Tokens(_) | Condition::Codes(_) => true,
        Condition::Patient(_) | Condition::Ids(..) => true,
        _ => false,
    }
}

/// The store as a caller sees it: every function that fetches or writes rows is one of this.
#[derive(Clone, Copy)]
pub struct ScopedStore<'s> {
    store: &'s Store,
    rules: &'s Rules,
    pub(crate) source: &'s ReadSource,
    /// Of the tenant.
    pub(crate) hasher: IndexHasher,
}

impl Deref for ScopedStore<'_> {
    type Target = Store;

    fn deref(&self) -> &Store {
        self.store
    }
}

impl Store {
    /// The store as the caller of a scope sees it.
    pub fn scoped<'s>(&'s self, scope: &'s Scope) -> ScopedStore<'s> {
        let hasher = self.hasher.with_tenant(scope.tenant);
        ScopedStore { store: self, rules: scope.rules(), source: &scope.source, hasher }
    }
}

impl<'s> ScopedStore<'s> {
    /// The `type_id` of rows of a resource type in the tenant.
    ///
    /// # Errors
    ///
    /// When there is no such type.
    pub(crate) fn type_id(&self, type_name: &str) -> Result<i32> {
        Ok(self.hasher.type_id(self.type_number(type_name)?))
    }

    /// The `type_id`s of these types; names of no type are left out.
    pub(crate) fn type_ids<'t>(&self, type_names: impl Iterator<Item = &'t str>) -> Vec<i32> {
        type_names.filter_map(|name| self.registry.number(name)).map(|n| self.hasher.type_id(n)).collect()
    }

    /// The handles a resource may have: a server-given id names one, but a client may have chosen the same text.
    pub(crate) fn handles(&self, key: &Key) -> Result<Vec<i64>> {
        let number = self.type_number(&key.type_name)?;
        let foreign = self.hasher.foreign_handle(number, &key.id);
        Ok(parse_server_id(&key.id).into_iter().chain([foreign]).collect())
    }

    /// By what the tenant's resources are indexed.
    pub(crate) fn index_settings(&self) -> &'s IndexSettings {
        self.store.settings_of(self.hasher.tenant())
    }

    /// True for a caller who sees all resources of the tenant.
    pub(crate) fn sees_all(&self) -> bool {
        *self.rules == Rules::All
    }

    /// True for a caller who sees all resources of a type in the tenant.
    pub(crate) fn sees_all_of(&self, type_name: &str) -> bool {
        match self.rules {
            Rules::All => true,
            Rules::None => false,
            Rules::ByType(types) => types.rule(type_name).shows_all(),
        }
    }

    /// True for a caller who may write all resources of a type in the tenant.
    pub(crate) fn writes_all_of(&self, type_name: &str) -> bool {
        match self.rules {
            Rules::All => true,
            Rules::None => false,
            Rules::ByType(types) => {
                let rule = types.rule(type_name);
                let all = Condition::default();
                rule.write && rule.filter == all && rule.writable == all
            }
        }
    }

    /// What the rows of a type must meet to be seen.
    pub(crate) fn visible(&self, type_name: &str) -> Condition {
        match self.rules {
            Rules::All => Condition::default(),
            Rules::None => Condition::never(),
            Rules::ByType(types) => {
                let rule = types.rule(type_name);
                if rule.read { rule.filter.clone() } else { Condition::never() }
            }
        }
    }

    /// The same for the other end of a reference, which may stand within a resource that is seen.
    pub(crate) fn visible_end(&self, type_name: &str, condition: Condition) -> Condition {
        match self.visible(type_name) {
            all if all == Condition::default() => condition,
            visible => Condition::All(vec![condition, Condition::Visible(Box::new(visible))]).simplify(),
        }
    }

    /// What rows of any type must meet to be seen: a handle says neither type nor tenant.
    pub(crate) fn visible_rows(&self) -> Condition {
        match self.rules {
            Rules::All => Condition::Tenant(self.hasher.tenant()),
            Rules::None => Condition::never(),
            Rules::ByType(types) => {
                let mut groups: Vec<(&Condition, Vec<i32>)> = Vec::new();
                // Types that are seen as all others need no word.
                let is_other = |rule: &Rule| types.others.shows_all() && rule.shows_all();
                for (type_name, rule) in types.types.iter().filter(|(_, rule)| rule.read && !is_other(rule)) {
                    let type_ids = self.type_ids(std::iter::once(&**type_name));
                    match groups.iter_mut().find(|(filter, _)| **filter == rule.filter) {
                        Some((_, all)) => all.extend(type_ids),
                        None => groups.push((&rule.filter, type_ids)),
                    }
                }
                let each = groups.into_iter().map(|(filter, type_ids)| {
                    Condition::All(vec![Condition::TypeIds(type_ids), filter.clone()]).simplify()
                });
                Condition::Any(each.chain(self.other_rows(types)).collect())
            }
        }
    }

    /// Rows of types without a rule of their own, and of those that are seen as these, where they are seen.
    fn other_rows(&self, types: &TypeRules) -> Option<Condition> {
        let is_own = |rule: &Rule| !(types.others.shows_all() && rule.shows_all());
        let own = types.types.iter().filter(|(_, rule)| is_own(rule)).map(|(name, _)| &**name);
        let own = self.type_ids(own);
        let others = match own.is_empty() {
            true => Condition::default(),
            false => Condition::Not(Box::new(Condition::TypeIds(own))),
        };
        let seen = [Condition::Tenant(self.hasher.tenant()), others, types.others.filter.clone()];
        types.others.read.then(|| Condition::All(seen.into()).simplify())
    }

    /// Refuses a write of what the caller may not write: a version that leaves these rows, before or after.
    ///
    /// # Errors
    ///
    /// When the rules do not allow it.
    pub(crate) fn check_writable(&self, key: &Key, rows: &Rows) -> Result<()> {
        let allowed = match self.rules {
            Rules::All => true,
            Rules::None => false,
            Rules::ByType(types) => {
                let rule = types.rule(&key.type_name);
                let holds = |condition: &Condition| {
                    *condition == Condition::default() || condition.meets(&key.id, rows) == Some(true)
                };
                rule.write && holds(&rule.filter) && holds(&rule.writable)
            }
        };
        match allowed {
            true => Ok(()),
            false => Err(Error::new(
                fhir_model::Kind::Forbidden,
                format!("this {} may not be written", key.type_name),
            )),
        }
    }
}
