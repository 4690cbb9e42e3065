//! Doors to what is not FHIR: one folder each, a [`Module`](fhir_app::Module) that the program lists.
//!
//! **Invariant:** an adapter keeps no clinical state. What comes in becomes requests for `fhir_app::App::handle`.

pub mod accounts;
mod clinic;
mod dlq;
mod json_body;

pub use accounts::Accounts;
pub use clinic::Clinic;
pub use dlq::DeadLetterQueue;
