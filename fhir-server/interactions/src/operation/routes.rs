//! Where operations are called, for descriptions of the server.

use fhir_model::Key;
use fhir_model::interaction::Level;

use super::Operations;

/// One place at which an operation is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationRoute<'o> {
    /// Its code, without the `$`.
    pub code: &'o str,
    /// The url of its definition.
    pub url: &'o str,
    /// The place; the id of an instance is empty.
    pub level: Level,
    /// It may change resources, and takes POST alone.
    pub affects_state: bool,
}

impl Operations {
    /// All places at which operations are called. One that is for all types has the type `{type}`.
    pub fn routes(&self) -> Vec<OperationRoute<'_>> {
        let mut all = Vec::new();
        for definition in self.definitions() {
            let types: Vec<&str> = match definition.resources.as_slice() {
                [] => vec!["{type}"],
                named => {
                    named.iter().map(|name| if **name == *"Resource" { "{type}" } else { name }).collect()
                }
            };
            let mut levels = Vec::new();
            if definition.system {
                levels.push(Level::System);
            }
            if definition.types {
                levels.extend(types.iter().map(|name| Level::Type((*name).into())));
            }
            if definition.instance {
                levels.extend(types.iter().map(|name| Level::Instance(Key::new(*name, ""))));
            }
            all.extend(levels.into_iter().map(|level| OperationRoute {
                code: &definition.code,
                url: &definition.url,
                level,
                affects_state: definition.affects_state,
            }));
        }
        all
    }
}
