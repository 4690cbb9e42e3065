//! What one match includes when that is more than a page holds: page by page, in the order of its rows.
//!
//! Rows are in an order that nothing changes, so that a page link says all there is to know, and what is included all the
//! time comes exactly once. Without `:iterate` a page is read from the indexes. With it, what belongs to the match is
//! known only when all of it is, so that handles and keys alone are collected, at most `PAGES_MAX` pages of them.

use std::collections::BTreeSet;

use fhir_model::{Error, Key, Kind, Result};
use fhir_search::include::Referring;
use fhir_search::index_hash::{format_server_id, parse_server_id};
use fhir_search::query::Include;
use fhir_search::sql::{self, everything::current_in_order};
use tokio_postgres::Row;

use super::include::includes_in_round;
use super::timeouts;
use crate::scope::ScopedStore;
use crate::version::Version;

/// Pages of includes that one match may have when includes are followed.
const PAGES_MAX: usize = 100;
/// Bodies read at once to see what they refer to.
const BODIES: usize = 500;

impl ScopedStore<'_> {
    /// At most `limit` of what the match includes, after a row; and whether there is more.
    pub(super) async fn included_page(
        &self,
        includes: &[Include],
        one: &Version,
        after: i64,
        limit: usize,
    ) -> Result<(Vec<Version>, bool)> {
        let rows = match includes.iter().any(|include| include.iterate) {
            true => self.all_included(includes, one, limit.saturating_mul(PAGES_MAX)).await?,
            false => self.next_included(includes, one, after, limit).await?,
        };
        let mut rows: Vec<i64> = rows.into_iter().filter(|row| *row > after).take(limit + 1).collect();
        let more = rows.len() > limit;
        rows.truncate(limit);
        if rows.is_empty() {
            return Ok((Vec::new(), false));
        }
        let sql = current_in_order(rows, &self.visible_rows());
        let (found, too_big) = self.run_within(&sql, self.options.page_bytes_max).await?;
        let found = found.iter().map(|row| self.version_of_any_type(row)).collect::<Result<_>>()?;
        Ok((found, more || too_big))
    }

    /// The next rows that a match includes itself.
    async fn next_included(
        &self,
        includes: &[Include],
        one: &Version,
        after: i64,
        limit: usize,
    ) -> Result<BTreeSet<i64>> {
        let includes: Vec<&Include> = includes.iter().collect();
        let mut rows = self.referenced_rows(&includes, std::slice::from_ref(one)).await?;
        let named = self.named(&includes, std::slice::from_ref(one))?;
        let to = Referring::to(&named, &includes, &self.registry, &self.hasher);
        if !to.is_empty() {
            // One for the next page, one that may be the match itself.
            let referring =
                self.row_keys(&sql::referring_rows(&to, &self.visible_rows(), after, limit + 2)).await;
            rows.extend(referring.map_err(|e| timeouts::costly_for(e, "_revinclude"))?);
        }
        Ok(rows.into_iter().map(|(row, _)| row).filter(|row| *row != one.handle).collect())
    }

    /// All rows that a match includes, itself and by what it includes.
    async fn all_included(&self, includes: &[Include], one: &Version, max: usize) -> Result<BTreeSet<i64>> {
        let mut all = BTreeSet::from([one.handle]);
        let mut layer = vec![(one.handle, one.key.clone())];
        for round in 0.. {
            let of_round: Vec<&Include> = includes_in_round(includes, round).collect();
            let mut next = Vec::new();
            for part in layer.chunks(BODIES) {
                for place in self.neighbours(&of_round, part, max).await? {
                    if all.insert(place.0) {
                        next.push(place);
                    }
                }
                if all.len() > max + 1 {
                    let text = format!(
                        "{} includes more than {max} resources; ask with less of `:iterate`, or for them by \
                         searches of their own",
                        one.key
                    );
                    return Err(Error::new(Kind::TooCostly, text).at("_include"));
                }
            }
            if next.is_empty() {
                break;
            }
            layer = next;
        }
        all.remove(&one.handle);
        Ok(all)
    }

    /// Handles and keys of what resources refer to, and of what refers to them.
    async fn neighbours(
        &self,
        includes: &[&Include],
        part: &[(i64, Key)],
        max: usize,
    ) -> Result<Vec<(i64, Key)>> {
        let mut places = Vec::new();
        let mut bodies: Vec<Key> = part
            .iter()
            .filter(|(_, key)| includes.iter().any(|i| !i.reverse && i.is_from(&key.type_name)))
            .map(|(_, key)| key.clone())
            .collect();
        while !bodies.is_empty() {
            let (found, more) = self.current_within(&bodies, self.options.page_bytes_max).await?;
            places.extend(self.referenced_rows(includes, &found).await?);
            bodies.retain(|key| more && !found.iter().any(|version| version.key == *key));
        }
        if !includes.iter().any(|include| include.reverse) {
            return Ok(places);
        }
        let keys = part.iter().map(|(_, key)| key.clone()).collect();
        let to = Referring::to(&self.named_with_urls(keys).await?, includes, &self.registry, &self.hasher);
        if !to.is_empty() {
            let referring =
                self.row_keys(&sql::referring_rows(&to, &self.visible_rows(), i64::MIN, max + 2)).await;
            places.extend(referring.map_err(|e| timeouts::costly_for(e, "_revinclude"))?);
        }
        Ok(places)
    }

    /// Handles and keys of what resources refer to.
    async fn referenced_rows(&self, includes: &[&Include], layer: &[Version]) -> Result<Vec<(i64, Key)>> {
        let targets = self.targets(includes, layer).await?;
        let mut handles = Vec::with_capacity(targets.len() + 8);
        for key in targets.keys() {
            let Some(number) = self.registry.number(&key.type_name) else { continue };
            handles.extend(parse_server_id(&key.id));
            handles.push(self.hasher.foreign_handle(number, &key.id));
        }
        if handles.is_empty() {
            return Ok(Vec::new());
        }
        handles.sort_unstable();
        handles.dedup();
        let mut places = self.row_keys(&sql::rows_by_handle(handles, &self.visible_rows())).await?;
        places.retain(|(_, key)| targets.contains_key(key));
        Ok(places)
    }

    pub(super) async fn row_keys(&self, sql: &sql::Sql) -> Result<Vec<(i64, Key)>> {
        self.run(sql).await?.iter().map(|row| self.row_key(row)).collect()
    }

    /// Handle, type, id.
    fn row_key(&self, row: &Row) -> Result<(i64, Key)> {
        let handle: i64 = row.try_get(0).map_err(Error::internal)?;
        let id: Option<&str> = row.try_get(2).map_err(Error::internal)?;
        let type_name = self.type_name(row.try_get(1).map_err(Error::internal)?)?;
        Ok((handle, Key::new(type_name, id.map_or_else(|| format_server_id(handle), str::to_owned))))
    }
}
