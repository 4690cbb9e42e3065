//! What includes follow: the references of a resource, and what refers to resources.
//!
//! <https://hl7.org/fhir/R4/search.html#revinclude>

mod referring;

use std::collections::{BTreeMap, BTreeSet};

use fhir_model::json::Ref;
use fhir_model::{Error, Key, Kind, Result};

pub use self::referring::{Referring, refers_to};
use crate::bases::Bases;
use crate::canonical::CanonicalUrl;
use crate::embedded::Container;
use crate::param::Param;
use crate::parameters::ParameterKind;
use crate::query::Include;
use crate::reference::ParsedReference;
use crate::registry::Registry;

/// Most canonical urls that are followed at once, counted for each type that they may be of.
const CANONICALS_MAX: usize = 20_000;

/// Resources that are referred to, with the version where all references name the same one.
pub type Targets = BTreeMap<Key, Option<u32>>;

/// A canonical url as a reference: it names each resource of the type that has the url, and the version if one is named.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Canonical {
    /// A type that the reference may be to.
    pub type_name: Box<str>,
    /// Without the version.
    pub url: String,
    /// The business version, where one is named.
    pub version: Option<String>,
}

/// What references lead to.
#[derive(Debug, Clone, Default)]
pub struct Followed {
    /// By type and id.
    pub targets: Targets,
    /// By canonical url.
    pub canonicals: BTreeSet<Canonical>,
}

impl Followed {
    /// Refuses more canonical urls than are followed at once.
    ///
    /// # Errors
    ///
    /// `TooCostly` for more than 20,000.
    pub fn bounded(&self) -> Result<()> {
        if self.canonicals.len() < CANONICALS_MAX {
            return Ok(());
        }
        let text = format!("{CANONICALS_MAX} canonical urls and more are referred to; ask for less at once");
        Err(Error::new(Kind::TooCostly, text))
    }
}

/// A resource as references name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferencedResource {
    /// Its type and id.
    pub key: Key,
    /// Its canonical url; `None` when it has none, or when it is not needed.
    pub url: Option<String>,
    /// Its business version.
    pub version: Option<String>,
}

impl From<Key> for ReferencedResource {
    fn from(key: Key) -> ReferencedResource {
        ReferencedResource { key, url: None, version: None }
    }
}

impl ReferencedResource {
    /// With the canonical url that its body says.
    pub fn from_body(key: Key, body: Ref<'_>) -> ReferencedResource {
        let text = |name: &str| body.get_str(name).map(|text| text.into_owned());
        ReferencedResource { key, url: text("url"), version: text("version") }
    }

    /// The canonical urls that are references to it: `url`, `url|version`.
    pub(crate) fn urls(&self) -> impl Iterator<Item = String> {
        let with =
            self.url.as_ref().zip(self.version.as_ref()).map(|(url, version)| format!("{url}|{version}"));
        self.url.clone().into_iter().chain(with)
    }
}

impl Registry {
    /// Adds the references of a resource that one of the includes follows: those to resources of this server, not to
    /// contained ones, by identifier alone or to other servers. The wildcard follows no canonical urls.
    ///
    /// # Errors
    ///
    /// `NotFound` for an unknown type, `TooCostly` when too many canonical urls are to be followed.
    pub fn follow(
        &self,
        type_name: &str,
        includes: &[&Include],
        resource: Ref<'_>,
        bases: &Bases,
        found: &mut Followed,
    ) -> Result<()> {
        let this = self.for_type(type_name)?;
        let asked = |param: &Param, target: &str| {
            param.kind == ParameterKind::Reference
                && param.only_target.as_deref().is_none_or(|only| only == target)
                && includes.iter().any(|include| {
                    include.code.as_deref().is_none_or(|code| *param.code == *code) && include.is_to(target)
                })
        };
        this.walk_with_users(resource, Container::new(resource), &mut |users, value, value_type| {
            if value_type == "Resource" {
                return;
            }
            let text = if value_type == "Reference" { value.get_str("reference") } else { value.str() };
            let Some(text) = text else { return };
            // A reference to itself: of a trait object nothing else is an iterator.
            let mut users = users;
            let parts = CanonicalUrl::parse(&text);
            let named = if value_type == "Reference" { text.clone() } else { parts.resource() };
            let key = match ParsedReference::parse(&named, bases) {
                Some(ParsedReference::Local(key)) => key,
                Some(ParsedReference::Uri(text)) if value_type != "Reference" => {
                    let users: Vec<&Param> = users.filter(|p| p.kind == ParameterKind::Reference).collect();
                    if found.canonicals.len() < CANONICALS_MAX {
                        let named = users.iter().flat_map(|param| self.canonicals(param, includes, &text));
                        found.canonicals.extend(named);
                    }
                    // Below one of the server's urls it is a reference to the resource as well, as it is in the index.
                    if parts.version.is_some()
                        && let Some(ParsedReference::Local(key)) = ParsedReference::parse(parts.url, bases)
                        && users.iter().any(|param| asked(param, &key.type_name))
                    {
                        found.targets.entry(key).or_insert(None);
                    }
                    return;
                }
                _ => return,
            };
            if self.number(&key.type_name).is_none() || !(&mut users).any(|p| asked(p, &key.type_name)) {
                return;
            }
            let version = text.rsplit_once("/_history/").and_then(|(_, version)| version.parse().ok());
            found
                .targets
                .entry(key)
                .and_modify(|before| *before = before.filter(|_| *before == version))
                .or_insert(version);
        });
        found.bounded()
    }

    /// What a canonical url may name, as far as an include by the parameter asks for it.
    fn canonicals(&self, param: &Param, includes: &[&Include], text: &str) -> Vec<Canonical> {
        let CanonicalUrl { url, version, .. } = CanonicalUrl::parse(text);
        let by: Vec<_> =
            includes.iter().filter(|include| include.code.as_deref() == Some(&*param.code)).collect();
        let types = self.definitions().resource_types();
        let wanted = types.filter(|name| {
            by.iter().any(|include| include.is_to(name))
                && param.leads_to(name)
                && self.has_canonical_url(name)
        });
        let canonical = |name: &str| Canonical {
            type_name: name.into(),
            url: url.to_owned(),
            version: version.map(str::to_owned),
        };
        wanted.map(canonical).collect()
    }

    /// True for types whose resources are named by canonical urls.
    pub fn has_canonical_url(&self, type_name: &str) -> bool {
        self.parameters().get(type_name, "url").is_some_and(|url| url.kind == ParameterKind::Uri)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use fhir_model::json::{Doc, JsonLimits};
    use fhir_profiles::Definitions;

    use super::*;

    #[test]
    fn so_many_canonical_urls_are_followed_and_no_more() {
        let registry = Registry::load(Arc::new(Definitions::load().unwrap())).unwrap();
        let by =
            Include { code: Some("depends-on".into()), target: Some("Library".into()), ..Include::default() };
        for (many, is_followed) in [(CANONICALS_MAX - 1, true), (CANONICALS_MAX, false)] {
            let artifacts: Vec<_> = (0..many)
                .map(|n| format!(r#"{{"type": "depends-on", "resource": "http://e/{n}|1"}}"#))
                .collect();
            let text =
                format!(r#"{{"resourceType": "Library", "relatedArtifact": [{}]}}"#, artifacts.join(","));
            let doc = Doc::parse(text, JsonLimits::NONE).unwrap();
            let mut found = Followed::default();
            let followed = registry.follow("Library", &[&by], doc.root(), &Bases::default(), &mut found);
            assert_eq!((followed.is_ok(), found.canonicals.len()), (is_followed, many));
        }
    }
}
