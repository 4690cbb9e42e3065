//! Applies patches to resources: <https://hl7.org/fhir/R4/http.html#patch>
//!
//! Text in, text out; the interaction that reads, checks versions and writes stands beside this module.

mod content;
mod element_path;
mod exact;
mod fhirpath_patch;
pub(crate) mod interaction;
mod json_patch;
mod narrative;
mod primitive;

pub use fhirpath_patch::fhirpath_patch;
pub use json_patch::json_patch;
pub(crate) use narrative::outdated;

use fhir_model::json::{Doc, JsonLimits};
use fhir_model::{Error, Kind, Result};

/// Most operations in one patch.
pub const OPERATIONS_MAX: usize = 1000;

/// Most bytes that a patch may make of a resource, or touch on its way, unless resource and patch are longer already.
pub const BYTES_MAX: usize = 16 * 1024 * 1024;

fn too_costly() -> Error {
    Error::new(Kind::TooCostly, "the patch would make the resource too large, or take too long")
}

fn too_many_operations() -> Error {
    Error::new(Kind::TooCostly, format!("a patch may have {OPERATIONS_MAX} operations at most"))
}

/// The patched text, unless it is another resource than before.
fn same_resource(before: &Doc, after: &str) -> Result<String> {
    let after = Doc::parse(after, JsonLimits::default());
    let after = after.map_err(|e| Error::new(Kind::Rule, format!("the patched resource is {e}")))?;
    for key in ["resourceType", "id"] {
        if before.root().get_str(key) != after.root().get_str(key) {
            let text = format!("a patch cannot change the `{key}` of a resource");
            return Err(Error::new(Kind::Rule, text).at(key));
        }
    }
    Ok(after.root().to_json())
}
