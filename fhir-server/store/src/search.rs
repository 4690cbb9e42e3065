//! search: pages of matches, includes, counts. The statements come from `fhir-search`; here they are run.

mod chain;
mod count;
mod include;
mod late;
mod resolve;
mod run;

use std::collections::HashMap;

use fhir_model::{Error, Result};
use fhir_search::cursor::{Cursor, Place};
use fhir_search::query::{Query, Total};
use fhir_search::sql::{self, Plan};
use tokio_postgres::Row;

pub use self::count::Count;
use self::resolve::Resolved;
use crate::scope::Scope;
use crate::version::Version;
use crate::{Store, read};

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
    /// By handle, how well matches match: from 0 to 1, when words were searched.
    pub scores: HashMap<i64, f32>,
}

impl Store {
    /// A page of matches with their includes.
    pub async fn search(&self, scope: &Scope, query: &Query) -> Result<Page> {
        let mut resolved = self.resolve(scope, query).await?;
        let mut page = Page::default();
        if query.count > 0 {
            self.matches_of_page(query, &mut resolved, &mut page).await?;
            self.include(scope, query, &mut page).await?;
        }
        let whole = query.count > 0 && query.cursor.is_none() && page.next.is_none();
        let counted = query.total != Total::None || query.count == 0;
        if counted && !whole {
            self.settled(query, &mut resolved).await?;
        }
        page.total = match query.total {
            _ if whole => Some(Count { n: page.matches.len() as u64, exact: true }),
            Total::None if query.count > 0 => None,
            Total::Estimate => Some(self.estimate(query, &resolved.condition).await?),
            Total::None | Total::Accurate => Some(self.count_exactly(query, &resolved.condition).await?),
        };
        page.scores = resolved.scores;
        page.warnings.extend(resolved.warnings);
        Ok(page)
    }

    /// At most `limit` matches, in no particular order.
    pub async fn matches(&self, scope: &Scope, query: &Query, limit: usize) -> Result<Vec<Version>> {
        let mut resolved = self.resolve(scope, query).await?;
        self.settled(query, &mut resolved).await?;
        let plan = sql::matching(query, resolved.condition, &self.registry, &self.keyer, limit);
        let rows = self.run_plan(&plan, limit).await?;
        rows.iter().map(|row| read::version(&query.type_name, row)).collect()
    }

    async fn matches_of_page(&self, query: &Query, resolved: &mut Resolved, page: &mut Page) -> Result<()> {
        // One more than the page tells whether there is a next one.
        let limit = query.count + 1;
        let late = match resolved.late.is_empty() {
            true => None,
            false => self.late_page(query, &resolved.condition, &resolved.late, limit).await?,
        };
        let (plan, mut rows) = match late {
            Some(found) => found,
            None => {
                self.settled(query, resolved).await?;
                let condition = resolved.condition.clone();
                let plan = sql::page(query, condition, &self.registry, &self.keyer, limit);
                let rows = self.run_plan(&plan, limit).await?;
                (plan, rows)
            }
        };
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
