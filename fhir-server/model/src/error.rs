//! The one error of the server: <https://hl7.org/fhir/R4/operationoutcome.html>

mod issue;
mod kind;

use std::fmt;

use serde_json::Value;

pub use issue::{ISSUES_MAX, Issue, Severity, operation_outcome};
pub use kind::Kind;

/// An error with a sentence for the client, the places it speaks of, and a cause that stays private.
///
/// Kind, text and expression are those of the first issue that made it fail: it gives the status.
#[derive(Debug)]
pub struct Error {
    /// What kind of trouble it is.
    pub kind: Kind,
    /// A sentence for the client. Never holds patient data beyond what the client itself sent.
    pub text: String,
    /// FHIRPath locations in the body (`Patient.name[0].given`), or `http.<header>` / parameter names.
    pub expression: Vec<String>,
    /// The cause: for the log, never for the client.
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
    /// What else there is to say.
    pub further: Further,
}

/// The issues of an error beside its first.
#[derive(Debug, Default)]
#[expect(clippy::box_collection, reason = "there are rarely any, and every result has room for an error")]
pub struct Further(Option<Box<Vec<Issue>>>);

/// The result of nearly everything here.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error of a kind, with its sentence.
    pub fn new(kind: Kind, text: impl Into<String>) -> Error {
        Error { kind, text: text.into(), expression: Vec::new(), source: None, further: Further::default() }
    }

    /// 400: the request cannot be understood.
    pub fn invalid(text: impl Into<String>) -> Error {
        Error::new(Kind::Invalid, text)
    }

    /// 400: the body is not what FHIR says it should be.
    pub fn structure(text: impl Into<String>) -> Error {
        Error::new(Kind::Structure, text)
    }

    /// 400: a value that has no meaning where it stands.
    pub fn value(text: impl Into<String>) -> Error {
        Error::new(Kind::Value, text)
    }

    /// 400: the server does not do this.
    pub fn not_supported(text: impl Into<String>) -> Error {
        Error::new(Kind::NotSupported, text)
    }

    /// 404: `Patient/1` (or a version of it) is not here.
    pub fn not_found(reference: impl fmt::Display) -> Error {
        Error::new(Kind::NotFound, format!("{reference} is not known here"))
    }

    /// 410: `Patient/1` was deleted.
    pub fn gone(reference: impl fmt::Display) -> Error {
        Error::new(Kind::Gone, format!("{reference} was deleted"))
    }

    /// 500: our fault; the cause goes to the log.
    pub fn internal(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        Error {
            source: Some(source.into()),
            ..Error::new(Kind::Internal, "the server failed to answer; the log has the details")
        }
    }

    /// Adds a FHIRPath location.
    #[must_use]
    pub fn at(mut self, expression: impl Into<String>) -> Error {
        self.expression.push(expression.into());
        self
    }

    /// Adds the private cause.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        self.source = Some(source.into());
        self
    }

    /// One error of several issues: its kind is that of the first that is an error. Returns `None` when none is.
    pub fn from_issues(mut issues: Vec<Issue>) -> Option<Error> {
        let first = issues.iter().position(|issue| issue.severity.is_error())?;
        let Issue { kind, text, expression, .. } = issues.remove(first);
        let further = Further((!issues.is_empty()).then(|| Box::new(issues)));
        Some(Error { expression, further, ..Error::new(kind, text) })
    }

    /// One error of several, with the kind and the cause of the first. Returns `None` when there are none.
    pub fn join(errors: Vec<Error>) -> Option<Error> {
        let mut errors = errors.into_iter();
        let mut first = errors.next()?;
        let further: Vec<Issue> = errors.flat_map(Error::into_issues).collect();
        if !further.is_empty() {
            first.further.0.get_or_insert_default().extend(further);
        }
        Some(first)
    }

    /// Its issues, the first of which says what it is.
    pub fn issues(&self) -> Vec<Issue> {
        let first = Issue { expression: self.expression.clone(), ..Issue::error(self.kind, &*self.text) };
        std::iter::once(first)
            .chain(self.further.0.iter().flat_map(|further| further.iter().cloned()))
            .collect()
    }

    /// The same, of an error that nobody needs any more.
    pub fn into_issues(self) -> Vec<Issue> {
        let Error { kind, text, expression, further, .. } = self;
        let mut issues = vec![Issue { expression, ..Issue::error(kind, text) }];
        issues.extend(further.0.into_iter().flat_map(|further| *further));
        issues
    }

    /// The same with every issue changed.
    #[must_use]
    pub fn map_issues(self, mut change: impl FnMut(Issue) -> Issue) -> Error {
        let Error { kind, text, expression, source, further } = self;
        let first = change(Issue { expression, ..Issue::error(kind, text) });
        let further = Further(further.0.map(|further| Box::new(further.into_iter().map(change).collect())));
        Error { kind: first.kind, text: first.text, expression: first.expression, source, further }
    }

    /// The OperationOutcome a client gets.
    pub fn outcome(&self) -> Value {
        operation_outcome(&self.issues())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|e| e as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_issue_that_is_an_error_is_the_error() {
        let warning = || Issue::warning(Kind::Duplicate, "a warning").at("a");
        let rule = || Issue::error(Kind::Rule, "a rule").at("b");
        let error = || Issue::error(Kind::Conflict, "an error").at("c");
        assert!(Error::from_issues(Vec::new()).is_none());
        assert!(Error::from_issues(vec![warning(), Issue::information("said")]).is_none());
        // issues, status of the error, codes in the outcome
        let rows = [
            (vec![error()], 409, "conflict"),
            (vec![warning(), error(), rule()], 409, "conflict duplicate business-rule"),
            (vec![rule(), warning(), error()], 422, "business-rule duplicate conflict"),
        ];
        for (issues, status, codes) in rows {
            let found = Error::from_issues(issues).unwrap();
            assert_eq!(found.kind.status(), status, "{codes}");
            let outcome = found.outcome();
            let issues = outcome["issue"].as_array().unwrap();
            let found: Vec<&str> = issues.iter().map(|issue| issue["code"].as_str().unwrap()).collect();
            assert_eq!(found.join(" "), codes);
        }
    }

    #[test]
    fn errors_are_joined_in_their_order() {
        let errors = vec![Error::gone("a").because("why"), Error::invalid("b").at("x"), Error::value("c")];
        let joined = Error::join(errors).unwrap().map_issues(|issue| issue.at("y"));
        assert_eq!((joined.kind, joined.source.is_some()), (Kind::Gone, true));
        let expressions: Vec<_> = joined.into_issues().into_iter().map(|issue| issue.expression).collect();
        assert_eq!(expressions, [vec!["y"], vec!["x", "y"], vec!["y"]]);
        assert!(Error::join(Vec::new()).is_none());
    }

    #[test]
    fn an_outcome_says_that_it_leaves_issues_out() {
        let outcome = |n: usize| {
            let issues = (0..n).map(|at| Issue::error(Kind::Rule, format!("rule {at}"))).collect();
            Error::from_issues(issues).unwrap().outcome()["issue"].as_array().unwrap().clone()
        };
        assert_eq!(outcome(ISSUES_MAX).len(), ISSUES_MAX);
        let issues = outcome(ISSUES_MAX + 3);
        assert_eq!(issues.len(), ISSUES_MAX + 1);
        assert_eq!(issues[ISSUES_MAX]["severity"], "information");
        assert_eq!(issues[ISSUES_MAX]["details"]["text"], "there are more issues than these");
    }

    #[test]
    fn an_error_is_small() {
        assert!(size_of::<Error>() <= 80, "{}", size_of::<Error>());
    }
}
