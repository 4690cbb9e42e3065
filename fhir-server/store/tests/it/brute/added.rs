//! Search parameters that are added while the examples come in: some of these are indexed by the job, some as they are
//! written.

use std::sync::Arc;
use std::time::Duration;

use fhir_model::Key;
use fhir_search::custom::Stage;
use fhir_store::Store;
use serde_json::json;

/// Type, code, kind, expression, and the parts of a composite: the last part of the url of R4's parameter that says how
/// a value is compared, and where it is.
type Row = (&'static str, &'static str, &'static str, &'static str, &'static [(&'static str, &'static str)]);

const ROWS: &[Row] = &[
    ("Patient", "kin", "string", "Patient.contact.name", &[]),
    ("Patient", "trait", "token", "Patient.extension.value", &[]),
    ("Patient", "named", "date", "Patient.name.period", &[]),
    ("Observation", "least", "quantity", "Observation.referenceRange.low", &[]),
    ("Encounter", "stayed", "date", "Encounter.location.period", &[]),
    ("ValueSet", "draws-from", "uri", "ValueSet.compose.include.system", &[]),
    ("Questionnaire", "asks", "reference", "Questionnaire.item.answerValueSet", &[]),
    ("Claim", "step", "number", "Claim.item.sequence", &[]),
    // Of the whole resource: of R4's indexes, of others, of both; with several orders.
    (
        "Observation",
        "code-date",
        "composite",
        "Observation",
        &[("clinical-code", "code"), ("clinical-date", "effective")],
    ),
    (
        "Patient",
        "born-named",
        "composite",
        "Patient",
        &[
            ("individual-birthdate", "birthDate"),
            ("Patient-name", "name.family"),
            ("individual-gender", "gender"),
        ],
    ),
    (
        "Encounter",
        "class-diagnosis",
        "composite",
        "Encounter",
        &[
            ("Encounter-class", "class"),
            ("Encounter-diagnosis", "diagnosis.condition | %resource.reasonReference"),
        ],
    ),
    // Of elements: with a text, a date, a quantity, a reference, a uri.
    (
        "Patient",
        "kin-relation",
        "composite",
        "Patient.contact",
        &[("individual-gender", "relationship"), ("Patient-name", "name.family")],
    ),
    (
        "Patient",
        "use-given",
        "composite",
        "Patient.name",
        &[("individual-gender", "use"), ("individual-given", "given")],
    ),
    (
        "Encounter",
        "at-location",
        "composite",
        "Encounter.location",
        &[("Encounter-location", "location"), ("Encounter-location-period", "period")],
    ),
    (
        "ValueSet",
        "system-name",
        "composite",
        "ValueSet.compose.include",
        &[("conformance-url", "system"), ("conformance-name", "concept.display")],
    ),
    (
        "Claim",
        "item-quantity",
        "composite",
        "Claim.item",
        &[("individual-gender", "productOrService"), ("Observation-value-quantity", "quantity | unitPrice")],
    ),
];

/// Ids and bodies.
pub(super) fn definitions() -> Vec<(Key, String)> {
    let url = |code: &str| format!("http://hl7.org/fhir/SearchParameter/{code}");
    let definition = |(type_name, code, kind, expression, parts): &Row| {
        let parts: Vec<_> =
            parts.iter().map(|(of, at)| json!({ "definition": url(of), "expression": at })).collect();
        let mut body = json!({
            "resourceType": "SearchParameter", "id": format!("added-{code}"), "url": format!("http://example.org/{code}"),
            "name": code, "status": "active", "description": "d", "code": code, "base": [type_name], "type": kind,
            "expression": expression,
        });
        if !parts.is_empty() {
            body["component"] = json!(parts);
        }
        (Key::new("SearchParameter", format!("added-{code}")), body.to_string())
    };
    ROWS.iter().map(definition).collect()
}

/// Waits until all resources are indexed by them.
pub(super) async fn ready(store: &Arc<Store>) {
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    for _ in 0..3000 {
        let customs = store.registry().customs();
        if customs.len() == ROWS.len() && customs.iter().all(|c| c.stage == Stage::Ready) {
            return;
        }
        ticks.tick().await;
    }
    panic!("old resources are not indexed: {:?}", store.reindex_jobs(&crate::all()).await);
}
