//! A request on its way: what was asked, with what it may see.

use std::sync::OnceLock;

use fhir_model::interaction::Interaction;
use fhir_model::json::{Doc, Ref};
use fhir_model::{Error, Kind, Result, url};
use fhir_search::{Bases, ParseCx};
use fhir_store::{Position, Scope};

use crate::check::check;
use crate::cx::Cx;
use crate::page_link::LINKED_POSITION;
use crate::request::{Body, FORMAT_PARAMETERS, Handling, Request, Return};

/// One request with everything needed to answer it.
pub(crate) struct RequestContext<'a> {
    pub(crate) cx: &'a Cx,
    pub(crate) request: &'a Request,
    pub(crate) scope: Scope,
    /// The decoded query.
    pub(crate) pairs: Vec<(String, String)>,
    /// Where the database was when the page was answered that had this link.
    pub(crate) linked_position: Option<Position>,
    /// What links are bound to that are given out: see [`Request::bound_to`].
    bound_to: String,
    /// The server's bases with the one of the request, when it is none of them.
    bases: OnceLock<Bases>,
}

impl<'a> RequestContext<'a> {
    pub(crate) fn new(cx: &'a Cx, request: &'a Request, scope: Scope) -> Result<RequestContext<'a>> {
        let (mut pairs, bound_to) = (url::pairs(&request.query)?, request.bound_to());
        let linked_position = take_position(&mut pairs)?;
        Ok(RequestContext { cx, request, scope, pairs, linked_position, bound_to, bases: OnceLock::new() })
    }

    /// The first value of a parameter.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The parameters of a search: the pairs of the query, and of the form of a `POST _search` after them.
    pub(crate) fn search_parameters(&self) -> Result<Vec<(String, String)>> {
        let mut pairs = self.pairs.clone();
        if let Some(Body::Form(form)) = &self.request.body {
            pairs.extend(url::pairs(form)?);
        }
        Ok(pairs)
    }

    /// Under strict handling, an error for a parameter that is none of `known`. `what`: which have no such parameter.
    pub(crate) fn only(&self, known: &[&str], what: &str) -> Result<()> {
        if self.strict() { only(&self.pairs, known, what) } else { Ok(()) }
    }

    /// The resource in the body, of the type of the URL.
    pub(crate) fn resource(&self, type_name: &str) -> Result<&'a Doc> {
        let doc = self.body()?;
        check(doc.root(), type_name, &*self.cx.definitions)?;
        Ok(doc)
    }

    /// The resource in the body, of any type.
    pub(crate) fn body(&self) -> Result<&'a Doc> {
        match &self.request.body {
            Some(Body::Resource(doc)) => Ok(doc),
            Some(_) => Err(Error::new(Kind::UnsupportedMediaType, "a resource is expected in the body")),
            None => Err(Error::invalid("the body is missing: a resource is expected")),
        }
    }

    /// `Prefer: return`; a client that does not say gets the resource.
    pub(crate) fn ret(&self) -> Return {
        self.request.prefer.ret.unwrap_or(Return::Representation)
    }

    /// How search parameters are to be read.
    pub(crate) fn parse_cx(&self, strict: bool) -> ParseCx<'_> {
        let limits = &self.cx.limits;
        ParseCx {
            strict,
            bases: self.bases(),
            zone: self.cx.store.zone(),
            now: self.cx.store.now(),
            count_default: limits.count_default,
            count_max: limits.count_max,
            values_max: limits.values_max,
            secret: self.cx.store.secret(),
            bound_to: &self.bound_to,
        }
    }

    /// Where the client may mean this server: the urls it is known by, and the one that was asked.
    pub(crate) fn bases(&self) -> &Bases {
        let (known, asked) = (self.cx.store.bases_of(self.request.tenant), &self.request.base);
        if known.contains(asked) { known } else { self.bases.get_or_init(|| known.with(asked)) }
    }

    /// `Prefer: handling=strict`
    pub(crate) fn strict(&self) -> bool {
        self.request.prefer.handling == Handling::Strict
    }
}

/// Takes the position of a page link out of its query: it is about where the answer comes from, not what is asked.
fn take_position(pairs: &mut Vec<(String, String)>) -> Result<Option<Position>> {
    let Some(at) = pairs.iter().position(|(name, _)| name == LINKED_POSITION) else { return Ok(None) };
    let (_, text) = pairs.remove(at);
    if pairs.iter().any(|(name, _)| name == LINKED_POSITION) {
        return Err(Error::invalid("a page link has one position").at(LINKED_POSITION));
    }
    text.parse().map(Some).map_err(|e: Error| e.at(LINKED_POSITION))
}

/// An error for a parameter that is none of `known`. `what`: which have no such parameter.
pub(crate) fn only(pairs: &[(String, String)], known: &[&str], what: &str) -> Result<()> {
    let is_known = |name: &str| FORMAT_PARAMETERS.contains(&name) || known.contains(&name);
    match pairs.iter().find(|(name, _)| !is_known(name)) {
        Some((name, _)) => {
            let text = format!("`{name}` is not a parameter of {what} (strict handling)");
            Err(Error::invalid(text).at(name.as_str()))
        }
        None => Ok(()),
    }
}

/// Finds a parameter of a write that takes none: what the client meant by it does not happen.
///
/// # Errors
///
/// When there is one. Under strict handling the write is refused for it, else the client is warned.
pub fn check_write(interaction: &Interaction, pairs: &[(String, String)]) -> Result<()> {
    match interaction {
        Interaction::Create(_)
        | Interaction::Update(_)
        | Interaction::Patch(_)
        | Interaction::Delete(_)
        | Interaction::Bundle => only(pairs, &[], "a write without criteria"),
        _ => Ok(()),
    }
}

/// Counts how often a write was decided, because others changed what it had read.
pub(crate) struct Attempts {
    left: usize,
}

impl Attempts {
    pub(crate) fn new(cx: &Cx) -> Attempts {
        Attempts { left: cx.limits.attempts_max }
    }

    /// One more; an error when there were enough.
    pub(crate) fn next(&mut self) -> Result<()> {
        self.left = self.left.checked_sub(1).ok_or_else(|| {
            Error::new(Kind::Conflict, "others keep changing the same resources at the same time; try again")
        })?;
        Ok(())
    }
}

/// The id that `PUT` has in its body must be the one in the URL.
pub(crate) fn same_id(resource: Ref<'_>, type_name: &str, id: &str) -> Result<()> {
    match crate::check::id_of(resource, type_name)? {
        Some(sent) if *sent == *id => Ok(()),
        Some(sent) => {
            let text = format!("the id in the body is {sent}, but the URL says {id}");
            Err(Error::invalid(text).at(format!("{type_name}.id")))
        }
        None => {
            let text = format!("the body has no id; the URL says {id}, and both must be the same");
            Err(Error::invalid(text).at(format!("{type_name}.id")))
        }
    }
}
