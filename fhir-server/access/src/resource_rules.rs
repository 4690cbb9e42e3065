//! From what somebody may do to the rules of a [`Scope`](fhir_store::Scope): the one place that says which permission opens which
//! resources.

use std::collections::{BTreeMap, BTreeSet};

use fhir_model::{Key, Result};
use fhir_search::TenantId;
use fhir_search::condition::Condition;
use fhir_store::{Rule, Rules, Store, TypeRules};

use crate::permission::Permission::*;
use crate::permission::Permissions;
use crate::resource_class::ResourceClass;
use crate::rights::Rights;

/// What a user may see and change in a tenant.
///
/// # Errors
///
/// When a rule is none that the store can keep: a defect.
pub(crate) fn rules(rights: &Rights, tenant: TenantId, store: &Store) -> Result<Rules> {
    let permissions = rights.permissions_in(tenant);
    let of_class = |class| Rule {
        read: may_read(class, permissions),
        write: may_write(class, permissions),
        ..Rule::all()
    };
    let others = hidden_unless_read(of_class(ResourceClass::Clinical));
    let mut types: BTreeMap<Box<str>, Rule> = BTreeMap::new();
    for (class, type_name) in ResourceClass::listed() {
        let rule = hidden_unless_read(of_class(class));
        if rule != others {
            types.insert(type_name.into(), rule);
        }
    }
    for compartment in compartments(rights, tenant, permissions) {
        compartment.open(&mut types, &others, tenant, store);
    }
    match types.values().all(|rule| *rule == Rule::none()) && others == Rule::none() {
        true => Ok(Rules::None),
        false => Ok(Rules::ByType(std::sync::Arc::new(TypeRules::new(types, others)?))),
    }
}

/// What is not read is not written either: a write answers with what was there.
fn hidden_unless_read(rule: Rule) -> Rule {
    if rule.read { rule } else { Rule::none() }
}

fn may_read(class: ResourceClass, permissions: Permissions) -> bool {
    match class {
        ResourceClass::Directory => permissions.has(ReadDirectory),
        ResourceClass::Administration => permissions.has(ReadAdministration),
        // They say how the server answers, and what codes mean: whoever works here needs them.
        ResourceClass::Definition | ResourceClass::Terminology => permissions.has(ReadDirectory),
        ResourceClass::Prescription | ResourceClass::Clinical => permissions.has(ReadRecords),
        ResourceClass::Recording => permissions.has(ReadRecords) && permissions.has(RecordSessions),
        ResourceClass::PersonLink => permissions.has(ManageMpi),
        ResourceClass::PublicHealth => permissions.has(ManagePublicHealth) || permissions.has(ReadRecords),
        ResourceClass::Audit => permissions.has(ViewAuditLog),
    }
}

fn may_write(class: ResourceClass, permissions: Permissions) -> bool {
    match class {
        ResourceClass::Directory => permissions.has(WriteDirectory),
        ResourceClass::Administration => permissions.has(WriteAdministration),
        ResourceClass::Definition => permissions.has(WriteDefinitions),
        ResourceClass::Terminology => permissions.has(WriteDefinitions) || permissions.has(WriteDirectory),
        ResourceClass::Prescription => permissions.has(Prescribe),
        ResourceClass::Recording => permissions.has(RecordSessions),
        ResourceClass::Clinical => permissions.has(WriteRecords),
        ResourceClass::PersonLink => permissions.has(ManageMpi),
        ResourceClass::PublicHealth => permissions.has(ManagePublicHealth),
        // It writes itself.
        ResourceClass::Audit => false,
    }
}

/// Resources that are open to somebody because they are about it.
struct OwnCompartment<'r> {
    around: &'r Key,
    /// Who treats writes; who is treated reads.
    is_practitioner: bool,
}

/// The compartments of a user in a tenant: as a patient of it; on the platform as the patient or the practitioner that it registered
/// as.
fn compartments(rights: &Rights, tenant: TenantId, permissions: Permissions) -> Vec<OwnCompartment<'_>> {
    let here = rights.membership(tenant).and_then(|member| member.patient.as_ref());
    let registered = rights.fhir_user.as_ref().filter(|_| tenant == TenantId::PLATFORM);
    let own = |around: &'_ Key| match &*around.type_name {
        "Patient" => permissions.has(ViewSelf).then_some(false),
        "Practitioner" => permissions.has(Prescribe).then_some(true),
        _ => None,
    };
    let all = here.into_iter().chain(registered);
    all.filter_map(|around| Some(OwnCompartment { around, is_practitioner: own(around)? })).collect()
}

impl OwnCompartment<'_> {
    /// Opens what is in it and not open already.
    fn open(&self, types: &mut BTreeMap<Box<str>, Rule>, others: &Rule, tenant: TenantId, store: &Store) {
        let definition = store.registry().compartments().get(&self.around.type_name);
        // The resource around which it is may be left out of the list, as it is not found by a parameter.
        let itself: &str = &self.around.type_name;
        let names: BTreeSet<&str> =
            definition.into_iter().flat_map(|all| all.resource_types()).chain([itself]).collect();
        for type_name in names {
            let Some(condition) = store.compartment_condition(tenant, self.around, type_name) else {
                continue;
            };
            let is_written = self.is_practitioner && self.may_write(type_name, store);
            let before = types.get(type_name).unwrap_or(others);
            types.insert(type_name.into(), opened(before, condition, is_written));
        }
    }

    /// What a doctor of no organisation writes: patients of its own, and what is about no patient. What is about a patient it writes once
    /// that patient lets it: anybody can say that they are a doctor, and of whom.
    fn may_write(&self, type_name: &str, store: &Store) -> bool {
        let is_about_patients = store.registry().compartments().for_resource("Patient", type_name);
        let is_about_patients = is_about_patients.is_some_and(|codes| !codes.is_empty());
        match ResourceClass::new(type_name) {
            ResourceClass::Administration | ResourceClass::Directory => {
                type_name == "Patient" || !is_about_patients
            }
            _ => false,
        }
    }
}

/// A rule that also shows, and perhaps lets write, those of which a condition holds.
fn opened(before: &Rule, condition: Condition, is_written: bool) -> Rule {
    let all = Condition::default();
    match (before.read, before.write, is_written) {
        (true, _, false) if before.filter == all => before.clone(),
        (true, true, true) if before.filter == all => before.clone(),
        // All are seen: these may be written.
        (true, false, true) if before.filter == all => {
            Rule { write: true, writable: condition, ..Rule::all() }
        }
        (false, ..) => Rule { read: true, write: is_written, filter: condition, writable: all },
        // Two compartments: what may be written is what either lets write.
        (true, wrote, writes) => {
            let writable = match (wrote, writes) {
                (false, false) => all,
                (true, false) => before_writable(before),
                (false, true) => condition.clone(),
                (true, true) => Condition::Any(vec![before_writable(before), condition.clone()]).simplify(),
            };
            let filter = Condition::Any(vec![before.filter.clone(), condition]).simplify();
            Rule { read: true, write: wrote || writes, filter, writable }
        }
    }
}

fn before_writable(before: &Rule) -> Condition {
    Condition::All(vec![before.filter.clone(), before.writable.clone()]).simplify()
}
