//! Who asks, and what they may see and change.

use async_trait::async_trait;
use fhir_model::Result;
use fhir_model::interaction::Interaction;
use fhir_search::TenantId;
use fhir_store::Scope;

use crate::permission::Permission;
use crate::principal::Principal;

/// What is to be decided on.
#[derive(Debug, Clone, Copy)]
pub struct AccessRequest<'r> {
    /// Who asks.
    pub principal: &'r Principal,
    /// What for.
    pub interaction: &'r Interaction,
    /// The query as it came: criteria of a search or of a conditional write.
    pub query: &'r str,
    /// The organisation that is asked.
    pub tenant: TenantId,
}

impl<'r> AccessRequest<'r> {
    /// For a program beside the server, such as an export, on the default organisation.
    pub fn own(interaction: &'r Interaction) -> AccessRequest<'r> {
        AccessRequest {
            principal: &Principal::System("program"),
            interaction,
            query: "",
            tenant: TenantId::DEFAULT,
        }
    }
}

/// What a request says of who asks, as it came.
#[derive(Debug, Clone, Copy, Default)]
pub struct Credentials<'r> {
    /// The header `Authorization`.
    pub authorization: Option<&'r str>,
    /// The token of the cookie, where that header is not sent.
    pub cookie: Option<&'r str>,
    /// The header `X-Organization-ID`.
    pub organization: Option<&'r str>,
    /// The organisation of the base url, where it is one's own.
    pub base: Option<TenantId>,
}

/// Who asks, and which organisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authenticated {
    /// Who asks.
    pub principal: Principal,
    /// The organisation that is asked.
    pub tenant: TenantId,
}

/// Decides on access: who asks, and for every request and every entry of a Bundle what it may see and change. What serves the store
/// itself (its own reads, background jobs, programs beside the server) uses `Scope::everything`.
#[async_trait]
pub trait Guard: Send + Sync {
    /// Who asks, and which organisation.
    ///
    /// # Errors
    ///
    /// `Unauthorized` when there are credentials that do not hold, `Forbidden` when they are for another organisation.
    async fn authenticate(&self, credentials: Credentials<'_>) -> Result<Authenticated> {
        let tenant = credentials.base.unwrap_or(TenantId::DEFAULT);
        Ok(Authenticated { principal: Principal::Anonymous, tenant })
    }

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

    /// Whether `principal` has a permission anywhere: on the platform, or in some organisation. What is about one organisation asks
    /// for that one, too.
    fn holds(&self, principal: &Principal, permission: Permission) -> bool {
        let _ = (principal, permission);
        false
    }
}
