//! Where mail goes.

use std::path::PathBuf;

use fhir_model::{Error, Result};
use uuid::Uuid;

use crate::address::Sender;
use crate::smtp::Smtp;
use crate::{Message, folder};

/// Where mail goes: to a mail server, into a folder, or nowhere.
#[derive(Debug, Clone)]
pub struct Mailer(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Smtp(Smtp, Sender),
    Folder(PathBuf, Sender),
    None,
}

/// A message that was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// The first half of its `Message-ID`, for the log: the second is the sender's domain. In a folder it is the name of
    /// the file, before `.eml`.
    pub id: Uuid,
}

impl Mailer {
    /// Mail over SMTP. The url is `smtps://user:password@host` (TLS from the first byte, port 465), `smtp+starttls://…`
    /// (TLS or nothing, port 587; also written `smtp://…?tls=required`) or `smtp://host` (no TLS, port 25: for a server on
    /// the same machine or network). Its path is the name that is said to the server, where the machine's own will not do.
    ///
    /// # Errors
    /// 400 when the url or the sender is none, or when a password would go over a network without TLS. The url is not
    /// repeated, as it may hold a password.
    pub fn smtp(url: &str, from: &str) -> Result<Mailer> {
        Ok(Mailer(Kind::Smtp(Smtp::new(url)?, Sender::new(from)?)))
    }

    /// Mail as files in a folder, one for each message: for tests, for a mail program that watches the folder, and for
    /// places without a mail server. The folder is made when there is something to write.
    ///
    /// # Errors
    /// 400 when the sender is none.
    pub fn folder(path: impl Into<PathBuf>, from: &str) -> Result<Mailer> {
        Ok(Mailer(Kind::Folder(path.into(), Sender::new(from)?)))
    }

    /// No mail at all.
    pub fn none() -> Mailer {
        Mailer(Kind::None)
    }

    /// Can anything be sent? What needs mail is not offered otherwise.
    pub fn is_configured(&self) -> bool {
        !matches!(self.0, Kind::None)
    }

    /// Sends a message: a mail server has taken it, or it is on the disk, when this returns.
    ///
    /// # Errors
    /// - 503: the mail server cannot be reached, is busy, or refuses us rather than the recipient; it may pass;
    /// - 400: the recipient is refused for good, or the message has what no message can have;
    /// - 400 "not supported": there is nowhere to send it to.
    pub async fn send(&self, message: &Message) -> Result<Sent> {
        let id = Uuid::new_v4();
        match &self.0 {
            Kind::Smtp(smtp, from) => smtp.send(message.write(from, id)?).await?,
            Kind::Folder(path, from) => {
                folder::write(path.clone(), id, message.write(from, id)?.bytes).await?
            }
            Kind::None => return Err(Error::not_supported("This server sends no mail")),
        }
        Ok(Sent { id })
    }
}
