//! Media types: what is wanted back, and what was sent.
//!
//! <https://hl7.org/fhir/R4/http.html#mime-type>, <https://hl7.org/fhir/R4/http.html#parameters>

use fhir_model::{Error, Kind, Result};

/// The two faces of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the formats' own names")]
pub enum Format {
    Json,
    Xml,
}

/// What a body is, as its `Content-Type` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentFormat {
    /// A resource in JSON, said in FHIR's own word.
    FhirJson,
    /// JSON: with PATCH it may be a JSON Patch or the Parameters of a FHIRPath Patch.
    Json,
    /// A resource in XML.
    Xml,
    /// A JSON Patch.
    JsonPatch,
    /// An urlencoded form.
    Form,
    /// What a Binary is to hold, of any type.
    Content,
}

impl Format {
    /// The `Content-Type` of answers.
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Json => "application/fhir+json; charset=utf-8",
            Format::Xml => "application/fhir+xml; charset=utf-8",
        }
    }

    /// The format of a media type without parameters, or of a short name as `_format` takes it.
    fn named(name: &str) -> Option<Format> {
        // A `+` that was not encoded in the URL arrives as a space.
        let is = |known: &str| {
            name.len() == known.len()
                && name
                    .bytes()
                    .zip(known.bytes())
                    .all(|(a, b)| a.eq_ignore_ascii_case(&b) || (a == b' ' && b == b'+'))
        };
        const JSON: [&str; 5] =
            ["application/fhir+json", "application/json", "json", "text/json", "application/json+fhir"];
        const XML: [&str; 5] =
            ["application/fhir+xml", "application/xml", "xml", "text/xml", "application/xml+fhir"];
        if JSON.into_iter().any(is) {
            Some(Format::Json)
        } else if XML.into_iter().any(is) {
            Some(Format::Xml)
        } else {
            None
        }
    }

    /// The format to answer in: `_format` wins over `Accept`, JSON over silence.
    ///
    /// # Errors
    ///
    /// `NotAcceptable` when `_format` or `Accept` allows neither JSON nor XML of FHIR R4.
    pub fn wanted(parameter: Option<&str>, accept: Option<&str>) -> Result<Format> {
        if let Some(text) = parameter {
            let (name, parameters) = parts(text);
            return match Format::named(name) {
                Some(format) if is_r4(parameters) => Ok(format),
                _ => Err(not_acceptable("_format")),
            };
        }
        match accept {
            None | Some("" | "*/*" | "application/fhir+json" | "application/json") => Ok(Format::Json),
            Some(accept) => accepted(accept).ok_or_else(|| not_acceptable("http.accept")),
        }
    }
}

/// Longest media type that is kept and given, with its parameters.
const MEDIA_TYPE_BYTES_MAX: usize = 255;

/// True for a media type, with parameters or without, that can stand in a header.
/// <https://www.rfc-editor.org/rfc/rfc9110#section-8.3.1>
pub fn is_media_type(text: &str) -> bool {
    let is_token = |token: &str| {
        !token.is_empty()
            && token.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
    };
    let (name, parameters) = parts(text);
    let is_name = name.split_once('/').is_some_and(|(kind, name)| is_token(kind) && is_token(name));
    is_name
        && !name.contains('*')
        && text.len() <= MEDIA_TYPE_BYTES_MAX
        && parameters.bytes().all(|b| matches!(b, b' '..=b'~'))
}

/// What a body is, by its `Content-Type`.
///
/// # Errors
///
/// `UnsupportedMediaType` without a `Content-Type`, and for a media type, charset or FHIR version that is not read.
pub fn sent(content_type: Option<&str>) -> Result<ContentFormat> {
    let refused = |text: String| Error::new(Kind::UnsupportedMediaType, text).at("http.content-type");
    let Some(text) = content_type else {
        return Err(refused("the body needs a Content-Type, such as application/fhir+json".to_owned()));
    };
    let (name, parameters) = parts(text);
    for (key, value) in attributes(parameters) {
        if key.eq_ignore_ascii_case("charset")
            && !["utf-8", "utf8", "us-ascii"].iter().any(|known| value.eq_ignore_ascii_case(known))
        {
            return Err(refused("only the charset UTF-8 is read here, as FHIR asks".to_owned()));
        }
    }
    if !is_r4(parameters) {
        return Err(refused("only FHIR R4 is read here (fhirVersion=4.0)".to_owned()));
    }
    Ok(match name.to_ascii_lowercase().as_str() {
        "application/fhir+json" | "application/json+fhir" => ContentFormat::FhirJson,
        "application/json" | "text/json" => ContentFormat::Json,
        "application/fhir+xml" | "application/xml" | "text/xml" | "application/xml+fhir" => {
            ContentFormat::Xml
        }
        "application/json-patch+json" => ContentFormat::JsonPatch,
        "application/x-www-form-urlencoded" => ContentFormat::Form,
        other @ ("application/xml-patch+xml" | "application/merge-patch+json") => {
            let name = if other.starts_with("application/xml") { "XML Patch" } else { "JSON Merge Patch" };
            return Err(refused(format!(
                "{name} is not supported; send a JSON Patch (application/json-patch+json) or a FHIRPath Patch (a \
                 Parameters resource as application/fhir+json)"
            )));
        }
        _ => {
            return Err(refused(
                "this Content-Type is not read here; send application/fhir+json or application/fhir+xml"
                    .to_owned(),
            ));
        }
    })
}

/// Whether the client wants a page for people: `_format` says so, or without it an `Accept` that names `text/html` before
/// FHIR's own types, as browsers do when somebody opens a url.
pub fn wants_page(parameter: Option<&str>, accept: Option<&str>) -> bool {
    match parameter {
        Some(text) => matches!(parts(text).0, "html" | "text/html"),
        None => accept.is_some_and(prefers_page),
    }
}

/// Whether an `Accept` header puts `text/html` first.
pub(super) fn prefers_page(accept: &str) -> bool {
    // Nearly all clients are no browsers, and are not kept.
    if !accept.as_bytes().windows(4).any(|part| part.eq_ignore_ascii_case(b"html")) {
        return false;
    }
    // `text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2` is what Java's HttpURLConnection sends when its program says
    // nothing; the lone `*`, which is no media range, tells it from those who want to read a page.
    if accept.split(',').any(|range| parts(range).0 == "*") {
        return false;
    }
    let [html, json, xml] = preferences(accept);
    // A wildcard speaks for FHIR's formats alone, so that only who names the page gets it.
    html.quality > 0.0
        && [json, xml].iter().all(|other| {
            html.quality > other.quality || (html.quality == other.quality && html.place < other.place)
        })
}

/// The best format an `Accept` header allows; at equal quality the one named first, JSON before XML where a wildcard
/// leaves it open.
fn accepted(accept: &str) -> Option<Format> {
    let [_, json, xml] = preferences(accept);
    match (json.quality > 0.0, xml.quality > 0.0) {
        (false, false) => None,
        (true, false) => Some(Format::Json),
        (false, true) => Some(Format::Xml),
        (true, true) if xml.quality > json.quality => Some(Format::Xml),
        (true, true) if xml.quality == json.quality && xml.place < json.place => Some(Format::Xml),
        (true, true) => Some(Format::Json),
    }
}

/// What an `Accept` header says of pages, JSON and XML.
fn preferences(accept: &str) -> [Preference; 3] {
    let (mut html, mut json, mut xml) = (Preference::default(), Preference::default(), Preference::default());
    for (place, range) in accept.split(',').enumerate() {
        let (name, parameters) = parts(range);
        if !is_r4(parameters) {
            continue;
        }
        let quality = quality(parameters);
        match (Format::named(name), name) {
            (Some(Format::Json), _) => json.offer(2, quality, place),
            (Some(Format::Xml), _) => xml.offer(2, quality, place),
            (None, "application/*" | "text/*") => {
                json.offer(1, quality, place);
                xml.offer(1, quality, place);
            }
            (None, "*/*" | "*") => {
                json.offer(0, quality, place);
                xml.offer(0, quality, place);
            }
            (None, name) if name.eq_ignore_ascii_case("text/html") => html.offer(2, quality, place),
            _ => {}
        }
    }
    [html, json, xml]
}

/// What an `Accept` header says of one format: the most exact range speaks, among equals the highest quality.
#[derive(Default)]
struct Preference {
    offered: bool,
    exactness: u8,
    quality: f32,
    place: usize,
}

impl Preference {
    /// Hears what a range says of content of a type.
    fn offer_range(&mut self, range: &str, stored: &str, quality: f32) {
        let exactness = match range.strip_suffix("/*") {
            _ if range.eq_ignore_ascii_case(stored) => 2,
            Some("*") => 0,
            Some(kind) if stored.split('/').next().is_some_and(|own| own.eq_ignore_ascii_case(kind)) => 1,
            _ if range == "*" => 0,
            _ => return,
        };
        self.offer(exactness, quality, 0);
    }

    fn offer(&mut self, exactness: u8, quality: f32, place: usize) {
        let better = exactness > self.exactness || (exactness == self.exactness && quality > self.quality);
        if !self.offered || better {
            *self = Preference { offered: true, exactness, quality, place };
        }
    }
}

/// How a Binary is given whose content is of the type `stored`: as a resource in a format, or as it is (`None`).
///
/// As it is, unless FHIR's own media types are asked for: <https://hl7.org/fhir/R4/binary.html#rest>. Names that mean FHIR
/// elsewhere (`application/json`) mean it here when nothing else that is asked for fits.
///
/// # Errors
///
/// `NotAcceptable` when neither a format of FHIR nor the stored type is allowed.
pub fn binary_format(parameter: Option<&str>, accept: Option<&str>, stored: &str) -> Result<Option<Format>> {
    let (stored, _) = parts(stored);
    if let Some(text) = parameter {
        let (name, parameters) = parts(text);
        return match Format::named(name) {
            Some(format) if is_r4(parameters) => Ok(Some(format)),
            None if name.eq_ignore_ascii_case(stored) => Ok(None),
            _ => Err(not_acceptable_of_binary("_format")),
        };
    }
    let Some(accept) = accept.filter(|accept| !accept.trim().is_empty()) else { return Ok(None) };
    let (mut fhir, mut content) = ((0.0, Format::Json), Preference::default());
    for range in accept.split(',') {
        let (name, parameters) = parts(range);
        let weight = quality(parameters);
        match Format::named(name).filter(|_| is_fhir(name)) {
            Some(format) if is_r4(parameters) && weight > fhir.0 => fhir = (weight, format),
            Some(_) => {}
            None => content.offer_range(name, stored, weight),
        }
    }
    let (weight, format) = fhir;
    match (weight > 0.0, content.quality > 0.0) {
        (true, true) if weight < content.quality => Ok(None),
        (true, _) => Ok(Some(format)),
        (false, true) => Ok(None),
        (false, false) => match accepted(accept) {
            Some(format) => Ok(Some(format)),
            None => Err(not_acceptable_of_binary("http.accept")),
        },
    }
}

/// True when a Binary is given as a resource whatever it holds.
pub fn is_fhir_first(parameter: Option<&str>, accept: Option<&str>) -> bool {
    // Content of no type, which only a wildcard could ask for.
    let wanted = binary_format(parameter, accept, "");
    let is_fhir_alone = |accept: &str| accept.split(',').all(|range| is_fhir(parts(range).0));
    match parameter {
        Some(_) => matches!(wanted, Ok(Some(_))),
        None => matches!(wanted, Ok(Some(_))) && accept.is_some_and(is_fhir_alone),
    }
}

/// The media types that mean FHIR and nothing else.
fn is_fhir(name: &str) -> bool {
    name.split_once('/').is_some_and(|(_, name)| {
        let name = name.to_ascii_lowercase();
        matches!(name.as_str(), "fhir+json" | "fhir+xml" | "json+fhir" | "xml+fhir")
    })
}

fn not_acceptable_of_binary(expression: &str) -> Error {
    let text = "the content of this Binary is of another type than those that are asked for; as a resource it is given as \
                application/fhir+json or application/fhir+xml";
    Error::new(Kind::NotAcceptable, text).at(expression)
}

fn not_acceptable(expression: &str) -> Error {
    Error::new(
        Kind::NotAcceptable,
        "answers are given as application/fhir+json or application/fhir+xml, FHIR 4.0",
    )
    .at(expression)
}

/// `application/fhir+json; charset=utf-8` as its name and the rest.
fn parts(text: &str) -> (&str, &str) {
    let (name, parameters) = text.split_once(';').unwrap_or((text, ""));
    (name.trim(), parameters)
}

/// The weight among the parameters of a range, 1 where none is said and 0 where it is none.
/// <https://www.rfc-editor.org/rfc/rfc9110#section-12.4.2>
pub(super) fn quality(parameters: &str) -> f32 {
    let weight = attributes(parameters).find(|(key, _)| key.eq_ignore_ascii_case("q"));
    let weight = weight.map_or(1.0, |(_, value)| value.parse().unwrap_or(0.0));
    if (0.0..=1.0).contains(&weight) { weight } else { 0.0 }
}

fn attributes(parameters: &str) -> impl Iterator<Item = (&str, &str)> {
    parameters.split(';').filter_map(|one| {
        let (key, value) = one.split_once('=')?;
        Some((key.trim(), value.trim().trim_matches('"')))
    })
}

/// <https://hl7.org/fhir/R4/http.html#version-parameter>
fn is_r4(parameters: &str) -> bool {
    attributes(parameters)
        .filter(|(key, _)| key.eq_ignore_ascii_case("fhirVersion"))
        .all(|(_, value)| matches!(value, "4.0" | "4.0.1" | "4.0.0"))
}

#[cfg(test)]
mod tests;
