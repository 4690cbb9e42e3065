//! `uri` parameters: <https://hl7.org/fhir/R4/search.html#uri>. Exact, case included.
//!
//! `:below` finds the uris that begin with a text: among the distinct ones, which are kept beside the index.
//! `:above` finds the uris that are one of the paths a uri goes through: `http://a.org/x` is above `http://a.org/x/y`.
//!
//! A canonical url is found with and without its version and its fragment. A resource that has a `url` and a `version` is
//! found by `url|version`, too, and `:below` and `:above` with a version are about versions: `url|1.2` is below `url|1`.

use std::sync::Arc;

use fhir_model::json::Ref;
use fhir_model::{Error, Result};

use crate::canonical::{CanonicalUrl, beginnings};
use crate::condition::Condition;
use crate::index_hash::{Form, IndexHasher};
use crate::index_writer::IndexWriter;
use crate::param::{Index, Param};
use crate::query::Modifier;
use crate::reference;
use crate::windows::WINDOW_BYTES_MAX;

pub(crate) fn index(value: Ref<'_>, type_name: &str, writer: &mut IndexWriter<'_>) {
    let Some(text) = value.str() else { return };
    writer.equality(Form::Uri, &[&text]);
    // Nothing is below a URN.
    if !writer.index.part && !text.starts_with("urn:") {
        let token = writer.key(Form::Uri, &[&text]);
        writer.distinct(Form::Uri, &text, token);
    }
    match type_name {
        "canonical" => named_by(&text, writer),
        _ if writer.index.is_own_url() => {
            if let Some(version) = writer.resource.get_str("version") {
                writer.equality(Form::Uri, &[&format!("{text}|{version}")]);
                versions(&text, &version, writer);
            }
        }
        _ => {}
    }
}

/// A canonical url is found without its fragment and its version, too.
fn named_by(text: &str, writer: &mut IndexWriter<'_>) {
    let parts = CanonicalUrl::parse(text);
    let resource = parts.resource();
    if *resource != *text {
        writer.equality(Form::Uri, &[&resource]);
    }
    if let Some(version) = parts.version {
        writer.equality(Form::Uri, &[parts.url]);
        versions(parts.url, version, writer);
    }
}

fn versions(url: &str, version: &str, writer: &mut IndexWriter<'_>) {
    for beginning in beginnings(version) {
        writer.equality(Form::Version, &[url, beginning]);
    }
}

pub(crate) fn condition(text: &str, modifier: &Modifier, param: &Param, hasher: &IndexHasher) -> Condition {
    // `url|1.2` is below `url|1`.
    let by_version = text.contains('|') && param.indexes.iter().any(|i| i.has_versions());
    if *modifier == Modifier::Below && by_version {
        return reference::by_version(text, true, param, hasher);
    }
    if *modifier == Modifier::Below {
        let key = |i: &Arc<Index>| hasher.key(param.type_number, &i.name, Form::Uri, &[]);
        let each = param.indexes.iter().map(|i| Condition::Distinct(key(i), text.to_owned()));
        return Condition::Any(each.collect());
    }
    let texts = if *modifier == Modifier::Above { above(text) } else { vec![text] };
    let of_index = |i: &Arc<Index>, text| hasher.key(param.type_number, &i.name, Form::Uri, &[text]);
    let keys = param.indexes.iter().flat_map(|i| texts.iter().map(move |text| of_index(i, text)));
    let found = Condition::Keys(keys.collect());
    match *modifier == Modifier::Above && by_version {
        true => Condition::Any(vec![found, reference::by_version(text, false, param, hasher)]),
        false => found,
    }
}

/// The uri and all that are above it: without its last segments, with and without the slash before them, down to the
/// host.
fn above(uri: &str) -> Vec<&str> {
    let mut found = vec![uri];
    let Some(host) = uri.find("://").map(|at| at + 3) else { return found };
    let slashes = uri.match_indices('/').map(|(at, _)| at).filter(|at| *at > host);
    for at in slashes {
        found.extend([uri.get(..at), uri.get(..=at)].into_iter().flatten());
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// A uri of a query with `:above` or `:below`, which say nothing about URNs.
pub(crate) fn parse(text: String, modifier: &Modifier) -> Result<String> {
    match modifier {
        Modifier::Above | Modifier::Below if text.starts_with("urn:") => Err(Error::value(format!(
            "`{text}` is a URN, and nothing is above or below it: leave out the modifier"
        ))),
        Modifier::Below if text.len() > WINDOW_BYTES_MAX => {
            Err(Error::value(format!("a value of `:below` has at most {WINDOW_BYTES_MAX} bytes")))
        }
        _ => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::above;

    #[test]
    fn what_is_above_a_uri() {
        assert_eq!(above("http://a/b"), ["http://a", "http://a/", "http://a/b"]);
        assert_eq!(
            above("http://a/b/c/"),
            ["http://a", "http://a/", "http://a/b", "http://a/b/", "http://a/b/c", "http://a/b/c/"]
        );
        assert_eq!(above("x/y"), ["x/y"]);
    }
}
