//! What shapes the answer: `_count`, `_total`, `_summary`, `_contained`. <https://hl7.org/fhir/R4/search.html#return>

use fhir_model::{Error, Result};

use crate::query::{Summary, Total};

/// `_count`, at most `max`.
pub(super) fn count(value: &str, max: usize) -> Result<usize> {
    let count: u64 = value
        .parse()
        .map_err(|_| Error::value(format!("`_count` is a whole number from 0, not `{value}`")))?;
    Ok(usize::try_from(count).unwrap_or(usize::MAX).min(max))
}

pub(super) fn total(value: &str) -> Result<Total> {
    match value {
        "none" => Ok(Total::None),
        "estimate" => Ok(Total::Estimate),
        "accurate" => Ok(Total::Accurate),
        _ => Err(Error::value(format!("`_total` is none, estimate or accurate, not `{value}`"))),
    }
}

pub(super) fn summary(value: &str) -> Result<Summary> {
    match value {
        "true" => Ok(Summary::True),
        "false" => Ok(Summary::False),
        "text" => Ok(Summary::Text),
        "data" => Ok(Summary::Data),
        "count" => Ok(Summary::Count),
        _ => Err(Error::value(format!("`_summary` is true, false, text, data or count, not `{value}`"))),
    }
}

/// `_contained` and `_containedType`: contained resources are no matches of their own, which is what `false` asks for.
/// <https://hl7.org/fhir/R4/search.html#contained>
pub(super) fn contained(name: &str, value: &str) -> Result<()> {
    match (name, value) {
        ("_contained", "false") | ("_containedType", "container" | "contained") => Ok(()),
        ("_contained", "true" | "both") => Err(Error::not_supported(format!(
            "`_contained={value}` is not supported by this server: contained resources are no matches of their own. \
             What contains them is found by chains through the references to them, as in \
             MedicationRequest?medication.code=.."
        ))
        .at(name)),
        ("_contained", _) => {
            Err(Error::value(format!("`_contained` is true, false or both, not `{value}`")).at(name))
        }
        _ => Err(Error::value(format!("`_containedType` is container or contained, not `{value}`")).at(name)),
    }
}

/// `_explain` is of this server: how a search is answered, for those who run it.
pub(super) fn explain(value: &str) -> Result<bool> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(Error::value(format!("`_explain` is true or false, not `{value}`")).at("_explain")),
    }
}
