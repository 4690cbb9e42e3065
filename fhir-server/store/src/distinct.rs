//! Distinct texts of indexes: <https://hl7.org/fhir/R4/search.html#token> (`:text`), uris and units.
//!
//! A resource carries the key of such a text; the text itself is kept once. It is there before the resource is, so that
//! no search can find the one without the other.

mod durable;

use deadpool_postgres::Transaction;
use fhir_database::failure;
use fhir_model::{Error, Kind, Result};
use fhir_search::rows::Distinct;

pub(crate) use self::durable::DurableTexts;
use crate::Store;
use crate::scope::ScopedStore;

/// Most texts of an index that one search looks at.
pub(crate) const TEXTS_MAX: usize = 5_000;

const INSERT: &str = "insert into distinct_text (key, value, token) \
     select d.key, d.value, d.token from unnest($1::int8[], $2::text[], $3::int8[]) as d(key, value, token) \
     order by d.key, d.value, d.token on conflict (key, value, token) do nothing";

const STARTING_WITH: &str = "select d.value, d.token from distinct_text d where d.key = $1::int8 and d.value >= $2::text \
     and d.value < $3::text limit $4::int8";

impl Store {
    /// Keeps the texts that are new, durably.
    pub(crate) async fn keep_texts<'t>(&self, texts: impl Iterator<Item = &'t Distinct>) -> Result<()> {
        let new = self.new_texts(texts);
        if new.is_empty() {
            return Ok(());
        }
        let client = self.connections.client().await?;
        let statement = client.prepare_cached(INSERT).await.map_err(failure::classify)?;
        let (keys, values, tokens) = columns(&new);
        client.execute(&statement, &[&keys, &values, &tokens]).await.map_err(failure::classify)?;
        self.durable_texts.add(&new);
        Ok(())
    }

    /// Keeps the texts that are new, if the transaction is.
    pub(crate) async fn keep_texts_in<'t>(
        &self,
        transaction: &Transaction<'_>,
        texts: impl Iterator<Item = &'t Distinct>,
    ) -> Result<()> {
        let new = self.new_texts(texts);
        if new.is_empty() {
            return Ok(());
        }
        let statement = transaction.prepare_cached(INSERT).await.map_err(failure::classify)?;
        let (keys, values, tokens) = columns(&new);
        transaction.execute(&statement, &[&keys, &values, &tokens]).await.map_err(failure::classify)?;
        Ok(())
    }

    fn new_texts<'t>(&self, texts: impl Iterator<Item = &'t Distinct>) -> Vec<&'t Distinct> {
        let mut new: Vec<&Distinct> = texts.filter(|text| !self.durable_texts.contains(text)).collect();
        new.sort_unstable();
        new.dedup();
        new
    }
}

impl ScopedStore<'_> {
    /// The texts of an index that begin with one, with their keys.
    pub(crate) async fn texts_starting_with(&self, key: i64, text: &str) -> Result<Vec<(String, i64)>> {
        let client = self.client().await?;
        let limit = i64::try_from(TEXTS_MAX + 1).map_err(Error::internal)?;
        // In code point order nothing that begins with the text comes after it and the last code point.
        let end = format!("{text}\u{10FFFF}");
        let rows = client.rows(STARTING_WITH, &[&key, &text, &end, &limit]).await?;
        if rows.len() > TEXTS_MAX {
            let what =
                format!("more than {TEXTS_MAX} different values begin with `{text}`: ask for more of it");
            return Err(Error::new(Kind::TooCostly, what));
        }
        let read = |row: &tokio_postgres::Row| Ok((row.try_get(0)?, row.try_get(1)?));
        rows.iter().map(|row| read(row).map_err(|e: tokio_postgres::Error| Error::internal(e))).collect()
    }
}

fn columns<'t>(texts: &[&'t Distinct]) -> (Vec<i64>, Vec<&'t str>, Vec<i64>) {
    let values = texts.iter().map(|text| text.value.as_str()).collect();
    (texts.iter().map(|text| text.key).collect(), values, texts.iter().map(|text| text.token).collect())
}
