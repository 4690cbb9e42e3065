//! Leases: a name that one process holds at a time, for as long as it renews it.
//!
//! A lease is a row, so that it works on every kind of PostgreSQL and through connection poolers, and is judged by the
//! database's clock, so that processes whose clocks differ agree on whether it is over.
//!
//! **Invariant:** only the holder renews and frees a lease. Whoever changes data under a lease renews it in the same
//! transaction: the row lock keeps everybody else from taking it before the commit.

use std::time::Duration;

use fhir_model::{Error, Kind, Result};
use tokio_postgres::GenericClient;

use crate::failure;

/// SQL: the database's clock, in microseconds since 1970.
pub const NOW: &str = "(extract(epoch from clock_timestamp()) * 1000000)::int8";

/// The table is needed by the migrations, so that it is made before them.
const TABLE: &str = "create table if not exists lease (name text not null primary key, owner bigint not null, \
     expires_at bigint not null)";

const TAKE: &str = "insert into lease (name, owner, expires_at) \
     values ($1::text, $2::int8, (extract(epoch from clock_timestamp()) * 1000000)::int8 + $3::int8) \
     on conflict (name) do update set owner = excluded.owner, expires_at = excluded.expires_at \
     where lease.owner = excluded.owner \
     or lease.expires_at < (extract(epoch from clock_timestamp()) * 1000000)::int8";

const RENEW: &str = "update lease l set expires_at = (extract(epoch from clock_timestamp()) * 1000000)::int8 + $3::int8 \
     where l.name = $1::text and l.owner = $2::int8";

const FREE: &str = "delete from lease l where l.name = $1::text and l.owner = $2::int8";

/// A lease that this process may hold.
#[derive(Debug, Clone)]
pub struct Lease {
    name: String,
    owner: i64,
    micros: i64,
}

impl Lease {
    /// The lease of a name for an owner, which is not taken by this. `duration`: how long it lasts when it is not renewed.
    pub fn new(name: impl Into<String>, owner: i64, duration: Duration) -> Lease {
        Lease {
            name: name.into(),
            owner,
            micros: i64::try_from(duration.as_micros()).unwrap_or(i64::MAX / 2),
        }
    }

    /// Makes the table of leases where there is none.
    ///
    /// # Errors
    ///
    /// When the database cannot be reached, or refuses to make it.
    pub async fn create_table(client: &(impl GenericClient + Sync)) -> Result<()> {
        // Two processes may both try; the error of the one that is second means that the table is there.
        match client.execute(TABLE, &[]).await {
            Err(e) if failure::is_lost(&e) => Err(failure::classify(e)),
            _ => Ok(()),
        }
    }

    /// Takes the lease when nobody has it, it is over, or it is this owner's already. Returns `false` when another owner
    /// holds it.
    ///
    /// # Errors
    ///
    /// When the database cannot be reached.
    pub async fn take(&self, client: &(impl GenericClient + Sync)) -> Result<bool> {
        self.change(client, TAKE).await
    }

    /// Lets the lease last for its duration from now on. Returns `false` when another owner has taken it over, or it was
    /// freed. One that is over and that nobody has taken is renewed.
    ///
    /// # Errors
    ///
    /// When the database cannot be reached.
    pub async fn renew(&self, client: &(impl GenericClient + Sync)) -> Result<bool> {
        self.change(client, RENEW).await
    }

    /// Frees the lease. Returns `false`, and frees nothing, when it is not this owner's any more.
    ///
    /// # Errors
    ///
    /// When the database cannot be reached.
    pub async fn free(&self, client: &(impl GenericClient + Sync)) -> Result<bool> {
        let statement = client.prepare(FREE).await.map_err(failure::classify)?;
        let done = client.execute(&statement, &[&self.name, &self.owner]).await;
        Ok(done.map_err(failure::classify)? == 1)
    }

    /// Does work under the lease, which must be held, and renews it meanwhile. The lease is not freed at the end.
    ///
    /// # Errors
    ///
    /// Those of the work; of the kind `Conflict` when another owner took the lease over, and `Unavailable` when it could
    /// not be renewed for as long as it lasts. The work is dropped then, wherever it was.
    pub async fn hold<T>(
        &self,
        client: &(impl GenericClient + Sync),
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let renewing = async {
            let every = Duration::from_micros(u64::try_from(self.micros / 3).unwrap_or(1).max(1));
            let mut failed = 0;
            loop {
                tokio::time::sleep(every).await;
                match self.renew(client).await {
                    Ok(true) => failed = 0,
                    Ok(false) => {
                        let text = format!("another process has taken over the lease `{}`", self.name);
                        return Error::new(Kind::Conflict, text);
                    }
                    Err(error) if failed == 2 => return error,
                    Err(_) => failed += 1,
                }
            }
        };
        tokio::select! {
            // What is done is done, even if the lease was lost at the same moment.
            biased;
            done = work => done,
            lost = renewing => Err(lost),
        }
    }

    async fn change(&self, client: &(impl GenericClient + Sync), sql: &str) -> Result<bool> {
        let changed = client.execute(sql, &[&self.name, &self.owner, &self.micros]).await;
        Ok(changed.map_err(failure::classify)? == 1)
    }
}
