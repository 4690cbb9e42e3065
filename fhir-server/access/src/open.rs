//! `--auth none`: everybody may do everything. For a machine of one's own, never for a network.

use async_trait::async_trait;
use fhir_interactions::{AccessRequest, Guard, Principal};
use fhir_model::Result;
use fhir_store::Scope;

/// Everybody may do everything.
#[derive(Debug, Clone, Copy, Default)]
pub struct Open;

#[async_trait]
impl Guard for Open {
    async fn scope(&self, access: AccessRequest<'_>) -> Result<Scope> {
        Ok(Scope::everything_of(access.tenant))
    }

    fn may_call(&self, _: &Principal) -> bool {
        true
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

    #[tokio::test]
    async fn everybody_is_let_in() {
        assert!(Open.scope(AccessRequest::own(&fhir_interactions::Interaction::HistorySystem)).await.is_ok());
    }
}
