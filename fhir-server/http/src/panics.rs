//! A panic as an error.

use fhir_model::Error;

/// The sentence of a panic goes to the log with its place, by the panic hook; here it becomes an error's cause, so that
/// the log also has the request's id.
pub(crate) fn from_panic(panic: Box<dyn std::any::Any + Send>) -> Error {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    Error::internal(format!("panic: {}", text.unwrap_or_default()))
}
