//! Who asks, and what they may see and change.

use async_trait::async_trait;
use fhir_model::Result;
use fhir_model::interaction::Interaction;
use fhir_search::TenantId;
use fhir_store::Scope;

/// Who asks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Principal {
    /// Nobody we know by name.
    #[default]
    Anonymous,
}

impl Principal {
    /// A name that no other principal has: what is given out to one, a page link, is bound to it.
    pub fn name(&self) -> &str {
        match self {
            Principal::Anonymous => "",
        }
    }
}

/// What is to be decided on.
#[derive(Debug, Clone, Copy)]
pub struct AccessRequest<'r> {
    /// Who asks.
    pub principal: &'r Principal,
    /// What for.
    pub interaction: &'r Interaction,
    /// The query as it came: criteria of a search or of a conditional write.
    pub query: &'r str,
    /// The organisation whose base was asked.
    pub tenant: TenantId,
}

impl<'r> AccessRequest<'r> {
    /// For a program beside the server, such as an export, on the default organisation.
    pub fn own(interaction: &'r Interaction) -> AccessRequest<'r> {
        AccessRequest { principal: &Principal::Anonymous, interaction, query: "", tenant: TenantId::DEFAULT }
    }
}

/// Decides on access: every request, and every entry of a Bundle, gets its scope here. What serves the store itself (its own
/// reads, background jobs, programs beside the server) uses `Scope::everything`.
#[async_trait]
pub trait Guard: Send + Sync {
    /// What may be seen and changed.
    ///
    /// # Errors
    ///
    /// `Unauthorized` when the principal has to say who it is, `Forbidden` when it may not do this at all.
    async fn scope(&self, access: AccessRequest<'_>) -> Result<Scope>;

    /// Whether `principal` may call anything at all beside FHIR that is not public. What it may see and change is asked of
    /// [`scope`](Guard::scope) then.
    fn may_call(&self, principal: &Principal) -> bool {
        let _ = principal;
        false
    }

    /// Whether `principal` may look after the server itself: see what failed in the background, have it tried again.
    fn may_administer(&self, principal: &Principal) -> bool {
        let _ = principal;
        false
    }

    /// Whether `principal` may see how the server answers: statements, plans, costs.
    fn may_explain(&self, principal: &Principal) -> bool {
        let _ = principal;
        false
    }
}
