//! `--auth none`: everybody may do everything. For a machine of one's own, never for a network.

use fhir_interactions::{Guard, Interaction, Principal};
use fhir_model::Result;
use fhir_store::Scope;

/// Everybody may do everything.
#[derive(Debug, Clone, Copy, Default)]
pub struct Open;

impl Guard for Open {
    fn scope(&self, _: &Principal, _: &Interaction) -> Result<Scope> {
        Ok(Scope::everything())
    }

    fn may_administer(&self, _: &Principal) -> bool {
        true
    }

    fn may_explain(&self, _: &Principal) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_is_let_in() {
        assert!(Open.scope(&Principal::Anonymous, &Interaction::HistorySystem).is_ok());
    }
}
