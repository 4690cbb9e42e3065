//! Migrations per module, without advisory locks: a lease decides who migrates.

use std::time::{Duration, Instant};

use fhir_model::{Error, Kind, Result};
use tokio_postgres::Client;
use tokio_postgres::types::ToSql;

use crate::endpoint::Endpoint;
use crate::lease::Lease;
use crate::migrations::Migrations;
use crate::schema::{self, SchemaState};

/// How long the lease of a process that was killed while it migrated lasts.
const LEASE: Duration = Duration::from_secs(20);

/// How long a start waits for another process that migrates.
const WAIT: Duration = Duration::from_secs(600);

/// How far the schema of the database is; changes nothing.
///
/// # Errors
///
/// When the database cannot be reached, or [`migrate`] would refuse it: the text names the database and says why.
pub async fn schema(url: &str, modules: &[Migrations]) -> Result<SchemaState> {
    modules.iter().try_for_each(Migrations::check)?;
    let endpoint = Endpoint::parse(url)?;
    let client = endpoint.connect().await?;
    schema::inspect(&client, &endpoint, modules).await
}

/// Brings the database to the schema of this version; does nothing when it is there. The modules' migrations run in the
/// order of the list.
///
/// # Errors
///
/// As [`schema`], before the first change; when a migration fails; and when another process has been migrating for 10
/// minutes, or has taken over the lease of this one.
pub async fn migrate(url: &str, modules: &[Migrations]) -> Result<()> {
    if schema(url, modules).await? == SchemaState::Current {
        return Ok(());
    }
    let endpoint = Endpoint::parse(url)?;
    let client = endpoint.connect().await?;
    under_lease(&client, LEASE, async {
        let mut connection = endpoint.connect().await?;
        // Another version may have migrated while the lease was waited for.
        schema::inspect(&connection, &endpoint, modules).await?;
        for module in modules {
            run(&mut connection, module).await?;
        }
        Ok(())
    })
    .await
}

/// Makes the table that records which migrations ran; its columns are those of sqlx, which ran those of earlier versions.
const CREATE_RECORD: &str = "create table if not exists {record} (version bigint primary key, description text not null, \
     installed_on timestamptz not null default now(), success boolean not null, checksum bytea not null, \
     execution_time bigint not null)";

/// Runs the migrations of a module that did not run yet, each in a transaction with the row that records it.
async fn run(client: &mut Client, module: &Migrations) -> Result<()> {
    let sql = |text: &str| text.replace("{record}", &module.record());
    let broken = |error| Error::new(Kind::Internal, "the record of migrations cannot be used").because(error);
    client.batch_execute(&sql(CREATE_RECORD)).await.map_err(broken)?;
    let rows = client.query(&sql("select version from {record}"), &[]).await.map_err(broken)?;
    let done: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
    for migration in module.all().iter().filter(|migration| !done.contains(&migration.version)) {
        let failed = |error| {
            let text = format!("the migration {} ({}) failed", migration.version, migration.name);
            Error::new(Kind::Internal, text).because(error)
        };
        let began = Instant::now();
        let transaction = client.transaction().await.map_err(failed)?;
        transaction.batch_execute(migration.sql).await.map_err(failed)?;
        let record = "insert into {record} (version, description, success, checksum, execution_time) values ($1, $2, true, $3, $4)";
        let nanoseconds = i64::try_from(began.elapsed().as_nanos()).unwrap_or(i64::MAX);
        let values: [&(dyn ToSql + Sync); 4] =
            [&migration.version, &migration.name, &migration.checksum, &nanoseconds];
        transaction.execute(&sql(record), &values).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
    }
    Ok(())
}

/// Does work as the one process that migrates. The lease is renewed meanwhile, so that it may take any time, and is freed at
/// its end unless another process has it by then.
async fn under_lease<T>(
    client: &Client,
    duration: Duration,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    Lease::create_table(client).await?;
    let lease = Lease::new("migrations", crate::random_id(), duration);
    let deadline = tokio::time::Instant::now() + WAIT;
    while !lease
        .take(client)
        .await
        .map_err(|e| Error::new(Kind::Internal, "the table `lease` cannot be used").because(e))?
    {
        if tokio::time::Instant::now() > deadline {
            let text = "another process has been migrating the database for too long";
            return Err(Error::new(Kind::Unavailable, text));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let done = lease.hold(client, work).await;
    let freed = lease.free(client).await;
    let done = done?;
    freed?;
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot;

    const SHORT: Duration = Duration::from_millis(300);

    async fn client(url: &str) -> Client {
        Endpoint::parse(url).unwrap().connect().await.unwrap()
    }

    /// Twice the lease of database time goes by, and still nobody else may begin.
    #[tokio::test]
    async fn a_migration_may_take_longer_than_its_lease() {
        let url = fhir_postgres::testing::database().await;
        let (first, second) = (client(&url).await, client(&url).await);
        let (begun, has_begun) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        let working = tokio::spawn(async move {
            under_lease(&first, SHORT, async {
                begun.send(()).unwrap();
                ended.await.map_err(Error::internal)
            })
            .await
        });
        has_begun.await.unwrap();
        let other = Lease::new("migrations", 7, SHORT);
        second.execute("select pg_sleep(0.9)", &[]).await.unwrap();
        assert!(!other.take(&second).await.unwrap(), "it is renewed");
        end.send(()).unwrap();
        working.await.unwrap().unwrap();
        assert!(other.take(&second).await.unwrap(), "it is freed at the end");
    }

    #[tokio::test]
    async fn a_holder_whose_lease_was_taken_over_stops_and_frees_nothing() {
        let url = fhir_postgres::testing::database().await;
        let (first, second) = (client(&url).await, client(&url).await);
        let (begun, has_begun) = oneshot::channel();
        let working = tokio::spawn(async move {
            under_lease(&first, SHORT, async {
                begun.send(()).unwrap();
                std::future::pending::<Result<()>>().await
            })
            .await
        });
        has_begun.await.unwrap();
        let taken = "update lease set owner = 7, expires_at = expires_at + 60000000";
        assert_eq!(second.execute(taken, &[]).await.unwrap(), 1);
        let lost = working.await.unwrap().unwrap_err();
        assert_eq!(lost.kind, Kind::Conflict, "{lost}");
        let owner: i64 = second.query_one("select owner from lease", &[]).await.unwrap().get(0);
        assert_eq!(owner, 7);
    }

    #[tokio::test]
    async fn modules_have_folders_and_records_of_their_own() {
        const STORE: Migrations = Migrations::store(&[(1, "a", "create table a (id int);")], &[]);
        const ONE: Migrations =
            Migrations::new("cds-hooks", &[(1, "x", "create table cds_hooks_x (id int);")]);
        const MORE: Migrations = Migrations::new(
            "cds-hooks",
            &[(1, "x", "create table cds_hooks_x (id int);"), (2, "y", "create table cds_hooks_y (id int);")],
        );
        let url = fhir_postgres::testing::database().await;
        assert_eq!(schema(&url, &[STORE, ONE]).await.unwrap(), SchemaState::Empty);
        migrate(&url, &[STORE, ONE]).await.unwrap();
        assert_eq!(schema(&url, &[STORE, ONE]).await.unwrap(), SchemaState::Current);
        assert_eq!(schema(&url, &[STORE, MORE]).await.unwrap(), SchemaState::Earlier(1));
        migrate(&url, &[STORE, MORE]).await.unwrap();
        assert_eq!(schema(&url, &[STORE, MORE]).await.unwrap(), SchemaState::Current);
        assert_eq!(schema(&url, &[STORE]).await.unwrap(), SchemaState::Current, "modules can be left out");
        let later = schema(&url, &[STORE, ONE]).await.unwrap_err().to_string();
        assert!(later.contains("migration 2 (y)"), "{later}");
        let count = "select count(*) from _sqlx_migrations_cds_hooks";
        assert_eq!(client(&url).await.query_one(count, &[]).await.unwrap().get::<_, i64>(0), 2);
    }

    #[tokio::test]
    async fn a_table_without_the_modules_prefix_is_refused() {
        const WRONG: Migrations = Migrations::new("mpi", &[(1, "x", "create table link (id int);")]);
        let url = fhir_postgres::testing::database().await;
        let refused = migrate(&url, &[WRONG]).await.unwrap_err();
        let cause = format!("{refused:?}");
        assert!(cause.contains("`link`") && cause.contains("`mpi_`"), "{cause}");
    }
}
