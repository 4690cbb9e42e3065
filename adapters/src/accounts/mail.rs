//! Mail about accounts: written here, kept sealed in the queue, sent by a job that is tried again until it went out.

use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use fhir_access::Accounts;
use fhir_app::{App, Error, JobRun, JobType, NewJob, Result, async_trait, enqueue};
use fhir_mail::{Mailer, Message};
use fhir_model::interaction::MOUNTS;
use serde_json::{Value, json};

use super::settings;

const JOB: &str = "accounts.mail";
const PURPOSE: &str = "mail";

/// True when mail is sent at all.
pub(super) fn is_configured(app: &App) -> Result<bool> {
    Ok(settings::mailer(app.settings())?.is_configured())
}

pub(super) async fn verify_address(app: &App, base: &str, email: &str, secret: &str) -> Result<()> {
    let text = format!(
        "Somebody registered with this address.\n\nIf it was you, send this code back within 24 hours, or follow the link of your \
         application:\n\n    {secret}\n\n    POST {}/api/auth/verify-email {{\"token\":\"{secret}\"}}\n\nIf not, nothing is to be done.\n",
        root(base)
    );
    queue(app, email, "Verify your address", text).await
}

pub(super) async fn already_registered(app: &App, email: &str) -> Result<()> {
    let text = "Somebody registered with this address, for which there is an account already.\n\nIf it was you, sign in, or set a new \
                password. If not, nothing is to be done.\n";
    queue(app, email, "There is an account of this address", text.to_owned()).await
}

pub(super) async fn set_password(app: &App, base: &str, email: &str, secret: &str) -> Result<()> {
    let text = format!(
        "Somebody asked for a new password for this address.\n\nIf it was you, set one within an hour with this code:\n\n    {secret}\n\n    \
         POST {}/api/auth/password/reset {{\"token\":\"{secret}\",\"password\":\"...\"}}\n\nIf not, nothing is to be done.\n",
        root(base)
    );
    queue(app, email, "Set a new password", text).await
}

/// Tells the owner of an address that it is to be a member of an organisation.
///
/// # Errors
///
/// When the database does not answer.
pub(crate) async fn invitation(app: &App, base: &str, email: &str, organization: &str) -> Result<()> {
    let text = format!(
        "You are invited to work for {organization}.\n\nMake an account with this address, and verify it; you are a member then:\n\n    \
         {}\n\nIf you do not know of this, nothing is to be done.\n",
        root(base)
    );
    queue(app, email, "An invitation", text).await
}

/// The url of the server, without FHIR's path.
fn root(base: &str) -> &str {
    base.strip_suffix(MOUNTS[0]).unwrap_or(base)
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
        let opened = self.accounts.keys().seal_keys().open(PURPOSE, &sealed)?;
        let message: Value = serde_json::from_slice(&opened).map_err(|_| broken())?;
        let part = |name: &str| message.get(name).and_then(Value::as_str).unwrap_or("").to_owned();
        mailer.send(&Message { to: part("to"), subject: part("subject"), text: part("text") }).await?;
        Ok(Value::Null)
    }
}
