//! Who hides the noise.

use async_trait::async_trait;
use fhir_access::Permission;
use fhir_interactions::{AccessRequest, Guard, Interaction, Principal};
use fhir_model::Result;
use fhir_search::TenantId;
use fhir_search::condition::Condition;
use fhir_store::{Rule, Rules, Scope, Store};

use crate::app::condition;

/// What has this as a tag or as a security label is hidden.
pub(super) const SYSTEM: &str = "http://noise.example";
pub(super) const CODE: &str = "hidden";

/// Ids of the Patients that are hidden, with all that is theirs.
pub(super) fn patients() -> impl Iterator<Item = String> {
    (0..16).map(|n| format!("hidden-{n}"))
}

/// Hides the noise from everybody.
pub(super) struct HidingGuard {
    rules: Rules,
}

impl HidingGuard {
    pub(super) fn new(store: &Store) -> HidingGuard {
        let types = store.registry().definitions().resource_types();
        let rule = |name: &str| (name.into(), Rule { filter: filter(store, name), ..Rule::all() });
        HidingGuard { rules: Rules::by_type(types.map(rule).collect()).unwrap() }
    }
}

fn filter(store: &Store, type_name: &str) -> Condition {
    let label = format!("{SYSTEM}|{CODE}");
    let mut hidden = vec![("_tag", label.clone()), ("_security", label)];
    if type_name == "Patient" {
        hidden.push(("_id", patients().collect::<Vec<_>>().join(",")));
    } else if has_patient(store, type_name) {
        let all: Vec<String> = patients().map(|id| format!("Patient/{id}")).collect();
        hidden.push(("patient", all.join(",")));
    }
    let shown = hidden.iter().map(|(name, value)| {
        Condition::Not(Box::new(condition(store, TenantId::DEFAULT, (type_name, name, value))))
    });
    Condition::All(shown.collect()).simplify()
}

/// True for a type whose resources are searched by their patient.
pub(super) fn has_patient(store: &Store, type_name: &str) -> bool {
    store.registry().for_type(type_name).is_ok_and(|search| search.param("patient").is_some())
}

#[async_trait]
impl Guard for HidingGuard {
    async fn scope(&self, access: AccessRequest<'_>) -> Result<Scope> {
        let rules = match access.interaction {
            // Whoever does not see all of a type creates nothing by PUT, as that would tell which ids are taken; the pages do.
            Interaction::Update(_) => Rules::All,
            // An operator's: how far the index of a type is says how many resources there are.
            Interaction::Operation(_, code) if code.starts_with("reindex") => Rules::All,
            _ => self.rules.clone(),
        };
        Ok(Scope::new(access.tenant, vec![(access.tenant, rules)]))
    }

    fn may_call(&self, _: &Principal) -> bool {
        true
    }

    fn holds(&self, _: &Principal, _: Permission) -> bool {
        true
    }
}
