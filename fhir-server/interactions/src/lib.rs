//! What FHIR *does*: one file per word of the RESTful API.
//!
//! <https://hl7.org/fhir/R4/http.html>
//!
//! **Invariants:** knows no HTTP library and no SQL. Everything enters by [`handle`]: an HTTP request, an entry of a
//! Bundle, an adapter's call. Reading is a copy of stored bytes; a tree is built only for `_summary`, `_elements`
//! and what is written. Time and ids come from the store of [`Cx`](Cx::store).

mod bundle;
mod capabilities;
mod change;
mod check;
mod commit;
mod conditional;
mod conditions;
mod content;
mod create;
mod cx;
mod delete;
mod error_log;
mod handle;
mod history;
mod meta;
mod observer;
mod operation;
mod page_link;
pub mod patch;
mod read;
mod reply;
mod request;
mod request_context;
mod rules;
mod search;
mod standby;
mod summary;
mod update;
mod vread;

pub use bundle::text::BundleText;
pub use capabilities::{Mode, Statements};
pub use conditions::Conditions;
pub use content::{Content, ContentBody, ContentStream};
pub use cx::{ConditionalDelete, Cx, RequestLimits, Settings};
pub use error_log::{RateLimitedLog, ServerErrorLog};
pub use fhir_access::{AccessRequest, Guard, Principal};
pub use fhir_model::interaction::{Interaction, Level, Method};
pub use handle::handle;
pub use observer::{Access, Observer};
pub use operation::{Call, Operation, OperationRoute, Operations, Parameters};
pub use reply::Reply;
pub use request::{Body, Handling, Prefer, ReadFrom, Request, Return};
pub use request_context::check_write;
pub use rules::{ReferentialIntegrityRule, Rules, SearchParameterRule, Verdict, WriteContext, WriteRule};
pub use standby::DATABASE_POSITION;
