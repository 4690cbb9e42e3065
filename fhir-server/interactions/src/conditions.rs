//! Conditions on versions and times: <https://hl7.org/fhir/R4/http.html#concurrency>,
//! <https://hl7.org/fhir/R4/http.html#cread>

use fhir_model::date::format_instant;
use fhir_model::{Error, Key, Kind, Result};

/// The conditional headers, or their namesakes in `Bundle.entry.request`, as they were sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conditions {
    /// `If-Match`: the version that is to be changed.
    pub if_match: Option<String>,
    /// `If-None-Match`: the version the client has; `*` with an update: only if nothing is there.
    pub if_none_match: Option<String>,
    /// `If-Modified-Since`, µs since 1970.
    pub if_modified_since: Option<i64>,
    /// `If-Unmodified-Since`, µs since 1970.
    pub if_unmodified_since: Option<i64>,
    /// `If-None-Exist`: search criteria that must find nothing for a create.
    pub if_none_exist: Option<String>,
}

impl Conditions {
    /// Whether a resource that is at a version of a time, or not there, may be changed. `required`: an existing one is
    /// changed only by version.
    ///
    /// The order is that of <https://www.rfc-editor.org/rfc/rfc9110#section-13.2.2>: a time counts only where no version
    /// is named, and not of what is not there.
    ///
    /// # Errors
    /// 412 when a condition does not hold, 400 for a header that cannot be read.
    pub(crate) fn permit(&self, key: &Key, current: Option<(u32, i64)>, required: bool) -> Result<()> {
        let failed = |text: String| Err(Error::new(Kind::Precondition, text));
        if let (None, Some(until), Some((_, updated_at))) =
            (&self.if_match, self.if_unmodified_since, current)
            && !is_by(updated_at, until)
        {
            let (until, at) = (format_instant(until), format_instant(updated_at));
            return failed(format!("If-Unmodified-Since is {until}, but {key} was changed at {at}"));
        }
        let current = current.map(|(version, _)| version);
        match (&self.if_match, current) {
            (Some(sent), None) => return failed(format!("If-Match is {sent}, but there is no {key}")),
            (Some(sent), Some(current)) if !Tags::parse("If-Match", sent)?.have(current) => {
                return failed(format!("If-Match is {sent}, but {key} is at version {current}"));
            }
            (None, Some(_)) if required => {
                return failed(format!(
                    "this server changes {key} only with If-Match and the version that is meant"
                ));
            }
            _ => {}
        }
        if let (Some(sent), Some(current)) = (&self.if_none_match, current)
            && Tags::parse("If-None-Match", sent)?.have(current)
        {
            return failed(format!("If-None-Match is {sent}, but {key} is there at version {current}"));
        }
        Ok(())
    }

    /// Whether the client has this version already.
    pub(crate) fn not_modified(&self, version: u32, updated_at: i64) -> Result<bool> {
        if let Some(sent) = &self.if_none_match {
            return Ok(Tags::parse("If-None-Match", sent)?.have(version));
        }
        Ok(self.if_modified_since.is_some_and(|since| is_by(updated_at, since)))
    }
}

/// True when the one time is not after the other, as far as HTTP dates tell: they have seconds.
fn is_by(time: i64, limit: i64) -> bool {
    let second = 1_000_000;
    time.div_euclid(second) <= limit.div_euclid(second)
}

/// The entity tags of a header.
enum Tags {
    Any,
    Versions(Vec<u32>),
}

impl Tags {
    /// Reads `*`, `W/"3"`, `"3"`, `3` or a list, whose empty places mean nothing
    /// (<https://www.rfc-editor.org/rfc/rfc9110#section-5.6.1>). A tag that is no version of ours matches nothing.
    fn parse(header: &str, text: &str) -> Result<Tags> {
        if text.trim() == "*" {
            return Ok(Tags::Any);
        }
        let mut versions = Vec::new();
        let tags = text.split(',').map(str::trim).filter(|tag| !tag.is_empty());
        // A header that says nothing is not one that is not there.
        let none = if text.split(',').all(|tag| tag.trim().is_empty()) { Some("") } else { None };
        for tag in tags.chain(none) {
            let bare = tag.strip_prefix("W/").unwrap_or(tag);
            let inner = bare.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(bare);
            if inner.is_empty() || inner.contains('"') {
                return Err(Error::invalid(format!("{header} is W/\"<version>\", not `{text}`"))
                    .at(format!("http.{header}")));
            }
            versions.extend(inner.parse::<u32>());
        }
        Ok(Tags::Versions(versions))
    }

    fn have(&self, version: u32) -> bool {
        match self {
            Tags::Any => true,
            Tags::Versions(versions) => versions.contains(&version),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_are_permitted_by_version() {
        // If-Match, If-None-Match, current version (0: none), required -> status (0: permitted)
        let rows = [
            (None, None, 3, false, 0),
            (None, None, 3, true, 412),
            (None, None, 0, true, 0),
            (Some("W/\"3\""), None, 3, true, 0),
            (Some("\"3\""), None, 3, false, 0),
            (Some("3"), None, 3, false, 0),
            (Some("W/\"2\", W/\"3\""), None, 3, false, 0),
            (Some(", W/\"2\",, W/\"3\", "), None, 3, false, 0),
            (Some(" , "), None, 3, false, 400),
            (Some("*"), None, 3, false, 0),
            (Some("W/\"2\""), None, 3, false, 412),
            (Some("W/\"abc\""), None, 3, false, 412),
            (Some("W/\"3\""), None, 0, false, 412),
            (Some("*"), None, 0, false, 412),
            (Some(""), None, 3, false, 400),
            (Some("W/\"3"), None, 3, false, 400),
            (None, Some("*"), 0, false, 0),
            (None, Some("*"), 3, false, 412),
            (None, Some("W/\"3\""), 3, false, 412),
            (None, Some("W/\"2\""), 3, false, 0),
        ];
        for (if_match, if_none_match, current, required, status) in rows {
            let conditions = Conditions {
                if_match: if_match.map(str::to_owned),
                if_none_match: if_none_match.map(str::to_owned),
                ..Conditions::default()
            };
            let there = (current != 0).then_some((current, 0));
            let found = conditions.permit(&Key::new("Patient", "1"), there, required);
            assert_eq!(
                found.map_or_else(|e| e.kind.status(), |()| 0),
                status,
                "{if_match:?} {if_none_match:?} {current}"
            );
        }
    }

    #[test]
    fn writes_are_permitted_by_time() {
        let at = |seconds: i64| Some(seconds * 1_000_000);
        // If-Unmodified-Since, If-Match, If-None-Match, changed at (µs; none: not there) -> status (0: permitted)
        let rows = [
            (at(10), None, None, Some(10_000_000), 0),
            // Within the same second.
            (at(10), None, None, Some(10_999_999), 0),
            (at(10), None, None, Some(11_000_000), 412),
            (at(9), None, None, Some(10_000_000), 412),
            (at(9), None, None, None, 0),
            // The tag is the better witness, either way.
            (at(9), Some("W/\"3\""), None, Some(10_000_000), 0),
            (at(11), Some("W/\"2\""), None, Some(10_000_000), 412),
            (at(11), None, Some("*"), Some(10_000_000), 412),
            (at(9), None, Some("W/\"2\""), Some(10_000_000), 412),
        ];
        for (if_unmodified_since, if_match, if_none_match, changed, status) in rows {
            let conditions = Conditions {
                if_match: if_match.map(str::to_owned),
                if_none_match: if_none_match.map(str::to_owned),
                if_unmodified_since,
                ..Conditions::default()
            };
            let current = changed.map(|at| (3, at));
            let found = conditions.permit(&Key::new("Patient", "1"), current, false);
            let found = found.map_or_else(|e| e.kind.status(), |()| 0);
            assert_eq!(found, status, "{if_unmodified_since:?} {if_match:?} {if_none_match:?} {changed:?}");
        }
    }

    #[test]
    fn reads_are_saved_for_what_the_client_has() {
        let rows = [
            (None, None, false),
            (Some("W/\"3\""), None, true),
            (Some("W/\"2\""), None, false),
            (None, Some(1_700_000_000_000_000), true),
            (None, Some(1_699_999_999_000_000), false),
            // The tag is the better witness.
            (Some("W/\"2\""), Some(1_700_000_000_000_000), false),
        ];
        for (if_none_match, if_modified_since, same) in rows {
            let conditions = Conditions {
                if_none_match: if_none_match.map(str::to_owned),
                if_modified_since,
                ..Conditions::default()
            };
            assert_eq!(
                conditions.not_modified(3, 1_700_000_000_500_000).unwrap(),
                same,
                "{if_none_match:?} {if_modified_since:?}"
            );
        }
    }
}
