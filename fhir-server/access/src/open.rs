//! `--auth none`: everybody may do everything. For a machine of one's own, never for a network.

use async_trait::async_trait;
use fhir_model::Result;
use fhir_store::Scope;

use crate::guard::{AccessRequest, Guard};
use crate::permission::Permission;
use crate::principal::Principal;

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

    fn holds(&self, _: &Principal, _: Permission) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use fhir_model::interaction::Interaction;

    use super::*;

    #[tokio::test]
    async fn everybody_is_let_in() {
        assert!(Open.scope(AccessRequest::own(&Interaction::HistorySystem)).await.is_ok());
    }
}
