//! References between the entries of a transaction, and by search criteria: found, then replaced.
//!
//! <https://hl7.org/fhir/R4/http.html#trules>: at any depth, in extensions and contained resources too, but only in
//! what may be a link ([`elements`](super::elements)).

use fhir_model::json::{Edits, Kind, Ref};
use fhir_model::reference::Reference;
use fhir_model::{Error, Key, Result, url};

use super::criteria::named;
use super::elements::{LinkKind, link_kind};
use super::entries::Entry;
use super::full_url_index::{EntryReference, FullUrlIndex, Identity};
use super::narrative::{attributes, relink};
use crate::check::location;
use crate::conditional::Criteria;
use crate::request_context::RequestContext;

/// A value that is to be replaced.
pub(super) struct ReferenceSite<'d> {
    /// The root of the body: the resource, or a patch.
    root: Ref<'d>,
    value: Ref<'d>,
    pub(super) target: ReferenceTarget,
}

/// The target of a reference or link.
pub(super) enum ReferenceTarget {
    /// The resource of an entry.
    Entry(EntryReference<String>),
    /// The one resource that is found by these criteria; they may name entries that have no id yet.
    Criteria(Box<Criteria>, bool),
    /// Narrative with links to entries.
    Narrative,
}

/// All values of an entry's resource that are to be replaced.
pub(super) fn sites<'d>(
    ctx: &RequestContext<'_>,
    entry: &Entry<'d>,
    links: &FullUrlIndex,
) -> Result<Vec<ReferenceSite<'d>>> {
    let Some(root) = entry.resource else { return Ok(Vec::new()) };
    let mut walk = ReferenceFinder::new(ctx, links, entry, root);
    walk.begin(root.get_str("resourceType").as_deref(), Vec::new());
    walk.object(root)?;
    Ok(walk.sites)
}

/// The edits that replace references, once entries and criteria are resolved. Criteria may not be resolved yet.
pub(super) fn edits(
    entry: &Entry<'_>,
    sites: &[ReferenceSite<'_>],
    links: &FullUrlIndex,
    identity: &dyn Fn(usize) -> Option<Identity>,
    found: &dyn Fn(&Criteria, bool) -> Result<Option<Key>>,
) -> Result<Edits> {
    let mut edits = Edits::default();
    let own = entry.full_url.as_deref();
    for site in sites {
        let text = match &site.target {
            ReferenceTarget::Entry(link) => identity(link.entry).map(|identity| link.text(&identity)),
            ReferenceTarget::Criteria(criteria, names) => {
                let found = found(criteria, *names).map_err(|e| located(e, site.root, site.value))?;
                found.map(|key| key.to_string())
            }
            ReferenceTarget::Narrative => {
                let html = site.value.str().unwrap_or_default();
                Some(relink(&html, &|url| {
                    let link = links.find(url, own)?;
                    Some(link.text(&identity(link.entry)?))
                }))
            }
        };
        if let Some(text) = text {
            edits.replace(site.value, serde_json::Value::from(text).to_string());
        }
    }
    Ok(edits)
}

/// The fault lies in this value of what was sent. There are no names for the places in a JSON Patch.
fn located(error: Error, root: Ref<'_>, value: Ref<'_>) -> Error {
    let path = root.get_str("resourceType").map(|type_name| location(root, &type_name, value));
    Error { expression: vec![path.unwrap_or_else(|| "resource".to_owned())], ..error }
}

/// Looks for values that are to be replaced.
pub(super) struct ReferenceFinder<'w, 'd> {
    ctx: &'w RequestContext<'w>,
    links: &'w FullUrlIndex,
    own: Option<&'w str>,
    root: Ref<'d>,
    begin: Begin,
    /// Members from there to where we are, each with its value or the item of its list.
    path: Vec<(Ref<'d>, Ref<'d>)>,
    pub(super) sites: Vec<ReferenceSite<'d>>,
}

/// Where the search for references begins.
enum Begin {
    /// At the elements with these names below a type, where it is known.
    Of(Option<String>, Vec<String>),
    /// A primitive that is this.
    Value(LinkKind),
}

impl<'w, 'd> ReferenceFinder<'w, 'd> {
    pub(super) fn new(
        ctx: &'w RequestContext<'w>,
        links: &'w FullUrlIndex,
        entry: &'w Entry<'_>,
        root: Ref<'d>,
    ) -> ReferenceFinder<'w, 'd> {
        let own = entry.full_url.as_deref();
        ReferenceFinder {
            ctx,
            links,
            own,
            root,
            begin: Begin::Of(None, Vec::new()),
            path: Vec::new(),
            sites: Vec::new(),
        }
    }

    /// Begins at what these names lead to from something of this type.
    pub(super) fn begin(&mut self, of: Option<&str>, names: Vec<String>) {
        self.begin = Begin::Of(of.map(str::to_owned), names);
    }

    /// Begins at a primitive.
    pub(super) fn begin_value(&mut self, kind: LinkKind) {
        self.begin = Begin::Value(kind);
    }

    /// Looks at a value, or the items of a list, that go by a name.
    pub(super) fn values(&mut self, name: &str, values: Ref<'d>) -> Result<()> {
        for value in values.items() {
            match value.kind() {
                Kind::Object => self.object(value)?,
                Kind::String => self.string(name, value)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn object(&mut self, object: Ref<'d>) -> Result<()> {
        for member in object.children() {
            for value in member.items() {
                self.path.push((member, value));
                match value.kind() {
                    Kind::Object => self.object(value)?,
                    Kind::String => self.string(&member.key(), value)?,
                    _ => {}
                }
                self.path.pop();
            }
        }
        Ok(())
    }

    /// The kind of the element is looked up last, as few texts look like a link.
    fn string(&mut self, name: &str, value: Ref<'d>) -> Result<()> {
        let Some(text) = value.str() else { return Ok(()) };
        if !matches!(name, "reference" | "div" | "url") && !text.starts_with("urn:") {
            return Ok(());
        }
        if name == "div" {
            let mut linked = false;
            attributes(&text, &mut |_, link| linked |= self.links.find(link, self.own).is_some());
            if linked && matches!(self.kind(), LinkKind::Narrative | LinkKind::Unknown) {
                self.add(value, ReferenceTarget::Narrative);
            }
            return Ok(());
        }
        let is_reference =
            |kind| kind == LinkKind::Reference || (kind == LinkKind::Unknown && name == "reference");
        if let Some(link) = self.links.find(&text, self.own) {
            let kind = self.kind();
            let fits = match kind {
                LinkKind::Address => true,
                LinkKind::Urn => text.starts_with("urn:"),
                kind => is_reference(kind),
            };
            if fits {
                self.add(value, ReferenceTarget::Entry(link.owned()));
            }
        } else if name == "reference"
            && let Reference::Conditional(type_name, criteria) = Reference::parse(&text)
            && is_reference(self.kind())
        {
            let here = |e: Error| {
                let text = format!("`{text}`: {}", e.text);
                located(Error { text, ..e }, self.root, value)
            };
            let pairs = url::pairs(criteria).map_err(here)?;
            let criteria = Criteria::from_pairs(self.ctx, type_name, &pairs).map_err(here)?;
            let (criteria, others) = named(self.ctx, criteria, self.links, self.own).map_err(here)?;
            self.add(value, ReferenceTarget::Criteria(Box::new(criteria), !others.is_empty()));
        }
        Ok(())
    }

    fn add(&mut self, value: Ref<'d>, target: ReferenceTarget) {
        self.sites.push(ReferenceSite { root: self.root, value, target });
    }

    /// The kind of link that the current value may be.
    fn kind(&self) -> LinkKind {
        match &self.begin {
            Begin::Value(kind) => *kind,
            Begin::Of(Some(of), names) => link_kind(&self.ctx.cx.definitions, of, names, &self.path),
            Begin::Of(None, _) => LinkKind::Unknown,
        }
    }
}
