//! Chains and `_has`: <https://hl7.org/fhir/R4/search.html#chaining>
//!
//! The resources at the end of a chain are looked up first. When they are few (few patients have the name), the chain becomes an ordinary
//! condition. When they are many (most patients have such an observation), the chain becomes a post-filter: matches of the other
//! conditions are read in the order of the answer, and each batch is tested (`post_filter.rs`).
//!
//! The end of a chain may be embedded in the resource: a contained resource, an entry of a Bundle. Where there is any such, the
//! bodies are tested of the rows whose index hashes an embedded match could have left.

use std::collections::HashSet;

use fhir_model::{Error, Key, Kind, Result};
use fhir_search::condition::{Chain, Condition, Has};
use fhir_search::embedded::{self, Evaluation, keys_of_types};
use fhir_search::include::Followed;
use fhir_search::include::refers_to;
use fhir_search::index_hash::format_server_id;
use fhir_search::query::Include;
use fhir_search::registry::{Param, Role};
use fhir_search::sql::{self, Plan};
use tokio_postgres::Row;

use super::canonical::targets_of;
use super::timeouts;
use crate::read;
use crate::scope::ScopedStore;
use crate::version::Version;

/// At most so many bodies are read to resolve one chain or `_has`.
const BODIES_MAX: usize = 20_000;

/// How many resources at the end of a chain are looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ChainReach {
    /// At most so many resources; more, and the caller post-filters.
    Few(usize),
    /// All of them, at most so many; more is refused.
    All(usize),
}

impl ChainReach {
    fn limit(self) -> usize {
        match self {
            ChainReach::Few(n) | ChainReach::All(n) => n,
        }
    }

    /// What a lookup that exceeded the reach comes to: `None` when the caller can post-filter instead, else an error.
    fn too_many<T>(self, code: &str) -> Result<Option<T>> {
        match self {
            ChainReach::Few(_) => Ok(None),
            ChainReach::All(n) => {
                let text = format!("`{code}` leads to more than {n} resources; narrow what is asked of them");
                Err(Error::new(Kind::TooCostly, text).at(code))
            }
        }
    }
}

impl ScopedStore<'_> {
    /// The condition on resources of a type that a chain comes to; the conditions at its end are resolved already. Returns
    /// `None` when more resources than the reach meet them.
    pub(super) async fn chain(
        &self,
        type_name: &str,
        chain: &Chain,
        reach: ChainReach,
    ) -> Result<Option<Condition>> {
        let param = self.reference(type_name, &chain.code)?;
        let mut any = Vec::with_capacity(chain.targets.len());
        let mut embedded_types: Option<Vec<String>> = None;
        for (target, condition) in &chain.targets {
            // What is embedded always is looked for nowhere else.
            let mut embedded = param.is_embedded();
            if !embedded {
                let limit = reach.limit();
                let plan = sql::row_keys(
                    self.placement,
                    self.type_id(target)?,
                    condition.clone().on_rows(),
                    limit + 1,
                );
                // The first statement asks for all types, so that the others cost what they would without.
                let plan = match &embedded_types {
                    Some(_) => plan,
                    None => {
                        let types: Vec<&str> = chain.targets.iter().map(|(target, _)| &**target).collect();
                        sql::chain::with_embedded(plan, &keys_of_types(&param, &self.hasher), &types)
                    }
                };
                let rows = self.rows_within_reach(&plan, reach).await;
                let rows = rows.map_err(|e| timeouts::costly_for(e, &chain.code))?;
                let Some(mut rows) = rows else { return reach.too_many(&chain.code) };
                // Of several steps each says it.
                let types = embedded_types.get_or_insert_default();
                types.extend(rows.iter().filter_map(embedded_type));
                embedded = types.iter().any(|name| **name == **target);
                rows.retain(|row| embedded_type(row).is_none());
                let keys = rows.iter().map(|row| key_of_row(target, row)).collect::<Result<Vec<_>>>()?;
                if self.may_be_canonical(&param) && keys.len() > BODIES_MAX {
                    return ChainReach::All(BODIES_MAX).too_many(&chain.code);
                }
                let named = self.named_for(keys, &param).await?;
                any.push(refers_to(&param, &named, &self.registry, &self.hasher));
            }
            if embedded {
                let targets = vec![(target.clone(), condition.clone())];
                let one = Chain { code: chain.code.clone(), targets, by_added: chain.by_added };
                match self.rows_with_embedded_target(type_name, &param, &one, reach).await? {
                    Some(handles) if handles.is_empty() => {}
                    Some(handles) => any.push(Condition::Handles(handles)),
                    None => return Ok(None),
                }
            }
        }
        Ok(Some(Condition::Any(any).simplify()))
    }

    /// The rows of a type whose reference leads to a contained resource that meets a chain's condition. Returns `None` when
    /// there are more candidates than the reach.
    async fn rows_with_embedded_target(
        &self,
        type_name: &str,
        param: &Param,
        chain: &Chain,
        reach: ChainReach,
    ) -> Result<Option<Vec<i64>>> {
        let candidates = embedded::candidates(param, chain, &self.registry, &self.hasher).simplify();
        if matches!(&candidates, Condition::Keys(keys) if keys.is_empty()) {
            return Ok(Some(Vec::new()));
        }
        let candidates = Condition::All(vec![candidates, self.visible(type_name)]).simplify();
        let mut handles = Vec::new();
        let mut look = |row: &Row| -> Result<()> {
            let version = read::version(type_name, row)?;
            if self.embedded_target_matches(&version, chain)? {
                handles.push(version.handle);
            }
            Ok(())
        };
        let all = self.each_body(type_name, &candidates, reach, &chain.code, &mut look).await;
        let all = all.map_err(|e| timeouts::costly_for(e, &chain.code))?;
        Ok(all.then_some(handles))
    }

    /// True when a reference of a version leads to a resource within it that meets a chain's condition.
    pub(super) fn embedded_target_matches(&self, version: &Version, chain: &Chain) -> Result<bool> {
        let doc = version.doc()?;
        Evaluation::new(&self.registry, &self.hasher, self.index_settings()).reaches(doc.root(), chain)
    }

    /// The rows of a plan. Returns `None` when there are more than the reach.
    async fn rows_within_reach(&self, plan: &Plan, reach: ChainReach) -> Result<Option<Vec<Row>>> {
        match reach {
            ChainReach::Few(limit) => self.rows_if_few(plan, limit).await,
            ChainReach::All(limit) => {
                let mut rows = self.run_plan(plan, limit + 1).await?;
                // Rows that say what is embedded somewhere do not count: it may be within what the caller does not see.
                if rows.len() > limit && rows.iter().any(|row| embedded_type(row).is_some()) {
                    rows = self.run_plan(plan, usize::MAX).await?;
                }
                let ends = rows.iter().filter(|row| embedded_type(row).is_none()).count();
                Ok((ends <= limit).then_some(rows))
            }
        }
    }

    /// The condition on resources of a type that `_has` comes to; its own condition is resolved already. Returns `None` when
    /// more resources than the reach meet it.
    pub(super) async fn has(
        &self,
        type_name: &str,
        has: &Has,
        reach: ChainReach,
    ) -> Result<Option<Condition>> {
        let param = self.reference(&has.source, &has.code)?;
        // What stands within a resource is another than the one here of the same id.
        if param.is_embedded() {
            return Ok(Some(Condition::never()));
        }
        let type_id = self.type_id(&has.source)?;
        if is_by_patient(type_name, &param) {
            let limit = reach.limit();
            let condition = has.condition.clone().on_rows();
            let plan = match reach {
                ChainReach::Few(_) => sql::row_keys(self.placement, type_id, condition, limit + 1),
                ChainReach::All(_) => Plan::single(sql::chain::patients(type_id, &condition, limit + 1)),
            };
            let rows = self.rows_within_reach(&plan, reach).await;
            let rows = rows.map_err(|e| timeouts::costly_for(e, &has.name()))?;
            let Some(rows) = rows else { return reach.too_many(&has.code) };
            let at = if matches!(reach, ChainReach::Few(_)) { 2 } else { 0 };
            let mut patients = Vec::with_capacity(rows.len());
            for row in &rows {
                patients.extend(row.try_get::<_, Option<i64>>(at).map_err(Error::internal)?);
            }
            return Ok(Some(self.patient_handles(patients)));
        }
        let found = self.targets_of_matches(type_name, has, reach).await;
        let Some(found) = found.map_err(|e| timeouts::costly_for(e, &has.name()))? else { return Ok(None) };
        let handles = found.iter().map(|key| self.handles(key)).collect::<Result<Vec<_>>>()?;
        let ids = found.iter().map(|key| key.id.to_string()).collect();
        Ok(Some(Condition::Ids(handles.into_iter().flatten().collect(), ids)))
    }

    /// The keys that matches of `_has` refer to, read from their bodies. Returns `None` when there are more matches than the reach.
    async fn targets_of_matches(
        &self,
        type_name: &str,
        has: &Has,
        reach: ChainReach,
    ) -> Result<Option<HashSet<Key>>> {
        let mut found = Followed::default();
        let mut look = |row: &Row| -> Result<()> {
            let version = read::version(&has.source, row)?;
            self.follow_parameter(&version, &has.code, &|t| t == type_name, &mut found)
        };
        let condition = has.condition.clone().on_rows();
        if !self.each_body(&has.source, &condition, reach, &has.code, &mut look).await? {
            return Ok(None);
        }
        Ok(Some(self.resolve_targets(found).await?.into_keys().collect()))
    }

    /// Visits all resources of a type that meet a condition. Returns false when there are more than the reach.
    async fn each_body(
        &self,
        type_name: &str,
        condition: &Condition,
        reach: ChainReach,
        code: &str,
        look: &mut (dyn FnMut(&Row) -> Result<()> + Send),
    ) -> Result<bool> {
        match reach {
            ChainReach::Few(limit) => {
                let query = fhir_search::Query::new(type_name);
                let plan = sql::matching(
                    self.placement,
                    &query,
                    self.type_id(type_name)?,
                    condition.clone(),
                    limit + 1,
                );
                let (rows, cut) = self.run_page(&plan, limit + 1, self.options.page_bytes_max).await?;
                if cut || rows.len() > limit {
                    return Ok(false);
                }
                rows.iter().try_for_each(look)?;
            }
            ChainReach::All(limit) => {
                let limit = limit.min(BODIES_MAX);
                let plan =
                    sql::unordered(self.placement, self.type_id(type_name)?, condition.clone(), limit + 1);
                // The last step alone finds all of them.
                let Some(step) = plan.steps.last() else { return Ok(true) };
                let mut seen = 0;
                let each = |row: Row| {
                    seen += 1;
                    look(&row)?;
                    Ok(seen <= limit)
                };
                if !self.run_each(&step.sql, each).await? {
                    let too_many: Result<Option<()>> = ChainReach::All(limit).too_many(code);
                    return Ok(too_many?.is_some());
                }
            }
        }
        Ok(true)
    }

    /// The rows of patients, by the handles that references to them have. A reference cannot tell whether the id it names
    /// was given by the server or chosen by a client.
    fn patient_handles(&self, mut handles: Vec<i64>) -> Condition {
        let number = self.registry.number("Patient").unwrap_or(0);
        handles.sort_unstable();
        handles.dedup();
        let given: Vec<i64> = handles.iter().copied().filter(|handle| *handle >= 0).collect();
        handles.extend(
            given.into_iter().map(|handle| self.hasher.foreign_handle(number, &format_server_id(handle))),
        );
        Condition::Handles(handles)
    }

    /// Adds what of the wanted types a version refers to by a parameter.
    pub(super) fn follow_parameter(
        &self,
        version: &Version,
        code: &str,
        wanted: &(dyn Fn(&str) -> bool + Sync),
        found: &mut Followed,
    ) -> Result<()> {
        let doc = version.doc()?;
        let by = Include { code: Some(code.into()), ..Include::default() };
        let mut all = Followed::default();
        let (type_name, bases) = (&version.key.type_name, &self.index_settings().bases);
        self.registry.follow(type_name, &[&by], doc.root(), bases, &mut all)?;
        found.targets.extend(all.targets.into_iter().filter(|(key, _)| wanted(&key.type_name)));
        found.canonicals.extend(all.canonicals.into_iter().filter(|canonical| wanted(&canonical.type_name)));
        // Of many bodies they add up.
        found.bounded()
    }

    /// What of the wanted types each of some versions refers to by a parameter, in their order.
    pub(super) async fn targets_by_version(
        &self,
        versions: &[Version],
        code: &str,
        wanted: &(dyn Fn(&str) -> bool + Sync),
    ) -> Result<Vec<Vec<Key>>> {
        let mut each = Vec::with_capacity(versions.len());
        for version in versions {
            let mut found = Followed::default();
            self.follow_parameter(version, code, wanted, &mut found)?;
            each.push(found);
        }
        let canonicals = each.iter().flat_map(|found| &found.canonicals).cloned().collect();
        let known = self.resolve_canonicals(&canonicals).await?;
        Ok(each.into_iter().map(|found| targets_of(found, &known)).collect())
    }

    pub(super) fn reference(&self, type_name: &str, code: &str) -> Result<std::sync::Arc<Param>> {
        let param = self.registry.for_type(type_name)?.param(code).cloned();
        param.ok_or_else(|| Error::internal(format!("{type_name} has no parameter {code}")))
    }
}

/// True when references to a resource of the type are in the patient column, all of them.
pub(super) fn is_by_patient(type_name: &str, param: &Param) -> bool {
    type_name == "Patient" && matches!(param.indexes.as_slice(), [index] if index.role == Role::Patient)
}

/// The type of which a row says that there are embedded resources; none for a row that says where one is.
fn embedded_type(row: &Row) -> Option<String> {
    let id: Option<&str> = row.try_get(1).ok()?;
    id?.strip_prefix(sql::chain::EMBEDDED).map(str::to_owned)
}

/// What resource a row of [`sql::row_keys`] is.
pub(super) fn key_of_row(type_name: &str, row: &Row) -> Result<Key> {
    let handle: i64 = row.try_get(0).map_err(Error::internal)?;
    let id: Option<&str> = row.try_get(1).map_err(Error::internal)?;
    Ok(Key::new(type_name, id.map_or_else(|| format_server_id(handle), str::to_owned)))
}
