//! The running cluster that a backup is made of.

use std::path::PathBuf;

use crate::connection::Connection;
use crate::error::Result;

/// A running cluster, as a backup sees it.
#[derive(Debug, Clone)]
pub struct Site {
    /// The home: the directory above the cluster.
    pub(crate) home: PathBuf,
    pub(crate) cluster: PathBuf,
    pub(crate) connection: Connection,
}

impl Site {
    /// How to connect as the owner of the database.
    pub fn url(&self) -> String {
        self.connection.url()
    }

    /// A superuser's connection; its driver ends when the client is dropped.
    pub(super) async fn connect(&self) -> Result<tokio_postgres::Client> {
        let (client, driver) = self.connection.superuser().config().connect(tokio_postgres::NoTls).await?;
        tokio::spawn(driver);
        Ok(client)
    }
}
