//! How to reach the database.

use std::fmt::Write;
use std::path::{Path, PathBuf};

/// A role and a database behind a unix socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// The directory of the socket.
    pub socket_dir: PathBuf,
    /// The number in the socket's name.
    pub port: u16,
    /// The role.
    pub user: String,
    /// The database.
    pub dbname: String,
}

impl Connection {
    pub(crate) fn new(socket_dir: &Path) -> Connection {
        Connection {
            socket_dir: socket_dir.to_path_buf(),
            port: 5432,
            user: "cari".to_owned(),
            dbname: "cari".to_owned(),
        }
    }

    /// The cluster's superuser, for what an owner of a database may not do.
    pub fn superuser(&self) -> Connection {
        Connection { user: "postgres".to_owned(), dbname: "postgres".to_owned(), ..self.clone() }
    }

    /// Another database of the same cluster.
    pub fn database(&self, name: &str) -> Connection {
        Connection { dbname: name.to_owned(), ..self.clone() }
    }

    /// For tokio-postgres and its pools.
    pub fn config(&self) -> tokio_postgres::Config {
        let mut config = tokio_postgres::Config::new();
        config.host_path(&self.socket_dir).port(self.port).user(&self.user).dbname(&self.dbname);
        config
    }

    /// For everything that reads a URL: tokio-postgres, psql.
    pub fn url(&self) -> String {
        let mut host = String::new();
        for byte in self.socket_dir.to_string_lossy().bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                host.push(char::from(byte));
            } else {
                let _ = write!(host, "%{byte:02X}");
            }
        }
        format!("postgres://{}@{host}:{}/{}", self.user, self.port, self.dbname)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_means_what_the_config_means() {
        let connection = Connection::new(Path::new("/data dir/o'hara/run"));
        assert_eq!(connection.url(), "postgres://cari@%2Fdata%20dir%2Fo%27hara%2Frun:5432/cari");
        let parsed: tokio_postgres::Config = connection.url().parse().unwrap();
        assert_eq!(parsed.get_hosts(), connection.config().get_hosts());
        assert_eq!(parsed.get_ports(), connection.config().get_ports());
        assert_eq!(parsed.get_user(), Some("cari"));
        assert_eq!(parsed.get_dbname(), Some("cari"));
    }
}
