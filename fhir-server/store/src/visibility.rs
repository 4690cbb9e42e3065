//! Statements by handle and over history, with what a caller sees of their rows.

use fhir_database::ReadConnection;
use fhir_model::Result;
use fhir_search::sql;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::scope::ScopedStore;
use crate::search::parameters;

/// In a statement's text: what is asked of the row `r` of `resource`, as ` and ..`.
const CURRENT: &str = "{r}";
/// In a statement's text: what is asked of the row `h` of `resource_history`, as ` and ..`.
const HISTORY: &str = "{h}";
/// The same of a row `n` of `resource_history` whose resource is seen: of that row alone.
const NEXT: &str = "{n}";

impl ScopedStore<'_> {
    /// As [`query`](ScopedStore::query), of a statement about one type alone.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub(crate) async fn query_of(
        &self,
        type_name: &str,
        client: &ReadConnection,
        text: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>> {
        match self.sees_all_of(type_name) {
            true => client.rows(&without_limits(text), values).await,
            false => self.query(client, text, values).await,
        }
    }

    /// The rows of a statement whose text says with `{r}`, `{h}` and `{n}` where what is hidden is left out. A superseded version and a
    /// deletion are seen when both their own row and the last row of the resource are: who lost sight of a resource has lost
    /// its past, and who got it does not get what it was before.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub(crate) async fn query(
        &self,
        client: &ReadConnection,
        text: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>> {
        if self.sees_all() {
            return client.rows(&without_limits(text), values).await;
        }
        let predicate = sql::predicate(&self.visible_rows(), values.len() + 1);
        let text = text.replace(CURRENT, &format!(" and ({})", predicate.text()));
        let text = text.replace(HISTORY, &history(predicate.text()));
        let text = text.replace(NEXT, &own_row("n", predicate.text()));
        let mut all = values.to_vec();
        all.extend(parameters(predicate.binds()));
        client.rows(&text, &all).await
    }
}

/// The statement of who sees everything.
pub(crate) fn without_limits(text: &str) -> String {
    text.replace(CURRENT, "").replace(HISTORY, "").replace(NEXT, "")
}

/// The predicate of one row, said of a row of history: true or false, as a row about no patient has NULL there. Of a version
/// from before history had keys it is not known what it was about.
fn own_row(alias: &str, predicate: &str) -> String {
    format!(
        " and {alias}.keys is not null and (select ({predicate}) is true from \
         (select {alias}.handle, {alias}.type_id, {alias}.id, {alias}.patient, {alias}.keys) r)"
    )
}

/// The same, said of the row `h` and of the last row of its resource.
fn history(predicate: &str) -> String {
    let own_row = own_row("h", predicate);
    format!(
        "{own_row} and coalesce((select ({predicate}) is true from resource r where r.handle = h.handle), \
         (select ({predicate}) is true from resource_history r where r.handle = h.handle and r.keys is not null \
         order by r.version desc limit 1))"
    )
}
