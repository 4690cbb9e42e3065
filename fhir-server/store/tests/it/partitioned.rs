//! The same statements on hash-partitioned tables: what it takes to be distributed by `handle`.

use std::sync::Arc;

use fhir_store::{Options, Store};
use tokio::sync::OnceCell;
use tokio_postgres::NoTls;

const SCHEMA: &str = include_str!("../../../../migrations/0001_resource.sql");
const POSTGRESQL: &str = include_str!("../../../../migrations/0002_postgresql.sql");
const LATER: &[&str] = &[
    include_str!("../../../../migrations/0003_patient_order.sql"),
    include_str!("../../../../migrations/0004_search_parameter.sql"),
    include_str!("../../../../migrations/0005_distinct_text.sql"),
    include_str!("../../../../migrations/0006_long_range.sql"),
    include_str!("../../../../migrations/0007_beginnings.sql"),
    include_str!("../../../../migrations/0008_index_format.sql"),
    include_str!("../../../../migrations/0010_index_settings.sql"),
    include_str!("../../../../migrations/0011_address_words.sql"),
    include_str!("../../../../migrations/0012_modules.sql"),
    include_str!("../../../../migrations/0013_tenant.sql"),
    include_str!("../../../../migrations/0014_claim_row.sql"),
];

const TABLES: &[&str] = &["resource", "ordered_entry", "string_entry", "resource_history"];
const PARTITIONS: usize = 4;

static TEMPLATE: OnceCell<String> = OnceCell::const_new();

scenarios!(fresh);

/// A store on a fresh database with partitioned tables.
async fn fresh() -> Arc<Store> {
    let template = TEMPLATE.get_or_init(template).await;
    let url = fhir_postgres::testing::database_like(template).await;
    let options = Options { connections_max: 4, ..Options::default() };
    Store::open(&url, options, fhir_store::testing::registry().await.unwrap()).await.unwrap()
}

async fn template() -> String {
    let url = fhir_postgres::testing::database().await;
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    let running = tokio::spawn(connection);
    fhir_database::Lease::create_table(&client).await.unwrap();
    client.batch_execute(&partitioned(SCHEMA)).await.unwrap();
    client.batch_execute(&without_storage(POSTGRESQL)).await.unwrap();
    for migration in LATER {
        client.batch_execute(migration).await.unwrap();
    }
    let count =
        "select count(*) from pg_inherits i join pg_class c on c.oid = i.inhrelid where c.relkind = 'r'";
    let partitions: i64 = client.query_one(count, &[]).await.unwrap().get(0);
    assert_eq!(partitions as usize, TABLES.len() * PARTITIONS);
    drop(client);
    // A template may have no visitors.
    running.await.unwrap().unwrap();
    url
}

/// The schema as it is, except that the tables that hold resources are partitioned.
fn partitioned(schema: &str) -> String {
    let mut sql = schema.to_owned();
    for table in TABLES {
        let start = sql.find(&format!("create table {table} (")).unwrap();
        let end = start + sql[start..].find("\n);").unwrap() + 2;
        let mut parts = " partition by hash (handle);".to_owned();
        for i in 0..PARTITIONS {
            parts += &format!(
                "\ncreate table {table}_{i} partition of {table} for values with (modulus {PARTITIONS}, remainder {i});"
            );
        }
        sql.replace_range(end..=end, &parts);
    }
    sql
}

/// Partitioned tables and indexes take no storage options; their partitions would.
fn without_storage(sql: &str) -> String {
    let statements = sql.split_inclusive(';').filter(|s| !s.contains("alter "));
    statements.collect()
}
