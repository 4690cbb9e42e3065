//! A PostgreSQL that remembers what it was asked.

use fhir_postgres::testing::NetworkCluster;

/// Statements that it tells apart: more than there are.
const SETTINGS: &str = "shared_preload_libraries = 'pg_stat_statements'\npg_stat_statements.max = 20000\n\
     pg_stat_statements.track_utility = off\n";

/// The PostgreSQL; stopped when it is dropped.
pub(super) struct Recording(NetworkCluster);

impl Recording {
    pub(super) async fn start() -> Recording {
        let cluster = NetworkCluster::start(SETTINGS, "host all all 127.0.0.1/32 trust", &[]).await;
        cluster.ask("create extension pg_stat_statements").await;
        Recording(cluster)
    }

    /// The url of a new database.
    pub(super) async fn database(&self, name: &str) -> String {
        self.0.ask(&format!("create database {name}")).await;
        format!("postgres://postgres@127.0.0.1:{}/{name}", self.0.port)
    }

    /// The statements of all databases but that of the test's own. `CARI_STATEMENTS` names a file that they are written to.
    pub(super) async fn statements(&self) -> Vec<String> {
        let forgotten = self.0.ask("select dealloc from pg_stat_statements_info").await;
        assert_eq!(forgotten.as_deref(), Some("0"), "statements were forgotten");
        let all = "select coalesce(json_agg(s.query order by s.query), '[]') from (select distinct s.query from pg_stat_statements s \
             join pg_database d on d.oid = s.dbid where d.datname <> current_database()) s";
        let statements: Vec<String> = serde_json::from_str(&self.0.ask(all).await.unwrap()).unwrap();
        if let Ok(path) = std::env::var("CARI_STATEMENTS") {
            std::fs::write(path, statements.join("\n\n")).unwrap();
        }
        statements
    }
}
