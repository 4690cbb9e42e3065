//! Where FHIR is mounted.

/// Where FHIR is mounted; the first that fits is taken.
pub const MOUNTS: [&str; 2] = ["/fhir/R4", "/fhir"];
