//! search: pages of matches, includes, counts. The statements come from `fhir-search`; here they are run.

use std::collections::HashSet;

use fhir_model::json::{Doc, Limits};
use fhir_model::{Error, Key, Result};
use fhir_search::cursor::{Cursor, Place};
use fhir_search::query::{Include, Query, Total};
use fhir_search::sql::{self, Bind, Plan, Sql};
use fhir_search::{filter, parameters::ParameterKind};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::scope::Scope;
use crate::version::{Found, Version};
use crate::{Store, failure, read};

/// A page of a search.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// Matches, in order.
    pub matches: Vec<Version>,
    /// What the includes add, each once, none of the matches.
    pub included: Vec<Version>,
    /// Number of all matches, when it was asked for or costs nothing.
    pub total: Option<Count>,
    /// Where the next page begins, when there is one.
    pub next: Option<Cursor>,
    /// Where the previous page ends, when there may be one.
    pub previous: Option<Cursor>,
    /// What the client should know, a sentence each.
    pub warnings: Vec<String>,
}

/// A number of matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// The number.
    pub n: u64,
    /// False for an estimate.
    pub exact: bool,
}

/// Matches up to which an estimate counts instead.
const ESTIMATE_COUNTS_MAX: i64 = 10_000;

impl Store {
    /// A page of matches with their includes.
    pub async fn search(&self, scope: &Scope, query: &Query) -> Result<Page> {
        let mut page = Page::default();
        if query.count > 0 {
            self.matches_of_page(query, &mut page).await?;
            self.include(scope, query, &mut page).await?;
        }
        let whole = query.count > 0 && query.cursor.is_none() && page.next.is_none();
        page.total = match query.total {
            _ if whole => Some(Count { n: page.matches.len() as u64, exact: true }),
            Total::None if query.count > 0 => None,
            Total::Estimate => Some(self.estimate(query).await?),
            Total::None | Total::Accurate => Some(self.count(scope, query).await?),
        };
        Ok(page)
    }

    /// At most `limit` matches, in no particular order.
    pub async fn matches(&self, scope: &Scope, query: &Query, limit: usize) -> Result<Vec<Version>> {
        let _ = scope;
        let plan = sql::matching(query, &self.registry, &self.keyer, limit);
        let rows = self.run_plan(&plan, limit).await?;
        rows.iter().map(|row| read::version(&query.type_name, row)).collect()
    }

    /// The exact number of matches.
    pub async fn count(&self, scope: &Scope, query: &Query) -> Result<Count> {
        let _ = scope;
        let rows = self.run(&sql::count(query, &self.registry, &self.keyer, None)).await?;
        Ok(Count { n: number(&rows)?, exact: true })
    }

    async fn estimate(&self, query: &Query) -> Result<Count> {
        let bounded = sql::count(query, &self.registry, &self.keyer, Some(ESTIMATE_COUNTS_MAX + 1));
        let n = number(&self.run(&bounded).await?)?;
        if n <= ESTIMATE_COUNTS_MAX as u64 {
            return Ok(Count { n, exact: true });
        }
        // More than is worth counting: what the planner's statistics say, but never less than was seen.
        let all = sql::count(query, &self.registry, &self.keyer, Some(i64::MAX));
        let rows = self.run_text(&format!("explain (format json) {}", all.text()), all.binds()).await?;
        let plan: serde_json::Value = match rows.first() {
            Some(row) => row.try_get(0).map_err(Error::internal)?,
            None => serde_json::Value::Null,
        };
        let planned =
            plan.pointer("/0/Plan/Plans/0/Plan Rows").and_then(serde_json::Value::as_f64).unwrap_or(0.0);
        Ok(Count { n: (planned as u64).max(n), exact: false })
    }

    async fn matches_of_page(&self, query: &Query, page: &mut Page) -> Result<()> {
        // One more than the page tells whether there is a next one.
        let limit = query.count + 1;
        let plan = sql::page(query, &self.registry, &self.keyer, limit);
        let mut rows = self.run_plan(&plan, limit).await?;
        let more = rows.len() > query.count;
        rows.truncate(query.count);
        let backwards = query.cursor.as_ref().is_some_and(|c| c.backwards);
        if backwards {
            rows.reverse();
        }
        let place =
            |row: Option<&Row>, backwards: bool| row.map(|row| cursor(row, &plan, backwards)).transpose();
        if more || backwards {
            page.next = place(rows.last(), false)?;
        }
        if (more && backwards) || (query.cursor.is_some() && !backwards) {
            page.previous = place(rows.first(), true)?;
        }
        page.matches = rows.iter().map(|row| read::version(&query.type_name, row)).collect::<Result<_>>()?;
        Ok(())
    }

    /// Runs the statements of a plan until one answers.
    async fn run_plan(&self, plan: &Plan, limit: usize) -> Result<Vec<Row>> {
        let mut found = Vec::new();
        for step in &plan.steps {
            found = self.run(&step.sql).await?;
            if step.complete || found.len() >= limit {
                break;
            }
        }
        Ok(found)
    }

    pub(crate) async fn run(&self, sql: &Sql) -> Result<Vec<Row>> {
        self.run_text(sql.text(), sql.binds()).await
    }

    async fn run_text(&self, text: &str, binds: &[Bind]) -> Result<Vec<Row>> {
        let client = self.connections.client().await?;
        let statement = client.prepare_cached(text).await.map_err(failure::classify)?;
        let parameters: Vec<&(dyn ToSql + Sync)> = binds
            .iter()
            .map(|bind| match bind {
                Bind::Long(n) => n as &(dyn ToSql + Sync),
                Bind::Longs(n) => n,
                Bind::Int(n) => n,
                Bind::Ints(n) => n,
                Bind::Text(t) => t,
                Bind::Texts(t) => t,
            })
            .collect();
        client.query(&statement, &parameters).await.map_err(failure::classify)
    }

    /// Adds what `_include` and `_revinclude` ask for.
    async fn include(&self, scope: &Scope, query: &Query, page: &mut Page) -> Result<()> {
        if query.includes.is_empty() || page.matches.is_empty() {
            return Ok(());
        }
        let mut seen: HashSet<Key> = page.matches.iter().map(|v| v.key.clone()).collect();
        let mut wanted: Vec<Key> = Vec::new();
        for version in &page.matches {
            let forward = query.includes.iter().filter(|i| !i.reverse && *i.source == *version.key.type_name);
            let mut forward = forward.peekable();
            if forward.peek().is_none() {
                continue;
            }
            let doc = parse(version)?;
            for include in forward {
                let bases = &self.options.bases;
                let code = include.code.as_deref();
                for key in self.registry.references(&version.key.type_name, code, doc.root(), bases)? {
                    let fits = include.target.as_ref().is_none_or(|t| *t == key.type_name);
                    if fits && self.registry.number(&key.type_name).is_some() && seen.insert(key.clone()) {
                        wanted.push(key);
                    }
                }
            }
        }
        let max = self.options.include_max;
        let mut cut = wanted.len() > max;
        wanted.truncate(max);
        for found in self.read_many(scope, &wanted).await? {
            if let Found::Current(version) = found {
                page.included.push(version);
            }
        }
        for include in query.includes.iter().filter(|i| i.reverse) {
            cut |= self.include_reverse(include, max, &mut seen, page).await?;
        }
        if cut {
            page.warnings.push(format!("more than {max} resources would be included; the rest was left out"));
        }
        Ok(())
    }

    /// True when there was more than fits.
    async fn include_reverse(
        &self,
        include: &Include,
        max: usize,
        seen: &mut HashSet<Key>,
        page: &mut Page,
    ) -> Result<bool> {
        let this = self.registry.of(&include.source)?;
        let keys: Vec<Key> = page.matches.iter().map(|v| v.key.clone()).collect();
        let wanted = |code: &str| include.code.as_deref().is_none_or(|c| c == code);
        let params = this.params().iter().filter(|p| p.kind == ParameterKind::Reference && wanted(&p.code));
        let mut cut = false;
        for param in params {
            let condition = filter::refers_to(param, &keys, &self.registry, &self.keyer);
            let room = max.saturating_sub(page.included.len());
            let rows = self.run(&sql::include(this.number, condition, room + 1)).await?;
            cut |= rows.len() > room;
            for row in rows.iter().take(room) {
                let version = read::version(&include.source, row)?;
                if seen.insert(version.key.clone()) {
                    page.included.push(version);
                }
            }
        }
        Ok(cut)
    }
}

fn parse(version: &Version) -> Result<Doc> {
    let body = version.body.as_deref().unwrap_or_default();
    Doc::parse(body.to_vec(), Limits::NONE).map_err(Error::internal)
}

fn number(rows: &[Row]) -> Result<u64> {
    let row = rows.first().ok_or_else(|| Error::internal("a count without a row"))?;
    let n: i64 = row.try_get(0).map_err(Error::internal)?;
    u64::try_from(n).map_err(Error::internal)
}

/// The place of a row in the order of the plan.
fn cursor(row: &Row, plan: &Plan, backwards: bool) -> Result<Cursor> {
    const COLUMNS: usize = 7;
    let mut places = Vec::with_capacity(plan.places.len());
    for (i, text) in plan.places.iter().enumerate() {
        let at = COLUMNS + i;
        places.push(match text {
            true => Place::Text(row.try_get(at).map_err(Error::internal)?),
            false => Place::Number(row.try_get(at).map_err(Error::internal)?),
        });
    }
    Ok(Cursor { places, handle: row.try_get(0).map_err(Error::internal)?, backwards })
}
