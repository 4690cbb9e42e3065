//! From the pairs of a query string to a [`Query`].
//!
//! Honest: what is not understood is an error (strict handling) or a warning (lenient), never passed over in
//! silence. A modifier, prefix or value that has no meaning is an error either way, as what would be answered is
//! not what was asked. <https://hl7.org/fhir/R4/search.html>

mod blanks;
mod chain;
mod filter_expression;
mod filters;
mod hints;
mod include;
mod shape;
mod sort;
#[cfg(test)]
pub(crate) mod tests;

use std::cell::Cell;
use std::sync::Arc;

use fhir_model::date::Zone;
use fhir_model::{Error, Kind, Result, suggest};

use crate::bases::Bases;
use crate::cursor::{Cursor, Secret};
use crate::custom::Progress;
use crate::param::Param;
use crate::query::{Query, Summary, TextSource, identity};
use crate::registry::{Registry, TypeSearch, index_change};

/// What parsing needs to know besides the query.
#[derive(Debug, Clone, Copy)]
pub struct ParseCx<'a> {
    /// `Prefer: handling=strict`.
    pub strict: bool,
    /// The server's own base urls.
    pub bases: &'a Bases,
    /// The zone that dates and times are meant in which name none.
    pub zone: &'a Zone,
    /// µs since 1970, for `ap`.
    pub now: i64,
    /// Page size when none is asked for.
    pub count_default: usize,
    /// Largest page size; more is cut to it.
    pub count_max: usize,
    /// Most values of one parameter.
    pub values_max: usize,
    /// Opens page links.
    pub secret: &'a Secret,
    /// What page links are bound to besides the search: who asks, and where.
    pub bound_to: &'a str,
}

/// Parameters that shape the answer and are dealt with before or after the search.
const OUTSIDE: &[&str] = &["_format", "_pretty"];
/// Parameters of the specification that this server does not do: asking for them is an error, as leaving them out
/// would answer another question.
const REFUSED: &[&str] = &["_query"];
/// Parameters with one value: a second one would say something else.
const ONCE: &[&str] = &["_count", "_total", "_summary", "_contained", "_containedType"];
/// Parameters of every type, besides those that have definitions.
const COMMON: &[&str] = &[
    "_id",
    "_lastUpdated",
    "_list",
    "_filter",
    "_text",
    "_content",
    "_has",
    "_sort",
    "_count",
    "_total",
    "_summary",
    "_elements",
    "_include",
    "_revinclude",
    "_contained",
    "_containedType",
    "_type",
    "_format",
    "_pretty",
];
/// Most sentences about what was ignored, or finds nothing.
const WARNINGS_MAX: usize = 20;
/// Where a page begins.
const CURSOR: &str = "_cursor";
/// Most parameters of one search.
const PARAMETERS_MAX: usize = 100;

impl Query {
    /// Parses decoded pairs, in order.
    ///
    /// # Errors
    ///
    /// With the name of the parameter (`Error::at`), when a value has no meaning or is too long; under strict
    /// handling also for a parameter that is not known.
    pub fn parse(
        registry: &Registry,
        type_name: &str,
        pairs: &[(String, String)],
        cx: &ParseCx<'_>,
    ) -> Result<Query> {
        let mut queries = Query::parse_types(registry, &[type_name], pairs, cx)?;
        queries.pop().ok_or_else(|| Error::internal("a search of no type"))
    }

    /// Parses a search of several types, as one query for each. Only parameters that all of them have take effect.
    ///
    /// # Errors
    ///
    /// As [`Query::parse`].
    pub fn parse_types(
        registry: &Registry,
        types: &[&str],
        pairs: &[(String, String)],
        cx: &ParseCx<'_>,
    ) -> Result<Vec<Query>> {
        if pairs.len() > PARAMETERS_MAX {
            let text = format!("a search has at most {PARAMETERS_MAX} parameters here, not {}", pairs.len());
            return Err(Error::new(Kind::TooCostly, text));
        }
        let all = types.iter().map(|type_name| registry.for_type(type_name)).collect::<Result<Vec<_>>>()?;
        let mut queries = Vec::with_capacity(all.len());
        let links = Cell::new(0);
        let mut of_none = None;
        for this in &all {
            let query = Query { count: cx.count_default, ..Query::new(&this.type_name) };
            let finds = true;
            let mut parser =
                Parser { registry, this, all: &all, cx, holder: None, depth: 0, links: &links, finds, query };
            for (name, value) in pairs {
                parser.pair(name, value)?;
            }
            match parser.finds {
                true => queries.push(parser.finish()?),
                false => of_none = Some(parser.finish()?),
            }
        }
        // A search of no type is answered, too: by one that finds nothing.
        queries.extend(of_none.filter(|_| queries.is_empty()));
        // It belongs to the whole search, wherever it stands in it.
        if let Some((_, text)) = pairs.iter().rfind(|(name, _)| name == CURSOR) {
            let cursor = Cursor::open(text, cx.secret, &identity(&queries, cx.bound_to))?;
            queries.iter_mut().for_each(|query| query.cursor = Some(cursor.clone()));
        }
        Ok(queries)
    }
}

/// The error, which says of which parameter it is.
fn named(error: Error, name: &str) -> Error {
    if error.expression.is_empty() { error.at(name) } else { error }
}

struct Parser<'a> {
    registry: &'a Registry,
    this: &'a TypeSearch,
    /// All types that are searched.
    all: &'a [Arc<TypeSearch>],
    cx: &'a ParseCx<'a>,
    /// The type whose references lead here: resources of this type may stand within its resources.
    holder: Option<&'a str>,
    /// Steps of a chain that led here.
    depth: usize,
    /// References that the chains of the whole search go through.
    links: &'a Cell<usize>,
    /// False when nothing of this type can be found, though something of another type can.
    finds: bool,
    query: Query,
}

impl<'a> Parser<'a> {
    fn pair(&mut self, name: &str, value: &str) -> Result<()> {
        // Neither is a condition of the search, nor part of its self link.
        if name == CURSOR || OUTSIDE.contains(&name) {
            return Ok(());
        }
        if value.is_empty() {
            return self.ignore(format!("`{name}` has no value (`{name}:missing=true` finds what has none)"));
        }
        let (code, modifier) = match name.split_once(':') {
            Some((code, modifier)) => (code, Some(modifier)),
            None => (name, None),
        };
        match code {
            _ if ONCE.contains(&name) && self.query.applied.iter().any(|(before, _)| before == name) => {
                return self.ignore(format!("`{name}` is there more than once: the first one counts"));
            }
            "_count" | "_total" | "_summary" | "_elements" | "_sort" | "_contained" | "_containedType"
            | "_explain"
                if modifier.is_some() =>
            {
                let modifier = modifier.unwrap_or_default();
                let instead = match (code, modifier) {
                    ("_sort", "desc") => format!("; greatest first is `_sort=-{value}`"),
                    ("_sort", "asc") => format!("; least first is `_sort={value}`"),
                    _ => String::new(),
                };
                let text = format!("`{code}` does not take the modifier `:{modifier}`{instead}");
                return Err(Error::invalid(text).at(code));
            }
            "_count" => {
                self.query.count = shape::count(value, self.cx.count_max)?;
                // What is said is what is done, when that is less than was asked.
                self.query.applied.push((name.to_owned(), self.query.count.to_string()));
                return Ok(());
            }
            "_contained" | "_containedType" => shape::contained(code, value)?,
            "_total" => self.query.total = shape::total(value)?,
            "_summary" => self.query.summary = shape::summary(value)?,
            "_elements" => self.query.elements.extend(value.split(',').map(|e| Box::from(e.trim()))),
            "_sort" => self.sorts(value)?,
            "_explain" => self.query.explain = shape::explain(value)?,
            "_include" | "_revinclude" => match self.include(code == "_revinclude", modifier, value)? {
                Ok(include) => self.query.includes.push(include),
                Err(why) => return self.ignore(format!("`{code}={value}`: {why}")),
            },
            _ if REFUSED.contains(&code) => {
                return Err(Error::not_supported(format!(
                    "`{code}` is not supported by this server: it has no named queries; say what is searched by parameters"
                ))
                .at(code));
            }
            _ => {
                if !self.condition(name, value).map_err(|error| named(error, name))? {
                    let code = code.split('.').next().unwrap_or(code);
                    return self.ignore(self.unknown(code));
                }
            }
        }
        self.query.applied.push((name.to_owned(), value.to_owned()));
        Ok(())
    }

    /// A condition on the resource, or on what it is connected with; false when it is no parameter of the type, or not
    /// of all types that are searched.
    fn condition(&mut self, name: &str, value: &str) -> Result<bool> {
        let (code, modifier) = match name.split_once(':') {
            Some((code, modifier)) => (code, Some(modifier)),
            None => (name, None),
        };
        match code {
            "_has" => self.has(name, value)?,
            _ if name.contains('.') => return self.chain(name, value),
            "_id" | "_lastUpdated" => self.column(code, modifier, value)?,
            "_list" => self.list(modifier, value)?,
            "_filter" => self.filter_expression(modifier, value)?,
            "_text" => self.words(TextSource::Narrative, modifier, value)?,
            "_content" => self.words(TextSource::Content, modifier, value)?,
            _ => match self.param(code) {
                Some(param) => self.filter(param, modifier, value)?,
                None => return Ok(false),
            },
        }
        Ok(true)
    }

    /// The parameter of a code, when all types that are searched have it.
    fn param(&self, code: &str) -> Option<Arc<Param>> {
        self.this.param(code).filter(|_| self.without(code).is_none()).cloned()
    }

    /// A type that is searched and does not have the parameter.
    fn without(&self, code: &str) -> Option<&'a TypeSearch> {
        self.all.iter().find(|of| of.param(code).is_none()).map(|of| &**of)
    }

    /// A parameter of the type decides what is found or in which order.
    fn uses(&mut self, param: &Param) -> Result<()> {
        self.uses_of(&self.this.type_name, self.holder, param)
    }

    /// The same of another type. Not all may be found while old resources are not all indexed by it. Of one whose entries a
    /// format of the index changes that is refused, as all were found before.
    fn uses_of(&mut self, type_name: &str, holder: Option<&str>, param: &Param) -> Result<()> {
        if let Some(progress) = self.registry.pending_progress(type_name, holder, &param.code) {
            return Err(index_change::unavailable(&param.code, &progress));
        }
        self.uses_added(&param.code, param.building.as_ref())
    }

    /// Of one that was added it is said, or under strict handling refused, as a write may depend on it.
    fn uses_added(&mut self, code: &str, building: Option<&Arc<Progress>>) -> Result<()> {
        let Some(progress) = building else { return Ok(()) };
        if self.cx.strict {
            return Err(index_change::unavailable(code, progress));
        }
        self.warn(index_change::being_indexed(code, progress));
        Ok(())
    }

    /// A sentence for the client, once.
    fn warn(&mut self, text: String) {
        if self.query.warnings.len() < WARNINGS_MAX && !self.query.warnings.contains(&text) {
            self.query.warnings.push(text);
        }
    }

    /// A sentence for a client that finds nothing, once.
    fn guess(&mut self, text: String) {
        if self.query.guesses.len() < WARNINGS_MAX && !self.query.guesses.contains(&text) {
            self.query.guesses.push(text);
        }
    }

    /// Adds what a parser of a part of the search has to say.
    fn hear(&mut self, part: &mut Query) {
        std::mem::take(&mut part.warnings).into_iter().for_each(|text| self.warn(text));
        std::mem::take(&mut part.guesses).into_iter().for_each(|text| self.guess(text));
    }

    /// Why a code is not a search parameter of what is searched.
    fn unknown(&self, code: &str) -> String {
        const NAMED: usize = 3;
        let having: Vec<&str> = self
            .all
            .iter()
            .filter(|of| of.param(code).is_some())
            .map(|of| &*of.type_name)
            .take(NAMED)
            .collect();
        if let (Some(lacking), false) = (self.without(code), having.is_empty()) {
            return format!(
                "`{code}` is not a search parameter of all types that are searched, as of {} it is none: name the types \
                 that have it, such as `_type={}`",
                lacking.type_name,
                having.join(",")
            );
        }
        let hint =
            suggest::hint(code, self.this.params().iter().map(|p| &*p.code).chain(COMMON.iter().copied()));
        match self.all.len() {
            1 => format!("`{code}` is not a search parameter of {}{hint}", self.this.type_name),
            _ => format!("`{code}` is not a search parameter of any type that is searched{hint}"),
        }
    }

    fn ignore(&mut self, why: String) -> Result<()> {
        if self.cx.strict {
            return Err(Error::invalid(format!("{why} (strict handling)")));
        }
        self.warn(format!("{why}; it was ignored"));
        Ok(())
    }

    fn finish(self) -> Result<Query> {
        let mut query = self.query;
        if query.summary == Summary::Count {
            query.count = 0;
        }
        if query.summary != Summary::False && !query.elements.is_empty() {
            return Err(Error::invalid("`_summary` and `_elements` cannot be asked for together"));
        }
        if query.summary == Summary::Text && query.includes.iter().any(|_| true) {
            return Err(Error::invalid(
                "`_summary=text` cannot be asked for together with `_include` or `_revinclude`",
            ));
        }
        Ok(query)
    }
}
