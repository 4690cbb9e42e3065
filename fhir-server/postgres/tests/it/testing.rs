//! What other crates' tests stand on.

use fhir_postgres::testing;
use tokio_postgres::NoTls;

/// Each test has a runtime of its own; the server must outlive the first one's end.
#[test]
fn the_server_outlives_a_runtime() {
    for _ in 0..3 {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let (client, driver) = tokio_postgres::connect(testing::server().await, NoTls).await.unwrap();
            tokio::spawn(driver);
            client.batch_execute("select 1").await.unwrap();
        });
    }
}

#[tokio::test]
async fn databases_are_fresh_or_like_a_template() {
    let first = testing::database().await;
    let (client, driver) = tokio_postgres::connect(&first, NoTls).await.unwrap();
    let driver = tokio::spawn(driver);
    client.batch_execute("create table t as select 7 as n").await.unwrap();
    drop(client);
    driver.await.unwrap().unwrap();

    for (url, rows) in [(testing::database().await, 0_i64), (testing::database_like(&first).await, 1)] {
        assert_ne!(url, first);
        let (client, driver) = tokio_postgres::connect(&url, NoTls).await.unwrap();
        tokio::spawn(driver);
        let tables =
            client.query_one("select count(*) from pg_tables where tablename = 't'", &[]).await.unwrap();
        assert_eq!(tables.get::<_, i64>(0), rows, "{url}");
    }
}
