//! What an outcome or an error says, in one line.

use fhir_model::Error;
use fhir_model::json::Ref;

/// What an OperationOutcome says first.
pub(super) fn outcome_text(outcome: Ref<'_>) -> Option<String> {
    let issue = outcome.get("issue")?.items().next()?;
    let text = issue.get("details").and_then(|details| details.get_str("text"));
    text.or_else(|| issue.get_str("diagnostics")).map(|text| text.into_owned())
}

/// An error as a line says it.
pub(super) fn error_text(error: &Error) -> String {
    match error.expression.is_empty() {
        true => error.text.clone(),
        false => format!("{} ({})", error.text, error.expression.join(", ")),
    }
}
