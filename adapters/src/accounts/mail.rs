//! Mail about accounts: written here, kept sealed in the queue, sent by a job that is tried again until it went out.

use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use fhir_access::Accounts;
use fhir_app::{App, Error, JobRun, JobType, Kind, NewJob, Result, async_trait, enqueue};
use fhir_mail::{Mailer, Message};
use serde_json::{Value, json};

use super::settings;

const JOB: &str = "accounts.mail";
const PURPOSE: &str = "mail";

/// True when mail is sent at all.
pub(super) fn is_configured(app: &App) -> Result<bool> {
    Ok(settings::mailer(app.settings())?.is_configured())
}

/// Does what an answer must not wait for: it would tell whether there is an account.
pub(super) fn in_background(work: impl Future<Output = Result<()>> + Send + 'static) {
    tokio::spawn(async move {
        if let Err(error) = work.await {
            tracing::error!("mail could not be queued: {error}");
        }
    });
}

pub(super) async fn verify_address(app: &App, email: &str, secret: &str) -> Result<()> {
    let text = format!(
        "Somebody registered with this address{}.\n\nIf it was you, send this code back within 24 hours, with your password:\n\n    \
         {secret}\n\n    POST /api/auth/verify-email {{\"token\":\"{secret}\",\"password\":\"...\"}}\n\nIf not, nothing is to be done: do not \
         give the code to anybody.\n",
        server(app)?
    );
    queue(app, email, "Verify your address", text).await
}

pub(super) async fn already_registered(app: &App, email: &str) -> Result<()> {
    let text = "Somebody registered with this address, for which there is an account already.\n\nIf it was you, sign in, or set a new \
                password. If not, nothing is to be done.\n";
    queue(app, email, "There is an account of this address", text.to_owned()).await
}

pub(super) async fn set_password(app: &App, email: &str, secret: &str) -> Result<()> {
    let text = format!(
        "Somebody asked for a new password for this address{}.\n\nIf it was you, set one within an hour with this code:\n\n    \
         {secret}\n\n    POST /api/auth/password/reset {{\"token\":\"{secret}\",\"password\":\"...\"}}\n\nIf not, nothing is to be done: do not \
         give the code to anybody.\n",
        server(app)?
    );
    queue(app, email, "Set a new password", text).await
}

/// Tells the owner of an address that it is to be a member of an organisation.
///
/// # Errors
///
/// When the database does not answer.
pub(crate) async fn invitation(app: &App, email: &str, organization: &str) -> Result<()> {
    let text = format!(
        "You are invited to work for {organization}{}.\n\nMake an account with this address, and verify it: you are a member then.\n\n\
         If you do not know of this, nothing is to be done.\n",
        server(app)?
    );
    queue(app, email, "An invitation", text).await
}

/// Where that was, by the settings: what a request says of it may be another server's url.
fn server(app: &App) -> Result<String> {
    let issuer = &app.accounts()?.options().issuer;
    Ok(if issuer.starts_with("http") { format!(" at {issuer}") } else { String::new() })
}

/// Puts mail into the queue. It holds secrets, which the queue does not show.
async fn queue(app: &App, to: &str, subject: &str, text: String) -> Result<()> {
    if !is_configured(app)? {
        return Ok(());
    }
    let message = json!({ "to": to, "subject": subject, "text": text }).to_string();
    let sealed = app.accounts()?.keys().seal_keys().seal(PURPOSE, message.as_bytes())?;
    let payload = json!({ "sealed": BASE64_STANDARD.encode(sealed) });
    enqueue(&**app.client().await?, &NewJob::new(JOB, payload)).await.map(drop)
}

/// Sends it.
pub(super) struct SendMail {
    accounts: Arc<Accounts>,
    mailer: Result<Mailer>,
}

impl SendMail {
    pub(super) fn new(app: &App, accounts: Arc<Accounts>) -> SendMail {
        SendMail { accounts, mailer: settings::mailer(app.settings()) }
    }
}

#[async_trait]
impl JobType for SendMail {
    fn name(&self) -> &str {
        JOB
    }

    fn attempts_max(&self) -> u32 {
        // Some days: a link may be down for a weekend.
        40
    }

    async fn perform(&self, run: &JobRun) -> Result<Value> {
        let mailer = self.mailer.as_ref().map_err(|error| Error::new(error.kind, error.text.clone()))?;
        let broken = || Error::internal("mail in the queue cannot be read");
        let sealed = run.payload.get("sealed").and_then(Value::as_str).ok_or_else(broken)?;
        let sealed = BASE64_STANDARD.decode(sealed).map_err(Error::internal)?;
        let opened = self.accounts.open_sealed(PURPOSE, &sealed)?;
        let message: Value = serde_json::from_slice(&opened).map_err(|_| broken())?;
        let part = |name: &str| message.get(name).and_then(Value::as_str).unwrap_or("").to_owned();
        match mailer.send(&Message { to: part("to"), subject: part("subject"), text: part("text") }).await {
            // Nobody receives mail there, and nobody will.
            Err(error) if error.kind == Kind::Value => {
                tracing::warn!("mail is refused for good: {error}");
                Ok(Value::Null)
            }
            sent => sent.map(|_| Value::Null),
        }
    }
}
