//! Doors to worlds that do not speak FHIR: one folder each, the trait and the list.
//!
//! **Invariant:** an adapter keeps no clinical state. What comes in becomes requests for `fhir_interactions::handle`.

mod dlq;

use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use fhir_interactions::Cx;
use fhir_model::Result;

/// One foreign protocol.
#[async_trait]
pub trait Adapter: Send + Sync {
    /// What it is called in settings and logs: `hl7v2`, `cds-hooks`.
    fn name(&self) -> &'static str;

    /// What the paths of its routes begin with: it is asked for these and what is below them, and for nothing else.
    fn paths(&self) -> &'static [&'static str];

    /// What it answers over HTTP, below the root of the server. A path that is taken already stops the start.
    fn routes(&self, cx: Arc<Cx>) -> Router;

    /// What it does besides HTTP, such as listening on a port of its own, until the server stops.
    async fn serve(&self, cx: Arc<Cx>) -> Result<()>;
}

/// What adapters are told by the settings.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// So many dead letters are an alert.
    pub dead_letters_alert: u64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { dead_letters_alert: 10 }
    }
}

/// Every adapter of the server.
///
/// To add one: its folder, and a line here.
pub fn all(settings: Settings) -> Vec<Box<dyn Adapter>> {
    vec![Box::new(dlq::DeadLetterQueue { alert_at: settings.dead_letters_alert })]
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    #[test]
    fn names_are_unique() {
        let all = super::all(super::Settings::default());
        let names: HashSet<&str> = all.iter().map(|a| a.name()).collect();
        assert_eq!(names.len(), all.len());
    }
}
