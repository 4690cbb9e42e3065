//! What the write of a SearchParameter asks for.

use fhir_model::Result;
use fhir_search::Registry;
use fhir_search::custom::{self, Defined};

use crate::write::Write;

/// The type whose resources define parameters.
pub(super) const TYPE: &str = "SearchParameter";

/// What a write of a SearchParameter asks for.
#[derive(Debug)]
pub(crate) struct Definition {
    /// `None` when the SearchParameter is not active, or deleted.
    pub(super) defined: Option<Defined>,
}

impl Definition {
    /// None for a write of anything else. An error when it cannot take effect.
    pub(crate) fn from_write(write: &Write, registry: &Registry) -> Result<Option<Definition>> {
        if *write.key.type_name != *TYPE {
            return Ok(None);
        }
        let defined = match &write.doc {
            Some(doc) => custom::read(doc.text(), registry)?,
            None => None,
        };
        Ok(Some(Definition { defined }))
    }
}
