//! The part of a search that is about one type: its query, what it was resolved to, and a page of its rows.

use std::borrow::Cow;

use fhir_model::Result;
use fhir_search::order::Order;
use fhir_search::query::Query;

use super::resolved::Resolved;
use super::sort_values::SortedRow;
use super::sorted::PageRequest;
use crate::scope::ScopedStore;

/// The part of a search that is about one type.
pub(super) struct Part<'q> {
    pub(super) query: Cow<'q, Query>,
    pub(super) resolved: Resolved,
}

/// The rows that a part of a search finds, in order.
pub(super) struct PartRows {
    pub(super) order: Order,
    pub(super) rows: Vec<SortedRow>,
    /// There are more rows that were not read, because the page's bytes are used up.
    pub(super) more: bool,
}

impl ScopedStore<'_> {
    /// At most `limit` rows of a part, after the query's cursor; fewer when they have more than `bytes`.
    pub(super) async fn part_page(
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
