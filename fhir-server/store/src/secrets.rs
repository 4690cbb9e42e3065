//! The database's own secrets: made once, the same for every process.

use fhir_database::{Connections, failure};
use fhir_model::{Error, Result};

/// Secrets of one database.
pub(crate) struct Secrets {
    /// Of the equality keys and handles.
    pub(crate) keys: [u8; 16],
    /// Of page links.
    pub(crate) cursors: [u8; 16],
}

pub(crate) async fn load(connections: &Connections) -> Result<Secrets> {
    let client = connections.client().await?;
    let mut found = Vec::new();
    for name in ["secret.keys", "secret.cursors"] {
        let fresh = uuid::Uuid::new_v4().into_bytes().to_vec();
        client
            .execute(
                "insert into setting (name, value) values ($1, $2) on conflict (name) do nothing",
                &[&name, &fresh],
            )
            .await
            .map_err(failure::classify)?;
        let row = client
            .query_one("select value from setting where name = $1", &[&name])
            .await
            .map_err(failure::classify)?;
        let value: Vec<u8> = row.get(0);
        let value: [u8; 16] = value.try_into().map_err(|_| Error::internal(format!("{name} is damaged")))?;
        found.push(value);
    }
    match found.as_slice() {
        [keys, cursors] => Ok(Secrets { keys: *keys, cursors: *cursors }),
        _ => Err(Error::internal("the secrets are missing")),
    }
}
