//! A message, and how it is written: <https://www.rfc-editor.org/rfc/rfc5322>

use std::fmt::Write;
use std::time::SystemTime;

use email_encoding::body::base64;
use email_encoding::headers::rfc2047;
use email_encoding::headers::writer::EmailWriter;
use fhir_model::{Error, Result};
use lettre::address::Envelope;
use uuid::Uuid;

use crate::address::{self, Sender};

/// What a line may have (RFC 5322, 2.1.1), without its end.
const LINE_BYTES_MAX: usize = 998;

/// What a line of a header should have.
const HEADER_BYTES_MAX: usize = 78;

/// A message to one person: plain text, UTF-8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The address.
    pub to: String,
    /// One line.
    pub subject: String,
    /// The text.
    pub text: String,
}

/// A message as it is sent.
pub(crate) struct Written {
    pub(crate) envelope: Envelope,
    pub(crate) bytes: Vec<u8>,
}

impl Message {
    /// The date is that of the system's clock: it is for people, and no decision depends on it.
    pub(crate) fn write(&self, from: &Sender, id: Uuid) -> Result<Written> {
        if self.subject.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')) {
            return Err(Error::value("The subject of a mail is one line of text"));
        }
        let to = address::parse(&self.to)?;
        let text =
            self.written(from, id, &httpdate::fmt_http_date(SystemTime::now())).map_err(Error::internal)?;
        let envelope = Envelope::new(Some(from.address.clone()), vec![to]).map_err(Error::internal)?;
        Ok(Written { envelope, bytes: text.into_bytes() })
    }

    fn written(&self, from: &Sender, id: Uuid, date: &str) -> std::result::Result<String, std::fmt::Error> {
        let mut out = String::with_capacity(self.text.len() * 2 + 512);
        // HTTP's date is that of mail, but for how it writes the zone.
        writeln!(out, "Date: {} +0000\r", date.trim_end_matches(" GMT"))?;
        match from.name.as_str() {
            "" => write!(out, "From: {}\r\n", from.address)?,
            name => {
                header(&mut out, "From", name, |c| c.is_ascii_alphanumeric() || c == ' ')?;
                write!(out, "\r\n <{}>\r\n", from.address)?;
            }
        }
        write!(out, "To: {}\r\nMessage-ID: <{id}@{}>\r\n", self.to, from.address.domain())?;
        header(&mut out, "Subject", self.subject.trim(), |c| matches!(c, ' '..='~'))?;
        out.push_str("\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n");
        // Programs that answer mail by themselves leave this one alone: RFC 3834.
        out.push_str("Auto-Submitted: auto-generated\r\n");
        let text = self.text.replace("\r\n", "\n").replace('\r', "\n").replace('\n', "\r\n");
        if is_plain(&text) {
            write!(out, "Content-Transfer-Encoding: 7bit\r\n\r\n{text}")?;
        } else {
            out.push_str("Content-Transfer-Encoding: base64\r\n\r\n");
            base64::encode(text.as_bytes(), &mut out)?;
        }
        if !out.ends_with("\r\n") {
            out.push_str("\r\n");
        }
        Ok(out)
    }
}

/// A header without its end: as it is where every character is plain and the line is short, else in encoded words.
fn header(out: &mut String, name: &str, value: &str, is_plain: impl Fn(char) -> bool) -> std::fmt::Result {
    write!(out, "{name}: ")?;
    let line = name.len() + 2;
    if value.chars().all(is_plain) && !value.contains("=?") && line + value.len() <= HEADER_BYTES_MAX {
        return out.write_str(value);
    }
    rfc2047::encode(value, &mut EmailWriter::new(out, line, 0, false))
}

/// May it be sent as it is?
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'\r' | b'\n' | b'\t' | b' '..=b'~'))
        && text.split("\r\n").all(|line| line.len() <= LINE_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(from: &str, subject: &str, text: &str) -> String {
        let message = Message { to: "ann@example.net".into(), subject: subject.into(), text: text.into() };
        let sender = Sender::new(from).unwrap();
        message.written(&sender, Uuid::nil(), "Sun, 06 Nov 1994 08:49:37 GMT").unwrap()
    }

    #[test]
    fn a_plain_message_is_plain() {
        let expected = "Date: Sun, 06 Nov 1994 08:49:37 +0000\r\n\
            From: Clinic North\r\n <cari@example.org>\r\n\
            To: ann@example.net\r\n\
            Message-ID: <00000000-0000-0000-0000-000000000000@example.org>\r\n\
            Subject: Your new password\r\n\
            MIME-Version: 1.0\r\n\
            Content-Type: text/plain; charset=utf-8\r\n\
            Auto-Submitted: auto-generated\r\n\
            Content-Transfer-Encoding: 7bit\r\n\
            \r\n\
            Hello,\r\n\r\nhttps://example.org/x?a=b\r\n";
        let text = "Hello,\n\r\nhttps://example.org/x?a=b";
        assert_eq!(written("Clinic North <cari@example.org>", " Your new password", text), expected);
    }

    #[test]
    fn everything_else_is_encoded() {
        let long = "x".repeat(999);
        // sender, subject, text; what is in the message
        let rows = [
            ("a@b.org", "", "", "From: a@b.org\r\n"),
            ("a@b.org", "", "", "Subject: \r\n"),
            ("Größe <a@b.org>", "", "", "From: =?utf-8?b?R3LDtsOfZQ==?=\r\n <a@b.org>\r\n"),
            ("\"North, Dr.\" <a@b.org>", "", "", "From: =?utf-8?b?Tm9ydGgsIERyLg==?=\r\n <a@b.org>\r\n"),
            ("a@b.org", "Größe", "", "Subject: =?utf-8?b?R3LDtsOfZQ==?=\r\n"),
            ("a@b.org", "=?utf-8?q?x?=", "", "Subject: =?utf-8?b?PT91dGYtOD9xP3g/PQ==?=\r\n"),
            ("a@b.org", "", "Grüße\n", "base64\r\n\r\nR3LDvMOfZQ0K\r\n"),
            ("a@b.org", "", "a\0", "base64\r\n\r\nYQA=\r\n"),
            ("a@b.org", "", &long, "base64\r\n\r\neHh4"),
            ("a@b.org", "", &long[1..], "7bit\r\n\r\nxxx"),
        ];
        for (from, subject, text, part) in rows {
            let message = written(from, subject, text);
            assert!(message.contains(part), "{part} is not in {message}");
        }
    }

    /// Law: whatever the texts, every line is ASCII and short enough, no bare CR or LF is in it, and the headers are these.
    #[test]
    fn no_text_breaks_out_of_its_place() {
        let texts = [
            "é".repeat(300),
            "\u{1f600}".repeat(99),
            "word ".repeat(60),
            "\r\nBcc: x@y.org\r\n\r\n.".repeat(9),
            ".".into(),
        ];
        for text in &texts {
            let subject: String = text.chars().filter(|c| !c.is_control()).collect();
            let message = written(&format!("{subject} <a@b.org>"), &subject, text);
            assert!(message.is_ascii() && message.ends_with("\r\n"));
            for line in message.split("\r\n") {
                assert!(line.len() <= LINE_BYTES_MAX && !line.contains(['\r', '\n']), "{line}");
            }
            let (head, _) = message.split_once("\r\n\r\n").unwrap();
            let names: Vec<&str> = head
                .split("\r\n")
                .filter(|line| !line.starts_with(' '))
                .map(|line| line.split(':').next().unwrap())
                .collect();
            let expected = "Date From To Message-ID Subject MIME-Version Content-Type Auto-Submitted Content-Transfer-Encoding";
            assert_eq!(names.join(" "), expected);
            assert!(head.split("\r\n").all(|line| line.len() <= HEADER_BYTES_MAX), "{head}");
        }
    }
}
