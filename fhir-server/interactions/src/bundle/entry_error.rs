//! Errors of entries, as errors of the Bundle: which entry it is, and where in it the fault lies.

use fhir_model::error::Issue;
use fhir_model::{Error, Kind};

/// Adds to an error in which entry of the transaction it is.
pub(super) fn in_entry(error: Error, at: usize) -> Error {
    error.map_issues(|issue| issue_in_entry(issue, at))
}

/// The same of one issue.
pub(super) fn issue_in_entry(issue: Issue, at: usize) -> Issue {
    let kind = match issue.kind {
        // The method and the format of the transaction itself are right.
        Kind::MethodNotAllowed | Kind::UnsupportedMediaType => Kind::NotSupported,
        kind => kind,
    };
    Issue { kind, text: format!("entry {at}: {}", issue.text), ..issue_located(issue, at) }
}

/// Leads to the fault from the Bundle, not from the entry or its resource.
pub(super) fn located(error: Error, at: usize) -> Error {
    error.map_issues(|issue| issue_located(issue, at))
}

/// The same of one issue.
pub(super) fn issue_located(mut issue: Issue, at: usize) -> Issue {
    let entry = format!("Bundle.entry[{at}]");
    match issue.expression.is_empty() {
        true => issue.expression.push(entry),
        false => {
            issue.expression.iter_mut().for_each(|path| *path = format!("{entry}.{}", below_entry(path)))
        }
    }
    issue
}

/// The expression of an error in a request of its own, as an expression within the entry.
fn below_entry(path: &str) -> String {
    let first = path.split(['.', '[']).next().unwrap_or_default();
    match (path.strip_prefix("http."), first) {
        (Some("If-Match"), _) => "request.ifMatch".to_owned(),
        (Some("If-None-Match"), _) => "request.ifNoneMatch".to_owned(),
        (Some("If-None-Exist"), _) => "request.ifNoneExist".to_owned(),
        (_, "request" | "resource" | "fullUrl") => path.to_owned(),
        // `Patient.name[0]`: the resource. Types alone begin with a capital.
        _ if first.starts_with(|c: char| c.is_ascii_uppercase()) => {
            format!("resource{}", path.strip_prefix(first).unwrap_or_default())
        }
        // A parameter.
        _ => "request.url".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_lead_from_the_bundle() {
        let rows = [
            (vec![], "Bundle.entry[3]"),
            (vec!["Patient.id"], "Bundle.entry[3].resource.id"),
            (vec!["Patient"], "Bundle.entry[3].resource"),
            (vec!["Bundle.entry[0].resource"], "Bundle.entry[3].resource.entry[0].resource"),
            (vec!["resource"], "Bundle.entry[3].resource"),
            (vec!["request.url"], "Bundle.entry[3].request.url"),
            (vec!["fullUrl"], "Bundle.entry[3].fullUrl"),
            (vec!["birthdate"], "Bundle.entry[3].request.url"),
            (vec!["http.If-Match"], "Bundle.entry[3].request.ifMatch"),
            (vec!["Patient.a", "Patient.b"], "Bundle.entry[3].resource.a Bundle.entry[3].resource.b"),
        ];
        for (sent, wanted) in rows {
            let error = sent.iter().fold(Error::invalid("x"), |error, path| error.at(*path));
            let found = in_entry(error, 3);
            assert_eq!((found.expression.join(" ").as_str(), found.text.as_str()), (wanted, "entry 3: x"));
        }
    }
}
