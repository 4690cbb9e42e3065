//! What a feature brings, and what it is given.
//!
//! A feature is a folder, a type that implements [`Module`], and one line in the list of the program. It gets an [`App`]; what
//! is wrong with a module is said when the list is made ([`Modules::new`]), before anything is served.

mod app;
mod module;
mod modules;
mod outbound;

pub use app::App;
pub use module::Module;
pub use modules::{Modules, Running};
pub use outbound::{OutboundAnswer, OutboundClient, OutboundLimits, OutboundRequest};

pub use async_trait::async_trait;
pub use fhir_access::{Permission, Principal};
pub use fhir_config::{ModuleSetting, ModuleSettings, SettingKind};
pub use fhir_database::MigrationFile;
pub use fhir_http::{Access, Caller, Routes, envelope, routes, utoipa};
pub use fhir_interactions::{
    Access as ObservedAccess, Body as RequestBody, Call, Observer, Operation, Reply, Request, WriteRule,
};
pub use fhir_model::{Error, Kind, Result};
pub use fhir_store::{ColumnType, Effect, EffectTable, EffectValue, WriteChange};
pub use fhir_work::{
    CancellationToken, Consumer, FeedChange, JobRun, JobType, NewJob, Schedule, Transaction, enqueue,
};
pub use reqwest::{Method, StatusCode, header};
