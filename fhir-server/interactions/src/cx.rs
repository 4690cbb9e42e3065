//! `Cx`: the server as every interaction sees it.

use std::sync::Arc;

use fhir_access::Guard;
use fhir_model::json;
use fhir_profiles::Definitions;
use fhir_search::Registry;
use fhir_store::Store;

use crate::capabilities::Statements;
use crate::error_log::ServerErrorLog;
use crate::observer::Observer;
use crate::operation::Operations;
use crate::request::ReadFrom;
use crate::rules::Rules;

/// The server as the interactions see it: made once, shared by all requests.
pub struct Cx {
    /// Where resources are.
    pub store: Arc<Store>,
    /// FHIR's types.
    pub definitions: Arc<Definitions>,
    /// Search parameters.
    pub registry: Arc<Registry>,
    /// Who may do what.
    pub guard: Arc<dyn Guard>,
    /// The operations, called with `$`.
    pub operations: Operations,
    /// What is demanded of writes.
    pub rules: Rules,
    /// Bounds.
    pub limits: RequestLimits,
    /// Choices that FHIR leaves to a server.
    pub settings: Settings,
    /// CapabilityStatements that were asked for already.
    pub statements: Statements,
    /// Logs server errors.
    pub error_log: ServerErrorLog,
    /// Who sees every access.
    pub observers: Vec<Arc<dyn Observer>>,
}

impl Cx {
    /// True when answers have to say what resources they hold.
    pub fn is_observed(&self) -> bool {
        !self.observers.is_empty()
    }

    /// A server on a store, where a guard decides: without operations, with the rules and settings that a server has by default.
    pub fn new(store: Arc<Store>, guard: Arc<dyn Guard>) -> Cx {
        Cx {
            definitions: store.registry().definitions().clone(),
            registry: store.registry().clone(),
            rules: Rules::standard(store.indexes_references()),
            operations: Operations::default(),
            limits: RequestLimits::default(),
            settings: Settings::default(),
            statements: Statements::default(),
            error_log: ServerErrorLog::default(),
            observers: Vec::new(),
            store,
            guard,
        }
    }
}

/// Bounds on what one request may cost.
#[derive(Debug, Clone)]
pub struct RequestLimits {
    /// Bytes and nesting of a resource.
    pub json: json::JsonLimits,
    /// Entries of a batch or transaction.
    pub entries_max: usize,
    /// Entries of a batch, and lookups and reads of a transaction, under way at the same time.
    pub parallel_max: usize,
    /// Page size when none is asked for.
    pub count_default: usize,
    /// Largest page.
    pub count_max: usize,
    /// Values of one search parameter, separated by commas.
    pub values_max: usize,
    /// Longest URL: what would not fit is not given as a link.
    pub url_bytes_max: usize,
    /// Resources that one conditional delete may delete.
    pub deletes_max: usize,
    /// How often a write decides anew when what it read was changed meanwhile.
    pub attempts_max: usize,
}

impl Default for RequestLimits {
    fn default() -> RequestLimits {
        RequestLimits {
            json: json::JsonLimits::default(),
            entries_max: 20_000,
            parallel_max: 8,
            count_default: 20,
            count_max: 1000,
            values_max: 1000,
            url_bytes_max: 16 * 1024,
            deletes_max: 1000,
            attempts_max: 8,
        }
    }
}

/// What a conditional delete may delete: <https://hl7.org/fhir/R4/valueset-conditional-delete-status.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConditionalDelete {
    /// It is refused.
    Off,
    /// One match; several are refused.
    Single,
    /// All matches, within a limit.
    Multiple,
}

impl ConditionalDelete {
    /// As the CapabilityStatement says it.
    pub fn code(self) -> &'static str {
        match self {
            ConditionalDelete::Off => "not-supported",
            ConditionalDelete::Single => "single",
            ConditionalDelete::Multiple => "multiple",
        }
    }
}

/// Choices that FHIR leaves to a server.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Update, patch and delete must say which version they mean (`versioned-update`).
    pub if_match_required: bool,
    /// What a conditional delete may delete.
    pub conditional_delete: ConditionalDelete,
    /// `PUT` to an id that is not there creates it.
    pub update_creates: bool,
    /// Where reads are answered of callers who do not say, when there is a standby.
    pub read_from: ReadFrom,
    /// What the CapabilityStatement calls the server.
    pub software: &'static str,
    /// Its version.
    pub software_version: &'static str,
    /// Microseconds since 1970 at which the server started: the date of the CapabilityStatement.
    pub started_at: i64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            if_match_required: false,
            conditional_delete: ConditionalDelete::Single,
            update_creates: true,
            read_from: ReadFrom::default(),
            software: "Cari FHIR Server",
            software_version: env!("CARGO_PKG_VERSION"),
            started_at: 0,
        }
    }
}
