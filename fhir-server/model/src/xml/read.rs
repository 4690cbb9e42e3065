//! XML in, JSON text out.

use quick_xml::NsReader;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::{Namespace, ResolveResult};

use super::element::{ElementType, FHIR, XHTML, is_attribute};
use super::object::{Object, Value, quote};
use super::path::Path;
use super::{entities, narrative};
use crate::json::{Doc, JsonLimits, Kind};
use crate::types::Types;
use crate::{Error, Result};

/// Where this may stand on a resource, to be ignored.
const XSI: &str = "http://www.w3.org/2001/XMLSchema-instance";

pub(super) fn document(text: &str, types: &dyn Types, depth_max: usize) -> Result<String> {
    let mut events = NsReader::from_str(text);
    narrative::configure(&mut events);
    let mut reader = Reader { text, types, depth_max, events, depth: 0, begin: 0 };
    let top = Path::root("the document");
    let Some(start) = reader.next(&top)? else {
        return Err(refuse(&top, "holds no resource"));
    };
    let resource = reader.resource(&start, None)?;
    if reader.next(&top)?.is_some() {
        return Err(refuse(&top, "holds more than one resource"));
    }
    Ok(resource)
}

/// The only attributes that FHIR gives a meaning: `id`, `url`, `value`. Of one more, one is unknown.
const ATTRIBUTES_MAX: usize = 3;

struct Reader<'x> {
    text: &'x str,
    types: &'x dyn Types,
    depth_max: usize,
    events: NsReader<&'x [u8]>,
    /// Tags open.
    depth: usize,
    /// Byte at which the last event began.
    begin: usize,
}

impl<'x> Reader<'x> {
    /// The next start tag, or `None` at the end tag of what is open. Between tags only white space and comments may
    /// stand.
    fn next(&mut self, at: &Path<'_>) -> Result<Option<BytesStart<'x>>> {
        loop {
            self.begin = self.events.buffer_position() as usize;
            let event =
                self.events.read_event().map_err(|e| refuse(at, &format!("is not valid XML: {e}")))?;
            match event {
                Event::Start(start) => {
                    self.depth += 1;
                    if self.depth > self.depth_max {
                        return Err(Error::structure("XML nested deeper than allowed"));
                    }
                    return Ok(Some(start));
                }
                Event::End(_) => {
                    self.depth = self.depth.saturating_sub(1);
                    return Ok(None);
                }
                Event::Eof if self.depth > 0 => return Err(refuse(at, "is not closed")),
                Event::Eof => return Ok(None),
                Event::Text(text) if narrative::is_space(&text) => {}
                Event::Comment(_) => {}
                Event::Decl(declaration) if self.begin == 0 => {
                    let encoding = declaration.encoding().and_then(|e| e.ok());
                    if encoding.is_some_and(|e| !e.eq_ignore_ascii_case("utf-8")) {
                        return Err(Error::structure(
                            "XML is read in UTF-8 only, and its declaration says otherwise",
                        ));
                    }
                }
                Event::DocType(_) => return Err(Error::structure("XML with a DOCTYPE is refused")),
                Event::PI(_) | Event::Decl(_) => {
                    return Err(Error::structure("XML with processing instructions is refused"));
                }
                Event::Text(_) | Event::CData(_) | Event::GeneralRef(_) | Event::Empty(_) => {
                    return Err(refuse(at, "holds text, where only elements may stand"));
                }
            }
        }
    }

    /// The local name of a tag in FHIR's namespace, or, then `true` stands beside it, in XHTML's.
    fn name(&self, tag: &BytesStart<'x>, at: &Path<'_>) -> Result<(String, bool)> {
        let (namespace, local) = self.events.resolver().resolve_element(tag.name());
        match namespace {
            ResolveResult::Bound(Namespace(FHIR)) => Ok((local.into_inner().to_owned(), false)),
            ResolveResult::Bound(Namespace(XHTML)) => Ok((local.into_inner().to_owned(), true)),
            _ => {
                let name = tag.name();
                Err(refuse(
                    at,
                    &format!("holds `{}`, which is not in the namespace {FHIR}", name.into_inner()),
                ))
            }
        }
    }

    /// A resource from its start tag, inside an element (`contained`) or at the top.
    fn resource(&mut self, tag: &BytesStart<'x>, within: Option<&Path<'_>>) -> Result<String> {
        let top = Path::root("the document");
        let (name, xhtml) = self.name(tag, within.unwrap_or(&top))?;
        if xhtml || !self.types.is_resource(&name) {
            let text = format!("`{name}` is not a resource type");
            return Err(
                within.map_or(Error::structure(&*text), |at| Error::structure(&*text).at(at.to_string()))
            );
        }
        let root = Path::root(&name);
        let path = within.unwrap_or(&root);
        if let Some((key, _)) = self.attributes(tag, path)?.first() {
            return Err(refuse(path, &format!("has an unknown attribute `{key}`")));
        }
        let mut object = Object::default();
        self.members(&name, &mut object, path)?;
        if object.is_empty() && within.is_some() {
            return Err(refuse(path, "is empty"));
        }
        Ok(object.into_json(Some(&name)))
    }

    /// The child elements up to the end tag.
    fn members(&mut self, type_name: &str, object: &mut Object, path: &Path<'_>) -> Result<()> {
        while let Some(tag) = self.next(path)? {
            let (name, xhtml) = self.name(&tag, path)?;
            let meaning = ElementType::find(self.types, type_name, &name)
                .filter(|m| m.is_xhtml() == xhtml)
                .filter(|_| !is_attribute(self.types, type_name, &name))
                .ok_or_else(|| refuse(path, &format!("has an unknown element `{name}`")))?;
            let many = meaning.element.many;
            let count = object.count(&name);
            if count > 0 && !many {
                return Err(refuse(&path.child(&name, None), "stands more than once"));
            }
            let value = self.value(&tag, &meaning, &path.child(&name, many.then_some(count)))?;
            object.push(&name, many, value);
        }
        Ok(())
    }

    fn value(&mut self, tag: &BytesStart<'x>, meaning: &ElementType<'_>, path: &Path<'_>) -> Result<Value> {
        if meaning.is_xhtml() {
            let depth_max = self.depth_max - self.depth.min(self.depth_max);
            let div = narrative::from_events(&mut self.events, self.text, tag, self.begin, depth_max);
            self.depth -= 1;
            let div = div.map_err(|why| refuse(path, &format!("is no narrative: {why}")))?;
            return Ok(Value { value: Some(quote(&div)), extra: None });
        }
        let attributes = self.attributes(tag, path)?;
        if meaning.is_resource() {
            if let Some((key, _)) = attributes.first() {
                return Err(refuse(path, &format!("has an unknown attribute `{key}`")));
            }
            let inner = self.next(path)?.ok_or_else(|| refuse(path, "is empty"))?;
            let resource = self.resource(&inner, Some(path))?;
            if self.next(path)?.is_some() {
                return Err(refuse(path, "holds more than one resource"));
            }
            return Ok(Value { value: Some(resource), extra: None });
        }
        let primitive = meaning.is_primitive(self.types);
        let type_name = meaning.type_name;
        let (mut value, mut object) = (None, Object::default());
        for (key, text) in attributes {
            match key {
                "value" if primitive => value = Some(scalar(type_name, &text, path)?),
                _ if key == "id" || is_attribute(self.types, type_name, key) => {
                    object.push(key, false, Value { value: Some(quote(&text)), extra: None });
                }
                _ => return Err(refuse(path, &format!("has an unknown attribute `{key}`"))),
            }
        }
        // All primitives have the members of `Element`, and only those.
        self.members(if primitive { "Element" } else { type_name }, &mut object, path)?;
        let object = (!object.is_empty()).then(|| object.into_json(None));
        if object.is_none() && value.is_none() {
            return Err(refuse(path, "is empty"));
        }
        Ok(match primitive {
            true => Value { value, extra: object },
            false => Value { value: object, extra: None },
        })
    }

    /// The attributes of a FHIR element, without namespace declarations. Of very many, as many as show that one is
    /// unknown.
    fn attributes<'t>(&self, tag: &'t BytesStart<'x>, path: &Path<'_>) -> Result<Vec<(&'t str, String)>> {
        let mut found = Vec::new();
        for attribute in tag.attributes() {
            let attribute = attribute.map_err(|e| refuse(path, &format!("is not valid XML: {e}")))?;
            let name = attribute.key.into_inner();
            if attribute.key.as_namespace_binding().is_some() {
                continue;
            }
            if found.len() > ATTRIBUTES_MAX {
                break;
            }
            match self.events.resolver().resolve_attribute(attribute.key) {
                (ResolveResult::Unbound, _) => {}
                (ResolveResult::Bound(Namespace(XSI)), local) if local.into_inner() == "schemaLocation" => {
                    continue;
                }
                _ => return Err(refuse(path, &format!("has an unknown attribute `{name}`"))),
            }
            let value = entities::attribute(&attribute.value)
                .map_err(|why| refuse(path, &format!("is not valid XML: {why} (`{name}`)")))?;
            if value.is_empty() {
                return Err(refuse(path, &format!("has an empty attribute `{name}`")));
            }
            found.push((name, value));
        }
        Ok(found)
    }
}

/// The JSON of a primitive: numbers and booleans keep their text, the rest are strings.
fn scalar(type_name: &str, text: &str, path: &Path<'_>) -> Result<String> {
    let wanted = match type_name {
        "boolean" => Kind::Boolean,
        "integer" | "decimal" | "positiveInt" | "unsignedInt" => Kind::Number,
        _ => return Ok(quote(text)),
    };
    let trimmed = text.trim_matches([' ', '\t', '\n', '\r']);
    let whole = type_name != "decimal";
    // XML allows `+1`, JSON does not.
    let digits = if whole { trimmed.strip_prefix('+').unwrap_or(trimmed) } else { trimmed };
    let parsed = Doc::parse(digits, JsonLimits::default()).ok().filter(|doc| doc.root().kind() == wanted);
    if parsed.is_none() || (wanted == Kind::Number && whole && digits.contains(['.', 'e', 'E'])) {
        return Err(Error::value(format!("{path} is not a valid {type_name}")).at(path.to_string()));
    }
    Ok(digits.to_owned())
}

fn refuse(at: &Path<'_>, why: &str) -> Error {
    Error::structure(format!("{at} {why}")).at(at.to_string())
}
