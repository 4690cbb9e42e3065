//! References between the entries of a transaction, and by search criteria: found, then replaced.
//!
//! <https://hl7.org/fhir/R4/http.html#trules>: in `Reference.reference`, in elements of the types uri, url, canonical,
//! oid and uuid, and in the links of the narrative; at any depth, in extensions and contained resources too.

use fhir_model::json::{Edits, Kind, Ref};
use fhir_model::reference::Reference;
use fhir_model::{Error, Key, Result, url};

use super::entries::Entry;
use super::links::Links;
use crate::ask::Ask;
use crate::check::location;
use crate::conditional::Criteria;

/// A value that is to be replaced.
pub(super) struct Site<'d> {
    value: Ref<'d>,
    pub(super) says: Says,
}

/// What a value says.
pub(super) enum Says {
    /// The resource of this entry, and what follows its url.
    Entry(usize, String),
    /// The one resource that is found by these criteria.
    Criteria(Box<Criteria>),
    /// Narrative with links to entries.
    Narrative,
}

/// All values of an entry's resource that are to be replaced.
pub(super) fn sites<'d>(ask: &Ask<'_>, entry: &Entry<'d>, links: &Links) -> Result<Vec<Site<'d>>> {
    let Some(root) = entry.resource else { return Ok(Vec::new()) };
    let mut walk =
        Walk { ask, links, own: entry.full_url.as_deref(), root, path: Vec::new(), sites: Vec::new() };
    walk.object(root)?;
    Ok(walk.sites)
}

/// The replacements, once it is known what entries and criteria stand for.
pub(super) fn edits(
    entry: &Entry<'_>,
    sites: &[Site<'_>],
    links: &Links,
    identity: &dyn Fn(usize) -> Option<Key>,
    found: &dyn Fn(&Criteria) -> Result<Key>,
) -> Result<Edits> {
    let mut edits = Edits::default();
    let own = entry.full_url.as_deref();
    for site in sites {
        let text = match &site.says {
            Says::Entry(at, tail) => identity(*at).map(|key| format!("{key}{tail}")),
            Says::Criteria(criteria) => {
                let found = found(criteria).map_err(|e| placed(e, entry.resource, site.value))?;
                Some(found.to_string())
            }
            Says::Narrative => {
                let html = site.value.str().unwrap_or_default();
                Some(relink(&html, &|link| {
                    let (at, tail) = links.find(link, own)?;
                    Some(format!("{}{tail}", identity(at)?))
                }))
            }
        };
        if let Some(text) = text {
            edits.replace(site.value, serde_json::Value::from(text).to_string());
        }
    }
    Ok(edits)
}

/// The fault lies in this value of the resource.
fn placed(error: Error, resource: Option<Ref<'_>>, value: Ref<'_>) -> Error {
    let path = resource.and_then(|r| Some(location(r, &r.get_str("resourceType")?, value)));
    Error { expression: path.into_iter().collect(), ..error }
}

struct Walk<'w, 'd> {
    ask: &'w Ask<'w>,
    links: &'w Links,
    own: Option<&'w str>,
    root: Ref<'d>,
    /// Members from the root to where we are, each with its value or the item of its list.
    path: Vec<(Ref<'d>, Ref<'d>)>,
    sites: Vec<Site<'d>>,
}

impl<'d> Walk<'_, 'd> {
    fn object(&mut self, object: Ref<'d>) -> Result<()> {
        for member in object.children() {
            for value in member.items() {
                self.path.push((member, value));
                match value.kind() {
                    Kind::Object => self.object(value)?,
                    Kind::String => self.string(member, value)?,
                    _ => {}
                }
                self.path.pop();
            }
        }
        Ok(())
    }

    fn string(&mut self, member: Ref<'d>, value: Ref<'d>) -> Result<()> {
        let Some(text) = value.str() else { return Ok(()) };
        if member.key_is("reference") {
            if let Some((at, tail)) = self.links.find(&text, self.own) {
                self.sites.push(Site { value, says: Says::Entry(at, tail.to_owned()) });
            } else if let Reference::Conditional(type_name, criteria) = Reference::parse(&text) {
                let here = |e: Error| {
                    let text = format!("`{text}`: {}", e.text);
                    placed(Error { text, ..e }, Some(self.root), value)
                };
                let pairs = url::pairs(criteria).map_err(here)?;
                let criteria = Criteria::of_pairs(self.ask, type_name, &pairs).map_err(here)?;
                self.sites.push(Site { value, says: Says::Criteria(Box::new(criteria)) });
            }
        } else if member.key_is("div") {
            let mut linked = false;
            attributes(&text, &mut |_, link| linked |= self.links.find(link, self.own).is_some());
            if linked {
                self.sites.push(Site { value, says: Says::Narrative });
            }
        } else if (text.starts_with("urn:") || text.starts_with("http"))
            && let Some((at, tail)) = self.links.find(&text, self.own)
            && self.is_uri()
        {
            self.sites.push(Site { value, says: Says::Entry(at, tail.to_owned()) });
        }
        Ok(())
    }

    /// Whether the value we are at is of a type that may hold a link. (An identifier's value may look like one.)
    fn is_uri(&self) -> bool {
        let types = &*self.ask.cx.definitions;
        let Some(mut at) = self.root.get_str("resourceType").map(|t| t.into_owned()) else { return false };
        for (member, value) in &self.path {
            let Some((_, of)) = types.json_element(&at, &member.key()) else { return false };
            at = match of {
                "Resource" => value.get_str("resourceType").map(|t| t.into_owned()).unwrap_or_default(),
                of => of.to_owned(),
            };
        }
        matches!(at.as_str(), "uri" | "url" | "canonical" | "oid" | "uuid")
    }
}

/// Narrative with those links replaced for which there is something else.
fn relink(html: &str, replace: &dyn Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(html.len());
    let mut copied = 0;
    attributes(html, &mut |start, link| {
        if let Some(other) = replace(link) {
            out.push_str(html.get(copied..start).unwrap_or(""));
            out.push_str(&other);
            copied = start + link.len();
        }
    });
    out.push_str(html.get(copied..).unwrap_or(""));
    out
}

/// Calls back with the values of `href` and `src` attributes and where they start.
fn attributes<'h>(html: &'h str, found: &mut dyn FnMut(usize, &'h str)) {
    let mut from = 0;
    // The next place of each name: neither is looked for twice over the same text.
    let mut names = [("href", html.find("href")), ("src", html.find("src"))];
    loop {
        for (name, place) in &mut names {
            if place.is_some_and(|at| at < from) {
                *place = html.get(from..).and_then(|rest| rest.find(*name)).map(|at| at + from);
            }
        }
        let next = names.iter().filter_map(|(name, place)| place.map(|at| at + name.len())).min();
        let Some(next) = next else { return };
        from = next;
        let after = html.get(from..).unwrap_or("");
        let Some(value) = after.trim_start().strip_prefix('=').map(str::trim_start) else { continue };
        let Some(quote) = value.chars().next().filter(|c| matches!(c, '"' | '\'')) else { continue };
        let Some((link, _)) = value.get(1..).and_then(|v| v.split_once(quote)) else { continue };
        let start = html.len() - value.len() + 1;
        found(start, link);
        from = start + link.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_in_narrative_are_replaced() {
        let replace = |link: &str| (link == "urn:uuid:a").then(|| "Patient/1".to_owned());
        let rows = [
            ("<a href=\"urn:uuid:a\">x</a>", "<a href=\"Patient/1\">x</a>"),
            (
                "<a href = 'urn:uuid:a'>x</a><img src='urn:uuid:a'/>",
                "<a href = 'Patient/1'>x</a><img src='Patient/1'/>",
            ),
            ("<a href=\"urn:uuid:b\">href urn:uuid:a</a>", "<a href=\"urn:uuid:b\">href urn:uuid:a</a>"),
            ("href", "href"),
            ("<a href=\"urn:uuid:a", "<a href=\"urn:uuid:a"),
            ("ä<a href=\"urn:uuid:a\">ä</a>ä", "ä<a href=\"Patient/1\">ä</a>ä"),
        ];
        for (html, wanted) in rows {
            assert_eq!(relink(html, &replace), wanted);
        }
    }
}
