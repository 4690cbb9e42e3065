//! search: pages of matches, includes, counts. The statements come from `fhir-search`; here they are run.

mod canonical;
mod chain;
mod count;
mod explain;
mod full_text;
mod include;
mod include_paging;
mod list;
mod merge;
mod page;
mod part;
mod post_filter;
mod resolve;
mod resolved;
mod run;
mod selectivity;
mod sort_values;
mod sorted;
mod statement_log;
mod timeouts;
mod unselective;

use std::borrow::Cow;

use fhir_model::json::Doc;
use fhir_model::{Key, Result};
use fhir_search::TenantId;
use fhir_search::condition::Condition;
use fhir_search::filter;
use fhir_search::query::Query;
use fhir_search::registry::Set;
use fhir_search::rows::Rows;
use fhir_search::sql;

pub use self::count::Count;
pub use self::explain::Explained;
pub use self::page::Page;
use self::part::Part;
pub(crate) use self::run::parameters;
pub(crate) use self::unselective::UnselectiveConditions;
use crate::scope::ScopedStore;
use crate::version::Version;
use crate::{Store, read};

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
        let plan =
            sql::matching(self.placement, query, self.type_id(&query.type_name)?, resolved.condition, limit);
        let rows = self.run_plan(&plan, limit).await?;
        rows.iter().map(|row| read::version(&query.type_name, row)).collect()
    }
}
