//! For tests: a store on a fresh database, cloned from a migrated template.

mod random;

use std::sync::Arc;

use fhir_database::failure;
use fhir_model::Result;
use fhir_profiles::Definitions;
use fhir_search::Registry;
use tokio::sync::OnceCell;

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
