//! Links to further pages.

use fhir_model::{Result, url};
use fhir_store::Scope;

use crate::cx::Cx;

/// The parameter that says where the database was when the page was read that has the link: the next one is not older.
pub(crate) const LINKED_POSITION: &str = "_position";

/// The parameter that says where the page begins.
pub(crate) const CURSOR: &str = "_cursor";

impl Cx {
    /// What links to further pages say beside where the page begins, after this one was read.
    ///
    /// # Errors
    ///
    /// When the standby that it was read from is away by now.
    pub async fn link_pairs(&self, scope: &Scope) -> Result<Vec<(String, String)>> {
        let position = self.store.read_position(scope).await?;
        Ok(position.map(|position| (LINKED_POSITION.to_owned(), position.to_string())).into_iter().collect())
    }
}

/// The link to a page of what is at `url`, by its sealed cursor and [`Cx::link_pairs`].
pub(crate) fn page_link(url: &str, cursor: String, pairs: &[(String, String)]) -> String {
    let separator = if url.contains('?') { '&' } else { '?' };
    let all: Vec<_> = std::iter::once((CURSOR.to_owned(), cursor)).chain(pairs.iter().cloned()).collect();
    format!("{url}{separator}{}", url::query(&all))
}
