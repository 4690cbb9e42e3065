//! The default: without a policy nobody sees or changes a resource.

use async_trait::async_trait;
use fhir_model::interaction::Interaction;
use fhir_model::{Error, Kind, Result};
use fhir_store::Scope;

use crate::guard::{AccessRequest, Guard};

/// Nobody may do anything but ask what the server can do.
#[derive(Debug, Clone, Copy, Default)]
pub struct DenyAll;

#[async_trait]
impl Guard for DenyAll {
    async fn scope(&self, access: AccessRequest<'_>) -> Result<Scope> {
        match access.interaction {
            // The statement reads no resource, and clients need it to learn how to get in.
            Interaction::Capabilities => Ok(Scope::nothing()),
            _ => Err(Error::new(
                Kind::Unauthorized,
                "this server asks for credentials, and there were none it knows",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use fhir_model::Key;

    use super::*;

    #[tokio::test]
    async fn only_the_statement_is_open() {
        let key = || Key::new("Patient", "1");
        let may =
            async |i: Interaction| DenyAll.scope(AccessRequest::own(&i)).await.map_err(|e| e.kind.status());
        assert!(may(Interaction::Capabilities).await.is_ok());
        for interaction in [
            Interaction::Bundle,
            Interaction::Read(key()),
            Interaction::Update(key()),
            Interaction::Delete(key()),
            Interaction::SearchSystem,
            Interaction::HistorySystem,
            Interaction::Create("Patient".into()),
        ] {
            assert_eq!(may(interaction).await.unwrap_err(), 401);
        }
    }
}
