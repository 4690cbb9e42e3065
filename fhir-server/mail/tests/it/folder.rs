use std::os::unix::fs::PermissionsExt;

use fhir_mail::{Mailer, Message};
use fhir_model::Kind;

use crate::{FROM, message};

#[tokio::test]
async fn messages_are_files() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("a/mail");
    let mailer = Mailer::folder(&folder, FROM).unwrap();
    assert!(mailer.is_configured() && !folder.exists());
    let (one, two) = (
        mailer.send(&message("ann@example.net")).await.unwrap(),
        mailer.send(&message("bob@example.net")).await.unwrap(),
    );
    assert_ne!(one, two);
    let entries: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap()).collect();
    assert_eq!(entries.len(), 2);
    for entry in entries {
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
    let text = std::fs::read_to_string(folder.join(format!("{}.eml", one.id))).unwrap();
    assert!(
        text.contains("To: ann@example.net\r\n") && text.ends_with("R3LDvMOfZSwNCnlvdXIgY2xpbmljDQo=\r\n"),
        "{text}"
    );
}

#[tokio::test]
async fn a_folder_that_cannot_be_written() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error =
        Mailer::folder(file.path(), FROM).unwrap().send(&message("ann@example.net")).await.unwrap_err();
    assert!(error.kind == Kind::Unavailable && !error.text.contains("ann@"));
}

#[tokio::test]
async fn no_text_becomes_a_header() {
    let folder = tempfile::tempdir().unwrap();
    let mailer = Mailer::folder(folder.path(), FROM).unwrap();
    for bad in ["\r\nBcc: bob@example.net", "\nx", "\rx", "\0", "a\u{0}b", "a\tb"] {
        for message in [
            Message { subject: format!("Hello{bad}"), ..message("ann@example.net") },
            message(&format!("ann@example.net{bad}")),
            message(&format!("ann{bad}@example.net")),
        ] {
            let error = mailer.send(&message).await.unwrap_err();
            assert!(error.kind == Kind::Value && !error.text.contains("ann@"), "{message:?}");
        }
        assert!(
            Mailer::folder(folder.path(), &format!("Clinic{bad} <cari@example.org>")).is_err(),
            "{bad:?}"
        );
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    // A text is text, whatever it looks like.
    let text = "Bcc: bob@example.net\r\n\r\nX: y\r\n".to_owned();
    let sent = mailer.send(&Message { text, ..message("ann@example.net") }).await.unwrap();
    let written = std::fs::read_to_string(folder.path().join(format!("{}.eml", sent.id))).unwrap();
    assert!(!written.split_once("\r\n\r\n").unwrap().0.contains("Bcc"), "{written}");
}

#[tokio::test]
async fn nowhere() {
    let mailer = Mailer::none();
    assert!(!mailer.is_configured());
    assert_eq!(mailer.send(&message("ann@example.net")).await.unwrap_err().kind, Kind::NotSupported);
}
