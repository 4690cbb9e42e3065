//! Every `sslmode` against good and bad certificates.

use std::time::Duration;

use fhir_database::{ConnectionOptions, Connections, Endpoint, Migrations, SchemaState, migrate, schema};

use fhir_postgres::testing::NetworkCluster;
use tokio_postgres::error::SqlState;

use crate::authority::{Authority, Signed, self_signed};

const ENCRYPTED: &str = "select ssl from pg_stat_ssl where pid = pg_backend_pid()";

/// Whether a connection is encrypted; why there is none.
async fn connect(url: &str) -> Result<bool, String> {
    let client =
        Endpoint::parse(url).map_err(|e| e.to_string())?.connect().await.map_err(|e| e.to_string())?;
    Ok(client.query_one(ENCRYPTED, &[]).await.unwrap().get(0))
}

const SETTINGS: &str =
    "ssl = on\nssl_cert_file = 'server.pem'\nssl_key_file = 'server.key'\nssl_ca_file = 'authority.pem'";

/// The user `bearer` needs a certificate, `plain` may come in clear, nobody else may.
const HBA: &str = "hostssl all bearer all cert\nhostssl all all all trust\nhostnossl all plain all trust";

/// A PostgreSQL with this certificate, for users with certificates of this authority.
async fn start(server: &Signed, authority: &str) -> NetworkCluster {
    let files =
        [("server.pem", &*server.certificate), ("server.key", &server.key), ("authority.pem", authority)];
    let cluster = NetworkCluster::start(SETTINGS, HBA, &files).await;
    for statement in [
        "create role ada login superuser",
        "create role bearer login",
        "create role plain login",
        "create database clinic",
    ] {
        cluster.ask(statement).await;
    }
    cluster
}

#[tokio::test]
async fn certificates_are_verified_as_the_mode_says() {
    let (authority, other) = (Authority::new(), Authority::new());
    let good = authority.server(&["localhost", "127.0.0.1"], 2099);
    let cluster = start(&good, &authority.certificate()).await;
    let port = cluster.port;
    let root = cluster.file("root.pem", &authority.certificate());
    let strange = cluster.file("other.pem", &other.certificate());
    let certificates = [
        ("good", good),
        ("other name", authority.server(&["db.example.org"], 2099)),
        ("expired", authority.server(&["localhost", "127.0.0.1"], 2024)),
        ("self-signed", self_signed(&["localhost", "127.0.0.1"])),
    ];
    let all = ["good", "other name", "expired", "self-signed"];
    // Parameters, and the certificates with which there is a connection.
    let rows: [(String, &[&str]); 11] = [
        ("sslmode=allow".to_owned(), &all),
        ("sslmode=prefer".to_owned(), &all),
        ("sslmode=require".to_owned(), &all),
        (format!("sslmode=require&sslrootcert={root}"), &["good", "other name"]),
        (format!("sslmode=verify-ca&sslrootcert={root}"), &["good", "other name"]),
        (format!("sslmode=verify-full&sslrootcert={root}"), &["good"]),
        (format!("sslrootcert={root}"), &["good"]),
        (format!("sslmode=verify-ca&sslrootcert={strange}"), &[]),
        (format!("sslmode=verify-full&sslrootcert={strange}"), &[]),
        // The machine's own authorities did not sign it.
        ("sslmode=verify-full".to_owned(), &[]),
        ("sslmode=verify-full&sslrootcert=system".to_owned(), &[]),
    ];
    for (name, certificate) in &certificates {
        cluster.write("server.key", &certificate.key);
        cluster.write("server.pem", &certificate.certificate);
        cluster.reload().await;
        for (parameters, accepted) in &rows {
            for host in ["localhost", "127.0.0.1"] {
                let found = connect(&format!("postgres://ada@{host}:{port}/clinic?{parameters}")).await;
                match accepted.contains(name) {
                    true => assert_eq!(found, Ok(true), "{name}, {parameters}"),
                    false => {
                        let why = found.expect_err(parameters);
                        assert!(
                            why.contains("certificate") && why.contains("with TLS"),
                            "{name}, {parameters}: {why}"
                        );
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn encryption_is_as_asked_and_users_may_have_certificates() {
    let authority = Authority::new();
    let cluster = start(&authority.server(&["localhost"], 2099), &authority.certificate()).await;
    let port = cluster.port;
    let to = |user: &str, parameters: &str| format!("postgres://{user}@localhost:{port}/clinic?{parameters}");
    // Only connections of `plain` may be in clear, only those of others need not be.
    assert_eq!(connect(&to("plain", "sslmode=disable")).await, Ok(false));
    assert_eq!(connect(&to("plain", "")).await, Ok(false), "this machine is not asked for TLS");
    let why = connect(&to("ada", "sslmode=disable")).await.unwrap_err();
    assert!(why.contains("takes TLS connections only"), "{why}");
    // A user with a certificate.
    let bearer = authority.user("bearer");
    let certificate = cluster.file("bearer.pem", &bearer.certificate);
    let key = cluster.file("bearer.key", &bearer.key);
    let root = cluster.file("root.pem", &authority.certificate());
    let own = format!("sslmode=verify-full&sslrootcert={root}&sslcert={certificate}&sslkey={key}");
    assert_eq!(connect(&to("bearer", &own)).await, Ok(true));
    assert!(connect(&to("bearer", "sslmode=require")).await.is_err());
    let stranger = Authority::new().user("bearer");
    let (forged, forged_key) =
        (cluster.file("forged.pem", &stranger.certificate), cluster.file("forged.key", &stranger.key));
    assert!(
        connect(&to("bearer", &format!("sslmode=require&sslcert={forged}&sslkey={forged_key}")))
            .await
            .is_err()
    );
    // What cannot be read is named before anything is connected.
    for (parameters, named) in [
        ("sslmode=verify-full&sslrootcert=/nowhere.pem".to_owned(), "/nowhere.pem"),
        (format!("sslmode=verify-ca&sslrootcert={key}"), "sslrootcert"),
        (format!("sslmode=require&sslcert=/nowhere.pem&sslkey={key}"), "/nowhere.pem"),
        (format!("sslmode=require&sslcert={certificate}&sslkey={certificate}"), "sslkey"),
        (format!("sslmode=require&sslcert={certificate}&sslkey={forged_key}"), "fit together"),
        ("sslmode=always".to_owned(), "verify-full"),
        ("sslmode=verify-ca".to_owned(), "sslrootcert"),
        ("sslmode=require&sslrootcert=system".to_owned(), "verify-full"),
    ] {
        let why = connect(&to("ada", &parameters)).await.unwrap_err();
        assert!(why.contains(named), "{parameters}: {why}");
    }
    // A server without TLS.
    cluster.ask("alter system set ssl = off").await;
    cluster.reload().await;
    assert_eq!(connect(&to("plain", "sslmode=prefer")).await, Ok(false));
    for mode in ["require", "verify-ca", "verify-full"] {
        let why = connect(&to("plain", &format!("sslmode={mode}&sslrootcert={root}"))).await.unwrap_err();
        assert!(why.contains("does not support TLS"), "{mode}: {why}");
    }
}

#[tokio::test]
async fn every_kind_of_connection_is_encrypted() {
    let authority = Authority::new();
    let cluster = start(&authority.server(&["localhost"], 2099), &authority.certificate()).await;
    let root = cluster.file("root.pem", &authority.certificate());
    let url =
        format!("postgres://ada@localhost:{}/clinic?sslmode=verify-full&sslrootcert={root}", cluster.port);
    let options = ConnectionOptions {
        connections_max: 2,
        statement_timeout: Duration::from_secs(10),
        application_name: "test".to_owned(),
        pipelined: &[ENCRYPTED],
        plan_for_values: false,
        standby_of: None,
    };
    let connections = Connections::open(&url, options).unwrap();
    let pooled = connections.client().await.unwrap();
    assert!(pooled.query_one(ENCRYPTED, &[]).await.unwrap().get::<_, bool>(0));
    let dedicated = connections.dedicated().await.unwrap();
    assert!(dedicated.query_one(ENCRYPTED, &[]).await.unwrap().get::<_, bool>(0));
    let pipelined = connections.pipelined().await.unwrap();
    let statement = pipelined.statement(0).unwrap();
    assert!(pipelined.client.query_one(statement, &[]).await.unwrap().get::<_, bool>(0));
    // A statement that takes too long is stopped, over TLS as well.
    let asleep = pooled.query_one("select pg_sleep(100)", &[]);
    let stop = async {
        while cluster.ask("select count(*) from pg_stat_activity where query like '%pg_sleep(100)%' and usename = 'ada'").await.as_deref() != Some("1") {}
        connections.cancel(&pooled.cancel_token()).await.unwrap();
    };
    let (stopped, ()) = tokio::join!(asleep, stop);
    assert_eq!(stopped.unwrap_err().code(), Some(&SqlState::QUERY_CANCELED));
    // Connections in clear are refused to this user, so that migrations cannot have run over one.
    let migrations = [Migrations::store(&[(1, "first", "create table first (id int)")], &[])];
    assert_eq!(schema(&url, &migrations).await.unwrap(), SchemaState::Empty);
    migrate(&url, &migrations).await.unwrap();
    assert_eq!(schema(&url, &migrations).await.unwrap(), SchemaState::Current);
    migrate(&url, &migrations).await.unwrap();
}
