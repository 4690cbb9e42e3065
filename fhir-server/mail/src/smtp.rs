//! A mail server: <https://www.rfc-editor.org/rfc/rfc5321>

use std::fmt;
use std::time::Duration;

use fhir_model::{Error, Kind, Result};
use lettre::transport::smtp::Error as SmtpError;
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use url::{Host, Url};

use crate::message::Written;

/// For everything from the connection to the server's last word.
const TIMEOUT: Duration = Duration::from_secs(10);

/// One server. A connection is made for each message: there are few.
#[derive(Clone)]
pub(crate) struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
}

impl Smtp {
    pub(crate) fn new(url: &str) -> Result<Smtp> {
        // Never with a cause: what cannot be read as a url may hold a password all the same.
        let wrong =
            |_| Error::value("The address of the mail server is not smtp://, smtps:// or smtp+starttls://");
        let url = match url.strip_prefix("smtp+starttls://") {
            Some(rest) => Url::parse(&format!("smtp://{rest}")).map(|mut url| {
                url.set_query(Some("tls=required"));
                url
            }),
            None => Url::parse(url),
        };
        let url = url.map_err(|_| wrong(()))?;
        if url.password().is_some() && !is_encrypted(&url) && !is_here(&url) {
            let text = "A password for the mail server goes over TLS alone: smtps:// or smtp+starttls://";
            return Err(Error::value(text));
        }
        let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(url.as_str()).map_err(|_| wrong(()))?;
        Ok(Smtp { transport: builder.timeout(Some(TIMEOUT)).build() })
    }

    pub(crate) async fn send(&self, message: Written) -> Result<()> {
        let has_ascii_recipient = message.envelope.to().iter().all(|to| to.to_string().is_ascii());
        match tokio::time::timeout(TIMEOUT, self.transport.send_raw(&message.envelope, &message.bytes)).await
        {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(classified(&error, has_ascii_recipient)),
            Err(_) => Err(unavailable(format!("no answer within {} seconds", TIMEOUT.as_secs()))),
        }
    }
}

impl fmt::Debug for Smtp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Smtp(…)")
    }
}

/// The error for the caller. Its cause has the server's code and none of its words, which repeat the address.
fn classified(error: &SmtpError, has_ascii_recipient: bool) -> Error {
    let refused = || Error::value("The mail server does not take mail for this address");
    match error.status().map(u16::from) {
        // We are refused, not the recipient: by authentication, or for how we speak. The operator can change that.
        Some(code @ (500..=504 | 530 | 534 | 535 | 538)) => {
            unavailable(format!("the mail server refuses us: {code}"))
        }
        Some(code @ 500..) => refused().because(format!("the mail server answered {code}")),
        Some(code) => unavailable(format!("the mail server answered {code}")),
        None if error.is_response() => {
            unavailable("the mail server answered something that is not SMTP".to_owned())
        }
        // The one thing that depends on the recipient: the server has no SMTPUTF8.
        None if error.is_client() && !has_ascii_recipient => refused().because(error.to_string()),
        None => unavailable(error.to_string()),
    }
}

fn unavailable(cause: String) -> Error {
    Error::new(Kind::Unavailable, "The mail cannot be sent now: try again later").because(cause)
}

fn is_encrypted(url: &Url) -> bool {
    url.scheme() == "smtps" || url.query_pairs().any(|(name, value)| name == "tls" && value == "required")
}

/// Is it on this machine? The url crate takes hosts of unknown schemes as they are written.
fn is_here(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => {
            name == "localhost" || name.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
        }
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}
