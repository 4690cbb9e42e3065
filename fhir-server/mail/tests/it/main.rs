//! Mail as it arrives: on a mail server that the test is, and in a folder.
#![expect(clippy::unwrap_used, reason = "tests")]

mod folder;
mod server;
mod smtp;

use fhir_mail::Message;

const FROM: &str = "Clinic North <cari@example.org>";

fn message(to: &str) -> Message {
    Message {
        to: to.to_owned(),
        subject: "Ein neues Paßwort".to_owned(),
        text: "Grüße,\nyour clinic\n".to_owned(),
    }
}
