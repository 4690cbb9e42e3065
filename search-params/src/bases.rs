//! The urls a server is known by: <https://hl7.org/fhir/R4/references.html#literal>

use fhir_model::interaction::{MOUNTS, ORGANIZATION};

/// The base urls of one server. An absolute reference below any of them is the same as a relative one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bases(Vec<Base>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Base {
    /// `http://example.org:8080`: upper and lower case are the same here.
    origin: Box<str>,
    /// `/fhir/R4`: here they are not.
    path: Box<str>,
}

impl Bases {
    /// From urls such as `https://example.org/fhir/R4`.
    pub fn new<U: AsRef<str>>(urls: impl IntoIterator<Item = U>) -> Bases {
        let mut bases = Bases::default();
        for url in urls {
            let base = Base::parse(url.as_ref());
            if !bases.0.contains(&base) {
                bases.0.push(base);
            }
        }
        bases
    }

    /// The urls, in lower case where case does not matter.
    pub fn urls(&self) -> Vec<String> {
        self.0.iter().map(|base| format!("{}{}", base.origin.to_ascii_lowercase(), base.path)).collect()
    }

    /// True when this url is one of them.
    pub fn contains(&self, url: &str) -> bool {
        self.0.iter().any(|base| base.after(url) == Some(""))
    }

    /// These and one more.
    #[must_use]
    pub fn with(&self, url: &str) -> Bases {
        let mut bases = self.clone();
        bases.0.push(Base::parse(url));
        bases
    }

    /// These and the same for an organisation: `https://example.org/o/clinic/fhir/R4`.
    #[must_use]
    pub fn with_organization(&self, slug: &str) -> Bases {
        let own = self.0.iter().filter_map(|base| {
            let cut = |mount: &'static str| Some((base.path.strip_suffix(mount)?, mount));
            let (before, mount) = MOUNTS.into_iter().find_map(cut)?;
            Some(Base { path: format!("{before}{ORGANIZATION}{slug}{mount}").into(), ..base.clone() })
        });
        Bases(self.0.iter().cloned().chain(own).collect())
    }

    /// What follows the base in a url below one: `Patient/1`.
    pub fn below<'t>(&self, url: &'t str) -> Option<&'t str> {
        self.0.iter().find_map(|base| base.after(url)?.strip_prefix('/'))
    }
}

impl Base {
    fn parse(url: &str) -> Base {
        let url = url.trim_end_matches('/');
        let host = url.find("://").map_or(0, |at| at + 3);
        let path = url.get(host..).and_then(|rest| rest.find('/')).map_or(url.len(), |at| host + at);
        let (origin, path) = url.split_at_checked(path).unwrap_or((url, ""));
        Base { origin: origin.into(), path: path.into() }
    }

    fn after<'t>(&self, url: &'t str) -> Option<&'t str> {
        let (origin, rest) = url.split_at_checked(self.origin.len())?;
        if !origin.eq_ignore_ascii_case(&self.origin) {
            return None;
        }
        rest.strip_prefix(&*self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_below_a_base() {
        let bases =
            Bases::new(["https://example.org/ehr/fhir/R4/", "http://localhost:8080/fhir", "http://us"]);
        for (url, below) in [
            ("https://example.org/ehr/fhir/R4/Patient/1", Some("Patient/1")),
            ("HTTPS://Example.org/ehr/fhir/R4/Patient/1", Some("Patient/1")),
            ("https://example.org/ehr/FHIR/R4/Patient/1", None),
            ("https://example.org/ehr/fhir/R4", None),
            ("https://example.org/ehr/fhir/R4x/Patient/1", None),
            ("https://example.org.evil/ehr/fhir/R4/Patient/1", None),
            ("http://example.org/ehr/fhir/R4/Patient/1", None),
            ("http://localhost:8080/fhir/Patient/1", Some("Patient/1")),
            ("http://localhost:80/fhir/Patient/1", None),
            ("http://us/Patient/1", Some("Patient/1")),
            ("http://usher/Patient/1", None),
            ("Patient/1", None),
            ("", None),
            ("ä", None),
        ] {
            assert_eq!(bases.below(url), below, "{url}");
        }
        assert_eq!(Bases::default().below("/Patient/1"), None);
    }

    #[test]
    fn one_more() {
        let bases = Bases::new(["http://us/fhir", "http://US/fhir/"]);
        assert!(
            bases.contains("http://us/fhir")
                && bases.contains("http://US/fhir")
                && !bases.contains("http://us")
        );
        assert_eq!(bases.with("http://them").below("http://them/Patient/1"), Some("Patient/1"));
    }
}
