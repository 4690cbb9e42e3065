//! Canonical urls as they are written: `url|version#fragment`. <https://hl7.org/fhir/R4/references.html#canonical>

use std::borrow::Cow;

/// The parts of a canonical url.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CanonicalUrl<'t> {
    /// What names the resource, whatever its version.
    pub(crate) url: &'t str,
    /// The business version, where one is named.
    pub(crate) version: Option<&'t str>,
    /// It names something within the resource.
    pub(crate) has_fragment: bool,
}

impl<'t> CanonicalUrl<'t> {
    /// The parts of a text.
    pub(crate) fn parse(text: &'t str) -> CanonicalUrl<'t> {
        let (url, version) = text.split_once('|').map_or((text, None), |(url, v)| (url, Some(v)));
        let whole = |part: &'t str| part.split('#').next().unwrap_or(part);
        let version = version.map(whole).filter(|version| !version.is_empty());
        CanonicalUrl { url: whole(url), version, has_fragment: text.contains('#') }
    }

    /// The resource that it names: without the fragment.
    pub(crate) fn resource(self) -> Cow<'t, str> {
        match self.version {
            Some(version) => format!("{}|{version}", self.url).into(),
            None => self.url.into(),
        }
    }
}

/// A version and what it begins with: `1`, `1.2` and `1.2.3` of `1.2.3`.
pub(crate) fn beginnings(version: &str) -> impl Iterator<Item = &str> {
    let dots = version.match_indices('.').map(|(at, _)| at);
    dots.chain([version.len()]).filter_map(|at| version.get(..at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_canonical_url() {
        let rows = [
            ("http://e/x", "http://e/x", None, "http://e/x"),
            ("http://e/x|1.0", "http://e/x", Some("1.0"), "http://e/x|1.0"),
            ("http://e/x#a", "http://e/x", None, "http://e/x"),
            ("http://e/x|1.0#a", "http://e/x", Some("1.0"), "http://e/x|1.0"),
            ("http://e/x#a|1.0", "http://e/x", Some("1.0"), "http://e/x|1.0"),
            ("http://e/x|", "http://e/x", None, "http://e/x"),
        ];
        for (text, url, version, resource) in rows {
            let parts = CanonicalUrl::parse(text);
            assert_eq!((parts.url, parts.version, &*parts.resource()), (url, version, resource), "{text}");
        }
        assert_eq!(beginnings("1.2.3").collect::<Vec<_>>(), ["1", "1.2", "1.2.3"]);
    }
}
