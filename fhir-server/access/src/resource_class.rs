//! What kind of thing a resource type is, as roles see it: who books appointments does not read diagnoses.

/// Kinds of resource types. What is in no list is clinical.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ResourceClass {
    /// Who and what there is: people who treat, places, services.
    Directory,
    /// What is needed to receive, book, insure and bill a patient.
    Administration,
    /// How the server itself behaves.
    Definition,
    /// Codes and what they are called.
    Terminology,
    /// Prescriptions, which are doctors' alone to write.
    Prescription,
    /// Recordings of sessions, which are doctors' alone to make.
    Recording,
    /// Who is whom, over organisations.
    PersonLink,
    /// What is counted of a population.
    PublicHealth,
    /// Who saw what.
    Audit,
    /// Everything else.
    Clinical,
}

const LISTS: &[(ResourceClass, &[&str])] = &[
    (
        ResourceClass::Directory,
        &[
            "Endpoint",
            "HealthcareService",
            "Location",
            "Organization",
            "OrganizationAffiliation",
            "Practitioner",
            "PractitionerRole",
        ],
    ),
    (
        ResourceClass::Administration,
        &[
            "Account",
            "Appointment",
            "AppointmentResponse",
            "ChargeItem",
            "Coverage",
            "CoverageEligibilityRequest",
            "CoverageEligibilityResponse",
            "EnrollmentRequest",
            "EnrollmentResponse",
            "InsurancePlan",
            "Invoice",
            "Patient",
            "PaymentNotice",
            "PaymentReconciliation",
            "Person",
            "RelatedPerson",
            "Schedule",
            "Slot",
            "SupplyDelivery",
            "SupplyRequest",
        ],
    ),
    (
        ResourceClass::Definition,
        &[
            "CapabilityStatement",
            "CompartmentDefinition",
            "GraphDefinition",
            "ImplementationGuide",
            "MessageDefinition",
            "OperationDefinition",
            "SearchParameter",
            "StructureDefinition",
            "StructureMap",
            "Subscription",
            "TerminologyCapabilities",
        ],
    ),
    (ResourceClass::Terminology, &["CodeSystem", "ConceptMap", "NamingSystem", "ValueSet"]),
    (ResourceClass::Prescription, &["MedicationRequest"]),
    (ResourceClass::Recording, &["Media"]),
    (ResourceClass::PersonLink, &["Linkage"]),
    (ResourceClass::PublicHealth, &["Measure", "MeasureReport"]),
    (ResourceClass::Audit, &["AuditEvent"]),
];

impl ResourceClass {
    /// The kind of a resource type.
    pub(crate) fn new(type_name: &str) -> ResourceClass {
        let found = LISTS.iter().find(|(_, types)| types.contains(&type_name));
        found.map_or(ResourceClass::Clinical, |(class, _)| *class)
    }

    /// The types that are not clinical.
    pub(crate) fn listed() -> impl Iterator<Item = (ResourceClass, &'static str)> {
        LISTS.iter().flat_map(|(class, types)| types.iter().map(|type_name| (*class, *type_name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_no_list_is_clinical() {
        assert_eq!(ResourceClass::new("Observation"), ResourceClass::Clinical);
        assert_eq!(ResourceClass::new("Claim"), ResourceClass::Clinical, "it says what for");
        assert_eq!(ResourceClass::new("Patient"), ResourceClass::Administration);
        let mut names: Vec<&str> = ResourceClass::listed().map(|(_, name)| name).collect();
        names.sort_unstable();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all, "no type is in two lists");
    }
}
