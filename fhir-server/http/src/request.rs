//! Parts of a request, read: mount, format, headers, body.

use std::time::SystemTime;

use fhir_interactions::{Body, Cx, Interaction, Method, check_write};
use fhir_model::types::Types;
use fhir_model::{Error, Kind, Result, json, url, xml};
use hyper::header::{HeaderName, HeaderValue};
use hyper::http::request::Parts;

use super::limits::HEAVY_BYTES;
use super::media::{self, ContentFormat, Format};
use super::panics::from_panic;
use crate::shape::Shape;

/// The byte order mark of UTF-8.
pub(crate) const MARK: &[u8] = "\u{feff}".as_bytes();

/// What was sent, read as its `Content-Type` says.
pub(crate) async fn parse(
    cx: &Cx,
    method: Method,
    interaction: &Interaction,
    sent: ContentFormat,
    mut bytes: Vec<u8>,
    shape: &mut Shape,
) -> Result<Body> {
    let searches = matches!(
        interaction,
        Interaction::SearchType(_) | Interaction::SearchSystem | Interaction::SearchCompartment(..)
    );
    let wrong = |text| Err(Error::new(Kind::UnsupportedMediaType, text).at("http.content-type"));
    // Some clients begin a body with a mark, which readers may pass over: <https://www.rfc-editor.org/rfc/rfc8259#section-8.1>
    if bytes.starts_with(MARK) {
        bytes.drain(..MARK.len());
    }
    match (sent, method) {
        (ContentFormat::Content, _) => wrong("only a Binary holds content of any type"),
        (ContentFormat::Form, _) if searches => {
            let form =
                String::from_utf8(bytes).map_err(|e| Error::invalid("the form is not UTF-8").because(e))?;
            choose_format(&form, None, shape)?;
            Ok(Body::Form(form))
        }
        (ContentFormat::Form, _) => wrong("a form is read by searches alone; send a resource"),
        (_, _) if searches => wrong("a search takes its parameters as application/x-www-form-urlencoded"),
        (ContentFormat::JsonPatch, Method::Patch) => Ok(Body::JsonPatch(bytes.into())),
        (ContentFormat::JsonPatch, _) => wrong("a JSON Patch is sent with the method PATCH"),
        // Many clients send a JSON Patch as plain JSON; a patch is an array, a resource is not.
        (ContentFormat::Json, Method::Patch) if bytes.trim_ascii_start().starts_with(b"[") => {
            Ok(Body::JsonPatch(bytes.into()))
        }
        (ContentFormat::Json | ContentFormat::FhirJson, _) => {
            let limits = cx.limits.json.for_body(bytes.len());
            heavy(bytes.len(), move || json::Doc::parse(bytes, limits).map_err(Error::from))
                .await
                .map(Body::Resource)
        }
        (ContentFormat::Xml, _) => {
            let (limits, definitions) = (cx.limits.json.for_body(bytes.len()), cx.definitions.clone());
            heavy(HEAVY_BYTES, move || from_xml(bytes, &*definitions, limits)).await.map(Body::Resource)
        }
    }
}

/// A resource that was sent as XML.
pub(crate) fn from_xml(bytes: Vec<u8>, types: &impl Types, limits: json::JsonLimits) -> Result<json::Doc> {
    let text = xml::to_json(&bytes, types, limits)?;
    // What follows takes its own memory.
    drop(bytes);
    json::Doc::parse(text, limits)
        .map_err(|e| Error::new(e.kind, format!("the XML, read as JSON, is {}", e.text)))
}

/// Runs `work` here when it is short, else where it does not keep other requests from their turn.
pub(crate) async fn heavy<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    if bytes <= HEAVY_BYTES {
        return work();
    }
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|ended| match ended.try_into_panic() {
        Ok(panic) => Err(from_panic(panic)),
        Err(ended) => Err(Error::internal(ended)),
    })
}

/// `_format` and `_pretty` of a query or form, `Accept` when there is no `_format`.
pub(crate) fn choose_format(query: &str, accept: Option<&str>, shape: &mut Shape) -> Result<()> {
    let parameter = format_parameter(query, shape)?;
    if media::wants_page(parameter.as_deref(), accept) {
        shape.page = true;
    } else if parameter.is_some() || accept.is_some() {
        // A browser gets the error about an unknown `_format` as a page.
        shape.format = Format::wanted(parameter.as_deref(), accept)?;
        shape.page = false;
    }
    Ok(())
}

/// `_format` of a query or form; what it says of `_pretty` is put into the shape.
pub(crate) fn format_parameter(query: &str, shape: &mut Shape) -> Result<Option<String>> {
    let mut parameter = None;
    // Most queries have neither, and are not worth decoding twice.
    if query.contains("_format") || query.contains("_pretty") {
        for (name, value) in url::pairs(query)? {
            match name.as_str() {
                "_format" => parameter = Some(value),
                "_pretty" => shape.pretty = value == "true",
                _ => {}
            }
        }
    }
    Ok(parameter)
}

/// A warning for who sends search criteria with a write that takes none, as clients do that mean `If-None-Exist`. The
/// answer's body is the resource, so this stands in a header: <https://www.rfc-editor.org/rfc/rfc7234#section-5.5>
pub(crate) fn warning(interaction: &Interaction, query: &str) -> Option<HeaderValue> {
    if query.is_empty() {
        return None;
    }
    let refusal = check_write(interaction, &url::pairs(query).ok()?).err()?;
    let name = refusal.expression.first()?;
    let is_plain = |c: &char| c.is_ascii_alphanumeric() || "-_.:".contains(*c);
    let name: String = name.chars().filter(is_plain).take(64).collect();
    let advice = match interaction {
        Interaction::Create(_) => "; criteria of a conditional create go into the header If-None-Exist",
        _ => "",
    };
    HeaderValue::try_from(format!(
        "299 - \"the parameter {name} means nothing here and was ignored{advice}\""
    ))
    .ok()
}

pub(crate) fn text(parts: &Parts, name: HeaderName) -> Result<Option<&str>> {
    let Some(value) = parts.headers.get(&name) else { return Ok(None) };
    match value.to_str() {
        Ok(text) => Ok(Some(text.trim())),
        Err(_) => Err(Error::invalid(format!("the header {name} holds characters beyond ASCII"))),
    }
}

/// The values of a header that may be sent several times, joined as HTTP says.
pub(crate) fn all(parts: &Parts, name: HeaderName) -> Result<Option<String>> {
    let mut values = parts.headers.get_all(&name).iter();
    if values.next().is_none() {
        return Ok(None);
    }
    let mut joined = text(parts, name.clone())?.unwrap_or("").to_owned();
    for value in values {
        joined.push_str(", ");
        joined.push_str(value.to_str().map_err(|e| Error::invalid("a header is not text").because(e))?);
    }
    Ok(Some(joined))
}

/// The value of a header that may be sent once.
pub(crate) fn only(parts: &Parts, name: HeaderName) -> Result<Option<String>> {
    if parts.headers.get_all(&name).iter().count() > 1 {
        return Err(Error::invalid(format!("the header {name} may be sent once")).at(format!("http.{name}")));
    }
    Ok(text(parts, name)?.map(str::to_owned))
}

pub(crate) fn micros(http_date: &str) -> Option<i64> {
    let time = httpdate::parse_http_date(http_date).ok()?;
    i64::try_from(time.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_micros()).ok()
}

/// Whether the client takes gzip, and likes it no less than what is not packed.
/// <https://www.rfc-editor.org/rfc/rfc9110#section-12.5.3>
pub(crate) fn takes_gzip<'h>(accept_encoding: impl Iterator<Item = &'h HeaderValue>) -> bool {
    let (mut gzip, mut identity, mut any) = (None, None, None);
    // What is no text names no coding.
    for one in accept_encoding.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(',')) {
        let (name, parameters) = one.split_once(';').unwrap_or((one, ""));
        let name = name.trim();
        let slot = match name {
            "*" => &mut any,
            _ if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") => &mut gzip,
            _ if name.eq_ignore_ascii_case("identity") => &mut identity,
            _ => continue,
        };
        // Named twice, the better one is meant.
        *slot = Some(media::quality(parameters).max(slot.unwrap_or(0.0)));
    }
    // `*` speaks of what is not named. Identity is taken unless it is refused, but it is not preferred unless it is named.
    let gzip = gzip.or(any).unwrap_or(0.0);
    gzip > 0.0 && gzip >= identity.unwrap_or(0.0)
}

/// The type a path speaks of, for the log: a word of FHIR's, as the path was understood.
pub(crate) fn type_name(path: &str) -> String {
    let first = path.split('/').next().unwrap_or("");
    if first.starts_with(|c: char| c.is_ascii_uppercase()) { first.to_owned() } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn criteria_that_mean_nothing_are_warned_of() {
        let create = Interaction::Create("Patient".into());
        let update = Interaction::Update(fhir_model::Key::new("Patient", "1"));
        let conditional = Interaction::ConditionalUpdate("Patient".into());
        let rows = [
            (&create, "identifier=a", Some("identifier")),
            (&update, "active=true", Some("active")),
            (&create, "x%22%0D%0Ay=1", Some("xy")),
            (&create, "_format=json&_pretty=true", None),
            (&create, "", None),
            (&create, "%ff=1", None),
            (&conditional, "identifier=a", None),
            (&Interaction::SearchType("Patient".into()), "identifier=a", None),
        ];
        for (interaction, query, name) in rows {
            let warning = warning(interaction, query).map(|value| value.to_str().unwrap().to_owned());
            let wanted = name.map(|name| format!("299 - \"the parameter {name} means nothing here"));
            assert_eq!(warning.is_some(), wanted.is_some(), "{query}: {warning:?}");
            assert!(wanted.is_none_or(|wanted| warning.unwrap().starts_with(&wanted)), "{query}");
        }
    }

    #[test]
    fn gzip_is_given_to_those_who_take_it() {
        for (header, wanted) in [
            ("gzip", true),
            ("deflate, gzip;q=0.5", true),
            ("*", true),
            ("gzip;q=0", false),
            ("gzip; q=0.0, br", false),
            ("gzip;q=0, *", false),
            ("*, gzip;q=0", false),
            ("*;q=0, gzip", true),
            ("*;q=0", false),
            ("GZIP", true),
            ("X-Gzip ; Q=0.1", true),
            ("gzip;q=0.5, identity;q=1", false),
            ("gzip;q=0.5, identity;q=0.5", true),
            ("identity;q=0, *;q=0.1", true),
            ("identity", false),
            ("gzip;q=0.001", true),
            ("gzip;q=0.000", false),
            ("gzip;q=", false),
            ("gzip;q=high", false),
            ("gzip;q=-1", false),
            ("gzip;q=NaN", false),
            ("gzip;level=9", true),
            ("gzip ;q= 1", true),
            ("gzip, gzip;q=0", true),
            (",, gzip ,", true),
            ("gzipped", false),
            ("br, zstd", false),
            ("", false),
        ] {
            assert_eq!(takes_gzip([HeaderValue::from_static(header)].iter()), wanted, "{header}");
            let lines: Vec<_> = header.split(',').map(HeaderValue::from_static).collect();
            assert_eq!(takes_gzip(lines.iter()), wanted, "{header} in lines");
        }
    }

    #[test]
    fn headers_that_come_several_times() {
        let parts = |lines: &[(&'static str, &'static str)]| {
            let request =
                lines.iter().fold(hyper::Request::builder(), |all, (name, value)| all.header(*name, *value));
            request.body(()).unwrap().into_parts().0
        };
        let (exist, matching) = (HeaderName::from_static("if-none-exist"), hyper::header::IF_MATCH);
        // A list may stand in several lines.
        let several = parts(&[("if-match", "W/\"1\""), ("accept", "x"), ("if-match", "W/\"2\", W/\"3\"")]);
        assert_eq!(all(&several, matching.clone()).unwrap().as_deref(), Some("W/\"1\", W/\"2\", W/\"3\""));
        assert_eq!(all(&parts(&[]), matching).unwrap(), None);
        // A query is no list: which of two is meant cannot be told, also when they are the same.
        let once = parts(&[("if-none-exist", "identifier=a")]);
        assert_eq!(only(&once, exist.clone()).unwrap().as_deref(), Some("identifier=a"));
        for second in ["identifier=a", "identifier=b"] {
            let twice = parts(&[("if-none-exist", "identifier=a"), ("if-none-exist", second)]);
            let refused = only(&twice, exist.clone()).unwrap_err();
            assert_eq!(
                (refused.kind, refused.expression),
                (Kind::Invalid, vec!["http.if-none-exist".to_owned()])
            );
        }
    }

    #[test]
    fn dates_of_http() {
        assert_eq!(micros("Thu, 01 Jan 1970 00:00:01 GMT"), Some(1_000_000));
        assert_eq!(micros("yesterday"), None);
    }
}
