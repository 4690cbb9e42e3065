//! Common searches use indexes: none of them reads the table of resources from end to end.

use std::sync::Arc;

use fhir_model::Key;
use fhir_model::json::{Doc, JsonLimits};
use fhir_search::Query;
use fhir_search::index_hash::IndexHasher;
use fhir_search::sql::{Bind, Sql, everything};
use fhir_store::{Commit, Method, Options, ResourceState, Store, Write};
use serde_json::Value;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, NoTls};

use super::{all, query};

const PATIENTS: usize = 2_000;
const OBSERVATIONS_OF_EACH: usize = 9;
/// Writes in one transaction.
const BATCH: usize = 1_000;

/// Rows of tables that the statements of a bounded search read, at most: several pages' worth, and far fewer than there are.
const READ_MAX: u64 = 3_000;

/// The shape of the first statement, and a search that has it. Its answer is bounded: what is read is, too.
const BOUNDED: &[(&str, &str)] = &[
    ("id", "Patient?_id=p7"),
    ("id", "Patient?_id=p7,p8,p9&_sort=_lastUpdated"),
    ("filter-then-sort", "Patient?_id=p7,p8,p9&_sort=family"),
    ("patient", "Observation?patient=p7"),
    ("patient", "Observation?patient=p7&_sort=date"),
    ("patient", "Observation?patient=p7&code=http://loinc.org|c65&_sort=-date"),
    ("patient", "Observation?patient=p7&date=ge2000&status=final"),
    ("filter-then-sort", "Observation?patient=p7&_sort=value-quantity"),
    ("filter-then-sort", "Observation?patient=p7&_sort=subject.family"),
    ("gin", "Observation?patient=p7,p8,p9"),
    ("gin", "Patient?identifier=http://id|7"),
    ("gin", "Observation?performer=Practitioner/d9none"),
    ("few", "Patient?family=family77"),
    ("texts", "Patient?family:contains=ily77"),
    // That there are many families is known by now.
    ("few", "Patient?family:contains=ily77"),
    ("few", "Patient?name=family77&gender=male"),
    ("few", "Patient?family=family&_sort=birthdate"),
    ("few", "Patient?name=family77 g"),
    // That many have it is known by now.
    ("budgeted scan", "Patient?family=family"),
    ("entries", "Patient?family=family&_sort=family"),
    ("patient", "Observation?patient=p7&value-quantity=gt5"),
    ("few", "Observation?code=http://loinc.org|c3&value-quantity=gt5"),
    ("few", "Observation?value-quantity=gt17990"),
    ("few", "Observation?value-quantity=gt5"),
    // That many have such a value is known by now.
    ("index-order scan", "Observation?value-quantity=gt5&_sort=-_lastUpdated"),
    ("index-order scan", "Observation?date=2005-01-01"),
    ("long", "Observation?date=ge2005-01-01&date=le2005-01-03&_sort=date"),
    ("index-order scan", "Observation?date=ge2005-01-01&date=lt2005-01-03"),
    ("budgeted scan", "Observation?date=2005-01-01&_sort=_lastUpdated"),
    ("budgeted scan", "Observation?_lastUpdated=lt2020&category=none"),
    ("code", "Observation?code=http://loinc.org|c3"),
    ("code", "Observation?code=http://loinc.org|c3&_sort=date"),
    ("code", "Observation?code=http://loinc.org|c3&date=ge2001&_sort=-date"),
    ("index-order scan", "Observation"),
    ("index-order scan", "Observation?_sort=-_lastUpdated"),
    ("index-order scan", "Observation?_sort=date"),
    ("index-order scan", "Observation?status:not=final"),
    ("budgeted scan", "Observation?date=ge2010&_sort=_lastUpdated"),
    ("long", "Patient?birthdate=ge1990&_sort=birthdate"),
    ("index-order scan", "Patient?birthdate=ge1990&_sort=-birthdate,_id"),
    ("budgeted scan", "Observation?status=final"),
    ("budgeted scan", "Observation?status=amended&_sort=-_lastUpdated"),
    ("codes", "Observation?code=http://loinc.org|c3,http://loinc.org|c4,http://loinc.org|c5"),
    ("codes", "Observation?code=http://loinc.org|c3,http://loinc.org|c4&_sort=date"),
    ("budgeted code", "Observation?code=http://loinc.org|c3&status=final"),
    ("budgeted code", "Observation?code=http://loinc.org|c3&category=none"),
    ("budgeted scan", "Observation?status=final&category=none"),
    ("entries", "Patient?_sort=family"),
    ("entries", "Patient?_sort=-family,birthdate"),
    ("entries", "Patient?gender=male&_sort=family"),
    ("entries", "Observation?_sort=value-quantity"),
    ("entries", "Observation?status=amended&_sort=-value-quantity"),
    ("entries", "Observation?code=http://loinc.org|c3&_sort=value-quantity"),
    ("entries", "Observation?code=http://loinc.org|c3&_sort=-value-quantity,date"),
    ("entries", "Observation?code=http://loinc.org|c3&status=final&_sort=value-quantity"),
    ("few", "Observation?code-value-quantity=http://loinc.org|c3$gt5"),
    ("few", "Observation?code=http://loinc.org|c3,http://loinc.org|c5&value-quantity=gt5"),
    ("entries", "Observation?date=ge2010&_sort=value-quantity"),
    ("values", "Observation?subject:Patient.family=family7"),
    ("gin", "Observation?patient.identifier=http://id|7"),
    ("budgeted scan", "Observation?subject:Patient.gender=male"),
    ("code", "Patient?_has:Observation:patient:code=http://loinc.org|c3"),
    ("budgeted scan", "Patient?_has:Observation:patient:status=final"),
    ("index-order scan", "Patient?_has:Observation:patient:date=ge2001"),
    ("id", "Patient?_id=p7&_revinclude=Observation:subject"),
    ("id", "Observation?_id=o7&_include=Observation:performer&_revinclude=*"),
];

/// The same where the answer is not bounded, or what there is must be looked at: an index is used all the same.
const INDEXED: &[(&str, &str)] = &[
    // Practitioners who did a fifth of all: a bitmap is of all there is, the rows are not looked at.
    ("gin", "Observation?performer=Practitioner/d3"),
    ("gin", "Observation?performer=Practitioner/d3&_sort=-_lastUpdated"),
    // Too short for the index of trigrams: all families are looked at.
    ("few", "Patient?family:contains=77"),
    // Of those that were walked first none is amended.
    ("budgeted scan", "Observation?status=amended"),
    ("filter-then-sort", "Patient?gender=male&_sort=identifier"),
    ("filter-then-sort", "Patient?_sort=_id"),
];

#[tokio::test(flavor = "multi_thread")]
async fn searches_read_no_more_than_they_must() {
    let url = fhir_store::testing::database().await.unwrap();
    let registry = fhir_store::testing::registry().await.unwrap();
    let options = Options { connections_max: 4, ..Options::default() };
    let store = Store::open(&url, options, registry).await.unwrap();
    fill(&store).await;
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute("vacuum analyze").await.unwrap();
    let mut wrong = Vec::new();
    let all_rows = BOUNDED.iter().map(|row| (row, READ_MAX)).chain(INDEXED.iter().map(|row| (row, u64::MAX)));
    for ((shape, search), read_max) in all_rows {
        let query = Query { count: 20, ..query(&store, search) };
        let (page, steps) = store.explain(&all(), std::slice::from_ref(&query)).await.unwrap();
        let found_none = search.contains("none");
        assert_eq!(page.matches.is_empty(), found_none, "{search} finds {}", page.matches.len());
        let first = steps.first().map(|step| step.shape);
        if first != Some(shape) {
            wrong.push(format!("{search} is answered by {first:?}, not by {shape}"));
        }
        let mut read = 0;
        for step in &steps {
            let scans = scans(&step.plan[0]["Plan"]);
            read += scans.iter().map(|scan| scan.rows).sum::<u64>();
            if let Some(scan) = scans.iter().find(|scan| scan.reads_all()) {
                wrong.push(format!("{search}, {}: {scan:?}\n{:#}", step.shape, step.plan));
            }
            // Where two indexes are read for one condition, one of them was read for all that it has.
            if step.plan.to_string().contains("BitmapAnd") {
                wrong.push(format!("{search}, {}: two bitmaps\n{:#}", step.shape, step.plan));
            }
        }
        if read > read_max {
            let told: Vec<_> = steps
                .iter()
                .map(|s| format!("{} {} {} {:#}", s.shape, s.rows, s.statement, s.plan))
                .collect();
            wrong.push(format!("{search} reads {read} rows:\n{}", told.join("\n")));
        }
    }
    let secret: Vec<u8> =
        client.query_one("select value from setting where name = 'secret.keys'", &[]).await.unwrap().get(0);
    let hasher = IndexHasher::new(secret.try_into().unwrap());
    let patient = Key::new("Patient", "p7");
    let compartment = everything::Compartment::new(&patient, store.registry(), &hasher);
    let lines = explain(
        &client,
        &everything::compartment(&compartment, &everything::Part::default(), &Default::default(), 1000),
    )
    .await;
    if lines.iter().any(|line| reads_all(line)) {
        wrong.push(format!("compartment:\n{}", lines.join("\n")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // The check can fail.
    let mut all_rows = Sql::default();
    all_rows.push("select r.handle from resource r where r.version = ").bind(Bind::Int(2));
    assert!(explain(&client, &all_rows).await.iter().any(|line| reads_all(line)));
}

/// A node of a plan that reads a table or an index.
#[derive(Debug)]
struct Scan {
    kind: String,
    table: String,
    rows: u64,
}

impl Scan {
    fn reads_all(&self) -> bool {
        self.kind == "Seq Scan"
            && ["resource", "ordered_entry", "string_entry"].contains(&self.table.as_str())
    }
}

/// The scans of a plan, with all rows they met, also those that did not pass.
fn scans(node: &Value) -> Vec<Scan> {
    let number = |name: &str| node[name].as_f64().unwrap_or(0.0);
    let mut found: Vec<Scan> = node["Plans"].as_array().into_iter().flatten().flat_map(scans).collect();
    let kind = node["Node Type"].as_str().unwrap_or("");
    if kind.ends_with("Scan") && node["Relation Name"].is_string() || kind == "Bitmap Index Scan" {
        let met = number("Actual Rows")
            + number("Rows Removed by Filter")
            + number("Rows Removed by Index Recheck");
        let table = node["Relation Name"].as_str().unwrap_or("").to_owned();
        found.push(Scan { kind: kind.to_owned(), table, rows: (met * number("Actual Loops")) as u64 });
    }
    found
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
                "identifier":[{{"system":"http://id","value":"{p}"}}],"name":[{{"family":"Family{p}","given":["G"]}}],
                "address":[{{"line":["{p} Road"],"city":"C","state":"S","postalCode":"{p}","country":"KE"}}]}}"#,
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
                    n % 5,
                    n % 25,
                    n % 100
                ),
            ));
        }
    }
    for batch in texts.chunks(BATCH) {
        let write = |(key, text): &(Key, String)| Write {
            key: key.clone(),
            before: ResourceState::Absent,
            version: 1,
            method: Method::Put,
            doc: Some(Doc::parse(text.as_str(), JsonLimits::default()).unwrap()),
            preconditions: Vec::new(),
        };
        let writes: Vec<_> = batch.iter().map(write).collect();
        let timestamp = store.commit_timestamp().unwrap();
        assert_eq!(store.commit(&all(), &timestamp, &writes).await.unwrap(), Commit::Done);
    }
}
