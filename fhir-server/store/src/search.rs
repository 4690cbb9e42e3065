//! search: pages of matches, includes, counts. The statements come from `fhir-search`; here they are run.

mod canonical;
mod chain;
mod count;
mod explain;
mod include;
mod include_paging;
mod merge;
mod page;
mod post_filter;
mod resolve;
mod run;
mod selectivity;
mod sort_values;
mod sorted;

use std::borrow::Cow;
use std::collections::HashMap;

use fhir_model::json::Doc;
use fhir_model::{Key, Result};
use fhir_search::TenantId;
use fhir_search::condition::Condition;
use fhir_search::cursor::Cursor;
use fhir_search::filter;
use fhir_search::order::Order;
use fhir_search::query::Query;
use fhir_search::registry::Set;
use fhir_search::rows::Rows;
use fhir_search::sql;

pub use self::count::Count;
pub use self::explain::Explained;
use self::resolve::Resolved;
pub(crate) use self::run::parameters;
pub(crate) use self::selectivity::UnselectiveConditions;
use self::sort_values::SortedRow;
use self::sorted::PageRequest;
use crate::scope::ScopedStore;
use crate::version::Version;
use crate::{Store, read};

/// A page of a search.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// Matches, in order.
    pub matches: Vec<Version>,
    /// Included resources, each once, none of them a match.
    pub included: Vec<Version>,
    /// Number of all matches, when it was asked for or costs nothing.
    pub total: Option<Count>,
    /// The cursor of the next page, when there is one.
    pub next: Option<Cursor>,
    /// The cursor of the previous page, when there may be one.
    pub previous: Option<Cursor>,
    /// Warnings for the client, a sentence each.
    pub warnings: Vec<String>,
    /// By handle, how well matches match: from 0 to 1, when words were searched.
    pub scores: HashMap<i64, f32>,
}

/// The part of a search that is about one type.
struct Part<'q> {
    query: Cow<'q, Query>,
    resolved: Resolved,
}

/// The rows that a part of a search finds, in order.
struct PartRows {
    order: Order,
    rows: Vec<SortedRow>,
    /// There are more rows that were not read, because the page's bytes are used up.
    more: bool,
}

impl Store {
    /// The condition of a query on rows of a tenant, with nothing resolved yet: what it compares are hashes of that tenant.
    pub fn condition(&self, tenant: TenantId, query: &Query) -> Condition {
        filter::condition(query, &self.registry, &self.hasher.with_tenant(tenant))
    }

    /// The index entries that a resource of a tenant will have.
    ///
    /// # Errors
    /// When its type is not known.
    pub fn index_rows(&self, tenant: TenantId, key: &Key, doc: &Doc) -> Result<Rows> {
        self.rows(&self.hasher.with_tenant(tenant), Set::Searched, key, doc)
    }
}

impl ScopedStore<'_> {
    /// A page of a search of several types: one query for each, alike but for the type.
    pub(crate) async fn search_types(&self, queries: &[Query]) -> Result<Page> {
        let mut page = Page::default();
        let mut parts = Vec::with_capacity(queries.len());
        let mut looked_up = 0;
        for query in queries {
            let resolved = self.resolve(query).await?;
            looked_up += resolved.looked_up;
            self.check_looked_up(looked_up)?;
            parts.push(Part { query: Cow::Borrowed(query), resolved });
        }
        let Some(first) = queries.first() else {
            page.total = Some(Count { n: 0, exact: true });
            return Ok(page);
        };
        if first.count > 0 {
            self.fill(&mut parts, &mut page).await?;
        }
        let whole = first.count > 0 && first.cursor.is_none() && page.next.is_none();
        page.total = match whole {
            true => Some(Count { n: page.matches.len() as u64, exact: true }),
            false => self.total(&mut parts, &mut page.warnings).await?,
        };
        for part in parts {
            page.scores.extend(part.resolved.scores);
            page.warnings.extend(part.resolved.warnings);
        }
        page.warnings.dedup();
        Ok(page)
    }

    /// At most `limit` matches, in no particular order.
    pub(crate) async fn matches(&self, query: &Query, limit: usize) -> Result<Vec<Version>> {
        let mut resolved = self.resolve(query).await?;
        self.resolve_post_filters(query, &mut resolved).await?;
        let plan = sql::matching(query, self.type_id(&query.type_name)?, resolved.condition, limit);
        let rows = self.run_plan(&plan, limit).await?;
        rows.iter().map(|row| read::version(&query.type_name, row)).collect()
    }

    /// At most `limit` rows of a part, after the query's cursor; fewer when they have more than `bytes`.
    async fn part_page(
        &self,
        query: &Query,
        resolved: &mut Resolved,
        limit: usize,
        bytes: usize,
    ) -> Result<PartRows> {
        let order = Order::from_query(query, &self.hasher);
        if !resolved.post_filters.is_empty() {
            let request = PageRequest { query, condition: &resolved.condition, order: &order, limit, bytes };
            if let Some((rows, more)) = self.post_filtered_page(request, &resolved.post_filters).await? {
                return Ok(PartRows { order, rows, more });
            }
            self.resolve_post_filters(query, resolved).await?;
        }
        let request = PageRequest { query, condition: &resolved.condition, order: &order, limit, bytes };
        let (rows, more) = self.sorted_page(request).await?;
        Ok(PartRows { order, rows, more })
    }
}
