//! The narrative's `div`, checked and copied: <https://hl7.org/fhir/R4/narrative.html#xhtml>
//!
//! In JSON it is a string holding XHTML, in XML it is XHTML itself, so it must be well-formed on its own: otherwise a
//! `div` could end its resource early and write elements of its choice.

use std::fmt::Write as _;

use quick_xml::NsReader;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::{Namespace, ResolveResult};

use super::element::XHTML;
use super::entities;
use crate::json::is_allowed;

type Result<T> = std::result::Result<T, String>;

/// The `div` of a JSON string, fit to stand in XML: as it is where possible. HTML's entities become characters, and a
/// missing namespace is added.
pub(super) fn from_text(text: &str, depth_max: usize) -> Result<String> {
    if text.chars().any(|c| !is_allowed(c)) {
        return Err("it holds a character XML does not allow".into());
    }
    let mut events = NsReader::from_str(text);
    configure(&mut events);
    let mut found = None;
    loop {
        let begin = events.buffer_position() as usize;
        match events.read_event().map_err(|e| e.to_string())? {
            Event::Text(t) if is_space(&t) => {}
            Event::Comment(_) => {}
            Event::Start(start) if found.is_none() => {
                found = Some(Copy { text, html: true, depth_max }.div(&mut events, &start, begin)?);
            }
            Event::Eof => return found.ok_or_else(|| "it has no `div`".into()),
            _ => return Err("it is not one `div`".into()),
        }
    }
}

/// The `div` whose start tag was just read from `events`, from byte `begin` of `text`; reads past its end tag.
pub(super) fn from_events<'x>(
    events: &mut NsReader<&'x [u8]>,
    text: &'x str,
    start: &BytesStart<'x>,
    begin: usize,
    depth_max: usize,
) -> Result<String> {
    Copy { text, html: false, depth_max }.div(events, start, begin)
}

/// What both readers need: every check, and empty tags as a start and an end.
pub(super) fn configure(events: &mut NsReader<&[u8]>) {
    let config = events.config_mut();
    config.enable_all_checks(true);
    config.expand_empty_elements = true;
}

pub(super) fn is_space(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r'))
}

/// Copies a `div`: to the byte when its text means the same anywhere, else written anew.
struct Copy<'x> {
    text: &'x str,
    /// HTML's entities are known, and tags without a namespace are XHTML.
    html: bool,
    depth_max: usize,
}

impl<'x> Copy<'x> {
    fn div(&self, events: &mut NsReader<&'x [u8]>, start: &BytesStart<'x>, begin: usize) -> Result<String> {
        let mut anew = String::new();
        let mut changed = !start.attributes().flatten().any(|a| a.key.into_inner() == "xmlns");
        if start.local_name().into_inner() != "div" {
            return Err("it is not a `div`".into());
        }
        self.start(events, start, &mut anew, &mut changed)?;
        let root = format!("<div xmlns=\"{XHTML}\"");
        anew.replace_range(..4, &root);
        let mut depth = 1;
        while depth > 0 {
            match events.read_event().map_err(|e| e.to_string())? {
                Event::Start(tag) if depth < self.depth_max => {
                    depth += 1;
                    self.start(events, &tag, &mut anew, &mut changed)?;
                }
                Event::Start(_) => return Err("it is nested deeper than allowed".into()),
                Event::End(tag) => {
                    depth -= 1;
                    let _ = write!(anew, "</{}>", tag.local_name().into_inner());
                }
                Event::Text(t) if t.contains("]]>") => return Err("`]]>` in text".into()),
                Event::Text(t) => anew.push_str(&t),
                Event::CData(t) => {
                    let _ = write!(anew, "<![CDATA[{}]]>", &*t);
                }
                Event::Comment(t) => {
                    let _ = write!(anew, "<!--{}-->", &*t);
                }
                Event::GeneralRef(name) => self.reference(&name, &mut anew, &mut changed)?,
                Event::PI(_) | Event::Decl(_) => return Err("processing instructions are not allowed".into()),
                Event::DocType(_) => return Err("DOCTYPE is not allowed".into()),
                Event::Eof => return Err("the text ends too early".into()),
                Event::Empty(_) => return Err("an empty tag".into()),
            }
        }
        let end = events.buffer_position() as usize;
        if changed { Ok(anew) } else { Ok(self.text.get(begin..end).unwrap_or_default().to_owned()) }
    }

    /// Checks a start tag and writes it anew, without prefix and declarations.
    fn start(
        &self,
        events: &NsReader<&'x [u8]>,
        tag: &BytesStart<'x>,
        anew: &mut String,
        changed: &mut bool,
    ) -> Result<()> {
        let (namespace, local) = events.resolver().resolve_element(tag.name());
        match namespace {
            ResolveResult::Bound(Namespace(uri)) if uri == XHTML => {}
            ResolveResult::Unbound if self.html => *changed = true,
            _ => return Err(format!("`{}` is not in the XHTML namespace", tag.name().into_inner())),
        }
        *changed |= tag.name().prefix().is_some();
        if !is_name(local.into_inner()) {
            return Err("a tag is not a name".into());
        }
        let _ = write!(anew, "<{}", local.into_inner());
        for attribute in tag.attributes() {
            let attribute = attribute.map_err(|e| e.to_string())?;
            let name = attribute.key.into_inner();
            if attribute.key.as_namespace_binding().is_some() {
                continue;
            }
            let plain = name.strip_prefix("xml:").unwrap_or(name);
            if !is_name(plain) {
                return Err(format!("the attribute `{name}` is not XHTML's"));
            }
            let raw = self.attribute(&attribute.value, changed)?;
            let _ = write!(anew, " {name}=\"{}\"", raw.replace('"', "&quot;"));
        }
        anew.push('>');
        Ok(())
    }

    fn reference(&self, name: &str, anew: &mut String, changed: &mut bool) -> Result<()> {
        if entities::xml(name).is_some() {
            let _ = write!(anew, "&{name};");
            return Ok(());
        }
        let known = if self.html { entities::html(name) } else { None };
        anew.push(known.ok_or("a reference to an entity that XML does not define")?);
        *changed = true;
        Ok(())
    }

    /// Checks an attribute's raw value; HTML's entities in it become characters.
    fn attribute(&self, raw: &str, changed: &mut bool) -> Result<String> {
        if !self.html || entities::attribute(raw).is_ok() {
            return entities::attribute(raw).map(|_| raw.to_owned());
        }
        let mut out = String::with_capacity(raw.len());
        let mut parts = raw.split('&');
        out.push_str(parts.next().unwrap_or_default());
        for part in parts {
            match part.split_once(';').and_then(|(name, rest)| Some((entities::html(name)?, rest))) {
                Some((c, rest)) => {
                    *changed = true;
                    out.push(c);
                    out.push_str(rest);
                }
                None => {
                    let _ = write!(out, "&{part}");
                }
            }
        }
        entities::attribute(&out).map(|_| out)
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}
