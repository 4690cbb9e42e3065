//! Who asks, and what they may see and change.

use fhir_model::Result;
use fhir_model::interaction::Interaction;
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

/// Decides on access. Requests get their scope from here; what serves the store itself (its own reads, background jobs,
/// programs beside the server) uses `Scope::everything`.
pub trait Guard: Send + Sync {
    /// What `principal` may see and change by `interaction`.
    ///
    /// # Errors
    ///
    /// `Unauthorized` or `Forbidden` when `principal` may not do it at all.
    fn scope(&self, principal: &Principal, interaction: &Interaction) -> Result<Scope>;

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
