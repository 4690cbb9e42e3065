//! How long resources take to be indexed anew, while the server answers and before it does. The figures of SCALING.md:
//!
//! ```sh
//! CARI_WALK_RESOURCES=100000 cargo test --release -p fhir-store --test it -- figures_of_a_walk --nocapture
//! ```

use std::time::Instant;

use fhir_search::parameters::ParameterKind::Token;

use super::*;

/// Observations of a patient.
const EACH: usize = 19;
/// Resources in a commit.
const AT_ONCE: usize = 500;

fn observation(n: usize, patient: usize) -> String {
    json!({
        "status": "final",
        "category": [{"coding": [{
            "system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "vital-signs", "display": "Vital signs",
        }]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": format!("8867-{}", n % 40), "display": "Heart rate"}],
            "text": "Heart rate"},
        "subject": {"reference": format!("Patient/p{patient}")},
        "encounter": {"reference": format!("Encounter/e{n}")},
        "effectiveDateTime": format!("20{:02}-{:02}-{:02}T08:{:02}:00Z", n % 26, n % 12 + 1, n % 28 + 1, n % 60),
        "issued": format!("20{:02}-{:02}-{:02}T08:{:02}:00.000Z", n % 26, n % 12 + 1, n % 28 + 1, n % 60),
        "valueQuantity": {"value": n % 200, "unit": "/min", "system": "http://unitsofmeasure.org", "code": "/min"},
    })
    .to_string()
}

async fn load(store: &Store, resources: usize) {
    let mut writes = Vec::new();
    for n in 0..resources {
        let at = n / (EACH + 1);
        let (key, body) = match n % (EACH + 1) {
            0 => (Key::new("Patient", format!("p{at}")), patient(at, &format!("Given{at}"))),
            _ => (Key::new("Observation", format!("o{n}")), observation(n, at)),
        };
        let (before, method) = (ResourceState::Absent, Method::Put);
        let doc = Some(doc(&body, &key, 1));
        writes.push(Write { key, before, version: 1, method, doc, preconditions: Vec::new() });
        if writes.len() == AT_ONCE || n + 1 == resources {
            let done = store.commit(&all(), &store.commit_timestamp().unwrap(), &writes).await.unwrap();
            assert_eq!(done, Commit::Done);
            writes.clear();
        }
    }
}

#[tokio::test]
async fn figures_of_a_walk() {
    let resources = std::env::var("CARI_WALK_RESOURCES").map_or(500, |text| text.parse().unwrap());
    let url = testing::database().await.unwrap();
    let store = open(&url, &[], ReindexOptions::default()).await.unwrap();
    load(&store, resources).await;
    store.leave().await;
    let change = IndexChange::Parameters {
        changed: |type_name, param| type_name == "Patient" && *param.code == *"given" || param.kind == Token,
        former: None,
    };
    let began = Instant::now();
    let store = open(&url, &[change], ReindexOptions::default()).await.unwrap();
    assert_eq!(search(&store, "Patient?family=family0&birthdate=1900-01-01&_count=1").await, "p0");
    let answered = began.elapsed();
    let patients = resources / (EACH + 1);
    let (requests, slowest) =
        ask_while(&store, patients, |_| store.registry().pending_change().is_some()).await;
    let walked = began.elapsed();
    assert!(!refused(&store, "Observation?status=final"));
    let began = Instant::now();
    ask_while(&store, patients, |n| n < requests).await;
    let alone = began.elapsed();
    store.leave().await;
    drop(store);
    let began = Instant::now();
    let store = open(&url, &[change, IndexChange::Everything], ReindexOptions::default()).await.unwrap();
    let blocked = began.elapsed().as_secs_f64();
    let each_second = |time: Duration| f64::from(u32::try_from(requests).unwrap()) / time.as_secs_f64();
    println!(
        "{resources} resources: answers after {} ms; all are indexed anew after {:.1} s, beside {:.0} requests a second of one \
         client (the slowest took {} ms; without a walk it gets {:.0}). Before it answers: {blocked:.1} s",
        answered.as_millis(),
        walked.as_secs_f64(),
        each_second(walked),
        slowest.as_millis(),
        each_second(alone),
    );
    store.leave().await;
}

/// One client, without a pause: half reads, the rest searches and updates. How many there were, and how long the slowest took.
async fn ask_while(
    store: &Arc<Store>,
    patients: usize,
    goes_on: impl Fn(usize) -> bool,
) -> (usize, Duration) {
    let (mut requests, mut slowest) = (0, Duration::ZERO);
    while goes_on(requests) {
        let n = requests % patients;
        let asked = Instant::now();
        match requests % 4 {
            0 => drop(put(store, "Patient", &format!("p{n}"), &patient(n, "Turn")).await),
            1 => drop(search(store, &format!("Observation?patient=p{n}&_count=10")).await),
            _ => drop(store.read(&all(), &Key::new("Patient", format!("p{n}"))).await.unwrap()),
        }
        slowest = slowest.max(asked.elapsed());
        requests += 1;
    }
    (requests, slowest)
}
