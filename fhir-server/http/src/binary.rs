//! The content of a Binary as it is, without a resource around it: <https://hl7.org/fhir/R4/binary.html#rest>
//!
//! What is sent is kept as the `data` of a Binary, whatever its type is, unless it is a Binary itself. How it is given
//! back is in `reply/binary.rs`.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use fhir_interactions::{Body, Cx, Interaction, Reply};
use fhir_model::reference::Reference;
use fhir_model::{Error, Kind, Result, json};
use hyper::Method;
use hyper::header::{CONTENT_TYPE, HeaderName, IF_RANGE, RANGE};
use hyper::http::request::Parts;
use memchr::memmem::find;

use super::media::{self, ContentFormat};
use crate::binary_request::BinaryRequest;
use crate::request;
use crate::shape::Shape;

const BINARY: &str = "Binary";

/// The resource that decides who may see the content, in a write and in its answer.
pub(crate) const SECURITY_CONTEXT: HeaderName = HeaderName::from_static("x-security-context");

const MEDPLUM: HeaderName = HeaderName::from_static("x-medplum");

/// What is left of the limit of a body for all of a Binary but its data.
const RESOURCE_BYTES: usize = 2048;

/// True where a body may be the content of a Binary.
pub(crate) fn takes_content(interaction: &Interaction) -> bool {
    match interaction {
        Interaction::Create(name) | Interaction::ConditionalUpdate(name) => **name == *BINARY,
        Interaction::Update(key) => *key.type_name == *BINARY,
        _ => false,
    }
}

/// True where the content of a Binary may be the answer.
pub(crate) fn is_read(interaction: &Interaction) -> bool {
    matches!(interaction, Interaction::Read(key) | Interaction::Vread(key, _) if *key.type_name == *BINARY)
}

/// What a body for a Binary is: it may be a resource where its type says so, and is content otherwise.
pub(crate) fn sent(content_type: Option<&str>) -> Result<ContentFormat> {
    match (media::sent(content_type), content_type) {
        (Ok(sent @ (ContentFormat::FhirJson | ContentFormat::Json | ContentFormat::Xml)), _) => Ok(sent),
        (_, Some(text)) if media::is_media_type(text) => Ok(ContentFormat::Content),
        (_, Some(_)) => {
            let text = "the Content-Type is no media type, such as application/pdf";
            Err(Error::new(Kind::UnsupportedMediaType, text).at("http.content-type"))
        }
        (refused, None) => refused,
    }
}

impl BinaryRequest {
    /// What is asked for; `None` when that is a resource whatever it holds.
    ///
    /// # Errors
    /// When a header or the query cannot be read.
    pub(crate) fn new(
        query: &str,
        parts: &Parts,
        accept: Option<&str>,
        shape: &mut Shape,
    ) -> Result<Option<Arc<BinaryRequest>>> {
        let format = request::format_parameter(query, shape)?;
        // Parts of a resource are parts of no content.
        let is_part = query.contains("_summary=") || query.contains("_elements=");
        // A page asked for by name shows the resource; a browser that opens a Binary gets what it holds.
        let is_page = format.is_some() && media::wants_page(format.as_deref(), None);
        if is_part || is_page || media::is_fhir_first(format.as_deref(), accept) {
            return Ok(None);
        }
        let range = if parts.method == Method::GET { request::only(parts, RANGE)? } else { None };
        let if_range = request::only(parts, IF_RANGE)?;
        let (accept, is_head) = (accept.map(str::to_owned), parts.method == Method::HEAD);
        Ok(Some(Arc::new(BinaryRequest { format, accept, range, if_range, is_head })))
    }
}

/// What the head of a request says of the Binary that its body may be the content of.
pub(crate) struct Content {
    /// In an update: the id of the URL.
    id: Option<Box<str>>,
    content_type: String,
    security_context: Option<String>,
}

impl Content {
    /// # Errors
    /// When the security context is no reference.
    pub(crate) fn new(interaction: &Interaction, parts: &Parts) -> Result<Content> {
        let security_context = request::only(parts, SECURITY_CONTEXT)?;
        let is_reference = |text: &String| {
            matches!(Reference::parse(text), Reference::Absolute(..) | Reference::Relative(_))
        };
        if security_context.as_ref().is_some_and(|text| !is_reference(text)) {
            let text = "X-Security-Context is the reference of a resource, such as Patient/1";
            return Err(Error::invalid(text).at("http.x-security-context"));
        }
        let id = if let Interaction::Update(key) = interaction { Some(key.id.clone()) } else { None };
        let content_type = request::text(parts, CONTENT_TYPE)?.unwrap_or_default().to_owned();
        Ok(Content { id, content_type, security_context })
    }

    /// The Binary that was sent, or one around what was sent.
    ///
    /// # Errors
    /// When a Binary is not well-formed, or content is longer than allowed.
    pub(crate) async fn into_body(self, cx: &Cx, sent: ContentFormat, bytes: Vec<u8>) -> Result<Body> {
        let (limits, definitions) = (cx.limits.json, cx.definitions.clone());
        let parse = move || match sent {
            ContentFormat::FhirJson | ContentFormat::Json if may_be_json_binary(&bytes) => {
                let marked = if bytes.starts_with(request::MARK) { request::MARK.len() } else { 0 };
                let text = if marked > 0 { bytes.get(marked..).unwrap_or_default().to_vec() } else { bytes };
                let limits = limits.for_body(text.len());
                let doc = json::Doc::parse(text, limits)?;
                match doc.root().get_str("resourceType").as_deref() == Some(BINARY) {
                    true => self.resource(doc),
                    false => self.around(doc.text().as_bytes(), limits),
                }
            }
            ContentFormat::Xml if is_xml_binary(&bytes) => {
                let limits = limits.for_body(bytes.len());
                self.resource(request::from_xml(bytes, &*definitions, limits)?)
            }
            _ => self.around(&bytes, limits),
        };
        request::heavy(super::limits::HEAVY_BYTES + 1, parse).await.map(Body::Resource)
    }

    /// A Binary that was sent as a resource.
    fn resource(&self, doc: json::Doc) -> Result<json::Doc> {
        match self.security_context {
            None => Ok(doc),
            // Passed over, it would protect nothing.
            Some(_) => {
                let text = "X-Security-Context goes with content that is sent as it is; a Binary resource has its \
                            `securityContext`";
                Err(Error::invalid(text).at("http.x-security-context"))
            }
        }
    }

    /// A Binary around content.
    fn around(&self, bytes: &[u8], limits: json::JsonLimits) -> Result<json::Doc> {
        let max = limits.bytes_max.saturating_sub(RESOURCE_BYTES) / 4 * 3;
        if bytes.len() > max {
            let text = format!("the content of a Binary may have at most {max} bytes here");
            return Err(Error::new(Kind::TooLarge, text));
        }
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let mut text = String::with_capacity(bytes.len() / 3 * 4 + RESOURCE_BYTES);
        text.push_str(r#"{"resourceType":"Binary""#);
        if let Some(id) = &self.id {
            text.push_str(&format!(r#","id":{}"#, quoted(id)));
        }
        text.push_str(&format!(r#","contentType":{}"#, quoted(&self.content_type)));
        if let Some(reference) = &self.security_context {
            text.push_str(&format!(r#","securityContext":{{"reference":{}}}"#, quoted(reference)));
        }
        if !bytes.is_empty() {
            text.push_str(r#","data":""#);
            STANDARD.encode_string(bytes, &mut text);
            text.push('"');
        }
        text.push('}');
        Ok(json::Doc::parse(text, limits)?)
    }
}

/// The answer to a Medplum client that stored a Binary: with its address too, which such a client puts into
/// attachments. FHIR has no such element, so that it is given to those who ask for more than FHIR alone.
pub(crate) fn for_medplum(reply: Reply, parts: &Parts, base: &str) -> Reply {
    const BEGIN: &[u8] = br#"{"resourceType":"Binary","#;
    let asks = parts.headers.get(MEDPLUM).is_some_and(|wish| wish == "extended");
    let (true, Some(key), Some(body)) = (asks, &reply.key, &reply.body) else { return reply };
    let Some(rest) = body.strip_prefix(BEGIN) else { return reply };
    let url = serde_json::Value::from(format!("{base}/{key}")).to_string();
    let text = [BEGIN, b"\"url\":", url.as_bytes(), b",", rest].concat();
    Reply { body: Some(Bytes::from(text)), ..reply }
}

/// False for what is not the JSON of a Binary. True for such a one that is broken, which is better refused than kept.
fn may_be_json_binary(bytes: &[u8]) -> bool {
    const KEY: &[u8] = b"\"resourceType\"";
    let mut rest = bytes;
    while let Some(at) = find(rest, KEY) {
        rest = rest.get(at + KEY.len()..).unwrap_or_default();
        let value = rest.trim_ascii_start().strip_prefix(b":").map(<[u8]>::trim_ascii_start);
        if value.is_some_and(|value| value.starts_with(b"\"Binary\"")) {
            return true;
        }
    }
    false
}

/// True for XML whose root is FHIR's Binary.
fn is_xml_binary(bytes: &[u8]) -> bool {
    let mut rest = bytes.strip_prefix(request::MARK).unwrap_or(bytes).trim_ascii_start();
    // What may stand before the root: a declaration, instructions, comments.
    while let Some(end) = prolog(rest) {
        rest = rest.get(end..).unwrap_or_default().trim_ascii_start();
    }
    let Some(root) = rest.strip_prefix(b"<") else { return false };
    let Some(tag) = root.split(|b| *b == b'>').next() else { return false };
    let name = tag.split(|b| b.is_ascii_whitespace() || *b == b'/').next().unwrap_or_default();
    let local = name.rsplit(|b| *b == b':').next().unwrap_or_default();
    local == BINARY.as_bytes() && find(tag, b"http://hl7.org/fhir").is_some()
}

/// Where an instruction or a comment at the beginning ends.
fn prolog(text: &[u8]) -> Option<usize> {
    let (begin, end): (&[u8], &[u8]) =
        if text.starts_with(b"<!--") { (b"<!--", b"-->") } else { (b"<?", b"?>") };
    let inner = text.strip_prefix(begin)?;
    Some(begin.len() + find(inner, end)? + end.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(content_type: &str) -> Content {
        Content { id: None, content_type: content_type.to_owned(), security_context: None }
    }

    #[test]
    fn content_is_kept_as_it_is() {
        let limits = json::JsonLimits::default();
        let bytes: Vec<u8> = (0..=255).collect();
        let doc = content("application/pdf; x=\"y\"").around(&bytes, limits).unwrap();
        let root = doc.root();
        assert_eq!(root.get_str("contentType").unwrap(), "application/pdf; x=\"y\"");
        assert_eq!(STANDARD.decode(&*root.get_str("data").unwrap()).unwrap(), bytes);
        assert!(root.get("id").is_none() && root.get("securityContext").is_none());
        let empty = content("text/plain").around(b"", limits).unwrap();
        assert_eq!(empty.text(), r#"{"resourceType":"Binary","contentType":"text/plain"}"#);
        let owned = Content {
            id: Some("b".into()),
            security_context: Some("Patient/1".to_owned()),
            ..content("text/plain")
        };
        let doc = owned.around(b"a", limits).unwrap();
        let wanted = r#"{"resourceType":"Binary","id":"b","contentType":"text/plain","securityContext":{"reference":"Patient/1"},"data":"YQ=="}"#;
        assert_eq!(doc.text(), wanted);
    }

    #[test]
    fn content_may_be_as_long_as_its_base64_fits() {
        let limits = json::JsonLimits { bytes_max: RESOURCE_BYTES + 400, ..json::JsonLimits::default() };
        assert!(content("text/plain").around(&[0; 300], limits).is_ok());
        let refused = content("text/plain").around(&[0; 301], limits).unwrap_err();
        assert_eq!(refused.kind, Kind::TooLarge);
        assert!(refused.text.contains("300"), "{refused}");
    }

    #[test]
    fn what_may_be_a_binary_itself() {
        for (text, wanted) in [
            (r#"{"resourceType":"Binary"}"#, true),
            ("\u{feff}{ \"id\": \"x\",\n\"resourceType\" :\t\"Binary\" , ", true),
            (r#"{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Binary"}}]}"#, true),
            (r#"{"resourceType":"Patient"}"#, false),
            (r#"{"a":"Binary"}"#, false),
            ("[]", false),
            ("", false),
        ] {
            assert_eq!(may_be_json_binary(text.as_bytes()), wanted, "{text}");
        }
        for (text, wanted) in [
            (r#"<Binary xmlns="http://hl7.org/fhir"/>"#, true),
            ("\u{feff}<?xml version=\"1.0\"?>\n<!-- <x> --><f:Binary xmlns:f=\"http://hl7.org/fhir\">", true),
            (r#"<Binary/>"#, false),
            (r#"<ClinicalDocument xmlns="urn:hl7-org:v3"/>"#, false),
            (r#"<Patient xmlns="http://hl7.org/fhir"><Binary/></Patient>"#, false),
            ("<!-- ", false),
            ("Binary", false),
            ("", false),
        ] {
            assert_eq!(is_xml_binary(text.as_bytes()), wanted, "{text}");
        }
    }
}
