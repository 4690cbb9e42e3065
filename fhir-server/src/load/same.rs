//! Whether a resource is there already, as it would be written.

use std::borrow::Cow;

use fhir_model::Key;
use fhir_model::json::Ref;
use fhir_model::reference::Reference;
use foldhash::HashMap;

/// What the full url of an entry becomes in the references of the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum UrlTarget {
    /// The resource of this name.
    Key(Key),
    /// What this search finds.
    Search(String),
}

/// The full urls of a Bundle's entries.
pub(super) type Urls = HashMap<String, UrlTarget>;

/// A search, and the `Type/id` that a stored reference has in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UrlMatch {
    pub(super) search: String,
    pub(super) to: String,
}

/// What must be so that `stored` is what writing `ours` would make of it; `None` when it is not, whatever searches find.
/// `full_url` is that of the entry. An id that `ours` does not have is the server's choice.
pub(super) fn same(
    ours: Ref<'_>,
    stored: Ref<'_>,
    urls: &Urls,
    full_url: Option<&str>,
) -> Option<Vec<UrlMatch>> {
    let mut comparison = Comparison { urls, base: base(full_url), leads: Vec::new() };
    comparison.resources(ours, stored).then_some(comparison.leads)
}

/// The server that a full url is of.
pub(super) fn base(full_url: Option<&str>) -> Option<&str> {
    match full_url.map(Reference::parse) {
        Some(Reference::Absolute(base, _)) => Some(base),
        _ => None,
    }
}

/// The full url that a url means: a relative one is below the base of the entry it stands in.
pub(super) fn absolute<'t>(url: &'t str, base: Option<&str>) -> Cow<'t, str> {
    match (base, Reference::parse(url)) {
        (Some(base), Reference::Relative(_)) => Cow::Owned(format!("{base}/{url}")),
        _ => Cow::Borrowed(url),
    }
}

/// Calls back with each full url that a text may speak of: the text itself, without a fragment, a version and the version
/// of a canonical; in a narrative, what stands between quotes.
pub(super) fn urls_in<'t>(text: &'t str, found: &mut dyn FnMut(&'t str)) {
    let is_narrative = text.contains('<');
    for part in text.split(|c| is_narrative && matches!(c, '"' | '\'')) {
        found(part);
        let (url, _) = split_url(part);
        if url.len() < part.len() {
            found(url);
        }
    }
}

/// A url, and what of it does not name the resource: `#fragment`, `|version`, `/_history/1`.
fn split_url(text: &str) -> (&str, &str) {
    let end = text.find(['#', '|']).into_iter().chain(text.find("/_history/")).min().unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

struct Comparison<'a> {
    urls: &'a Urls,
    base: Option<&'a str>,
    leads: Vec<UrlMatch>,
}

impl Comparison<'_> {
    fn resources(&mut self, ours: Ref<'_>, stored: Ref<'_>) -> bool {
        let chosen = ours.get("id").is_none();
        let owned = |c: &Ref<'_>| c.key_is("meta") || (chosen && c.key_is("id"));
        let rest = |resource: Ref<'_>| resource.children().filter(|c| !owned(c)).count();
        rest(ours) == rest(stored)
            && ours.children().filter(|c| !owned(c)).all(|c| self.member(c, stored))
            && self.metas(ours.get("meta"), stored.get("meta"))
    }

    /// The server owns `versionId` and `lastUpdated`.
    fn metas(&mut self, ours: Option<Ref<'_>>, stored: Option<Ref<'_>>) -> bool {
        fn kept<'d>(meta: Option<Ref<'d>>) -> impl Iterator<Item = Ref<'d>> + Clone {
            let owned = |c: &Ref<'_>| c.key_is("versionId") || c.key_is("lastUpdated");
            meta.into_iter().flat_map(Ref::children).filter(move |c| !owned(c))
        }
        let Some(stored) = stored else { return kept(ours).count() == 0 };
        kept(ours).count() == kept(Some(stored)).count() && kept(ours).all(|c| self.member(c, stored))
    }

    fn member(&mut self, ours: Ref<'_>, stored: Ref<'_>) -> bool {
        stored.get(&ours.key()).is_some_and(|stored| self.values(ours, stored))
    }

    fn values(&mut self, ours: Ref<'_>, stored: Ref<'_>) -> bool {
        if ours.kind() != stored.kind() {
            return false;
        }
        if ours.is_object() {
            return ours.children().count() == stored.children().count()
                && ours.children().all(|c| self.member(c, stored));
        }
        if ours.is_array() {
            return ours.children().count() == stored.children().count()
                && ours.children().zip(stored.children()).all(|(a, b)| self.values(a, b));
        }
        match (ours.str(), stored.str()) {
            (Some(ours), Some(stored)) => ours == stored || self.resolves(&ours, &stored),
            _ => ours.raw() == stored.raw(),
        }
    }

    /// True when the text `ours` became `stored` because urls of entries were replaced in it.
    fn resolves(&mut self, ours: &str, stored: &str) -> bool {
        if ours.contains('<') {
            return self.narrative(ours, stored);
        }
        if self.link(ours, stored) {
            return true;
        }
        // `Practitioner?identifier=...` became the practitioner that was found.
        matches!(Reference::parse(ours), Reference::Conditional(..)) && self.leads(ours, stored)
    }

    /// True when a search may have found this.
    fn leads(&mut self, search: &str, found: &str) -> bool {
        let of_type = |key: Key| search.split_once('?').is_some_and(|(name, _)| name == &*key.type_name);
        let may_be = match Reference::parse(found) {
            Reference::Relative(key) => of_type(key),
            _ => false,
        };
        if may_be {
            self.leads.push(UrlMatch { search: search.to_owned(), to: found.to_owned() });
        }
        may_be
    }

    fn link(&mut self, ours: &str, stored: &str) -> bool {
        let ((url, tail), (found, found_tail)) = (split_url(ours), split_url(stored));
        // The number of a version is the server's own.
        if tail != found_tail && !(tail.starts_with("/_history/") && found_tail.starts_with("/_history/")) {
            return false;
        }
        match self.urls.get(&*absolute(url, self.base)) {
            Some(UrlTarget::Key(key)) => found == key.to_string(),
            Some(UrlTarget::Search(search)) => self.leads(search, found),
            None => false,
        }
    }

    /// The parts between quotes may be links; all others stay as they are.
    fn narrative(&mut self, ours: &str, stored: &str) -> bool {
        let parts = |text| str::split(text, ['"', '\'']);
        let (ours, stored) = (parts(ours), parts(stored));
        ours.clone().count() == stored.clone().count()
            && ours.zip(stored).all(|(a, b)| a == b || self.link(a, b))
    }
}

#[cfg(test)]
mod tests {
    use fhir_model::json::{Doc, JsonLimits};
    use foldhash::HashMapExt;

    use super::*;

    fn doc(text: &str) -> Doc {
        Doc::parse(text, JsonLimits::default()).unwrap()
    }

    #[test]
    fn sameness_passes_over_what_the_server_owns_and_resolves() {
        let mut urls = HashMap::new();
        urls.insert("urn:uuid:1".to_owned(), UrlTarget::Key(Key::new("Patient", "1")));
        urls.insert("urn:uuid:12".to_owned(), UrlTarget::Search("Practitioner?x=12".into()));
        urls.insert("http://o/r/Patient/7".to_owned(), UrlTarget::Search("Patient?x=7".into()));
        let rows = [
            (r#"{"id":"a"}"#, r#"{"id":"a","meta":{"versionId":"1","lastUpdated":"2020"}}"#, true),
            (r#"{"id":"a"}"#, r#"{"id":"b"}"#, false),
            (r#"{"s":1}"#, r#"{"s":1,"id":"b"}"#, true),
            (r#"{"meta":{"versionId":"7"}}"#, r#"{"meta":{"versionId":"1"}}"#, true),
            (r#"{"meta":{"profile":["p"]}}"#, r#"{"meta":{"versionId":"1","profile":["p"]}}"#, true),
            (r#"{"meta":{"profile":["p"]}}"#, r#"{"meta":{"versionId":"1"}}"#, false),
            (r#"{"id":"a"}"#, r#"{"id":"a","meta":{"profile":["p"]}}"#, false),
            (r#"{"a":1,"b":[2]}"#, r#"{"b":[2],"a":1}"#, true),
            (r#"{"a":1.0}"#, r#"{"a":1.00}"#, false),
            (r#"{"a":1}"#, r#"{"a":1,"b":2}"#, false),
            (r#"{"a":[1,2]}"#, r#"{"a":[2,1]}"#, false),
            (r#"{"s":{"reference":"urn:uuid:1"}}"#, r#"{"s":{"reference":"Patient/1"}}"#, true),
            (r#"{"s":{"reference":"urn:uuid:1"}}"#, r#"{"s":{"reference":"Patient/2"}}"#, false),
            (r#"{"s":{"reference":"urn:uuid:1#p"}}"#, r#"{"s":{"reference":"Patient/1#p"}}"#, true),
            (r#"{"s":{"reference":"urn:uuid:1#p"}}"#, r#"{"s":{"reference":"Patient/1"}}"#, false),
            (r#"{"s":"urn:uuid:1/_history/7"}"#, r#"{"s":"Patient/1/_history/3"}"#, true),
            (r#"{"s":"urn:uuid:12"}"#, r#"{"s":"Practitioner/anything"}"#, true),
            (r#"{"s":"urn:uuid:12"}"#, r#"{"s":"Patient/anything"}"#, false),
            (r#"{"s":"urn:uuid:3"}"#, r#"{"s":"Patient/3"}"#, false),
            (r#"{"s":"<a href='urn:uuid:1'>x</a>"}"#, r#"{"s":"<a href='Patient/1'>x</a>"}"#, true),
            (r#"{"s":"<a href='urn:uuid:1'>x</a>"}"#, r#"{"s":"<a href='Patient/1'>y</a>"}"#, false),
            (r#"{"s":"<a href='urn:uuid:12'>x</a>"}"#, r#"{"s":"<a href='Practitioner/9'>x</a>"}"#, true),
            (r#"{"s":"Patient?identifier=x"}"#, r#"{"s":"Patient/9"}"#, true),
            (r#"{"s":"Patient?identifier=x"}"#, r#"{"s":"Group/9"}"#, false),
        ];
        for (ours, stored, wanted) in rows {
            let found = same(doc(ours).root(), doc(stored).root(), &urls, None);
            assert_eq!(found.is_some(), wanted, "{ours} {stored}");
        }
    }

    #[test]
    fn what_searches_must_find_is_told() {
        let mut urls = HashMap::new();
        urls.insert("urn:uuid:12".to_owned(), UrlTarget::Search("Practitioner?x=12".into()));
        urls.insert("http://o/r/Patient/7".to_owned(), UrlTarget::Search("Patient?x=7".into()));
        let at_o = Some("http://o/r/Observation/1");
        let rows = [
            ("urn:uuid:12", "Practitioner/9", None, Some("Practitioner?x=12 Practitioner/9")),
            ("urn:uuid:12#p", "Practitioner/9#p", None, Some("Practitioner?x=12 Practitioner/9")),
            ("urn:uuid:12", "Practitioner/9/a", None, None),
            ("Patient?identifier=s|1", "Patient/9", None, Some("Patient?identifier=s|1 Patient/9")),
            ("a?b", "a/9", None, None),
            ("Patient/7", "Patient/9", at_o, Some("Patient?x=7 Patient/9")),
            ("Patient/7/_history/2", "Patient/9/_history/1", at_o, Some("Patient?x=7 Patient/9")),
            ("Patient/7", "Patient/7", at_o, Some("")),
            ("Patient/8", "Patient/9", at_o, None),
            ("Patient/7", "Patient/9", Some("http://other/Observation/1"), None),
            ("Patient/7", "Patient/9", Some("urn:uuid:1"), None),
        ];
        for (ours, stored, full_url, wanted) in rows {
            let [ours, stored] = [ours, stored].map(|text| doc(&format!(r#"{{"s":"{text}"}}"#)));
            let found = same(ours.root(), stored.root(), &urls, full_url);
            let told = |leads: Vec<UrlMatch>| {
                leads.iter().map(|l| format!("{} {}", l.search, l.to)).collect::<String>()
            };
            assert_eq!(found.map(told).as_deref(), wanted, "{} {}", ours.text(), stored.text());
        }
    }

    #[test]
    fn urls_are_found_in_texts_and_narratives() {
        let rows: [(&str, &[&str]); 4] = [
            ("urn:uuid:1", &["urn:uuid:1"]),
            ("urn:uuid:1#p", &["urn:uuid:1#p", "urn:uuid:1"]),
            ("http://a/q|1", &["http://a/q|1", "http://a/q"]),
            ("<a href=\"urn:uuid:1\">x</a>", &["<a href=", "urn:uuid:1", ">x</a>"]),
        ];
        for (text, wanted) in rows {
            let mut found = Vec::new();
            urls_in(text, &mut |url| found.push(url));
            assert_eq!(found, wanted, "{text}");
        }
    }
}
