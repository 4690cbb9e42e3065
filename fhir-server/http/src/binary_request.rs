//! How the content of a Binary is asked for: <https://hl7.org/fhir/R4/binary.html#rest>

/// How a client that reads a Binary wants it.
#[derive(Debug, Clone)]
pub(crate) struct BinaryRequest {
    /// `_format`
    pub(crate) format: Option<String>,
    /// `Accept`
    pub(crate) accept: Option<String>,
    /// `Range`, in a GET.
    pub(crate) range: Option<String>,
    /// `If-Range`
    pub(crate) if_range: Option<String>,
    /// Its headers alone are asked for: the content need not be decoded.
    pub(crate) is_head: bool,
}
