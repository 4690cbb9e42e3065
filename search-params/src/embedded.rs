//! Resources that stand within another one: contained ones, and the entries of a Bundle.
//!
//! <https://hl7.org/fhir/R4/references.html#contained>, <https://hl7.org/fhir/R4/bundle.html#references>

mod evaluate;
pub(crate) mod index;

use fhir_model::json::Ref;

pub use self::evaluate::Evaluation;
pub use self::index::{candidates, keys_of_types};

/// Where the references of a resource lead without leaving the document it stands in.
#[derive(Debug, Clone, Copy)]
pub struct Container<'d> {
    /// The resource whose `contained` is meant by `#id`.
    holder: Ref<'d>,
    /// The Bundle that the holder is an entry of, with the entry.
    bundle: Option<(Ref<'d>, Ref<'d>)>,
}

impl<'d> Container<'d> {
    /// Of a resource that stands by itself.
    pub fn new(resource: Ref<'d>) -> Container<'d> {
        Container { holder: resource, bundle: None }
    }

    /// Of a resource that a Bundle has as an entry.
    pub fn from_entry(bundle: Ref<'d>, resource: Ref<'d>) -> Container<'d> {
        let is_its = |entry: &Ref<'d>| entry.get("resource") == Some(resource);
        let entry = bundle.get("entry").into_iter().flat_map(Ref::items).find(is_its);
        Container { holder: resource, bundle: entry.map(|entry| (bundle, entry)) }
    }

    /// The resource within the document that a value of a reference parameter is or leads to, and its own container.
    pub(crate) fn target(self, value: Ref<'d>) -> Option<(Ref<'d>, Container<'d>)> {
        if value.get("resourceType").is_some() {
            return Some((value, Container::from_entry(self.holder, value)));
        }
        self.find(&value.get_str("reference").or_else(|| value.str())?)
    }

    /// The resource that the text of a reference leads to, if it stands in the same document, and its own container.
    pub fn find(self, reference: &str) -> Option<(Ref<'d>, Container<'d>)> {
        match reference.strip_prefix('#') {
            // "#" alone is the one that contains.
            Some("") => Some((self.holder, self)),
            Some(id) => {
                let is_it = |one: &Ref<'d>| one.get_str("id").is_some_and(|own| *own == *id);
                let contained = self.holder.get("contained")?.items().find(is_it)?;
                Some((contained, self))
            }
            None => self.entry(reference),
        }
    }

    /// True for the entry of a Bundle that this is the container of.
    fn is_entry(self, resource: Ref<'_>) -> bool {
        self.bundle.is_some() && self.holder == resource
    }

    /// The entry that a reference leads to: the one whose `fullUrl` is the reference, made absolute by the base of the
    /// entry that refers.
    fn entry(self, reference: &str) -> Option<(Ref<'d>, Container<'d>)> {
        let (bundle, own) = self.bundle?;
        let reference = reference.split("/_history/").next()?;
        let base = match reference.contains(':') {
            true => Some(String::new()),
            false => base_of(own),
        };
        let is_it = |entry: &Ref<'d>| match (entry.get_str("fullUrl"), &base) {
            (Some(url), Some(base)) => url.strip_prefix(base.as_str()) == Some(reference),
            // Where neither says its base, it is the same.
            (None, None) => own.get("fullUrl").is_none() && is_named(*entry, reference),
            _ => false,
        };
        let entry = bundle.get("entry")?.items().find(is_it)?;
        let resource = entry.get("resource")?;
        Some((resource, Container { holder: resource, bundle: Some((bundle, entry)) }))
    }
}

/// Where a resource stands.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Nesting<'d> {
    /// It is one of the server's.
    OfItsOwn,
    /// It is within another one.
    Within(Container<'d>),
}

/// `http://example.org/fhir/` of an entry whose `fullUrl` is that and the type and id of its resource.
fn base_of(entry: Ref<'_>) -> Option<String> {
    let url = entry.get_str("fullUrl")?;
    let resource = entry.get("resource")?;
    let (type_name, id) = (resource.get_str("resourceType")?, resource.get_str("id")?);
    let base = url.strip_suffix(&*id)?.strip_suffix('/')?.strip_suffix(&*type_name)?;
    base.ends_with('/').then(|| base.to_owned())
}

/// True when the text is the type and id of an entry's resource.
fn is_named(entry: Ref<'_>, reference: &str) -> bool {
    let Some(resource) = entry.get("resource") else { return false };
    let own = resource.get_str("resourceType").zip(resource.get_str("id"));
    own.is_some_and(|(type_name, id)| reference.split_once('/') == Some((&*type_name, &*id)))
}
