//! What the paths of an added parameter may be.

use fhir_model::types::Types;
use fhir_model::{Error, Kind, Result};
use fhir_profiles::Definitions;

use crate::path::{Step, Test};

/// Places an expression may look at in one type. `value` of an extension is of fifty types, and each of these may have
/// extensions again.
pub(super) const PATHS_MAX: usize = 2000;

/// What a SearchParameter must be and is not.
pub(super) fn rule(text: impl Into<String>, at: &str) -> Error {
    Error::new(Kind::Rule, text).at(at)
}

/// Checks what becomes part of an SQL/JSON path when a search is sorted by the parameter.
pub(super) fn check_tests(steps: &[Step], definitions: &Definitions) -> Result<()> {
    let name = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric());
    let text = |text: &str| !text.chars().any(char::is_control);
    let good = steps.iter().all(|step| match step {
        Step::Where(Test::Child(child, value)) => name(child) && text(value),
        Step::Where(Test::Resolves(target)) => definitions.is_resource(target),
        Step::Where(Test::HasExtension(url)) => text(url),
        Step::Field(_) | Step::OfType(_) | Step::OneOf(_) | Step::First => true,
    });
    match good {
        true => Ok(()),
        false => {
            Err(rule("the expression tests for what no resource can have", "SearchParameter.expression"))
        }
    }
}
