//! The database as an operator names it: host, port, database and user. The password is never shown.

use std::fmt;
use std::time::Duration;

use fhir_model::{Error, Kind, Result};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, NoTls};

/// How long a start waits for the database to answer; a firewall that drops packets says nothing.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Where a database is and who connects, taken from its URL.
#[derive(Debug, Clone)]
pub struct Endpoint {
    config: Config,
}

impl Endpoint {
    /// Reads a database URL.
    ///
    /// # Errors
    ///
    /// When `url` is not a URL of a PostgreSQL database. The text does not repeat it, for it may hold a password.
    pub fn parse(url: &str) -> Result<Endpoint> {
        let mut config: Config = url.parse().map_err(|error: tokio_postgres::Error| {
            Error::invalid(format!("the database URL cannot be read: {}", cause(&error)))
        })?;
        config.application_name("cari").connect_timeout(CONNECT_TIMEOUT);
        Ok(Endpoint { config })
    }

    /// Connects once, for as long as the client lives.
    ///
    /// # Errors
    ///
    /// With the endpoint and the cause: nobody listens, the user is refused, there is no such database, TLS is asked for.
    pub async fn connect(&self) -> Result<Client> {
        let connecting = tokio::time::timeout(CONNECT_TIMEOUT, self.config.connect(NoTls));
        let why = match connecting.await {
            Ok(Ok((client, connection))) => {
                tokio::spawn(connection);
                return Ok(client);
            }
            Ok(Err(error)) => self.explain(&error),
            Err(_) => format!("no answer within {} s", CONNECT_TIMEOUT.as_secs()),
        };
        Err(Error::new(Kind::Unavailable, format!("cannot connect to the {self}: {why}")))
    }

    /// The cause in the words of PostgreSQL or of the operating system, and what helps where that is known.
    fn explain(&self, error: &tokio_postgres::Error) -> String {
        let cause = cause(error);
        let hint = match error.code() {
            Some(code) if *code == SqlState::INVALID_CATALOG_NAME => {
                "; create it with `createdb`, or name another"
            }
            Some(code) if *code == SqlState::INVALID_PASSWORD => "; the user or the password is wrong",
            Some(code) if *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
                if cause.contains("no encryption") || cause.contains("SSL off") {
                    "; the database takes TLS connections only, which this server does not make"
                } else {
                    "; the database's pg_hba.conf does not let this user in from here"
                }
            }
            Some(code) if *code == SqlState::TOO_MANY_CONNECTIONS => {
                "; raise its max_connections, or close others"
            }
            Some(_) => "",
            None if self.config.get_ssl_mode() == SslMode::Require => {
                "; the URL asks for TLS (`sslmode=require`), which this server does not speak to a database"
            }
            None if cause.contains("refused") || cause.contains("No such file") => {
                "; is PostgreSQL running there?"
            }
            None => "",
        };
        format!("{cause}{hint}")
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = self.config.get_user().unwrap_or("the user of this process");
        // PostgreSQL's own rule: a database that is not named is called like the user.
        let name = self.config.get_dbname().unwrap_or(user);
        write!(f, "database `{name}` on ")?;
        let ports = self.config.get_ports();
        for (at, host) in self.config.get_hosts().iter().enumerate() {
            let port = ports.get(at).or(ports.first()).copied().unwrap_or(5432);
            let separator = if at == 0 { "" } else { ", " };
            match host {
                Host::Tcp(name) => write!(f, "{separator}{name}:{port}")?,
                Host::Unix(dir) => write!(f, "{separator}{}/.s.PGSQL.{port}", dir.display())?,
            }
        }
        if self.config.get_hosts().is_empty() {
            f.write_str("no host")?;
        }
        write!(f, " as user `{user}`")
    }
}

/// What the innermost error says, which is the only one with a cause in it.
pub(crate) fn cause(error: &tokio_postgres::Error) -> String {
    if let Some(database) = error.as_db_error() {
        return database.message().to_owned();
    }
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_shown_without_its_password() {
        let rows = [
            ("postgres://u:secret@db.org:5433/x", "database `x` on db.org:5433 as user `u`"),
            ("postgresql://u:secret@db.org", "database `u` on db.org:5432 as user `u`"),
            ("postgres://u@%2Fvar%2Frun/x", "database `x` on /var/run/.s.PGSQL.5432 as user `u`"),
            ("postgres://u:secret@a,b:7/x", "database `x` on a:5432, b:7 as user `u`"),
            ("postgres://u@[::1]:7/x?password=secret", "database `x` on ::1:7 as user `u`"),
        ];
        for (url, wanted) in rows {
            assert_eq!(Endpoint::parse(url).unwrap().to_string(), wanted, "{url}");
        }
        let refused = Endpoint::parse("postgres://u:secret@db.org:port/x").unwrap_err().to_string();
        assert!(!refused.contains("secret"), "{refused}");
    }
}
