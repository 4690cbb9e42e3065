//! `_text` and `_content`: what a full text index finds, made exact by the database.
//!
//! The index follows the change feed, so it knows everything up to a position. What changed after it is read from
//! the database and looked at word by word: a search sees what was written before it, however slow the index is, as long
//! as the rest is not more than [`TAIL_MAX`], nor more bytes than a page of matches has.

use std::collections::HashMap;
use std::sync::Arc;

use fhir_database::failure;
use fhir_model::{Error, Kind, Result};
use fhir_search::query::TextQuery;
use fhir_search::sql::rows_by_handle;
use futures_util::TryStreamExt;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::full_text::FullText;
use crate::scope::ScopedStore;

/// Versions that are looked at word by word at most.
const TAIL_MAX: i64 = 2000;

/// What a full text search found: exact, but for what the index is too far behind for.
#[derive(Debug, Clone, Default)]
pub(super) struct TextMatches {
    /// Handles and scores.
    pub(super) scores: HashMap<i64, f32>,
    /// True when the index is so far behind that the answer may lack something.
    pub(super) behind: bool,
}

const TAIL: &str = "select r.handle, r.version, r.updated_at, r.method, r.id, case when r.packed is null then r.json end, r.packed \
     from resource r where r.type_id = $1::int4 and r.updated_at >= $2::int8 order by r.updated_at, r.handle limit $3::int8";

impl ScopedStore<'_> {
    /// The resources of a type that have these words.
    pub(super) async fn text_matches(&self, type_name: &str, ask: &TextQuery) -> Result<TextMatches> {
        // The index follows the primary: it would find a row of the standby by words that this has not yet.
        self.only_on_primary()?;
        let index = self.full_text.get().ok_or_else(|| {
            Error::new(Kind::NotSupported, "full text search is switched off on this server")
        })?;
        let tenant = self.hasher.tenant();
        let found =
            run_blocking(index, type_name, ask, move |index, name, ask| index.find(tenant, name, ask))
                .await?;
        let since = found.position.updated_at();
        let mut words = TextMatches { scores: found.hits.into_iter().collect(), behind: false };
        let type_id = self.type_id(type_name)?;
        let (rows, cut) = self.tail(type_id, since).await?;
        words.behind = cut || i64::try_from(rows.len()).is_ok_and(|n| n == TAIL_MAX);
        let tail = rows.iter().map(|row| crate::read::version(type_name, row)).collect::<Result<Vec<_>>>()?;
        if tail.is_empty() {
            return Ok(words);
        }
        let matched = run_blocking(index, type_name, ask, move |index, _, ask| {
            tail.iter()
                .map(|v| Ok((v.handle, index.matches(ask, v.body.as_deref().unwrap_or_default())?)))
                .collect::<Result<Vec<_>>>()
        });
        for (handle, matches) in matched.await? {
            match matches {
                // Not weighed by the index yet.
                true => words.scores.entry(handle).or_insert(0.0),
                false => {
                    words.scores.remove(&handle);
                    continue;
                }
            };
        }
        Ok(words)
    }

    /// Leaves what the caller sees: scores are relative to the best hit, which may be a hidden one.
    pub(super) async fn retain_visible(&self, scores: &mut HashMap<i64, f32>) -> Result<()> {
        if self.sees_all() {
            return Ok(());
        }
        let sql = rows_by_handle(scores.keys().copied().collect(), &self.visible_rows());
        let mut visible = HashMap::with_capacity(scores.len());
        for row in self.run(&sql).await? {
            let handle: i64 = row.try_get(0).map_err(Error::internal)?;
            visible.extend(scores.get(&handle).map(|score| (handle, *score)));
        }
        *scores = visible;
        Ok(())
    }

    /// What was written since: as many versions as are looked at, and no more bytes than a page has; true when that was
    /// not all.
    async fn tail(&self, type_id: i32, since: i64) -> Result<(Vec<Row>, bool)> {
        let client = self.client().await?;
        let values: [&(dyn ToSql + Sync); 3] = [&type_id, &since, &TAIL_MAX];
        let read = async {
            let statement = client.prepare_cached(TAIL).await.map_err(failure::classify)?;
            let stream = client.query_raw(&statement, values).await.map_err(failure::classify)?;
            let mut stream = std::pin::pin!(stream);
            let (mut rows, mut bytes) = (Vec::new(), 0);
            while let Some(row) = stream.try_next().await.map_err(failure::classify)? {
                if bytes > self.options.page_bytes_max {
                    return Ok((rows, true));
                }
                bytes += row.raw_size_bytes();
                rows.push(row);
            }
            Ok((rows, false))
        };
        client.run(read).await
    }
}

async fn run_blocking<T: Send + 'static>(
    index: &Arc<dyn FullText>,
    type_name: &str,
    ask: &TextQuery,
    work: impl FnOnce(&dyn FullText, &str, &TextQuery) -> Result<T> + Send + 'static,
) -> Result<T> {
    let (index, type_name, ask) = (index.clone(), type_name.to_owned(), ask.clone());
    tokio::task::spawn_blocking(move || work(&*index, &type_name, &ask)).await.map_err(Error::internal)?
}
