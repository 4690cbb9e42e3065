//! JSON tree in, XML out.

use super::element::{ElementType, FHIR, is_attribute};
use super::narrative;
use super::path::Path;
use crate::json::{JsonLimits, Kind, Ref};
use crate::types::Types;
use crate::{Error, Result};

/// White space between elements.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    Compact,
    Indented,
}

pub(super) fn document(resource: Ref<'_>, types: &dyn Types, layout: Layout) -> Result<String> {
    // Tags stand twice where JSON has a key once; most values are short.
    let mut out = String::with_capacity(resource.raw().len() * 3 / 2 + 128);
    out.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
    let name = resource.get_str("resourceType").unwrap_or_default();
    let mut writer = Writer { types, out: &mut out, layout, depth: 0 };
    writer.line();
    writer.resource(resource, &Path::root(&name), true)?;
    writer.line();
    Ok(out)
}

struct Writer<'w> {
    types: &'w dyn Types,
    out: &'w mut String,
    layout: Layout,
    /// Elements that are open.
    depth: usize,
}

/// An element with what stands under `key` and under `_key`.
struct Member<'m> {
    meaning: ElementType<'m>,
    key: String,
    value: Option<Ref<'m>>,
    extra: Option<Ref<'m>>,
}

impl<'w> Writer<'w> {
    fn resource(&mut self, resource: Ref<'_>, path: &Path<'_>, top: bool) -> Result<()> {
        let name = resource.get_str("resourceType").unwrap_or_default();
        if !self.types.is_resource(&name) {
            return Err(refuse(path, "is not a resource of a type FHIR knows"));
        }
        self.push(&["<", &name]);
        if top {
            self.push(&[" xmlns=\"", FHIR, "\""]);
        }
        self.out.push('>');
        let members = self.ordered(&name, resource, path)?;
        self.content(&name, &members, path)
    }

    /// What stands in a tag, and its end.
    fn content(&mut self, tag: &str, members: &[Member<'_>], path: &Path<'_>) -> Result<()> {
        self.depth += 1;
        for member in members {
            self.member(member, path)?;
        }
        self.depth -= 1;
        if !members.is_empty() {
            self.line();
        }
        self.push(&["</", tag, ">"]);
        Ok(())
    }

    /// The members of an object, in the order of its type's definition.
    fn ordered<'m>(&self, type_name: &str, object: Ref<'m>, path: &Path<'_>) -> Result<Vec<Member<'m>>>
    where
        'w: 'm,
    {
        let mut members: Vec<Member<'m>> = Vec::new();
        let is_resource = self.types.is_resource(type_name);
        for child in object.children() {
            let full = child.key();
            if is_resource && full == "resourceType" {
                continue;
            }
            let (key, is_extra) = full.strip_prefix('_').map_or((&*full, false), |key| (key, true));
            let known = members.iter().rposition(|m| m.key == key);
            if known.is_none() {
                let meaning = ElementType::find(self.types, type_name, key).ok_or_else(|| {
                    refuse(path, &format!("has an element `{key}` that FHIR does not know"))
                })?;
                members.push(Member { meaning, key: key.to_owned(), value: None, extra: None });
            }
            let place = known.unwrap_or(members.len() - 1);
            if let Some(member) = members.get_mut(place) {
                *(if is_extra { &mut member.extra } else { &mut member.value }) = Some(child);
            }
        }
        members.sort_by_key(|m| m.meaning.order);
        Ok(members)
    }

    /// All repetitions of one element.
    fn member(&mut self, member: &Member<'_>, path: &Path<'_>) -> Result<()> {
        let is_list = member.value.or(member.extra).is_some_and(Ref::is_array);
        let mut values = member.value.map(Ref::items).into_iter().flatten();
        let mut extras = member.extra.map(Ref::items).into_iter().flatten();
        for index in 0.. {
            let (value, extra) = (values.next(), extras.next());
            if value.is_none() && extra.is_none() {
                break;
            }
            let path = path.child(&member.key, is_list.then_some(index));
            let present = |r: Option<Ref<'_>>| r.filter(|r| !r.is_null()).is_some();
            if !present(value) && !present(extra) {
                return Err(refuse(&path, "is empty"));
            }
            let (value, extra) = (value.filter(|r| !r.is_null()), extra.filter(|r| !r.is_null()));
            self.line();
            self.element(member, value, extra, &path)?;
        }
        Ok(())
    }

    fn element(
        &mut self,
        member: &Member<'_>,
        value: Option<Ref<'_>>,
        extra: Option<Ref<'_>>,
        path: &Path<'_>,
    ) -> Result<()> {
        let meaning = &member.meaning;
        if meaning.is_primitive(self.types) && !meaning.is_xhtml() {
            return self.primitive(member, value, extra, path);
        }
        let value =
            value.filter(|_| extra.is_none()).ok_or_else(|| refuse(path, "cannot have a `_` twin"))?;
        if meaning.is_xhtml() {
            let text = value.str().ok_or_else(|| refuse(path, "is not a string"))?;
            let div = narrative::from_text(&text, JsonLimits::default().depth_max);
            let div = div.map_err(|why| refuse(path, &format!("is not well-formed XHTML: {why}")))?;
            self.out.push_str(&div);
            return Ok(());
        }
        if !value.is_object() {
            return Err(refuse(path, "is not an object"));
        }
        if meaning.is_resource() {
            self.push(&["<", &member.key, ">"]);
            self.depth += 1;
            self.line();
            self.resource(value, path, false)?;
            self.depth -= 1;
            self.line();
            self.push(&["</", &member.key, ">"]);
            return Ok(());
        }
        self.complex(&member.key, meaning.type_name, None, Some(value), path)
    }

    fn primitive(
        &mut self,
        member: &Member<'_>,
        value: Option<Ref<'_>>,
        extra: Option<Ref<'_>>,
        path: &Path<'_>,
    ) -> Result<()> {
        let text = match value.map(|v| (v.kind(), v)) {
            Some((Kind::String, v)) => v.str(),
            Some((Kind::Number | Kind::Boolean, v)) => Some(v.raw().into()),
            Some(_) => return Err(refuse(path, "is not a primitive")),
            None => None,
        };
        if extra.is_some_and(|e| !e.is_object()) {
            return Err(refuse(path, "has a `_` twin that is not an object"));
        }
        // All primitives have the members of `Element`.
        self.complex(&member.key, "Element", text.as_deref(), extra, path)
    }

    /// A tag with its attributes and the rest of its members; empty ones closed at once.
    fn complex(
        &mut self,
        tag: &str,
        type_name: &str,
        value: Option<&str>,
        object: Option<Ref<'_>>,
        path: &Path<'_>,
    ) -> Result<()> {
        self.push(&["<", tag]);
        let mut members = object.map_or(Ok(Vec::new()), |object| self.ordered(type_name, object, path))?;
        for member in members.extract_if(.., |m| is_attribute(self.types, type_name, &m.key)) {
            let text = member.value.and_then(Ref::str).filter(|_| member.extra.is_none());
            let text = text
                .ok_or_else(|| refuse(path, &format!("has an `{}` that is no plain string", member.key)))?;
            attribute(self.out, &member.key, &text, path)?;
        }
        if let Some(value) = value {
            attribute(self.out, "value", value, path)?;
        }
        if members.is_empty() {
            self.out.push_str("/>");
            return Ok(());
        }
        self.out.push('>');
        self.content(tag, &members, path)
    }

    /// A new line, where white space is wanted.
    fn line(&mut self) {
        if self.layout == Layout::Indented {
            self.out.push('\n');
            self.out.extend(std::iter::repeat_n("  ", self.depth));
        }
    }

    fn push(&mut self, parts: &[&str]) {
        for part in parts {
            self.out.push_str(part);
        }
    }
}

/// Writes ` name="text"`.
fn attribute(out: &mut String, name: &str, text: &str, path: &Path<'_>) -> Result<()> {
    out.push(' ');
    out.push_str(name);
    out.push_str("=\"");
    let mut rest = text;
    let special = |c: char| matches!(c, '&' | '<' | '>' | '"' | '\u{fffe}' | '\u{ffff}') || c < ' ';
    while let Some(at) = rest.find(special) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let mut chars = from.chars();
        match chars.next().unwrap_or(' ') {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // As themselves they would be read back as spaces.
            '\t' => out.push_str("&#9;"),
            '\n' => out.push_str("&#10;"),
            '\r' => out.push_str("&#13;"),
            c => {
                return Err(refuse(path, &format!("holds the character {}", c.escape_unicode())));
            }
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
    out.push('"');
    Ok(())
}

fn refuse(at: &Path<'_>, why: &str) -> Error {
    Error::new(crate::Kind::NotAcceptable, format!("this cannot be given as XML: {at} {why}"))
        .at(at.to_string())
}
