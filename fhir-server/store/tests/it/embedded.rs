//! Chains to what stands within a resource: contained resources, and the entries of a Bundle.

use std::sync::Arc;

use fhir_store::{Options, Store, testing};

use super::*;

/// With ends that are looked for first, and with matches that are asked one by one.
async fn stores() -> [Arc<Store>; 2] {
    let of = async |chain_rare| {
        testing::fresh_with(Options { chain_rare, connections_max: 4, ..Options::default() }).await.unwrap()
    };
    [of(50).await, of(0).await]
}

async fn finds(store: &Arc<Store>, rows: &[(&str, &str)]) {
    for (text, found) in rows {
        assert_eq!(search(store, &format!("{text}&_sort=_id")).await, *found, "{text}");
        let counted = store.count(&all(), &query(store, text)).await.unwrap().n;
        assert_eq!(counted, found.split_whitespace().count() as u64, "count of {text}");
    }
}

const MEDICATIONS: &[(&str, &str)] = &[
    (
        "inside",
        r##"{"medicationReference":{"reference":"#m"},"subject":{"reference":"Patient/p"},"contained":[
            {"resourceType":"Organization","id":"o","name":"Mwangi Pharma","active":true},
            {"resourceType":"Medication","id":"m","status":"active","code":{"text":"Aspirin","coding":[{"system":"http://c","code":"asp"}]},
             "manufacturer":{"reference":"#o"},"batch":{"expirationDate":"2027-05-01"},
             "ingredient":[{"itemCodeableConcept":{"coding":[{"code":"abc"}]}}]}]}"##,
    ),
    (
        "far-maker",
        r##"{"medicationReference":{"reference":"#m"},"contained":[
            {"resourceType":"Medication","id":"m","status":"inactive","code":{"coding":[{"code":"ibu"}]},
             "manufacturer":{"reference":"Organization/maker"}}]}"##,
    ),
    ("outside", r#"{"medicationReference":{"reference":"Medication/m"}}"#),
    // It is there, and nothing refers to it.
    (
        "unused",
        r#"{"medicationReference":{"display":"Aspirin"},"contained":[{"resourceType":"Medication","id":"m","code":{"coding":[{"code":"asp"}]}}]}"#,
    ),
    ("none", r#"{"medicationCodeableConcept":{"text":"Aspirin"}}"#),
    // Another type under the same id.
    (
        "patient",
        r##"{"subject":{"reference":"#m"},"contained":[{"resourceType":"Patient","id":"m","gender":"male","name":[{"family":"Otieno"}]}]}"##,
    ),
];

#[tokio::test]
async fn chains_look_into_contained_resources() {
    for store in stores().await {
        // Before there is any, and after.
        finds(&store, &[("MedicationRequest?medication.code=asp", "")]).await;
        put(&store, "Organization", "maker", r#"{"name":"Mwangi Works"}"#).await;
        put(&store, "Patient", "p", r#"{"gender":"male"}"#).await;
        let outside = r#"{"status":"active","code":{"coding":[{"system":"http://c","code":"asp"}]},"ingredient":[{"itemCodeableConcept":{"coding":[{"code":"abc"}]}}]}"#;
        put(&store, "Medication", "m", outside).await;
        put(&store, "List", "l", r#"{"entry":[{"item":{"reference":"Medication/m"}}]}"#).await;
        for (id, body) in MEDICATIONS {
            put(&store, "MedicationRequest", id, body).await;
        }
        finds(
            &store,
            &[
                ("MedicationRequest?medication.ingredient-code=abc", "inside outside"),
                ("MedicationRequest?medication.code=asp", "inside outside"),
                ("MedicationRequest?medication:Medication.code=http://c|asp", "inside outside"),
                ("MedicationRequest?medication.code=http://d|asp", ""),
                ("MedicationRequest?medication.code=ibu,asp", "far-maker inside outside"),
                ("MedicationRequest?medication.code:not=asp", "far-maker"),
                ("MedicationRequest?medication.code:text=aspi", "inside"),
                ("MedicationRequest?medication.code:missing=false", "far-maker inside outside"),
                ("MedicationRequest?medication.expiration-date:missing=true", "far-maker outside"),
                ("MedicationRequest?medication.expiration-date=gt2027", ""),
                ("MedicationRequest?medication.expiration-date=2027-05", "inside"),
                ("MedicationRequest?medication.manufacturer.name=mwangi", "far-maker inside"),
                ("MedicationRequest?medication.manufacturer.name:contains=pharm", "inside"),
                ("MedicationRequest?medication.manufacturer.name:exact=Mwangi Works", "far-maker"),
                ("MedicationRequest?medication.manufacturer.active=true", "inside"),
                ("MedicationRequest?medication.status=active&medication.code=asp", "inside outside"),
                ("MedicationRequest?medication.code=asp&patient=p", "inside"),
                ("MedicationRequest?subject.name=otieno", "patient"),
                ("MedicationRequest?patient.gender=male", "inside patient"),
                ("MedicationRequest?patient.family:contains=tien", "patient"),
                ("MedicationRequest?_filter=medication.code eq asp and patient eq p", "inside"),
                ("MedicationRequest?_filter=not (medication.code eq asp)", "far-maker none patient unused"),
                ("MedicationRequest?medication:missing=true", "none patient"),
                ("MedicationRequest?medication:missing=false", "far-maker inside outside unused"),
                ("MedicationRequest?patient:missing=false", "inside patient"),
                // What is contained is not the server's resource of the same id.
                ("MedicationRequest?medication._id=m", "outside"),
                (
                    "MedicationRequest?medication._has:MedicationRequest:medication:patient:missing=true",
                    "outside",
                ),
                ("MedicationRequest?medication._list=l", "outside"),
                ("MedicationRequest?medication._id:not=m", "far-maker inside"),
                ("Medication?code=asp", "m"),
                ("Patient?_has:MedicationRequest:patient:medication.code=asp", "p"),
                ("Organization?name=mwangi", "maker"),
            ],
        )
        .await;
        // What it was is no more.
        put(
            &store,
            "MedicationRequest",
            "inside",
            r#"{"medicationReference":{"reference":"Medication/none"}}"#,
        )
        .await;
        finds(&store, &[("MedicationRequest?medication.code=asp", "outside")]).await;
    }
}

/// What the server has under the id of an entry is another resource.
#[tokio::test]
async fn chains_look_into_bundles() {
    for store in stores().await {
        put(
            &store,
            "Composition",
            "c",
            r#"{"title":"Server","status":"final","subject":{"reference":"Patient/p"}}"#,
        )
        .await;
        put(&store, "MessageHeader", "h", r#"{"eventUri":"http://server"}"#).await;
        put(&store, "Patient", "p", r#"{"name":[{"family":"Server"}]}"#).await;
        put(&store, "Patient", "q", r#"{"name":[{"family":"Other"}]}"#).await;
        let document = r#"{"type":"document","entry":[
            {"fullUrl":"http://e/fhir/Composition/c","resource":{"resourceType":"Composition","id":"c","title":"Inside","status":"preliminary",
                "subject":{"reference":"Patient/p"},"author":[{"reference":"urn:uuid:1"}]}},
            {"fullUrl":"http://e/fhir/Patient/p","resource":{"resourceType":"Patient","id":"p","name":[{"family":"Inside"}]}},
            {"fullUrl":"urn:uuid:1","resource":{"resourceType":"Practitioner","name":[{"family":"Writer"}]}}]}"#;
        put(&store, "Bundle", "document", document).await;
        let message = r#"{"type":"message","entry":[{"fullUrl":"urn:uuid:2",
            "resource":{"resourceType":"MessageHeader","id":"h","eventUri":"http://inside"}}]}"#;
        put(&store, "Bundle", "message", message).await;
        let nameless = r#"{"type":"document","entry":[{"fullUrl":"urn:uuid:3",
            "resource":{"resourceType":"Composition","status":"final","title":"Nameless","subject":{"reference":"Patient/q"}}}]}"#;
        put(&store, "Bundle", "nameless", nameless).await;
        put(&store, "Bundle", "empty", r#"{"type":"collection"}"#).await;
        finds(
            &store,
            &[
                ("Bundle?composition.title=inside", "document"),
                ("Bundle?composition.title=server", ""),
                ("Bundle?composition.status=preliminary", "document"),
                ("Bundle?composition.status:not=preliminary", "nameless"),
                ("Bundle?composition._id=c", "document"),
                ("Bundle?composition.patient.name=inside", "document"),
                ("Bundle?composition.patient.name=server", ""),
                ("Bundle?composition.patient.name=other", "nameless"),
                ("Bundle?composition.author:Practitioner.name=writer", "document"),
                ("Bundle?message.event=http://inside", "message"),
                ("Bundle?message.event=http://server", ""),
                ("Bundle?composition:missing=false", "document nameless"),
                ("Bundle?composition:missing=true", "empty message"),
                ("Bundle?message:missing=false", "message"),
                ("Bundle?composition=Composition/c", "document"),
                ("Bundle?message=Composition/c", ""),
                ("Composition?_has:Bundle:composition:type=document", ""),
            ],
        )
        .await;
    }
}

/// Contained resources that refer to each other in circles are asked once for each condition.
#[tokio::test]
async fn circles_of_contained_resources_come_to_an_end() {
    for store in stores().await {
        let one = |i: usize| {
            let parts: Vec<_> = (0..30).map(|n| format!(r##"{{"reference":"#t{n}"}}"##)).collect();
            let status = if i == 29 { "completed" } else { "draft" };
            format!(
                r#"{{"resourceType":"Task","id":"t{i}","status":"{status}","partOf":[{}]}}"#,
                parts.join(",")
            )
        };
        let contained: Vec<_> = (0..30).map(one).collect();
        let body = format!(r##"{{"partOf":[{{"reference":"#t0"}}],"contained":[{}]}}"##, contained.join(","));
        put(&store, "Task", "round", &body).await;
        let part_of = ["part-of"; 7].join(".");
        let asked = std::time::Instant::now();
        finds(
            &store,
            &[
                (&format!("Task?{part_of}.status=completed"), "round"),
                (&format!("Task?{part_of}.status=failed"), ""),
                ("Task?part-of.status=completed", ""),
            ],
        )
        .await;
        assert!(asked.elapsed().as_secs() < 30, "{:?}", asked.elapsed());
    }
}

/// More than are looked at one by one for a number are refused; for a page they are asked along its order.
#[tokio::test]
async fn so_many_candidates_are_looked_at_and_no_more() {
    let options = Options { chain_rare: 2, chain_max: 4, connections_max: 4, ..Options::default() };
    let store = testing::fresh_with(options).await.unwrap();
    for i in 0..5 {
        let body = format!(
            r##"{{"medicationReference":{{"reference":"#m"}},"contained":[{{"resourceType":"Medication","id":"m","status":"active",
                "code":{{"coding":[{{"code":"c{i}"}}]}}}}]}}"##
        );
        put(&store, "MedicationRequest", &format!("r{i}"), &body).await;
    }
    // By the keys that it left only the right one is a candidate.
    finds(&store, &[("MedicationRequest?medication.code=c3", "r3")]).await;
    let text = "MedicationRequest?medication.status=active";
    assert_eq!(search(&store, &format!("{text}&_sort=_id")).await, "r0 r1 r2 r3 r4");
    let refused = store.count(&all(), &query(&store, text)).await.unwrap_err();
    assert_eq!(refused.kind, fhir_model::Kind::TooCostly);
    assert!(refused.text.contains("more than 4"), "{refused}");
}
