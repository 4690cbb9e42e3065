//! The options of a store: limits, timeouts, what is indexed.

use std::time::Duration;

use fhir_database::Clock;
use fhir_search::IndexSettings;
use fhir_search::registry::index_change::IndexChange;
use fhir_search::sql::Placement;

use crate::effect::Effects;

/// The options of a store.
#[derive(Debug, Clone)]
pub struct Options {
    /// Connections for searches and writes.
    pub connections_max: usize,
    /// Where reads may be answered beside the primary.
    pub standby: Option<StandbyOptions>,
    /// A statement that takes longer is stopped.
    pub statement_timeout: Duration,
    /// Current versions are kept compressed instead of as JSONB.
    pub packed: bool,
    /// What is indexed depends on these, so they are settings, and not taken from requests.
    pub settings: IndexSettings,
    /// The settings that the database has count instead, where it has any: for programs beside the server.
    pub keep_settings: bool,
    /// Slugs of the organisations that the database is to have, beside those it has.
    pub organizations: Vec<String>,
    /// Most resources that includes add to a page.
    pub include_max: usize,
    /// Bytes of matches, and of what they include, after which a page is full.
    pub page_bytes_max: usize,
    /// How long an exact total is counted before an estimate has to do.
    pub total_timeout: Duration,
    /// Rows with entries that meet a condition up to which these rows are looked up.
    pub entries_few: usize,
    /// Other ends of a chain up to which it is rare: an ordinary condition from the start.
    pub chain_rare: usize,
    /// Most other ends of a chain; where there are more, and no other way to answer, the search is refused.
    pub chain_max: usize,
    /// Most values that one search looks up before there is a statement for it: the ends of all its chains, the codes of
    /// value sets, what has certain words.
    pub looked_up_max: usize,
    /// How old resources are indexed anew.
    pub reindex: ReindexOptions,
    /// Bounds on the criteria that are kept for links to further pages.
    pub long_searches: LongSearches,
    /// Most matches that are sorted by what only their bodies say.
    pub sorted_max: usize,
    /// What modules record of writes.
    pub effects: Effects,
    /// Where the rows are; `None`: what is found at the start. A database that is not distributed can be asked as if it were.
    pub placement: Option<Placement>,
    /// How long a write waits, on a database of several machines, until what it relies on is visible.
    pub visible_within: Duration,
    /// Makes committed rows visible late, as a database of several machines does.
    #[cfg(feature = "testing")]
    pub late_rows: Option<crate::testing::LateRows>,
    /// Formats of the index after that of this build.
    #[cfg(feature = "testing")]
    pub further_formats: Vec<IndexChange>,
    /// The time.
    pub clock: Clock,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            connections_max: 16,
            standby: None,
            statement_timeout: Duration::from_secs(30),
            packed: false,
            settings: IndexSettings::default(),
            keep_settings: false,
            organizations: Vec::new(),
            include_max: 1000,
            page_bytes_max: 32 << 20,
            total_timeout: Duration::from_secs(2),
            entries_few: 250,
            chain_rare: 50,
            chain_max: 200_000,
            looked_up_max: 1_000_000,
            reindex: ReindexOptions::default(),
            long_searches: LongSearches::default(),
            sorted_max: 20_000,
            effects: Effects::default(),
            placement: None,
            visible_within: Duration::from_secs(5),
            #[cfg(feature = "testing")]
            late_rows: None,
            #[cfg(feature = "testing")]
            further_formats: Vec::new(),
            clock: Clock::default(),
        }
    }
}

impl Options {
    /// Whether rows are made to become visible late.
    pub(crate) fn shows_rows_late(&self) -> bool {
        #[cfg(feature = "testing")]
        return self.late_rows.is_some();
        #[cfg(not(feature = "testing"))]
        false
    }

    /// Formats of the index that a test makes up.
    pub(crate) fn further_formats(&self) -> &[IndexChange] {
        #[cfg(feature = "testing")]
        return &self.further_formats;
        #[cfg(not(feature = "testing"))]
        &[]
    }
}

/// A standby that follows the database, for reads of callers who accept it.
#[derive(Clone)]
pub struct StandbyOptions {
    /// Its url, or that of a balancer in front of several.
    pub url: String,
    /// One that is further behind is not read from.
    pub lag_max: Duration,
}

/// The url may hold a password.
impl std::fmt::Debug for StandbyOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StandbyOptions").field("lag_max", &self.lag_max).finish_non_exhaustive()
    }
}

/// How old resources are indexed anew.
#[derive(Debug, Clone)]
pub struct ReindexOptions {
    /// Resources in one transaction.
    pub batch: usize,
    /// Between two of them.
    pub pause: Duration,
    /// For how long nobody else goes on where a process was seen.
    pub lease: Duration,
}

impl Default for ReindexOptions {
    fn default() -> ReindexOptions {
        ReindexOptions { batch: 200, pause: Duration::ZERO, lease: Duration::from_secs(30) }
    }
}

/// Bounds on the criteria that are kept for links to further pages.
#[derive(Debug, Clone, Copy)]
pub struct LongSearches {
    /// How long a link works after it was last given.
    pub lifetime: Duration,
    /// Most searches.
    pub rows_max: usize,
    /// Most bytes of all their criteria.
    pub bytes_max: usize,
}

impl Default for LongSearches {
    fn default() -> LongSearches {
        LongSearches { lifetime: Duration::from_secs(24 * 3600), rows_max: 10_000, bytes_max: 64 << 20 }
    }
}

impl LongSearches {
    /// Most bytes of one search.
    pub(crate) fn search_bytes_max(&self) -> usize {
        (self.bytes_max / 16).max(1)
    }
}
