//! For tests: a store on a fresh database, cloned from a migrated template.

mod late_rows;
mod random;

use std::sync::Arc;

use fhir_database::failure;
use fhir_model::Result;
use fhir_postgres::testing::NetworkCluster;
use fhir_profiles::Definitions;
use fhir_search::Registry;
use fhir_search::sql::Placement;
use tokio::sync::OnceCell;

pub use self::late_rows::LateRows;
pub(crate) use self::late_rows::PREPARED;
pub use self::random::Random;
use crate::{Options, Store, migrate};

static TEMPLATE: OnceCell<String> = OnceCell::const_new();
static REGISTRY: OnceCell<Arc<Registry>> = OnceCell::const_new();

/// All of R4's search parameters, compiled once per test binary.
///
/// # Errors
///
/// When the definitions cannot be decoded.
pub async fn registry() -> Result<Arc<Registry>> {
    let load = || async { Ok(Arc::new(Registry::load(Arc::new(Definitions::load()?))?)) };
    REGISTRY.get_or_try_init(load).await.cloned()
}

/// The url of a fresh migrated database.
///
/// # Errors
///
/// When PostgreSQL cannot be started, or the migrations fail.
pub async fn database() -> Result<String> {
    let template = TEMPLATE
        .get_or_try_init(|| async {
            let url = fhir_postgres::testing::database().await;
            migrate(&url).await.map(|()| url)
        })
        .await?;
    Ok(fhir_postgres::testing::database_like(template).await)
}

/// The url of a migrated database that may have prepared transactions, and the PostgreSQL it is in, which ends when it is dropped.
///
/// # Errors
///
/// When the migrations fail.
pub async fn late_rows_database() -> Result<(NetworkCluster, String)> {
    let settings = "max_prepared_transactions = 300\nmax_connections = 300\nshared_buffers = 64MB";
    let cluster = NetworkCluster::start(settings, "host all all 127.0.0.1/32 trust", &[]).await;
    cluster.ask("create database late").await;
    let url = format!("postgres://postgres@127.0.0.1:{}/late", cluster.port);
    migrate(&url).await?;
    Ok((cluster, url))
}

/// A store whose rows become visible late, on such a database.
///
/// # Errors
///
/// As [`Store::open`].
pub async fn late_rows(url: &str, late_rows: LateRows) -> Result<Arc<Store>> {
    let options = Options {
        connections_max: 60,
        placement: Some(Placement::Distributed),
        late_rows: Some(late_rows),
        ..Options::default()
    };
    Store::open(url, options, registry().await?).await
}

/// A store on a fresh database.
///
/// # Errors
///
/// As [`fresh_with`].
pub async fn fresh() -> Result<Arc<Store>> {
    fresh_with(Options { connections_max: 4, ..Options::default() }).await
}

/// A store on a fresh database, with options.
///
/// # Errors
///
/// As [`database`] and [`Store::open`].
pub async fn fresh_with(options: Options) -> Result<Arc<Store>> {
    Store::open(&database().await?, options, registry().await?).await
}

/// A connection that holds all resources for itself: until it is dropped, whoever asks for one waits.
///
/// # Errors
///
/// When the database cannot be reached.
pub async fn hold_resources(url: &str) -> Result<tokio_postgres::Client> {
    let (client, connection) =
        tokio_postgres::connect(url, tokio_postgres::NoTls).await.map_err(failure::classify)?;
    tokio::spawn(connection);
    let lock = "begin; lock table resource in access exclusive mode";
    client.batch_execute(lock).await.map_err(failure::classify)?;
    Ok(client)
}
