//! What is hidden: the guard that hides it, and what it leaves, told by the bodies alone.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use fhir_interactions::{AccessRequest, Guard};
use fhir_search::TenantId;
use fhir_search::condition::Condition;
use fhir_store::{Rule, Rules, Scope, Store};
use serde_json::Value;

use super::corpus::{TYPES, patient_of};
use crate::app::condition;
use fhir_store::testing::Random;

/// The tag of what is secret.
pub(super) const SECRET: &str = "http://tags.example|secret";

/// What nobody sees. Ids may be placeholders of those that the server gives.
#[derive(Debug, Default)]
pub(super) struct Hidden {
    /// All of these types.
    pub(super) types: Vec<&'static str>,
    /// These Patients and what is about them.
    pub(super) patients: Vec<String>,
    /// What has the tag [`SECRET`].
    pub(super) tagged: bool,
    /// Some of these types.
    pub(super) ids: Vec<(&'static str, String)>,
    /// The only Patients that are seen, and of what can be about a Patient only what is about them: the scope of a patient's
    /// own application.
    pub(super) only: Option<Vec<String>>,
}

impl Hidden {
    /// Part of these resources; with `only`, all but what is about some Patients.
    pub(super) fn random(random: &mut Random, all: &[(&'static str, String)], only: bool) -> Hidden {
        let mut hidden = Hidden { tagged: random.chance(70), ..Hidden::default() };
        if random.chance(25) {
            hidden.types.push(
                *random
                    .pick::<&str>(&["Organization", "Practitioner", "Encounter", "Condition", "List"])
                    .unwrap(),
            );
        }
        let share = *random.pick(&[0, 30, 60]).unwrap();
        let patients = all.iter().filter(|(type_name, _)| *type_name == "Patient");
        if only {
            let shown = patients.clone().filter(|_| random.chance(50)).map(|(_, id)| id.clone());
            hidden.only = Some(shown.collect());
        }
        hidden.patients.extend(patients.filter(|_| random.chance(share)).map(|(_, id)| id.clone()));
        let share = *random.pick(&[10, 25]).unwrap();
        hidden.ids.extend(all.iter().filter(|_| random.chance(share)).cloned());
        hidden
    }

    /// Whether a version with this body is hidden, by itself.
    pub(super) fn hides(&self, type_name: &'static str, id: &str, body: &Value) -> bool {
        let is_patient_hidden = |id: &str| self.patients.iter().any(|hidden| hidden == id);
        self.types.contains(&type_name)
            || self.ids.iter().any(|(of, hidden)| *of == type_name && hidden == id)
            || self.only.as_ref().is_some_and(|shown| match type_name {
                "Patient" => !shown.iter().any(|one| one == id),
                _ if ABOUT_PATIENTS.contains(&type_name) => {
                    !patient_of(type_name, body).is_some_and(|id| shown.contains(&id))
                }
                _ => false,
            })
            || (self.tagged && body["meta"]["tag"].to_string().contains("\"secret\""))
            || match type_name {
                "Patient" => is_patient_hidden(id),
                _ => patient_of(type_name, body).is_some_and(|id| is_patient_hidden(&id)),
            }
    }

    /// The rules that hide it, when the ids are known.
    pub(super) fn rules(&self, store: &Store, render: &dyn Fn(&str) -> String) -> Rules {
        let rule = |type_name: &&'static str| {
            let mut pairs = Vec::new();
            if self.tagged {
                pairs.push(("_tag", SECRET.to_owned()));
            }
            let mut ids: Vec<&str> =
                self.ids.iter().filter(|(of, _)| of == type_name).map(|(_, id)| id.as_str()).collect();
            if *type_name == "Patient" {
                ids.extend(self.patients.iter().map(String::as_str));
            } else if ABOUT_PATIENTS.contains(type_name) && !self.patients.is_empty() {
                let all: Vec<String> = self.patients.iter().map(|id| format!("Patient/{id}")).collect();
                pairs.push(("patient", all.join(",")));
            }
            if !ids.is_empty() {
                pairs.push(("_id", ids.join(",")));
            }
            let none = pairs.iter().map(|(name, value)| {
                Condition::Not(Box::new(condition(
                    store,
                    TenantId::DEFAULT,
                    (type_name, name, &render(value)),
                )))
            });
            let only = self.only.as_ref().and_then(|shown| match *type_name {
                "Patient" => Some(("_id", shown.join(","))),
                name if ABOUT_PATIENTS.contains(&name) => {
                    let all: Vec<String> = shown.iter().map(|id| format!("Patient/{id}")).collect();
                    Some(("patient", all.join(",")))
                }
                _ => None,
            });
            let only = only
                .iter()
                .map(|(name, value)| condition(store, TenantId::DEFAULT, (type_name, name, &render(value))));
            let filter = Condition::All(only.chain(none).collect()).simplify();
            ((*type_name).into(), Rule { filter, ..Rule::all() })
        };
        let shown = TYPES.iter().filter(|type_name| !self.types.contains(type_name));
        Rules::by_type(shown.map(rule).collect::<BTreeMap<_, _>>()).unwrap()
    }
}

/// Types with a parameter `patient`.
const ABOUT_PATIENTS: &[&str] = &["Encounter", "Condition", "Observation", "List"];

/// Hides nothing while it is off.
#[derive(Default)]
pub(super) struct Hiding {
    pub(super) rules: OnceLock<Rules>,
    pub(super) off: AtomicBool,
}

impl Hiding {
    pub(super) fn new() -> Arc<Hiding> {
        Arc::new(Hiding { off: AtomicBool::new(true), ..Hiding::default() })
    }
}

#[async_trait]
impl Guard for Hiding {
    async fn scope(&self, access: AccessRequest<'_>) -> fhir_model::Result<Scope> {
        let rules = match self.off.load(Ordering::SeqCst) {
            true => Rules::All,
            false => self.rules.get().unwrap().clone(),
        };
        Ok(Scope::new(access.tenant, vec![(access.tenant, rules)]))
    }
}
