//! The database as an operator names it: host, port, database and user. The password is never shown.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use fhir_model::{Error, Kind, Result};
use tokio_postgres::config::{Host, SslMode, SslNegotiation};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::tls::{TlsMode, TlsParameters};

/// How long a start waits for the database to answer; a firewall that drops packets says nothing.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection that is silent for so long is asked whether the other end is there, and so often, before it is given up.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_RETRIES: u32 = 3;

/// Where a database is and who connects, taken from its URL.
#[derive(Clone)]
pub struct Endpoint {
    pub(crate) config: Config,
    pub(crate) connector: MakeRustlsConnect,
    mode: TlsMode,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Endpoint {
    /// Reads a database URL.
    ///
    /// # Errors
    ///
    /// When `url` is not a URL of a PostgreSQL database, or a certificate that it names cannot be read. The text does not repeat
    /// it, for it may hold a password.
    pub fn parse(url: &str) -> Result<Endpoint> {
        let (url, tls) = TlsParameters::take(url)?;
        let mut config: Config = url.parse().map_err(|error: tokio_postgres::Error| unreadable(&error))?;
        if config.get_ssl_mode() != SslMode::Prefer
            || config.get_ssl_negotiation() != SslNegotiation::Postgres
        {
            return Err(Error::invalid("the database URL asks for TLS in a way that is not known here"));
        }
        config.application_name("cari").connect_timeout(CONNECT_TIMEOUT);
        notice_silence(&mut config);
        // Sockets of this machine are never encrypted, whatever is asked.
        let mode = match uses_tcp(&config) {
            false => TlsMode::Disable,
            true => tls.mode(is_local(&config))?,
        };
        config.ssl_mode(mode.negotiation());
        Ok(Endpoint { connector: tls.connector(mode)?, config, mode })
    }

    /// Connects once, for as long as the client lives.
    ///
    /// # Errors
    ///
    /// With the endpoint and the cause: nobody listens, the user is refused, there is no such database, TLS is asked for.
    pub async fn connect(&self) -> Result<Client> {
        let connecting = tokio::time::timeout(CONNECT_TIMEOUT, self.config.connect(self.connector.clone()));
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
                    "; the database takes TLS connections only: say `sslmode=verify-full` in its URL"
                } else {
                    "; the database's pg_hba.conf does not let this user in from here"
                }
            }
            Some(code) if *code == SqlState::TOO_MANY_CONNECTIONS => {
                "; raise its max_connections, or close others"
            }
            Some(_) => "",
            None if cause.contains("does not support TLS") => {
                "; only within a network that nobody else reaches say `sslmode=disable` in its URL"
            }
            None if cause.contains("UnsupportedCertVersion") => {
                "; its certificate must be of X.509 version 3"
            }
            None if cause.contains("CaUsedAsEndEntity") => {
                "; its certificate is that of an authority: have the authority sign one for the server"
            }
            None if cause.contains("certificate") => {
                "; its certificate must be valid, of an authority that this machine trusts or that `sslrootcert` names, and \
                 name this host"
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
        for address in self.config.get_hostaddrs() {
            write!(f, " at {address}")?;
        }
        write!(f, " as user `{user}`")?;
        match uses_tcp(&self.config) {
            true => write!(f, ", {}", self.mode),
            false => Ok(()),
        }
    }
}

/// Why a URL cannot be read. The name of a parameter is not repeated, as a part of a password may look like one.
fn unreadable(error: &tokio_postgres::Error) -> Error {
    let why = match cause(error) {
        cause if cause.contains("unknown option") => {
            "it has a parameter that is not known here; `&`, `?`, `/` and `@` in a password are written %26, %3F, %2F and %40".to_owned()
        }
        cause => cause,
    };
    Error::invalid(format!("the database URL cannot be read: {why}"))
}

/// Whether any connection may go over a network, be it that of this machine. The driver connects to `hostaddr` where there is one,
/// whatever the hosts are.
fn uses_tcp(config: &Config) -> bool {
    !config.get_hostaddrs().is_empty() || config.get_hosts().iter().any(|host| matches!(host, Host::Tcp(_)))
}

/// Whether all hosts are this machine.
fn is_local(config: &Config) -> bool {
    let is_loopback =
        |name: &str| name == "localhost" || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    let is_here = |host: &Host| match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => is_loopback(name),
    };
    // `hostaddr` says where the connection goes, whatever the name.
    match config.get_hostaddrs() {
        [] => config.get_hosts().iter().all(is_here),
        addresses => addresses.iter().all(IpAddr::is_loopback),
    }
}

/// A host that loses its power says nothing. Where the URL does not say otherwise, a connection that it does not answer is given up
/// after 25 s, so that its requests end and the next ones go to the standby that took over.
fn notice_silence(config: &mut Config) {
    if config.get_keepalives_idle() == Config::new().get_keepalives_idle() {
        config.keepalives_idle(KEEPALIVE_IDLE);
    }
    if config.get_keepalives_interval().is_none() {
        config.keepalives_interval(KEEPALIVE_INTERVAL);
    }
    if config.get_keepalives_retries().is_none() {
        config.keepalives_retries(KEEPALIVE_RETRIES);
    }
    // What was sent and is not acknowledged: no keepalives are sent then.
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(KEEPALIVE_IDLE + KEEPALIVE_INTERVAL * KEEPALIVE_RETRIES);
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
            (
                "postgres://u:secret@db.org:5433/x",
                "database `x` on db.org:5433 as user `u`, with TLS, the database's certificate verified",
            ),
            (
                "postgresql://u:secret@db.org?sslmode=require",
                "database `u` on db.org:5432 as user `u`, with TLS, the database's certificate not verified",
            ),
            ("postgres://u@%2Fvar%2Frun/x", "database `x` on /var/run/.s.PGSQL.5432 as user `u`"),
            (
                "postgres://u:secret@a,b:7/x",
                "database `x` on a:5432, b:7 as user `u`, with TLS, the database's certificate verified",
            ),
            ("postgres://u@[::1]:7/x?password=secret", "database `x` on ::1:7 as user `u`, without TLS"),
            (
                "postgres://u@localhost,127.0.0.1/x",
                "database `x` on localhost:5432, 127.0.0.1:5432 as user `u`, without TLS",
            ),
            (
                "postgres://u@localhost,a/x?sslmode=disable",
                "database `x` on localhost:5432, a:5432 as user `u`, without TLS",
            ),
        ];
        for (url, wanted) in rows {
            assert_eq!(Endpoint::parse(url).unwrap().to_string(), wanted, "{url}");
        }
        for url in [
            "postgres://u:secret@db.org:port/x",
            "postgres://u:se@cret@localhost/x",
            "postgres://u:se?cret@localhost/x?sslmode=require",
            "postgres://u:se/cret@localhost/x",
            "postgres://localhost:15999/x?user=u&password=se@cret",
            "postgres://localhost/x?user=u&password=se&cret=1",
            "postgres://u:secret@localhost/x?ssl%6Dode=verify-ca",
            "postgres://u:secret@localhost/x?sslnegotiation=direct",
            "postgres://u:secret@localhost/x?sslcrl=secret",
        ] {
            let refused = Endpoint::parse(url).expect_err(url).to_string();
            assert!(!refused.contains("cret"), "{refused}");
        }
    }

    #[test]
    fn a_silent_host_is_noticed_unless_the_url_says_otherwise() {
        let seconds = |query: &str| {
            let Endpoint { config, .. } =
                Endpoint::parse(&format!("postgres://u@localhost/x?{query}")).unwrap();
            (
                config.get_keepalives_idle().as_secs(),
                config.get_keepalives_interval().unwrap().as_secs(),
                config.get_keepalives_retries().unwrap(),
                config.get_tcp_user_timeout().unwrap().as_secs(),
            )
        };
        assert_eq!(seconds(""), (10, 5, 3, 25));
        let said = "keepalives_idle=60&keepalives_interval=7&keepalives_retries=9&tcp_user_timeout=90";
        assert_eq!(seconds(said), (60, 7, 9, 90));
    }

    /// The driver connects to `hostaddr`, whatever stands as host.
    #[test]
    fn no_address_is_taken_for_a_socket() {
        for url in [
            "postgres://u:secret@/x?hostaddr=192.0.2.2&port=5432",
            "postgres://u:secret@%2Frun/x?hostaddr=192.0.2.2",
            "postgres://u:secret@localhost/x?hostaddr=192.0.2.2",
            "postgres://u:secret@127.1/x",
            "postgres://u:secret@localhost./x",
        ] {
            let endpoint = Endpoint::parse(url).unwrap();
            assert_eq!(endpoint.mode, TlsMode::VerifyFull, "{url}");
            assert!(endpoint.to_string().ends_with("certificate verified"), "{endpoint}");
        }
    }
}
