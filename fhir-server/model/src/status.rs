//! The phrases of HTTP's statuses: <https://www.rfc-editor.org/rfc/rfc9110#section-15>

/// Every status that is answered, with its phrase: over HTTP and in the entries of a Bundle.
pub const STATUSES: &[(u16, &str)] = &[
    (200, "OK"),
    (201, "Created"),
    (202, "Accepted"),
    (204, "No Content"),
    (206, "Partial Content"),
    (304, "Not Modified"),
    (400, "Bad Request"),
    (401, "Unauthorized"),
    (403, "Forbidden"),
    (404, "Not Found"),
    (405, "Method Not Allowed"),
    (406, "Not Acceptable"),
    (408, "Request Timeout"),
    (409, "Conflict"),
    (410, "Gone"),
    (412, "Precondition Failed"),
    (413, "Content Too Large"),
    (414, "URI Too Long"),
    (415, "Unsupported Media Type"),
    (416, "Range Not Satisfiable"),
    (421, "Misdirected Request"),
    (422, "Unprocessable Content"),
    (429, "Too Many Requests"),
    (431, "Request Header Fields Too Large"),
    (500, "Internal Server Error"),
    (501, "Not Implemented"),
    (503, "Service Unavailable"),
    (504, "Gateway Timeout"),
];

/// The phrase of a status; of one that is not in the table, that of its class.
pub fn reason(status: u16) -> &'static str {
    let class = status / 100 * 100;
    let phrase = |code: u16| STATUSES.iter().find(|(known, _)| *known == code).map(|(_, phrase)| *phrase);
    phrase(status).or_else(|| phrase(class)).unwrap_or("Redirection")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    /// All kinds.
    fn kinds() -> Vec<Kind> {
        use Kind::*;
        let all = [
            Invalid,
            Structure,
            Value,
            NotSupported,
            Required,
            Rule,
            Unauthorized,
            Forbidden,
            NotFound,
            MethodNotAllowed,
            NotAcceptable,
            Conflict,
            Duplicate,
            Gone,
            Precondition,
            MultipleMatches,
            UrlTooLong,
            RequestTimeout,
            TooLarge,
            UnsupportedMediaType,
            TooCostly,
            Misdirected,
            Throttled,
            Unavailable,
            Timeout,
            Internal,
        ];
        all.into_iter().collect()
    }

    #[test]
    fn every_error_has_its_own_phrase() {
        for kind in kinds() {
            let status = kind.status();
            assert!(STATUSES.iter().any(|(known, _)| *known == status), "{kind:?}: {status}");
        }
        assert!(STATUSES.is_sorted_by_key(|(status, _)| *status));
        assert_eq!((reason(202), reason(414)), ("Accepted", "URI Too Long"));
        assert_eq!((reason(299), reason(499), reason(599)), ("OK", "Bad Request", "Internal Server Error"));
    }
}
