//! A compartment as a condition on rows: what a rule of access says of the resources around one patient or practitioner.

use fhir_model::Key;

use crate::condition::Condition;
use crate::include::refers_to;
use crate::index_hash::{IndexHasher, parse_server_id};
use crate::registry::Registry;

/// What holds of the resources of a type that are in the compartment around `key`, itself included. Returns `None` for a type that is
/// not part of such compartments.
pub fn compartment_condition(
    key: &Key,
    type_name: &str,
    registry: &Registry,
    hasher: &IndexHasher,
) -> Option<Condition> {
    let codes = registry.compartments().for_resource(&key.type_name, type_name).unwrap_or_default();
    let search = registry.for_type(type_name).ok()?;
    let params = codes.iter().filter_map(|code| search.param(code));
    let mut parts: Vec<Condition> =
        params.map(|param| refers_to(param, &[key.clone().into()], registry, hasher)).collect();
    if *type_name == *key.type_name {
        let foreign = hasher.foreign_handle(registry.number(type_name)?, &key.id);
        let handles = parse_server_id(&key.id).into_iter().chain([foreign]).collect();
        parts.push(Condition::Ids(handles, vec![key.id.to_string()]));
    }
    (!parts.is_empty()).then(|| Condition::Any(parts).simplify())
}
