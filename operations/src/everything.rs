//! `Patient/[id]/$everything` and `Patient/$everything`: all there is about a patient, and what it refers to.
//!
//! <https://hl7.org/fhir/R4/patient-operation-everything.html>
//!
//! The compartment is read by type, date and row, so that a cursor says all there is to know about where a page
//! ended. What the record refers to (practitioners, places, medications) follows it, to a fixpoint, and never leads
//! into the record of another patient: types that can be in a patient's compartment are not followed.

mod answer;
mod continuation;
mod one;
mod references;
mod request;
mod several;

use async_trait::async_trait;
use fhir_interactions::{Call, Cx, Operation, Reply};
use fhir_model::interaction::Level;
use fhir_model::{Error, Result};

/// The operation.
pub(crate) struct Everything;

#[async_trait]
impl Operation for Everything {
    fn definition(&self) -> &'static str {
        include_str!("everything/definition.json")
    }

    fn is_paged(&self) -> bool {
        true
    }

    fn reads_standby(&self) -> bool {
        true
    }

    async fn run(&self, cx: &Cx, call: Call) -> Result<Reply> {
        let asked = request::EverythingRequest::read(cx, &call)?;
        let page = match &call.level {
            Level::Instance(patient) => one::page(cx, &call.scope, patient, &asked).await?,
            Level::Type(_) => several::page(cx, &call.scope, &asked).await?,
            Level::System => return Err(Error::internal("$everything is defined for patients")),
        };
        answer::answer(cx, &call, &asked, page).await
    }
}
