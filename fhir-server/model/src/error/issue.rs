//! Issues, and the OperationOutcome that holds them: <https://hl7.org/fhir/R4/operationoutcome.html>

use std::borrow::Cow;

use serde_json::{Value, json};

use super::kind::Kind;

/// Most issues that an error tells its client.
pub const ISSUES_MAX: usize = 100;

/// How grave an issue is: <https://hl7.org/fhir/R4/valueset-issue-severity.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the specification's own words")]
pub enum Severity {
    Error,
    Warning,
    Information,
}

impl Severity {
    /// True when what was asked is not done because of it.
    pub fn is_error(self) -> bool {
        self == Severity::Error
    }

    /// Its code.
    pub fn code(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Information => "information",
        }
    }
}

/// One thing to say to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// How grave it is.
    pub severity: Severity,
    /// What kind of trouble it is; of an information `Informational`.
    pub kind: Kind,
    /// A sentence for the client.
    pub text: String,
    /// FHIRPath locations in the body, or `http.<header>` / parameter names.
    pub expression: Vec<String>,
}

impl Issue {
    /// What is not done, and why.
    pub fn error(kind: Kind, text: impl Into<String>) -> Issue {
        Issue { severity: Severity::Error, kind, text: text.into(), expression: Vec::new() }
    }

    /// What is done, though something is wrong.
    pub fn warning(kind: Kind, text: impl Into<String>) -> Issue {
        Issue { severity: Severity::Warning, ..Issue::error(kind, text) }
    }

    /// What is done.
    pub fn information(text: impl Into<String>) -> Issue {
        Issue { severity: Severity::Information, ..Issue::error(Kind::Informational, text) }
    }

    /// Adds a location.
    #[must_use]
    pub fn at(mut self, expression: impl Into<String>) -> Issue {
        self.expression.push(expression.into());
        self
    }

    fn to_json(&self) -> Value {
        let (severity, code) = (self.severity.code(), self.kind.issue());
        let mut issue =
            json!({ "severity": severity, "code": code, "details": { "text": brief(&self.text) } });
        if let (false, Some(issue)) = (self.expression.is_empty(), issue.as_object_mut()) {
            let expression: Vec<_> = self.expression.iter().map(|path| brief(path)).collect();
            issue.insert("expression".to_owned(), json!(expression));
        }
        issue
    }
}

/// The OperationOutcome of some issues, the one way in which any is written: all of them, or the first [`ISSUES_MAX`] and
/// that there are more.
pub fn operation_outcome<'i>(issues: impl IntoIterator<Item = &'i Issue>) -> Value {
    let mut all = issues.into_iter();
    let mut issues: Vec<Value> = all.by_ref().take(ISSUES_MAX).map(Issue::to_json).collect();
    if all.next().is_some() {
        issues.push(Issue::information("there are more issues than these").to_json());
    }
    json!({ "resourceType": "OperationOutcome", "issue": issues })
}

/// Longest sentence or location in an outcome, in bytes: what was sent is quoted, and may be as long as a body.
const TEXT_BYTES_MAX: usize = 2000;

/// The text, or the two ends of a longer one: what is wrong is said before and after what is quoted.
fn brief(text: &str) -> Cow<'_, str> {
    if text.len() <= TEXT_BYTES_MAX {
        return text.into();
    }
    let begin = text.floor_char_boundary(TEXT_BYTES_MAX / 2);
    let end = text.ceil_char_boundary(text.len() - TEXT_BYTES_MAX / 2);
    format!("{}…{}", text.get(..begin).unwrap_or_default(), text.get(end..).unwrap_or_default()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_quoted_is_cut_in_its_middle() {
        let outcome = |text: &str| operation_outcome([&Issue::error(Kind::Invalid, text).at(text)]);
        let long = format!("`{}` is nothing", "ä".repeat(TEXT_BYTES_MAX));
        let cut = outcome(&long);
        for told in [&cut["issue"][0]["details"]["text"], &cut["issue"][0]["expression"][0]] {
            let told = told.as_str().unwrap();
            assert!(told.len() <= TEXT_BYTES_MAX + '…'.len_utf8(), "{}", told.len());
            assert!(told.starts_with("`ää") && told.ends_with("ä` is nothing"), "{told}");
        }
        let exact = "x".repeat(TEXT_BYTES_MAX);
        assert_eq!(outcome(&exact)["issue"][0]["details"]["text"], *exact);
    }
}
