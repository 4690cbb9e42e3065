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

/// Decides on access: the only one who does. The store takes no call without the scope that comes from here.
pub trait Guard: Send + Sync {
    /// What `principal` may see and change by `interaction`; an error when that is nothing.
    fn scope(&self, principal: &Principal, interaction: &Interaction) -> Result<Scope>;
}
