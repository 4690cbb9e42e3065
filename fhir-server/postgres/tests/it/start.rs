//! Starting, stopping, starting again.

use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};

use fhir_postgres::{Embedded, Error, Options, Search, State};

use crate::{ask, cluster, home, processes, start, try_ask};

#[tokio::test]
async fn an_empty_directory_becomes_a_database() {
    let home = home();
    let postgres = start(&home.path().join("a/b")).await;
    let db = postgres.connection().clone();
    assert_eq!(ask(&db, "select 1").await, "1");
    for (query, answer) in [
        ("select current_user", "cari"),
        ("select current_database()", "cari"),
        ("select rolsuper from pg_roles where rolname = current_user", "f"),
        ("show server_encoding", "UTF8"),
        ("show data_checksums", "on"),
        ("show fsync", "on"),
        ("show synchronous_commit", "on"),
        ("show full_page_writes", "on"),
        ("show listen_addresses", ""),
        ("show max_connections", "100"),
        ("show jit", "off"),
        ("show lc_collate", "C"),
        ("select lower('Ö')", "ö"),
    ] {
        assert_eq!(ask(&db, query).await, answer, "{query}");
    }
    // What the schema needs can be had without a superuser.
    ask(&db, "create extension pg_trgm").await;
    postgres.stop().await;
}

#[tokio::test]
async fn the_url_connects_as_well() {
    let home = home();
    let postgres = start(home.path()).await;
    let (client, driver) = tokio_postgres::connect(&postgres.url(), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(driver);
    assert_eq!(client.query_one("select 1", &[]).await.unwrap().get::<_, i32>(0), 1);
    postgres.stop().await;
}

#[tokio::test]
async fn stopping_leaves_no_process_and_keeps_the_data() {
    let home = home();
    let postgres = start(home.path()).await;
    let states = postgres.watch();
    ask(postgres.connection(), "create table kept as select 'still here' as value").await;
    postgres.stop().await;
    assert_eq!(*states.borrow(), State::Stopped);
    assert_eq!(processes(&cluster(&home)), Vec::<i32>::new());

    let postgres = start(home.path()).await;
    assert_eq!(ask(postgres.connection(), "select value from kept").await, "still here");
    postgres.stop().await;
}

#[tokio::test]
async fn a_second_server_is_refused_at_once() {
    let home = home();
    let postgres = start(home.path()).await;
    let error = Embedded::start(Options::new(home.path())).await.unwrap_err();
    assert!(matches!(error, Error::InUse { .. }));
    let said = format!("is in use by another server (process {})", std::process::id());
    assert!(error.to_string().contains(&said), "{error}");
    // And the first one did not suffer.
    assert_eq!(ask(postgres.connection(), "select 1").await, "1");
    postgres.stop().await;
    start(home.path()).await.stop().await;
}

#[tokio::test]
async fn settings_of_the_operator_win() {
    let home = home();
    let mut options = Options::new(home.path());
    options.settings = vec![("work_mem".to_owned(), "7MB".to_owned())];
    let postgres = Embedded::start(options.clone()).await.unwrap();
    assert_eq!(ask(postgres.connection(), "show work_mem").await, "7MB");
    postgres.stop().await;
    std::fs::write(cluster(&home).join("local.conf"), "work_mem = '9MB'\n").unwrap();
    std::fs::set_permissions(cluster(&home).join("local.conf"), std::fs::Permissions::from_mode(0o644))
        .unwrap();
    let postgres = Embedded::start(options).await.unwrap();
    assert_eq!(ask(postgres.connection(), "show work_mem").await, "9MB");
    postgres.stop().await;
}

#[tokio::test]
async fn a_long_path_gets_its_socket_elsewhere() {
    let home = home();
    let deep = home.path().join("d".repeat(60)).join("e".repeat(60));
    let postgres = start(&deep).await;
    assert!(postgres.connection().socket_dir.as_os_str().len() < 90);
    assert!(!postgres.connection().socket_dir.starts_with(&deep));
    assert_eq!(ask(postgres.connection(), "select 1").await, "1");
    let sockets = postgres.connection().socket_dir.clone();
    postgres.stop().await;
    std::fs::remove_dir_all(sockets).unwrap();
}

#[tokio::test]
async fn nothing_found_names_the_command_that_helps() {
    let home = home();
    let mut options = Options::new(home.path());
    options.search = Search::nowhere();
    let error = Embedded::start(options).await.unwrap_err().to_string();
    assert!(error.contains("no PostgreSQL 14 or newer was found"), "{error}");
    assert!(error.contains("`sudo apt-get install postgresql`"), "{error}");
}

#[tokio::test]
async fn a_cluster_of_another_version_says_so() {
    let home = home();
    std::fs::create_dir(home.path().join("pg")).unwrap();
    std::fs::write(home.path().join("pg/PG_VERSION"), "11\n").unwrap();
    let error = Embedded::start(Options::new(home.path())).await.unwrap_err().to_string();
    assert!(
        error.contains("no PostgreSQL 11 (the version that made the data directory) was found"),
        "{error}"
    );
}

#[tokio::test]
async fn a_start_that_fails_shows_the_log() {
    let home = home();
    let mut options = Options::new(home.path());
    options.settings = vec![("shared_buffers".to_owned(), "plenty".to_owned())];
    let error = Embedded::start(options).await.unwrap_err().to_string();
    assert!(error.contains("PostgreSQL did not start: it ended with exit status: 1"), "{error}");
    assert!(error.contains("invalid value for parameter \"shared_buffers\": \"plenty\""), "{error}");
    // The cluster is whole; without the bad setting it starts.
    start(home.path()).await.stop().await;
}

#[tokio::test]
async fn statements_and_values_stay_out_of_the_log() {
    let home = home();
    let postgres = start(home.path()).await;
    ask(postgres.connection(), "create table t (name text primary key)").await;
    ask(postgres.connection(), "insert into t values ('Winterbottom')").await;
    let error = try_ask(postgres.connection(), "insert into t values ('Winterbottom')").await.unwrap_err();
    assert_eq!(error.code(), Some(&tokio_postgres::error::SqlState::UNIQUE_VIOLATION));
    postgres.stop().await;
    let log = std::fs::read_to_string(home.path().join("pg.log")).unwrap();
    assert!(log.contains("duplicate key"), "{log}");
    assert!(!log.contains("Winterbottom"), "{log}");
}

/// The rest concerns root alone: elsewhere there is nobody to step down to.
mod root {
    use super::*;

    fn is_root() -> bool {
        let root = nix::unistd::geteuid().is_root();
        if !root {
            println!("not root: nothing to step down from");
        }
        root
    }

    #[tokio::test]
    async fn postgres_runs_as_somebody_lesser() {
        if !is_root() {
            return;
        }
        let home = home();
        let postgres = start(home.path()).await;
        let process = std::fs::metadata(format!("/proc/{}", postgres.postmaster_pid().unwrap())).unwrap();
        assert_ne!(process.uid(), 0);
        let cluster = std::fs::metadata(cluster(&home)).unwrap();
        assert_eq!(cluster.uid(), process.uid());
        assert_eq!(cluster.mode() & 0o777, 0o700);
        // The socket lets in whom the kernel says is the server's user, and nobody else.
        let refused = std::process::Command::new("/usr/lib/postgresql/15/bin/psql")
            .args([&postgres.url(), "-c", "select 1"])
            .uid_of(process.uid())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(said.contains("Peer authentication failed"), "{said}");
        postgres.stop().await;
    }

    trait As {
        fn uid_of(&mut self, uid: u32) -> &mut Self;
    }

    impl As for std::process::Command {
        fn uid_of(&mut self, uid: u32) -> &mut Self {
            std::os::unix::process::CommandExt::uid(self, uid).current_dir("/")
        }
    }

    #[tokio::test]
    async fn a_directory_closed_to_others_gets_a_stand_in() {
        if !is_root() {
            return;
        }
        let home = home();
        let closed = home.path().join("closed");
        std::fs::DirBuilder::new().mode(0o700).create(&closed).unwrap();
        let data_dir = closed.join("data");
        let postgres = start(&data_dir).await;
        ask(postgres.connection(), "create table kept as select 42 as value").await;
        let error = Embedded::start(Options::new(&data_dir)).await.unwrap_err();
        assert!(matches!(error, Error::InUse { .. }), "{error}");
        postgres.stop().await;

        let stand_in = std::fs::read_link(data_dir.join("pg")).unwrap();
        assert!(stand_in.starts_with("/var/lib/cari"));
        let postgres = start(&data_dir).await;
        assert_eq!(ask(postgres.connection(), "select value from kept").await, "42");
        postgres.stop().await;
        std::fs::remove_dir_all(stand_in.parent().unwrap()).unwrap();
    }
}
