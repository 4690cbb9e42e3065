//! Common searches use indexes: none of them reads the table of resources from end to end.

use std::sync::Arc;

use fhir_model::Key;
use fhir_model::json::{Doc, Limits};
use fhir_search::filter;
use fhir_search::keyer::Keyer;
use fhir_search::order::Order;
use fhir_search::sql::{self, Bind, Sql, everything};
use fhir_store::{Commit, Found, Method, Options, Store, Write};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, NoTls};

use super::{all, query};

const PATIENTS: usize = 2_000;
const OBSERVATIONS_OF_EACH: usize = 9;
/// Writes in one transaction.
const BATCH: usize = 1_000;

/// The shape of the first statement, and a search that has it.
const SEARCHES: &[(&str, &str)] = &[
    ("id", "Patient?_id=p7"),
    ("id", "Patient?_id=p7,p8,p9&_sort=family"),
    ("patient", "Observation?patient=p7"),
    ("patient", "Observation?patient=p7&code=http://loinc.org|c65&_sort=-date"),
    ("gin", "Patient?identifier=http://id|7"),
    ("gin", "Observation?performer=Practitioner/d7"),
    ("strings", "Patient?family=family7"),
    ("strings", "Patient?family:contains=ily77"),
    ("strings", "Patient?name=family7&gender=male"),
    ("code", "Observation?code=http://loinc.org|c3"),
    ("code", "Observation?code=http://loinc.org|c3&date=ge2001&_sort=-date"),
    ("walk", "Observation"),
    ("walk", "Observation?_sort=-_lastUpdated"),
    ("walk", "Patient?birthdate=ge1990&_sort=birthdate"),
    ("budgeted walk", "Observation?status=amended"),
    ("budgeted walk", "Observation?status=amended&_sort=-_lastUpdated"),
];

#[tokio::test(flavor = "multi_thread")]
async fn common_searches_use_indexes() {
    let url = fhir_store::testing::database().await.unwrap();
    let registry = fhir_store::testing::registry().await.unwrap();
    let options = Options { connections_max: 4, ..Options::default() };
    let store = Store::open(&url, options, registry).await.unwrap();
    fill(&store).await;
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute("vacuum analyze").await.unwrap();
    let secret: Vec<u8> =
        client.query_one("select value from setting where name = 'secret.keys'", &[]).await.unwrap().get(0);
    let keyer = Keyer::new(secret.try_into().unwrap());
    let mut wrong = Vec::new();
    for (shape, search) in SEARCHES {
        let query = query(&store, search);
        let order = Order::of(&query, &keyer);
        let condition = filter::condition(&query, store.registry(), &keyer);
        let plan = match order.is_columns() {
            true => sql::page(&query, condition, &order, store.registry(), 21),
            false => sql::unordered(1, condition, 21),
        };
        assert_eq!(plan.steps[0].shape, *shape, "{search}");
        for step in &plan.steps {
            let lines = explain(&client, &step.sql).await;
            if lines.iter().any(|line| reads_all(line)) {
                wrong.push(format!("{search}, {}:\n{}", step.shape, lines.join("\n")));
            }
        }
        assert!(!store.search(&all(), &query).await.unwrap().matches.is_empty(), "{search} finds nothing");
    }
    let patient = Key::new("Patient", "p7");
    let compartment = everything::Compartment::of_patient(&patient, store.registry(), &keyer);
    let lines =
        explain(&client, &everything::compartment(&compartment, &everything::Part::default(), 1000)).await;
    if lines.iter().any(|line| reads_all(line)) {
        wrong.push(format!("compartment:\n{}", lines.join("\n")));
    }
    for (target, search) in [
        ("Patient/p7", "Patient?_revinclude=Observation:subject"),
        ("Practitioner/d7", "Practitioner?_revinclude=Observation:performer"),
        ("Practitioner/d7", "Practitioner?_revinclude=*"),
        ("Patient/p7", "Patient?_revinclude=*"),
    ] {
        let query = query(&store, search);
        let (type_name, id) = target.split_once('/').unwrap();
        let includes: Vec<_> = query.includes.iter().collect();
        let key = Key::new(type_name, id);
        let to = fhir_search::include::Referring::to(&[&key], &includes, store.registry(), &keyer);
        for sql in [sql::referring(&to, 1001), sql::referring_rows(&to, i64::MIN, 1001)] {
            let lines = explain(&client, &sql).await;
            if lines.iter().any(|line| reads_all(line)) {
                wrong.push(format!("{search}:\n{}", lines.join("\n")));
            }
        }
    }
    let present = explain(&client, &sql::present((1..=146).collect())).await;
    if present.iter().any(|line| reads_all(line)) {
        wrong.push(format!("types that have resources:\n{}", present.join("\n")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // The check can fail.
    let mut all_rows = Sql::default();
    all_rows.push("select r.handle from resource r where r.version = ").bind(Bind::Int(2));
    assert!(explain(&client, &all_rows).await.iter().any(|line| reads_all(line)));
}

fn reads_all(line: &str) -> bool {
    line.contains("Seq Scan on resource ")
}

async fn explain(client: &Client, sql: &Sql) -> Vec<String> {
    let parameters: Vec<&(dyn ToSql + Sync)> = sql
        .binds()
        .iter()
        .map(|bind| match bind {
            Bind::Long(n) => n as &(dyn ToSql + Sync),
            Bind::Longs(n) => n,
            Bind::Int(n) => n,
            Bind::Ints(n) => n,
            Bind::Text(t) => t,
            Bind::Texts(t) => t,
        })
        .collect();
    let rows = client.query(&format!("explain {}", sql.text()), &parameters).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// Patients with observations of a hundred codes, most of them final.
async fn fill(store: &Arc<Store>) {
    let mut texts = Vec::new();
    for p in 0..PATIENTS {
        texts.push((
            Key::new("Patient", format!("p{p}")),
            format!(
                r#"{{"resourceType":"Patient","id":"p{p}","gender":"{}","birthDate":"{}-01-01",
                "identifier":[{{"system":"http://id","value":"{p}"}}],"name":[{{"family":"Family{p}","given":["G"]}}]}}"#,
                if p.is_multiple_of(2) { "female" } else { "male" },
                1920 + p % 100
            ),
        ));
        for o in 0..OBSERVATIONS_OF_EACH {
            let n = p * OBSERVATIONS_OF_EACH + o;
            texts.push((
                Key::new("Observation", format!("o{n}")),
                format!(
                    r#"{{"resourceType":"Observation","id":"o{n}","status":"{}","subject":{{"reference":"Patient/p{p}"}},
                    "performer":[{{"reference":"Practitioner/d{}"}}],"effectiveDateTime":"20{:02}-01-01",
                    "code":{{"coding":[{{"system":"http://loinc.org","code":"c{}"}}]}},"valueQuantity":{{"value":{n}}}}}"#,
                    if n.is_multiple_of(10) { "amended" } else { "final" },
                    n % 300,
                    n % 25,
                    n % 100
                ),
            ));
        }
    }
    for batch in texts.chunks(BATCH) {
        let write = |(key, text): &(Key, String)| Write {
            key: key.clone(),
            before: Found::Never,
            version: 1,
            method: Method::Put,
            doc: Some(Doc::parse(text.as_str(), Limits::default()).unwrap()),
            claim: None,
        };
        let writes: Vec<_> = batch.iter().map(write).collect();
        let stamp = store.stamp().unwrap();
        assert_eq!(store.commit(&all(), &stamp, &writes).await.unwrap(), Commit::Done);
    }
}
