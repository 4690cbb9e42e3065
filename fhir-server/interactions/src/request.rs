//! Requests, free of HTTP: <https://hl7.org/fhir/R4/http.html>

use bytes::Bytes;
use fhir_access::{AccessRequest, Principal};
use fhir_model::Result;
use fhir_model::interaction::{Interaction, Method};
use fhir_model::json::Doc;
use fhir_model::types::Types;
use fhir_search::TenantId;
use fhir_store::Position;

use crate::conditions::Conditions;

/// What the HTTP edge reads, as it decides the format of the answer.
pub(crate) const FORMAT_PARAMETERS: [&str; 2] = ["_format", "_pretty"];

/// One request: from HTTP, from a Bundle entry, from an adapter.
#[derive(Debug, Clone)]
pub struct Request {
    /// What is asked for: what the method and the path mean.
    pub interaction: Interaction,
    /// The verb.
    pub method: Method,
    /// The path below the base, percent-encoded as it came.
    pub path: String,
    /// What follows the `?`, encoded as it came.
    pub query: String,
    /// Headers (or members of `Bundle.entry.request`) that make it conditional.
    pub conditions: Conditions,
    /// The client's wishes.
    pub prefer: Prefer,
    /// What was sent along.
    pub body: Option<Body>,
    /// The server's base url as the client knows it, without a slash at its end.
    pub base: String,
    /// The organisation whose base that is.
    pub tenant: TenantId,
    /// Who asks.
    pub principal: Principal,
    /// What a standby has to have to answer it.
    pub position: Option<Position>,
}

impl Request {
    /// A request without a query and a body, of nobody we know, to the bare base.
    ///
    /// # Errors
    ///
    /// As [`Interaction::parse`].
    pub fn new(method: Method, path: &str, types: &dyn Types) -> Result<Request> {
        Ok(Request {
            interaction: Interaction::parse(method, path, types)?,
            method,
            path: path.to_owned(),
            query: String::new(),
            conditions: Conditions::default(),
            prefer: Prefer::default(),
            body: None,
            base: String::new(),
            tenant: TenantId::DEFAULT,
            principal: Principal::Anonymous,
            position: None,
        })
    }

    /// What links are bound to that this request is given, to the next page say: who asks, and which organisation. Nobody else
    /// can follow them.
    pub fn bound_to(&self) -> String {
        match self.tenant {
            TenantId::DEFAULT => self.principal.name().to_owned(),
            tenant => format!("{} {}", tenant.number(), self.principal.name()),
        }
    }

    /// What a guard decides on.
    pub(crate) fn access(&self) -> AccessRequest<'_> {
        AccessRequest {
            principal: &self.principal,
            interaction: &self.interaction,
            query: &self.query,
            tenant: self.tenant,
        }
    }
}

/// What was sent along. XML became JSON before.
#[derive(Debug, Clone)]
pub enum Body {
    /// A resource; with `PATCH`: the Parameters of a FHIRPath Patch.
    Resource(Doc),
    /// A JSON Patch.
    JsonPatch(Bytes),
    /// An urlencoded form: more of the query.
    Form(String),
}

/// The header `Prefer`: <https://hl7.org/fhir/R4/http.html#ops>
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Prefer {
    /// `return=`
    pub ret: Option<Return>,
    /// `handling=`
    pub handling: Handling,
    /// `read=`
    pub read: Option<ReadFrom>,
}

/// `Prefer: return=`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the specification's own words")]
pub enum Return {
    Minimal,
    Representation,
    OperationOutcome,
}

/// `Prefer: handling=`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Handling {
    /// Unknown parameters are ignored, with a warning.
    #[default]
    Lenient,
    /// Unknown parameters are refused.
    Strict,
}

/// `Prefer: read=`: where a read may be answered, a preference of this server's own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ReadFrom {
    /// By the primary alone.
    #[default]
    Primary,
    /// By a standby, too.
    Standby,
}

impl Prefer {
    /// Reads the header's value; what is not known is passed over, as the header is a wish. Of several wishes of a name
    /// the first counts (<https://www.rfc-editor.org/rfc/rfc7240#section-2>).
    pub fn parse(header: &str) -> Prefer {
        let (mut ret, mut handling, mut read) = (None, None, None);
        for wish in header.split([',', ';']) {
            let (name, value) = wish.split_once('=').unwrap_or((wish, ""));
            match (name.trim().to_ascii_lowercase().as_str(), value.trim().trim_matches('"')) {
                ("return", "minimal") => ret = ret.or(Some(Return::Minimal)),
                ("return", "representation") => ret = ret.or(Some(Return::Representation)),
                ("return", "OperationOutcome") => ret = ret.or(Some(Return::OperationOutcome)),
                ("handling", "strict") => handling = handling.or(Some(Handling::Strict)),
                ("handling", "lenient") => handling = handling.or(Some(Handling::Lenient)),
                ("read", "primary") => read = read.or(Some(ReadFrom::Primary)),
                ("read", "standby") => read = read.or(Some(ReadFrom::Standby)),
                _ => {}
            }
        }
        Prefer { ret, handling: handling.unwrap_or_default(), read }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_are_read() {
        let rows = [
            ("", None, Handling::Lenient),
            ("return=minimal", Some(Return::Minimal), Handling::Lenient),
            ("Return = \"representation\"", Some(Return::Representation), Handling::Lenient),
            ("return=OperationOutcome, handling=strict", Some(Return::OperationOutcome), Handling::Strict),
            ("respond-async; handling=strict", None, Handling::Strict),
            ("return=everything", None, Handling::Lenient),
            ("return=minimal, return=representation", Some(Return::Minimal), Handling::Lenient),
            ("handling=strict, handling=lenient", None, Handling::Strict),
        ];
        for (header, ret, handling) in rows {
            assert_eq!(Prefer::parse(header), Prefer { ret, handling, read: None }, "{header}");
        }
        for (header, read) in [
            ("read=standby", Some(ReadFrom::Standby)),
            ("handling=strict; Read=\"primary\", read=standby", Some(ReadFrom::Primary)),
            ("read=replica", None),
        ] {
            assert_eq!(Prefer::parse(header).read, read, "{header}");
        }
    }
}
