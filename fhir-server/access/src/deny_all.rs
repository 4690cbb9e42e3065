//! The default: without a policy nobody sees or changes a resource.

use fhir_interactions::{Guard, Interaction, Principal};
use fhir_model::{Error, Kind, Result};
use fhir_store::Scope;

/// Nobody may do anything but ask what the server can do.
#[derive(Debug, Clone, Copy, Default)]
pub struct DenyAll;

impl Guard for DenyAll {
    fn scope(&self, _: &Principal, interaction: &Interaction) -> Result<Scope> {
        match interaction {
            // The statement reads no resource, and clients need it to learn how to get in.
            Interaction::Capabilities => Ok(Scope::everything()),
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

    #[test]
    fn only_the_statement_is_open() {
        let key = || Key::new("Patient", "1");
        let may = |i: Interaction| DenyAll.scope(&Principal::Anonymous, &i).map_err(|e| e.kind.status());
        assert!(may(Interaction::Capabilities).is_ok());
        for interaction in [
            Interaction::Bundle,
            Interaction::Read(key()),
            Interaction::Update(key()),
            Interaction::Delete(key()),
            Interaction::SearchSystem,
            Interaction::HistorySystem,
            Interaction::Create("Patient".into()),
        ] {
            assert_eq!(may(interaction).unwrap_err(), 401);
        }
    }
}
