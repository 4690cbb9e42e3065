use fhir_mail::{Mailer, Message};
use fhir_model::{Error, Kind};

use crate::server::{Script, Server};
use crate::{FROM, message};

async fn refused(script: Script, to: &str) -> (Error, Vec<String>) {
    let server = Server::start(script).await;
    let error = Mailer::smtp(&server.url(), FROM).unwrap().send(&message(to)).await.unwrap_err();
    (error, server.lines().await)
}

#[tokio::test]
async fn a_message_arrives() {
    let server = Server::start(&[]).await;
    let mailer = Mailer::smtp(&server.url(), FROM).unwrap();
    assert!(mailer.is_configured());
    let sent = mailer.send(&message("ann@example.net")).await.unwrap();
    let lines = server.lines().await;
    let commands: Vec<&str> = lines.iter().map(String::as_str).skip(1).take(3).collect();
    assert!(lines[0].starts_with("EHLO "), "{lines:?}");
    assert_eq!(commands, ["MAIL FROM:<cari@example.org>", "RCPT TO:<ann@example.net>", "DATA"]);
    let has = |line: &str| assert!(lines.iter().any(|l| l == line), "{line} is not in {lines:#?}");
    has("To: ann@example.net");
    has(&format!("Message-ID: <{}@example.org>", sent.id));
    has("Content-Type: text/plain; charset=utf-8");
    has("R3LDvMOfZSwNCnlvdXIgY2xpbmljDQo=");
    has("From: Clinic North");
    has(" <cari@example.org>");
    assert!(lines.iter().any(|line| line.starts_with("Subject: =?utf-8?b?")), "{lines:#?}");
    assert!(lines.iter().any(|line| line.starts_with("Date: ")));
}

#[tokio::test]
async fn dots_in_the_text_do_not_end_the_message() {
    let server = Server::start(&[]).await;
    let text = "one\r\n.\r\nRCPT TO:<bob@example.net>\r\n.two\r\n".to_owned();
    let message = Message { text, ..message("ann@example.net") };
    Mailer::smtp(&server.url(), FROM).unwrap().send(&message).await.unwrap();
    let lines = server.lines().await;
    let text = lines.iter().position(|line| line == "one").unwrap();
    assert_eq!(lines[text..text + 4], ["one", "..", "RCPT TO:<bob@example.net>", "..two"]);
}

#[tokio::test]
async fn what_a_server_refuses() {
    use Kind::{Unavailable, Value};
    // where and what it answers; what that is
    let rows: &[(Script, Kind)] = &[
        (&[("", "421 4.3.2 too busy for ann@example.net")], Unavailable),
        (&[("", "not a mail server")], Unavailable),
        (&[("EHLO", "500 5.5.1 what?")], Unavailable),
        (&[("MAIL", "451 4.7.1 greylisted ann@example.net")], Unavailable),
        (&[("MAIL", "530 5.7.0 Authentication required")], Unavailable),
        (&[("RCPT", "450 4.2.1 ann@example.net is busy")], Unavailable),
        (&[("RCPT", "452 4.2.2 ann@example.net has no room")], Unavailable),
        (&[("RCPT", "550 5.1.1 no such user ann@example.net")], Value),
        (&[("RCPT", "553 5.1.3 bad address ann@example.net")], Value),
        (&[("RCPT", "gibberish about ann@example.net")], Unavailable),
        (&[("DATA", "451 4.3.0 later")], Unavailable),
        (&[(".", "452 4.3.1 disk full")], Unavailable),
        (&[(".", "554 5.7.1 spam for ann@example.net")], Value),
    ];
    for (script, kind) in rows {
        let (error, _) = refused(script, "ann@example.net").await;
        assert_eq!(error.kind, *kind, "{script:?}: {error:?}");
        let shown = format!("{error:?}");
        for word in ["ann@", "example.net", "greylisted", "no such user", "gibberish"] {
            assert!(!shown.contains(word), "{script:?}: {shown}");
        }
        assert!(error.source.is_some(), "{script:?}");
    }
}

#[tokio::test]
async fn addresses_beyond_ascii_need_a_server_that_knows_them() {
    let (error, lines) = refused(&[], "änn@example.net").await;
    assert_eq!(error.kind, Kind::Value);
    assert!(!lines.iter().any(|line| line.starts_with("RCPT")), "{lines:?}");
    let server = Server::start(&[("EHLO", "250-test\r\n250-8BITMIME\r\n250 SMTPUTF8")]).await;
    Mailer::smtp(&server.url(), FROM).unwrap().send(&message("änn@example.net")).await.unwrap();
    assert!(server.lines().await.contains(&"RCPT TO:<änn@example.net>".to_owned()));
}

#[tokio::test]
async fn nobody_listens_or_answers() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mailer = Mailer::smtp(&format!("smtp://{closed}"), FROM).unwrap();
    assert_eq!(mailer.send(&message("ann@example.net")).await.unwrap_err().kind, Kind::Unavailable);

    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mailer = Mailer::smtp(&format!("smtp://{}", silent.local_addr().unwrap()), FROM).unwrap();
    let started = std::time::Instant::now();
    assert_eq!(mailer.send(&message("ann@example.net")).await.unwrap_err().kind, Kind::Unavailable);
    assert!(started.elapsed().as_secs() < 60);
}

#[tokio::test]
async fn a_server_without_tls_gets_nothing_where_tls_is_wanted() {
    let server = Server::start(&[]).await;
    let url = format!("smtp+starttls://user:swordfish@{}", server.address);
    let mailer = Mailer::smtp(&url, FROM).unwrap();
    assert!(!format!("{mailer:?}").contains("swordfish"));
    let error = mailer.send(&message("ann@example.net")).await.unwrap_err();
    assert_eq!(error.kind, Kind::Unavailable);
    let lines = server.lines().await;
    assert!(lines.iter().all(|line| line.starts_with("EHLO")), "{lines:?}");
}

#[tokio::test]
async fn a_password_on_this_machine() {
    let server = Server::start(&[]).await;
    let mailer = Mailer::smtp(&format!("smtp://user:p%40ss@{}", server.address), FROM).unwrap();
    mailer.send(&message("ann@example.net")).await.unwrap();
    // \0user\0p@ss
    assert!(server.lines().await.contains(&"AUTH PLAIN AHVzZXIAcEBzcw==".to_owned()));
    let server = Server::start(&[("AUTH", "535 5.7.8 no")]).await;
    let mailer = Mailer::smtp(&format!("smtp://user:wrong@{}", server.address), FROM).unwrap();
    assert_eq!(mailer.send(&message("ann@example.net")).await.unwrap_err().kind, Kind::Unavailable);
}

#[test]
fn urls() {
    for url in [
        "smtp://mail.example.org",
        "smtp://mail.example.org:2525/cari.example.org",
        "smtp://user:swordfish@localhost",
        "smtp://user:swordfish@[::1]:25",
        "smtps://user:swordfish@mail.example.org",
        "smtp+starttls://user:swordfish@mail.example.org",
        "smtp://user:swordfish@mail.example.org?tls=required",
    ] {
        assert!(Mailer::smtp(url, FROM).is_ok(), "{url}");
    }
    for url in [
        "",
        "mail.example.org",
        "http://mail.example.org",
        "smtp://",
        "smtp://user:swordfish@mail.example.org",
        "smtp://user:swordfish@mail.example.org?tls=opportunistic",
        "smtp://user:swordfish@mail.example.org:port",
        "smtps+x://user:swordfish@mail.example.org",
    ] {
        let error = Mailer::smtp(url, FROM).unwrap_err();
        assert!(error.kind == Kind::Value && !format!("{error:?}").contains("swordfish"), "{url}");
    }
    assert!(Mailer::smtp("smtp://localhost", "nobody").is_err());
}
