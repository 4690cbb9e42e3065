//! The one error of the server, and the only place where an HTTP status or an issue code is chosen.
//!
//! <https://hl7.org/fhir/R4/operationoutcome.html>, <https://hl7.org/fhir/R4/http.html#Status-Codes>

use std::borrow::Cow;
use std::fmt;

use serde_json::{Value, json};

/// What went wrong, in the words of HTTP and FHIR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The request cannot be understood: bad URL, parameter, header, syntax.
    Invalid,
    /// The body is not well-formed JSON or XML, or not the structure FHIR gives it.
    Structure,
    /// A search or header value that has no meaning (`date=half`).
    Value,
    /// Something asked for is not supported by this server.
    NotSupported,
    /// An element or header that must be there is missing.
    Required,
    /// A business rule or profile refuses the content.
    Rule,
    /// No credentials, or credentials that do not hold.
    Unauthorized,
    /// The caller may not do this.
    Forbidden,
    /// No such resource, version or page.
    NotFound,
    /// No such interaction on this URL.
    MethodNotAllowed,
    /// None of the formats in `Accept` can be given.
    NotAcceptable,
    /// The request is at odds with the state of the resource.
    Conflict,
    /// The same thing exists already, where it must not.
    Duplicate,
    /// The resource was there and is deleted.
    Gone,
    /// `If-Match` names another version; or a conditional matches several resources.
    Precondition,
    /// A conditional interaction matches more than one resource.
    MultipleMatches,
    /// The URL is longer than allowed.
    UrlTooLong,
    /// The body did not arrive in time.
    RequestTimeout,
    /// The body is longer than allowed.
    TooLarge,
    /// The `Content-Type` is not one we read.
    UnsupportedMediaType,
    /// The content has nothing in the `Range` that is asked for.
    RangeNotSatisfiable,
    /// The request would cost more than allowed (too many entries, too deep, too wide).
    TooCostly,
    /// The request is meant for a server of another name.
    Misdirected,
    /// Too many requests from this caller.
    Throttled,
    /// The server is too busy, or its database is away: try again.
    Unavailable,
    /// The request took longer than allowed.
    Timeout,
    /// Our fault.
    Internal,
}

impl Kind {
    /// The HTTP status.
    pub fn status(self) -> u16 {
        match self {
            Kind::Invalid | Kind::Structure | Kind::Value | Kind::NotSupported => 400,
            Kind::Unauthorized => 401,
            Kind::Forbidden => 403,
            Kind::NotFound => 404,
            Kind::MethodNotAllowed => 405,
            Kind::NotAcceptable => 406,
            Kind::RequestTimeout => 408,
            Kind::Conflict | Kind::Duplicate => 409,
            Kind::Gone => 410,
            Kind::Precondition | Kind::MultipleMatches => 412,
            Kind::TooLarge | Kind::TooCostly => 413,
            Kind::UrlTooLong => 414,
            Kind::UnsupportedMediaType => 415,
            Kind::RangeNotSatisfiable => 416,
            Kind::Misdirected => 421,
            Kind::Required | Kind::Rule => 422,
            Kind::Throttled => 429,
            Kind::Internal => 500,
            Kind::Unavailable => 503,
            Kind::Timeout => 504,
        }
    }

    /// The code of the issue: <https://hl7.org/fhir/R4/valueset-issue-type.html>
    pub fn issue(self) -> &'static str {
        match self {
            Kind::Invalid => "invalid",
            Kind::Structure => "structure",
            Kind::Value | Kind::RangeNotSatisfiable => "value",
            Kind::NotSupported | Kind::MethodNotAllowed => "not-supported",
            Kind::NotAcceptable | Kind::UnsupportedMediaType => "not-supported",
            Kind::Required => "required",
            Kind::Rule => "business-rule",
            Kind::Unauthorized => "login",
            Kind::Forbidden => "forbidden",
            Kind::NotFound => "not-found",
            Kind::Conflict | Kind::Precondition => "conflict",
            Kind::Duplicate => "duplicate",
            Kind::Gone => "deleted",
            Kind::MultipleMatches => "multiple-matches",
            Kind::TooLarge | Kind::UrlTooLong => "too-long",
            Kind::TooCostly => "too-costly",
            Kind::Misdirected => "security",
            Kind::Throttled => "throttled",
            Kind::Internal => "exception",
            Kind::Unavailable => "transient",
            Kind::Timeout | Kind::RequestTimeout => "timeout",
        }
    }
}

/// An error with a sentence for the client, the places it speaks of, and a cause that stays private.
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
}

/// The result of nearly everything here.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error of a kind, with its sentence.
    pub fn new(kind: Kind, text: impl Into<String>) -> Error {
        Error { kind, text: text.into(), expression: Vec::new(), source: None }
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

    /// The OperationOutcome a client gets.
    pub fn outcome(&self) -> Value {
        operation_outcome("error", self.kind.issue(), &self.text, &self.expression)
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

/// Longest sentence or location in an outcome, in bytes: what was sent is quoted, and may be as long as a body.
const TEXT_BYTES_MAX: usize = 2000;

/// An OperationOutcome with one issue.
pub fn operation_outcome(severity: &str, code: &str, text: &str, expression: &[String]) -> Value {
    let mut issue = json!({ "severity": severity, "code": code, "details": { "text": brief(text) } });
    if let (false, Some(issue)) = (expression.is_empty(), issue.as_object_mut()) {
        let expression: Vec<_> = expression.iter().map(|path| brief(path)).collect();
        issue.insert("expression".to_owned(), json!(expression));
    }
    json!({ "resourceType": "OperationOutcome", "issue": [issue] })
}

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
        let long = format!("`{}` is nothing", "ä".repeat(TEXT_BYTES_MAX));
        let outcome = Error::invalid(&*long).at(&*long).outcome();
        for told in [&outcome["issue"][0]["details"]["text"], &outcome["issue"][0]["expression"][0]] {
            let told = told.as_str().unwrap();
            assert!(told.len() <= TEXT_BYTES_MAX + '…'.len_utf8(), "{}", told.len());
            assert!(told.starts_with("`ää") && told.ends_with("ä` is nothing"), "{told}");
        }
        let exact = "x".repeat(TEXT_BYTES_MAX);
        assert_eq!(Error::invalid(&*exact).outcome()["issue"][0]["details"]["text"], *exact);
    }
}
