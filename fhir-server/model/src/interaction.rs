//! What a request asks for: the one place that reads methods and paths, for HTTP and Bundle entries alike.
//!
//! <https://hl7.org/fhir/R4/http.html#summary>

use std::fmt;

use crate::types::Types;
use crate::url::segment;
use crate::{Error, Key, Kind, Result};

/// Where FHIR is mounted; the first that fits is taken.
pub const MOUNTS: [&str; 2] = ["/fhir/R4", "/fhir"];

/// What stands before the name of an organisation, and this before the mount: `/o/clinic/fhir/R4`.
pub const ORGANIZATION: &str = "/o/";

/// The verbs of HTTP that FHIR uses: <https://hl7.org/fhir/R4/valueset-http-verb.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "HTTP's own words")]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
}

impl Method {
    /// The method of a name in capitals, as HTTP and `Bundle.entry.request.method` write it.
    pub fn parse(text: &str) -> Option<Method> {
        [Method::Get, Method::Head, Method::Post, Method::Put, Method::Patch, Method::Delete]
            .into_iter()
            .find(|m| m.as_str() == text)
    }

    /// The name in capitals.
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One request, in the words of the specification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Interaction {
    /// `GET metadata`
    Capabilities,
    /// `POST` to the base: a batch or a transaction; the Bundle says which.
    Bundle,
    /// `GET Patient/1`
    Read(Key),
    /// `GET Patient/1/_history/2`
    Vread(Key, u32),
    /// `PUT Patient/1`
    Update(Key),
    /// `PUT Patient?criteria`
    ConditionalUpdate(Box<str>),
    /// `PATCH Patient/1`
    Patch(Key),
    /// `PATCH Patient?criteria`
    ConditionalPatch(Box<str>),
    /// `DELETE Patient/1`
    Delete(Key),
    /// `DELETE Patient?criteria`
    ConditionalDelete(Box<str>),
    /// `POST Patient`, conditional or not: the header `If-None-Exist` says which.
    Create(Box<str>),
    /// `GET Patient/1/_history`
    HistoryInstance(Key),
    /// `GET Patient/_history`
    HistoryType(Box<str>),
    /// `GET _history`
    HistorySystem,
    /// `GET Patient?criteria`, `POST Patient/_search`
    SearchType(Box<str>),
    /// `GET ?criteria`, `POST _search`
    SearchSystem,
    /// `GET Patient/1/Observation?criteria`, `POST Patient/1/Observation/_search`; the type may be `*`.
    SearchCompartment(Key, Box<str>),
    /// `Patient/1/$everything`
    Operation(Level, Box<str>),
}

/// Where an operation is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Level {
    /// On the whole server.
    System,
    /// On a type.
    Type(Box<str>),
    /// On one resource.
    Instance(Key),
}

impl Interaction {
    /// What `method` asks of `path`, which is below the base and has no query.
    ///
    /// Nothing here knows whether the resource exists: an unknown type or a path without meaning is `NotFound`, a
    /// method that the path does not take is `MethodNotAllowed`.
    ///
    /// # Errors
    ///
    /// `NotFound` for an unknown type and for a path without meaning, `MethodNotAllowed` for a method that the path
    /// does not take.
    pub fn parse(method: Method, path: &str, types: &dyn Types) -> Result<Interaction> {
        let place = Route::parse(path, types)?;
        // HEAD is GET without the body, which is left out at the edge.
        let method = if method == Method::Head { Method::Get } else { method };
        place.interaction(method)
    }

    /// The methods that `path` takes: the `Allow` header of a 405.
    pub fn allowed(path: &str, types: &dyn Types) -> &'static [Method] {
        Route::parse(path, types).map_or(&[], |place| place.methods())
    }

    /// The code of the interaction in `CapabilityStatement.rest`:
    /// <https://hl7.org/fhir/R4/valueset-type-restful-interaction.html>
    pub fn code(&self) -> &'static str {
        match self {
            Interaction::Capabilities => "capabilities",
            Interaction::Bundle => "transaction",
            Interaction::Read(_) => "read",
            Interaction::Vread(..) => "vread",
            Interaction::Update(_) | Interaction::ConditionalUpdate(_) => "update",
            Interaction::Patch(_) | Interaction::ConditionalPatch(_) => "patch",
            Interaction::Delete(_) | Interaction::ConditionalDelete(_) => "delete",
            Interaction::Create(_) => "create",
            Interaction::HistoryInstance(_) => "history-instance",
            Interaction::HistoryType(_) => "history-type",
            Interaction::HistorySystem => "history-system",
            Interaction::SearchType(_) | Interaction::SearchCompartment(..) => "search-type",
            Interaction::SearchSystem => "search-system",
            Interaction::Operation(..) => "operation",
        }
    }

    /// True for what changes resources by its nature (a Bundle or an operation may or may not).
    pub fn is_write(&self) -> bool {
        matches!(self.code(), "create" | "update" | "patch" | "delete")
    }
}

/// What a path means before the method is looked at.
#[derive(Debug, PartialEq, Eq)]
enum Route {
    Base,
    Metadata,
    SystemHistory,
    SystemSearch,
    Type(Box<str>),
    TypeHistory(Box<str>),
    TypeSearch(Box<str>),
    Instance(Box<str>, Box<str>),
    InstanceHistory(Box<str>, Box<str>),
    Version(Box<str>, Box<str>, Box<str>),
    Compartment(Key, Box<str>),
    CompartmentSearch(Key, Box<str>),
    Operation(Level, Box<str>),
}

impl Route {
    fn parse(path: &str, types: &dyn Types) -> Result<Route> {
        // One slash at either end is forgiven; an empty segment within is not.
        let path = path.strip_prefix('/').unwrap_or(path);
        let path = path.strip_suffix('/').unwrap_or(path);
        if path.is_empty() {
            return Ok(Route::Base);
        }
        let segments = path.split('/').map(segment).collect::<Result<Vec<_>>>()?;
        let segments: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
        let unknown = || Error::new(Kind::NotFound, format!("there is nothing at `{}`", shown(path)));
        let known = |name: &str| match types.is_resource(name) {
            true => Ok(Box::<str>::from(name)),
            false => Err(Error::new(
                Kind::NotFound,
                format!("`{}` is not a resource type of FHIR R4", shown(name)),
            )),
        };
        Ok(match *segments.as_slice() {
            ["metadata"] => Route::Metadata,
            ["_history"] => Route::SystemHistory,
            ["_search"] => Route::SystemSearch,
            [code] if code.starts_with('$') => {
                Route::Operation(Level::System, operation(code).ok_or_else(unknown)?)
            }
            [name] => Route::Type(known(name)?),
            [name, "_history"] => Route::TypeHistory(known(name)?),
            [name, "_search"] => Route::TypeSearch(known(name)?),
            [name, code] if code.starts_with('$') => {
                Route::Operation(Level::Type(known(name)?), operation(code).ok_or_else(unknown)?)
            }
            [name, id] => Route::Instance(known(name)?, id.into()),
            [name, id, "_history"] => Route::InstanceHistory(known(name)?, id.into()),
            [name, id, "_history", version] => Route::Version(known(name)?, id.into(), version.into()),
            [name, id, code] if code.starts_with('$') => {
                let key = Key::new(known(name)?, checked(name, id, Kind::NotFound)?);
                Route::Operation(Level::Instance(key), operation(code).ok_or_else(unknown)?)
            }
            [name, id, inner, ref rest @ ..] if rest.is_empty() || rest == ["_search"] => {
                let key = Key::new(known(name)?, checked(name, id, Kind::NotFound)?);
                let inner = if inner == "*" { "*".into() } else { known(inner)? };
                match rest.is_empty() {
                    true => Route::Compartment(key, inner),
                    false => Route::CompartmentSearch(key, inner),
                }
            }
            _ => return Err(unknown()),
        })
    }

    fn methods(&self) -> &'static [Method] {
        use Method::{Delete, Get, Head, Patch, Post, Put};
        match self {
            Route::Base => &[Get, Head, Post],
            Route::Metadata
            | Route::SystemHistory
            | Route::TypeHistory(_)
            | Route::InstanceHistory(..)
            | Route::Version(..)
            | Route::Compartment(..) => &[Get, Head],
            Route::SystemSearch | Route::TypeSearch(_) | Route::CompartmentSearch(..) => &[Post],
            Route::Type(_) => &[Get, Head, Post, Put, Patch, Delete],
            Route::Instance(..) => &[Get, Head, Put, Patch, Delete],
            Route::Operation(..) => &[Get, Head, Post],
        }
    }

    fn interaction(self, method: Method) -> Result<Interaction> {
        let allowed = self.methods();
        if !allowed.contains(&method) {
            let allowed: Vec<&str> = allowed.iter().map(|m| m.as_str()).collect();
            let text = format!("{method} is not possible here; {} is", allowed.join(", "));
            return Err(Error::new(Kind::MethodNotAllowed, text));
        }
        // An id that cannot be is a mistake where it would be made, and elsewhere simply not there.
        let kind = if matches!(method, Method::Put) { Kind::Invalid } else { Kind::NotFound };
        Ok(match (self, method) {
            (Route::Metadata, _) => Interaction::Capabilities,
            (Route::Base, Method::Post) => Interaction::Bundle,
            (Route::Base | Route::SystemSearch, _) => Interaction::SearchSystem,
            (Route::SystemHistory, _) => Interaction::HistorySystem,
            (Route::TypeHistory(name), _) => Interaction::HistoryType(name),
            (Route::TypeSearch(name), _) => Interaction::SearchType(name),
            (Route::Type(name), Method::Post) => Interaction::Create(name),
            (Route::Type(name), Method::Put) => Interaction::ConditionalUpdate(name),
            (Route::Type(name), Method::Patch) => Interaction::ConditionalPatch(name),
            (Route::Type(name), Method::Delete) => Interaction::ConditionalDelete(name),
            (Route::Type(name), _) => Interaction::SearchType(name),
            (Route::Instance(name, id), _) => {
                let key = Key::new(name.clone(), checked(&name, &id, kind)?);
                match method {
                    Method::Put => Interaction::Update(key),
                    Method::Patch => Interaction::Patch(key),
                    Method::Delete => Interaction::Delete(key),
                    _ => Interaction::Read(key),
                }
            }
            (Route::InstanceHistory(name, id), _) => {
                Interaction::HistoryInstance(Key::new(name.clone(), checked(&name, &id, kind)?))
            }
            (Route::Version(name, id, version), _) => {
                let key = Key::new(name.clone(), checked(&name, &id, kind)?);
                let number =
                    Some(&version).filter(|v| !v.starts_with(['+', '0'])).and_then(|v| v.parse().ok());
                let number = number
                    .ok_or_else(|| Error::not_found(format!("version `{}` of {key}", shown(&version))))?;
                Interaction::Vread(key, number)
            }
            (Route::Compartment(key, inner) | Route::CompartmentSearch(key, inner), _) => {
                Interaction::SearchCompartment(key, inner)
            }
            (Route::Operation(level, code), _) => Interaction::Operation(level, code),
        })
    }
}

fn checked(type_name: &str, id: &str, kind: Kind) -> Result<Box<str>> {
    match Key::is_id(id) {
        true => Ok(id.into()),
        false => {
            let text =
                format!("`{}` cannot be the id of a {type_name}: 1 to 64 of A-Z a-z 0-9 - .", shown(id));
            Err(Error::new(kind, text))
        }
    }
}

/// The code of an operation, without its `$`.
fn operation(segment: &str) -> Option<Box<str>> {
    let code = segment.strip_prefix('$')?;
    let good = !code.is_empty() && code.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    good.then(|| code.into())
}

/// What a client sent, cut to a length that suits a sentence.
fn shown(text: &str) -> String {
    const CHARS_MAX: usize = 80;
    match text.char_indices().nth(CHARS_MAX) {
        Some((at, _)) => format!("{}...", text.get(..at).unwrap_or("")),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
