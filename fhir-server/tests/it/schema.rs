//! What a start says of databases that it cannot use, and that it leaves them as they are.

use fhir_store::{Endpoint, SchemaState, migrate, schema};

/// Runs statements in a database.
async fn run(url: &str, statements: &str) {
    let client = Endpoint::parse(url).unwrap().connect().await.unwrap();
    client.batch_execute(statements).await.unwrap_or_else(|error| panic!("{statements}: {error:?}"));
}

/// The names of everything in the database that is not PostgreSQL's own.
async fn relations(url: &str) -> Vec<String> {
    let client = Endpoint::parse(url).unwrap().connect().await.unwrap();
    let query = "select n.nspname || '.' || c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace \
        where n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast') order by 1";
    client.query(query, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

/// The name of the database a URL leads to.
fn name(url: &str) -> &str {
    url.rsplit('/').next().unwrap()
}

#[tokio::test]
async fn a_database_is_empty_then_current() {
    let url = fhir_postgres::testing::database().await;
    assert_eq!(schema(&url).await.unwrap(), SchemaState::Empty);
    assert!(relations(&url).await.is_empty(), "asking changes nothing");
    migrate(&url).await.unwrap();
    assert_eq!(schema(&url).await.unwrap(), SchemaState::Current);
    migrate(&url).await.unwrap();
}

#[tokio::test]
async fn what_belongs_to_another_program_is_left_alone() {
    let rows = [
        ("create table resource (id int)", "relation `resource`"),
        ("create table writer (id int)", "relation `writer`"),
        ("create view setting as select 1 as x", "relation `setting`"),
        ("create table a (id int); create index resource_keys on a (id)", "relation `resource_keys`"),
        ("create sequence claim", "relation `claim`"),
        ("create table _sqlx_migrations (version bigint primary key)", "_sqlx_migrations"),
        (
            "create table _sqlx_migrations (version bigint, description text, success bool, checksum bytea); \
             insert into _sqlx_migrations values (20200101, 'users', true, '\\x00')",
            "migration 20200101 (users) is another program's",
        ),
    ];
    for (statements, wanted) in rows {
        let url = fhir_postgres::testing::database().await;
        run(&url, statements).await;
        let before = relations(&url).await;
        let refused = migrate(&url).await.unwrap_err().to_string();
        assert!(refused.contains(wanted), "{statements}: {refused}");
        assert!(refused.contains(&format!("database `{}`", name(&url))), "{refused}");
        assert_eq!(relations(&url).await, before, "{statements}");
    }
    let url = fhir_postgres::testing::database().await;
    run(&url, "create table users (id int)").await;
    migrate(&url).await.unwrap();
}

#[tokio::test]
async fn what_this_version_cannot_go_on_with_is_refused() {
    let rows = [
        (
            "insert into _sqlx_migrations select 9999, 'next', now(), true, '\\x00', 0",
            "a later version of this server has used it: it has migration 9999 (next)",
        ),
        ("delete from _sqlx_migrations where version = 2", "its migration 2 is missing, although 3"),
        ("update _sqlx_migrations set success = false where version = 8", "was begun and not finished"),
        ("update _sqlx_migrations set checksum = '\\x00' where version = 1", "is another program's"),
        ("drop table writer", "its table `writer` is missing"),
        (
            "delete from _sqlx_migrations where version > 4",
            "has a relation `consumer` that another program made",
        ),
        ("revoke update on resource from current_user", "may not read and change the table `resource`"),
        (
            "create schema other; alter database NAME set search_path = other, public",
            "search_path leads to `other`",
        ),
    ];
    for (statements, wanted) in rows {
        let url = fhir_store::testing::database().await.unwrap();
        run(&url, &statements.replace("NAME", name(&url))).await;
        let before = relations(&url).await;
        let refused = migrate(&url).await.unwrap_err().to_string();
        assert!(refused.contains(wanted), "{statements}: {refused}");
        assert_eq!(relations(&url).await, before, "{statements}");
    }
}

#[tokio::test]
async fn what_may_not_be_changed_is_refused_before_the_first_change() {
    let rows = [
        ("alter database NAME set default_transaction_read_only = on", "its transactions are read-only"),
        ("alter database NAME set search_path = nowhere", "no schema of its search_path exists"),
        (
            "create schema shut; revoke create on schema shut from current_user; \
             alter database NAME set search_path = shut",
            "may not create tables in the schema `shut`",
        ),
    ];
    for (statements, wanted) in rows {
        let url = fhir_postgres::testing::database().await;
        run(&url, &statements.replace("NAME", name(&url))).await;
        let refused = migrate(&url).await.unwrap_err().to_string();
        assert!(refused.contains(wanted), "{statements}: {refused}");
        assert!(relations(&url).await.is_empty(), "{statements}");
    }
}

#[tokio::test]
async fn an_earlier_version_is_brought_to_this_one() {
    let current = fhir_store::testing::database().await.unwrap();
    let client = Endpoint::parse(&current).unwrap().connect().await.unwrap();
    let query = "select version::int8, description::text, encode(checksum, 'hex') from _sqlx_migrations \
        where version <= 4 order by 1";
    let url = fhir_postgres::testing::database().await;
    let record = "create table _sqlx_migrations (version bigint primary key, description text not null, installed_on \
        timestamptz not null default now(), success boolean not null, checksum bytea not null, execution_time \
        bigint not null)";
    run(&url, record).await;
    for row in client.query(query, &[]).await.unwrap() {
        let (version, name, checksum): (i64, String, String) = (row.get(0), row.get(1), row.get(2));
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../migrations");
        run(&url, &std::fs::read_to_string(format!("{folder}/{version:04}_{name}.sql")).unwrap()).await;
        let done = format!("({version}, '{name}', now(), true, '\\x{checksum}', 0)");
        run(&url, &format!("insert into _sqlx_migrations values {done}")).await;
    }
    assert_eq!(schema(&url).await.unwrap(), SchemaState::Earlier(4));
    migrate(&url).await.unwrap();
    assert_eq!(schema(&url).await.unwrap(), SchemaState::Current);
}
