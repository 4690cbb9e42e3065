//! Mail to people, such as the link with which somebody sets a new password: over SMTP, or into a folder.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> fhir_model::Result<()> {
//! # let folder = tempfile::tempdir().map_err(fhir_model::Error::internal)?;
//! use fhir_mail::{Mailer, Message, check_address};
//!
//! let mailer = Mailer::folder(folder.path(), "Clinic North <cari@example.org>")?;
//! let to = check_address(" Ann@Example.org")?;
//! mailer.send(&Message { to, subject: "Your new password".into(), text: "https://…".into() }).await?;
//! # Ok(()) }
//! ```
//!
//! **Invariants:** what callers put into a message ends up where they put it: no text becomes a header or a recipient. Errors
//! name no address and repeat nothing that a mail server said, as those repeat addresses. Nothing is queued and nothing is
//! tried again here: that is for a job, which outlives the process.

mod address;
mod folder;
mod mailer;
mod message;
mod smtp;

pub use address::check_address;
pub use mailer::{Mailer, Sent};
pub use message::Message;
