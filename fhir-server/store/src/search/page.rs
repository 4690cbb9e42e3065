//! A page: matches in order, what they include, where the next one begins.
//!
//! When the matches of a page or what they include are more than fit, by number or by bytes, the page takes fewer matches,
//! and the next one goes on from there. When what a single match includes is, it has pages of its own. Nothing is left
//! out, and no page holds more than a bounded amount of memory.

use std::collections::HashMap;

use fhir_model::{Error, Result};
use fhir_search::cursor::Cursor;
use fhir_search::sql::everything::current;

use super::count::Count;
use super::merge::Hit;
use super::part::Part;
use crate::scope::ScopedStore;
use crate::version::Version;

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

impl ScopedStore<'_> {
    pub(super) async fn fill(&self, parts: &mut [Part<'_>], page: &mut Page) -> Result<()> {
        let Some(first) = parts.first().map(|part| part.query.clone()) else { return Ok(()) };
        if let Some(at) = first.cursor.as_ref()
            && let Some(after) = at.within
        {
            return self.fill_within(parts, at, after, page).await;
        }
        // One more than the page tells whether there is a next one.
        let mut hits = self.hits(parts, first.count + 1).await?;
        let mut more = hits.more || hits.rows.len() > first.count;
        hits.rows.truncate(first.count);
        let backwards = first.cursor.as_ref().is_some_and(|c| c.backwards);
        let mut matches = hits.rows.iter().map(|hit| hit.version(parts)).collect::<Result<Vec<_>>>()?;
        let mut within = None;
        if !first.includes.is_empty() && !matches.is_empty() {
            let max = self.options.include_max.max(1);
            loop {
                if let Some(included) = self.included(&first.includes, &matches, max).await? {
                    page.included = included;
                    break;
                }
                if let [one] = matches.as_slice() {
                    let (included, rest) = self.included_page(&first.includes, one, i64::MIN, max).await?;
                    within = included.last().filter(|_| rest).map(|last| last.handle);
                    page.included = included;
                    break;
                }
                // Those nearest to where the page begins.
                matches.truncate(matches.len() / 2);
                more = true;
            }
            hits.rows.truncate(matches.len());
        }
        let place = |hit: Option<&Hit>, backwards: bool| hit.map(|hit| hit.found.cursor(backwards));
        let (mut from, mut to) = (hits.rows.first(), hits.rows.last());
        if backwards {
            matches.reverse();
            std::mem::swap(&mut from, &mut to);
        }
        let end = first.cursor.as_ref().is_some_and(Cursor::is_end);
        if within.is_some() || if backwards { !end } else { more } {
            page.next = place(to, false).map(|cursor| Cursor { within, ..cursor });
        }
        if if backwards { more } else { first.cursor.is_some() } {
            page.previous = place(from, true);
        }
        page.matches = matches;
        Ok(())
    }

    /// A page of what the match at the cursor includes.
    async fn fill_within(
        &self,
        parts: &mut [Part<'_>],
        at: &Cursor,
        after: i64,
        page: &mut Page,
    ) -> Result<()> {
        let Some(first) = parts.first().map(|part| part.query.clone()) else { return Ok(()) };
        let max = self.options.include_max.max(1);
        let mut more = false;
        // It may be gone by now; then the search goes on after it.
        if let Some(one) = self.at_row(at.handle).await? {
            (page.included, more) = self.included_page(&first.includes, &one, after, max).await?;
        }
        if more {
            page.next = page.included.last().map(|last| Cursor { within: Some(last.handle), ..at.clone() });
            return Ok(());
        }
        let then = Cursor { within: None, ..at.clone() };
        parts.iter_mut().for_each(|part| part.query.to_mut().cursor = Some(then.clone()));
        if page.included.is_empty() {
            return Box::pin(self.fill(parts, page)).await;
        }
        page.next = Some(then);
        if self.hits(parts, 1).await?.rows.is_empty() {
            page.next = None;
        }
        Ok(())
    }

    async fn at_row(&self, handle: i64) -> Result<Option<Version>> {
        self.run(&current(vec![handle], &self.visible_rows()))
            .await?
            .first()
            .map(|row| self.version_of_any_type(row))
            .transpose()
    }
}

impl Hit {
    fn version(&self, parts: &[Part<'_>]) -> Result<Version> {
        let part = parts.get(self.part).ok_or_else(|| Error::internal("a row of no query"))?;
        crate::read::version(&part.query.type_name, &self.found.row)
    }
}
