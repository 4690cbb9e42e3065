//! The settings of the index: which ones this process goes by, and which ones the entries in the database were made by.

use fhir_database::{Connections, failure};
use fhir_model::{Error, Kind, Result};
use fhir_search::IndexSettings;
use fhir_search::index_hash::IndexHasher;

use crate::options::Options;

const KEPT: &str = "select v.index_settings from search_version v where v.id = 1";

/// What this process indexes by, and what there may be of others.
#[derive(Debug)]
pub(crate) struct Settings {
    /// This process's.
    pub(crate) ours: IndexSettings,
    /// The same as it is kept.
    pub(crate) text: String,
    /// Earlier settings by which some entries may have been made, until their resources are reindexed.
    former: Vec<(String, IndexSettings)>,
}

impl Settings {
    /// The settings of the options; or, where these ask for it, those that the database has.
    pub(crate) async fn load(connections: &Connections, options: &Options) -> Result<Settings> {
        let client = connections.client().await?;
        let row = client.query_one(KEPT, &[]).await.map_err(failure::classify)?;
        let kept = list(row.try_get(0).map_err(Error::internal)?)?;
        let mut former = Vec::new();
        for text in kept {
            let read = IndexSettings::from_text(&text).ok_or_else(|| {
                Error::new(
                    Kind::Unavailable,
                    "the index of this database has settings that this build does not know",
                )
            })?;
            former.push((text, read));
        }
        let ours = match former.last() {
            Some((_, kept)) if options.keep_settings => kept.clone(),
            _ => options.settings.clone(),
        };
        let text = ours.to_text();
        former.retain(|(kept, _)| *kept != text);
        Ok(Settings { ours, text, former })
    }

    /// The earlier settings, each with the hasher of these settings.
    pub(crate) fn former(&self, hasher: IndexHasher) -> impl Iterator<Item = (&IndexSettings, IndexHasher)> {
        self.former.iter().map(move |(_, settings)| (settings, hasher.with_fold_codes(settings.fold_codes)))
    }

    /// The list with these settings as the wanted ones. Fails when it has some that were not there at the start.
    pub(super) fn wanted_in(&self, kept: &str) -> Result<Vec<String>> {
        let mut all = list(kept)?;
        all.retain(|text| *text != self.text);
        if all.iter().any(|text| self.former.iter().all(|(former, _)| former != text)) {
            let text = "the settings of the index are being changed by another process; start again";
            return Err(Error::new(Kind::Unavailable, text));
        }
        all.push(self.text.clone());
        Ok(all)
    }

    /// True when all entries were made by these settings alone.
    pub(super) fn is_all(&self, kept: &str) -> Result<bool> {
        Ok(list(kept)? == [self.text.as_str()])
    }

    /// True when these are the ones that are wanted.
    pub(crate) fn is_wanted(&self, kept: &str) -> Result<bool> {
        Ok(list(kept)?.last() == Some(&self.text))
    }
}

/// Settings as the database has them: a list of texts.
fn list(kept: &str) -> Result<Vec<String>> {
    serde_json::from_str(kept).map_err(Error::internal)
}

/// The same as text.
pub(super) fn text(list: &[String]) -> String {
    serde_json::Value::from(list).to_string()
}
