//! FHIR R4's definitions as data: types, invariants, code systems, value sets.
//!
//! **Invariant:** no I/O and no global state. The data is part of the binary; whoever needs it holds an
//! `Arc<Definitions>`. There is no Rust type per FHIR type.

mod archive;
pub mod code_system;
pub mod definitions;
pub mod invariant;
pub mod structure;
pub mod value_set;

pub use code_system::CodeSystem;
pub use definitions::Definitions;
pub use invariant::Invariant;
pub use value_set::ValueSet;
