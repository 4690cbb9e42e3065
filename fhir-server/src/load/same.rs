//! Whether a resource is there already, as it would be written.

use fhir_model::Key;
use fhir_model::json::Ref;
use foldhash::HashMap;

/// What the full url of an entry becomes in the references of the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum UrlTarget {
    /// The resource of this name.
    Key(Key),
    /// A resource of this type; only the server knows which.
    Type(String),
}

/// The full urls of a Bundle's entries.
pub(super) type Urls = HashMap<String, UrlTarget>;

/// True when `stored` is what writing `ours` would make of it. An id that `ours` does not have is the server's choice.
pub(super) fn same(ours: Ref<'_>, stored: Ref<'_>, urls: &Urls) -> bool {
    Comparison { urls }.resources(ours, stored)
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
}

impl Comparison<'_> {
    fn resources(&self, ours: Ref<'_>, stored: Ref<'_>) -> bool {
        let chosen = ours.get("id").is_none();
        let owned = |c: &Ref<'_>| c.key_is("meta") || (chosen && c.key_is("id"));
        let rest = |resource: Ref<'_>| resource.children().filter(|c| !owned(c)).count();
        rest(ours) == rest(stored)
            && ours.children().filter(|c| !owned(c)).all(|c| self.member(c, stored))
            && self.metas(ours.get("meta"), stored.get("meta"))
    }

    /// The server owns `versionId` and `lastUpdated`.
    fn metas(&self, ours: Option<Ref<'_>>, stored: Option<Ref<'_>>) -> bool {
        fn kept<'d>(meta: Option<Ref<'d>>) -> impl Iterator<Item = Ref<'d>> + Clone {
            let owned = |c: &Ref<'_>| c.key_is("versionId") || c.key_is("lastUpdated");
            meta.into_iter().flat_map(Ref::children).filter(move |c| !owned(c))
        }
        let Some(stored) = stored else { return kept(ours).count() == 0 };
        kept(ours).count() == kept(Some(stored)).count() && kept(ours).all(|c| self.member(c, stored))
    }

    fn member(&self, ours: Ref<'_>, stored: Ref<'_>) -> bool {
        stored.get(&ours.key()).is_some_and(|stored| self.values(ours, stored))
    }

    fn values(&self, ours: Ref<'_>, stored: Ref<'_>) -> bool {
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
    fn resolves(&self, ours: &str, stored: &str) -> bool {
        if ours.contains('<') {
            return self.narrative(ours, stored);
        }
        if self.link(ours, stored) {
            return true;
        }
        // `Practitioner?identifier=...` became the practitioner that was found.
        match (stored.split_once('/'), ours.split_once('?')) {
            (Some((found, _)), Some((wanted, _))) => {
                found == wanted && found.starts_with(|c: char| c.is_ascii_uppercase())
            }
            _ => false,
        }
    }

    fn link(&self, ours: &str, stored: &str) -> bool {
        let ((url, tail), (found, found_tail)) = (split_url(ours), split_url(stored));
        // The number of a version is the server's own.
        if tail != found_tail && !(tail.starts_with("/_history/") && found_tail.starts_with("/_history/")) {
            return false;
        }
        match self.urls.get(url) {
            Some(UrlTarget::Key(key)) => found
                .split_once('/')
                .is_some_and(|(type_name, id)| *key.type_name == *type_name && *key.id == *id),
            Some(UrlTarget::Type(type_name)) => {
                found.split_once('/').is_some_and(|(found, id)| found == type_name && Key::is_id(id))
            }
            None => false,
        }
    }

    /// The parts between quotes may be links; all others stay as they are.
    fn narrative(&self, ours: &str, stored: &str) -> bool {
        let parts = |text| str::split(text, ['"', '\'']);
        let (ours, stored) = (parts(ours), parts(stored));
        ours.clone().count() == stored.clone().count()
            && ours.zip(stored).all(|(a, b)| a == b || self.link(a, b))
    }
}

#[cfg(test)]
mod tests {
    use fhir_model::json::{Doc, Limits};
    use foldhash::HashMapExt;

    use super::*;

    fn doc(text: &str) -> Doc {
        Doc::parse(text, Limits::default()).unwrap()
    }

    #[test]
    fn sameness_passes_over_what_the_server_owns_and_resolves() {
        let mut urls = HashMap::new();
        urls.insert("urn:uuid:1".to_owned(), UrlTarget::Key(Key::new("Patient", "1")));
        urls.insert("urn:uuid:12".to_owned(), UrlTarget::Type("Practitioner".to_owned()));
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
            assert_eq!(same(doc(ours).root(), doc(stored).root(), &urls), wanted, "{ours} {stored}");
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
