//! Migrations, without advisory locks: a lease row decides who migrates.

use std::borrow::Cow;
use std::time::Duration;

use fhir_model::{Error, Kind, Result};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{Connection, Executor, PgConnection};

use crate::endpoint::Endpoint;
use crate::schema::{self, SchemaState};

/// The migrations, in order. An applied file never changes.
const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "resource", include_str!("../../../migrations/0001_resource.sql")),
    (2, "postgresql", include_str!("../../../migrations/0002_postgresql.sql")),
    (3, "patient_order", include_str!("../../../migrations/0003_patient_order.sql")),
    (4, "search_parameter", include_str!("../../../migrations/0004_search_parameter.sql")),
    (5, "distinct_text", include_str!("../../../migrations/0005_distinct_text.sql")),
    (6, "long_range", include_str!("../../../migrations/0006_long_range.sql")),
    (7, "beginnings", include_str!("../../../migrations/0007_beginnings.sql")),
    (8, "index_format", include_str!("../../../migrations/0008_index_format.sql")),
    (9, "long_search", include_str!("../../../migrations/0009_long_search.sql")),
    (10, "index_settings", include_str!("../../../migrations/0010_index_settings.sql")),
    (11, "address_words", include_str!("../../../migrations/0011_address_words.sql")),
];

/// How long one process waits for another that migrates.
const WAIT: Duration = Duration::from_secs(60);

/// How far the schema of the database is; changes nothing.
///
/// # Errors
///
/// When the database cannot be reached, or [`migrate`] would refuse it: the text names the database and says why.
pub async fn schema(url: &str) -> Result<SchemaState> {
    let endpoint = Endpoint::parse(url)?;
    let client = endpoint.connect().await?;
    schema::inspect(&client, &endpoint, &migrations()).await
}

/// Applies the migrations that the database lacks.
///
/// # Errors
///
/// As [`schema`], before the first change; and when a migration fails.
pub async fn migrate(url: &str) -> Result<()> {
    if schema(url).await? == SchemaState::Current {
        return Ok(());
    }
    let away = |e: sqlx::Error| Error::new(Kind::Unavailable, "the database cannot be reached").because(e);
    let mut connection = PgConnection::connect(url).await.map_err(away)?;
    let mut migrator = Migrator::DEFAULT;
    migrator.set_locking(false);
    migrator.migrations = migrations().into();
    lease(&mut connection).await?;
    let done = migrator.run(&mut connection).await;
    let freed = connection.execute("delete from migration_lease").await;
    done.map_err(|e| Error::new(Kind::Internal, "a migration failed").because(e))?;
    freed.map_err(Error::internal)?;
    connection.close().await.map_err(Error::internal)
}

/// The migrations as sqlx takes them.
pub(crate) fn migrations() -> Vec<Migration> {
    let migration = |(version, name, sql): &(i64, &'static str, &'static str)| {
        let sql = sqlx::SqlStr::from_static(sql);
        Migration::new(*version, Cow::Borrowed(name), MigrationType::Simple, sql, false)
    };
    MIGRATIONS.iter().map(migration).collect()
}

/// Takes the lease; a lease left by a killed process is taken over once it is older than [`WAIT`].
async fn lease(connection: &mut PgConnection) -> Result<()> {
    // Two processes may both try to create the table; the loser's error means that it is there.
    let table =
        "create table if not exists migration_lease (id int primary key, taken_at timestamptz not null)";
    let _ = connection.execute(table).await;
    let deadline = tokio::time::Instant::now() + WAIT;
    loop {
        let take = format!(
            "insert into migration_lease (id, taken_at) values (1, clock_timestamp()) on conflict (id) do update \
             set taken_at = excluded.taken_at where migration_lease.taken_at < clock_timestamp() - interval '{} seconds'",
            WAIT.as_secs()
        );
        let taken = connection.execute(sqlx::AssertSqlSafe(take)).await.map_err(|e| {
            Error::new(Kind::Internal, "the table `migration_lease` cannot be used").because(e)
        })?;
        if taken.rows_affected() == 1 {
            return Ok(());
        }
        if tokio::time::Instant::now() > deadline {
            return Err(Error::new(
                Kind::Unavailable,
                "another process has been migrating the database for too long",
            ));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
