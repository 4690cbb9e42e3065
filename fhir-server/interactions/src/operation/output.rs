//! That an operation answers as its definition says: names and cardinality of what it returns.
//!
//! <https://hl7.org/fhir/R4/operations.html#response>

use fhir_model::json::{Doc, JsonLimits, Ref};
use fhir_model::{Error, Result};

use super::definition::{Definition, ParameterDefinition, ParameterType};
use crate::reply::Reply;

/// A longer list of parameters is not parsed: the check may not cost what the answer costs.
const CHECKED_BYTES_MAX: usize = 64 * 1024;

/// The reply, as it is. One that contradicts the definition is a defect of the operation: `Internal` in builds with debug
/// assertions, so that tests find it, and a line of the log elsewhere, where the client is better served by the answer.
///
/// # Errors
///
/// `Internal` in builds with debug assertions.
pub(super) fn checked(definition: &Definition, reply: Reply) -> Result<Reply> {
    let Some(body) = &reply.body else { return Ok(reply) };
    match check(definition, body) {
        Ok(()) => Ok(reply),
        Err(why) if cfg!(debug_assertions) => Err(Error::internal(why)),
        Err(why) => {
            tracing::error!(operation = &*definition.code, "{why}");
            Ok(reply)
        }
    }
}

/// What contradicts the definition.
pub(super) fn check(definition: &Definition, body: &[u8]) -> std::result::Result<(), String> {
    let code = &definition.code;
    let own = type_of(body);
    // What is said beside the answer, or instead of it.
    if own == Some("OperationOutcome") {
        return Ok(());
    }
    if let Some(wanted) = definition.returned() {
        // Operations splice resources from the store, whose first member may be another.
        return match own {
            Some(own) if wanted != "Resource" && own != wanted => {
                Err(format!("${code} returns a {own}, and its definition says {wanted}"))
            }
            _ => Ok(()),
        };
    }
    if body.len() > CHECKED_BYTES_MAX {
        return Ok(());
    }
    let doc = Doc::parse(body, JsonLimits::NONE).map_err(|_| format!("${code} returns no JSON"))?;
    if doc.root().get_str("resourceType").as_deref() != Some("Parameters") {
        return Err(format!("${code} returns no Parameters, and its definition says so"));
    }
    list(&definition.outputs, doc.root(), "parameter").map_err(|why| format!("${code} returns {why}"))
}

/// The type of a resource that begins with it, as those do that are written here.
fn type_of(body: &[u8]) -> Option<&str> {
    let name = body.strip_prefix(b"{\"resourceType\":\"")?;
    let end = name.iter().position(|byte| *byte == b'"')?;
    std::str::from_utf8(name.get(..end)?).ok()
}

fn list(known: &[ParameterDefinition], holder: Ref<'_>, member: &str) -> std::result::Result<(), String> {
    let mut counts = vec![0_usize; known.len()];
    for sent in holder.get(member).into_iter().flat_map(Ref::items) {
        let name = sent.get_str("name").unwrap_or_default();
        let found = known.iter().zip(&mut counts).find(|(known, _)| *known.name == *name);
        let Some((parameter, count)) = found else {
            return Err(format!("`{name}`, which its definition does not have"));
        };
        *count += 1;
        if let ParameterType::Parts(parts) = &parameter.of {
            list(parts, sent, "part")?;
        }
    }
    let wrong = known.iter().zip(counts).find(|(known, count)| *count < known.min || *count > known.max);
    match wrong {
        Some((known, count)) => Err(format!("`{}` {count} times", known.name)),
        None => Ok(()),
    }
}
