//! A history sent to the base: its versions are written anew, oldest first.
//!
//! <https://hl7.org/fhir/R4/http.html#transaction>: for copies of a server. Ids stay, as everything in the history refers
//! to them: what was created by `POST` is written by `PUT` to its id. Each version becomes one of this server's, with this
//! server's number and time. Like the entries of a batch, each is answered for itself, and the history of one resource
//! does not wait for that of another.

use std::collections::HashMap;

use fhir_model::interaction::{Interaction, Method};
use fhir_model::json::Ref;
use fhir_model::reference::Reference;
use fhir_model::{Error, Key, Result};

use super::entries::{Entry, method};
use super::entry_error::in_entry;
use super::order::{Parsed, Sequence};
use crate::check::id_of;
use crate::conditions::Conditions;

/// The entries as they are written (`None` for one that writes nothing), and in which order.
///
/// # Errors
/// When the versions of a resource are not newest first: the last to be written would not be the last there was.
pub(super) fn entries<'d>(refs: &[Ref<'d>]) -> Result<(Parsed<'d>, Vec<Sequence>)> {
    let entries: Parsed<'d> = refs.iter().map(|entry| version(*entry)).collect();
    let mut sequences: Vec<Sequence> = Vec::new();
    let mut places: HashMap<String, (usize, Option<u64>)> = HashMap::new();
    for (at, (entry, json)) in entries.iter().zip(refs).enumerate().rev() {
        let Ok(Some(entry)) = entry else { continue };
        let number = number(*json);
        let (place, last) = places.entry(entry.path.clone()).or_insert((sequences.len(), number));
        if let (Some(number), Some(last)) = (number, *last)
            && number < last
        {
            let text = format!(
                "a later version of {} comes after this one, but a history is newest first",
                entry.path
            );
            return Err(in_entry(Error::invalid(text), at));
        }
        *last = number.or(*last);
        match sequences.get_mut(*place) {
            Some(sequence) => sequence.push(at),
            None => sequences.push(vec![at]),
        }
    }
    Ok((entries, sequences))
}

/// The entry that writes one version. Returns `None` for an OperationOutcome about the history itself.
fn version(entry: Ref<'_>) -> Result<Option<Entry<'_>>> {
    let Some(request) = entry.get("request").filter(|request| request.is_object()) else {
        return Err(Error::invalid("an entry of a history has a `request`").at("request"));
    };
    let sent = method(request)?;
    if matches!(sent, Method::Get | Method::Head) {
        return Ok(None);
    }
    let resource = entry.get("resource");
    let key = key(entry, request, resource)?;
    let (method, interaction, resource) = match (sent, resource) {
        (Method::Delete, _) => (Method::Delete, Interaction::Delete(key.clone()), None),
        (_, Some(resource)) => (Method::Put, Interaction::Update(key.clone()), Some(resource)),
        (_, None) => return Err(Error::invalid("the entry has no `resource`").at("resource")),
    };
    Ok(Some(Entry {
        full_url: None,
        method,
        path: key.to_string(),
        query: String::new(),
        interaction,
        resource,
        conditions: Conditions::default(),
    }))
}

/// The resource an entry is about: all that names it must agree.
fn key(entry: Ref<'_>, request: Ref<'_>, resource: Option<Ref<'_>>) -> Result<Key> {
    let mut found: Option<Key> = None;
    let own = match resource.and_then(|resource| Some((resource, resource.get_str("resourceType")?))) {
        Some((resource, type_name)) => id_of(resource, &type_name)?.map(|id| Key::new(&*type_name, &*id)),
        None => None,
    };
    let url = |holder: Ref<'_>, name: &str| match Reference::parse(&holder.get_str(name)?) {
        Reference::Relative(key) | Reference::Absolute(_, key) => Some(key),
        _ => None,
    };
    let names = [("resource", own), ("request.url", url(request, "url")), ("fullUrl", url(entry, "fullUrl"))];
    for (place, key) in names {
        match (&found, key) {
            (Some(found), Some(key)) if *found != key => {
                let text = format!("the entry speaks of {found} and of {key}");
                return Err(Error::invalid(text).at(place));
            }
            (None, Some(key)) => found = Some(key),
            _ => {}
        }
    }
    found.ok_or_else(|| Error::invalid("the entry does not say which resource it is about").at("request.url"))
}

/// The number of a version, where it is one.
fn number(entry: Ref<'_>) -> Option<u64> {
    let of_resource = || entry.get("resource")?.get("meta")?.get_str("versionId");
    let of_response = || entry.get("response")?.get_str("etag");
    let text = of_resource().or_else(of_response)?;
    text.trim_start_matches("W/").trim_matches('"').parse().ok()
}
