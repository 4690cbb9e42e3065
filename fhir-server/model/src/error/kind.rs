//! The only place where an HTTP status or an issue code is chosen: <https://hl7.org/fhir/R4/http.html#Status-Codes>

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
    /// A parameter that must be there is missing.
    MissingParameter,
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
    /// Nothing is wrong: the kind of issues that inform. No error has it.
    Informational,
}

impl Kind {
    /// The HTTP status.
    pub fn status(self) -> u16 {
        match self {
            Kind::Invalid | Kind::Structure | Kind::Value => 400,
            Kind::NotSupported | Kind::MissingParameter => 400,
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
            Kind::Internal | Kind::Informational => 500,
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
            Kind::Required | Kind::MissingParameter => "required",
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
            Kind::Informational => "informational",
            Kind::Unavailable => "transient",
            Kind::Timeout | Kind::RequestTimeout => "timeout",
        }
    }
}
