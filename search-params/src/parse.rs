//! From the pairs of a query string to a [`Query`].
//!
//! Honest: what is not understood is an error (strict handling) or a warning (lenient), never passed over in
//! silence. A modifier, prefix or value that has no meaning is an error either way, as what would be answered is
//! not what was asked. <https://hl7.org/fhir/R4/search.html>

mod chain;
mod filters;
mod shape;

use fhir_model::{Error, Result};

use crate::bases::Bases;
use crate::cursor::{Cursor, Secret};
use crate::query::{Query, Summary, TextOf};
use crate::registry::{Registry, TypeSearch};

/// What parsing needs to know besides the query.
#[derive(Debug, Clone, Copy)]
pub struct ParseCx<'a> {
    /// `Prefer: handling=strict`.
    pub strict: bool,
    /// The server's own base urls.
    pub bases: &'a Bases,
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
}

/// Parameters that shape the answer and are dealt with before or after the search.
const OUTSIDE: &[&str] = &["_format", "_pretty"];
/// Parameters of the specification that this server does not do: asking for them is an error, as leaving them out
/// would answer another question.
const REFUSED: &[&str] = &["_list", "_filter", "_query", "_contained", "_containedType"];
/// Most parameters of one search.
const PARAMETERS_MAX: usize = 100;

impl Query {
    /// Parses decoded pairs, in order.
    pub fn parse(
        registry: &Registry,
        type_name: &str,
        pairs: &[(String, String)],
        cx: &ParseCx<'_>,
    ) -> Result<Query> {
        if pairs.len() > PARAMETERS_MAX {
            let text = format!("a search has at most {PARAMETERS_MAX} parameters here, not {}", pairs.len());
            return Err(Error::new(fhir_model::Kind::TooCostly, text));
        }
        let mut parser = Parser {
            registry,
            this: registry.of(type_name)?,
            cx,
            cursor: None,
            depth: 0,
            query: Query { count: cx.count_default, ..Query::of(type_name) },
        };
        for (name, value) in pairs {
            parser.pair(name, value)?;
        }
        parser.finish()
    }
}

struct Parser<'a> {
    registry: &'a Registry,
    this: &'a TypeSearch,
    cx: &'a ParseCx<'a>,
    cursor: Option<&'a str>,
    /// Steps of a chain that led here.
    depth: usize,
    query: Query,
}

impl<'a> Parser<'a> {
    fn pair(&mut self, name: &str, value: &'a str) -> Result<()> {
        if value.is_empty() && name != "_cursor" {
            return self.ignore(format!("`{name}` has no value"));
        }
        let (code, modifier) = match name.split_once(':') {
            Some((code, modifier)) => (code, Some(modifier)),
            None => (name, None),
        };
        match code {
            _ if OUTSIDE.contains(&code) => return Ok(()),
            "_cursor" => {
                // Opened at the end: it belongs to the whole search. Not part of the self link's conditions.
                self.cursor = Some(value);
                return Ok(());
            }
            "_count" => self.query.count = self.count(value)?,
            "_total" => self.query.total = shape::total(value)?,
            "_summary" => self.query.summary = shape::summary(value)?,
            "_elements" => self.query.elements.extend(value.split(',').map(|e| Box::from(e.trim()))),
            "_sort" => self.sorts(value)?,
            "_include" | "_revinclude" => match self.include(code == "_revinclude", modifier, value)? {
                Ok(include) => self.query.includes.push(include),
                Err(why) => return self.ignore(format!("`{code}={value}`: {why}")),
            },
            _ if REFUSED.contains(&code) => {
                return Err(Error::not_supported(format!(
                    "the parameter `{code}` is not supported by this server"
                )));
            }
            _ => {
                if !self.condition(name, value)? {
                    return self
                        .ignore(format!("`{code}` is not a search parameter of {}", self.this.type_name));
                }
            }
        }
        self.query.applied.push((name.to_owned(), value.to_owned()));
        Ok(())
    }

    /// A condition on the resource, or on what it is connected with; false when it is no parameter of the type.
    fn condition(&mut self, name: &str, value: &'a str) -> Result<bool> {
        let (code, modifier) = match name.split_once(':') {
            Some((code, modifier)) => (code, Some(modifier)),
            None => (name, None),
        };
        match code {
            "_has" => self.has(name, value)?,
            _ if name.contains('.') => return self.chain(name, value),
            "_id" | "_lastUpdated" => self.column(code, modifier, value)?,
            "_text" => self.words(TextOf::Narrative, modifier, value)?,
            "_content" => self.words(TextOf::Content, modifier, value)?,
            _ => match self.this.param(code).cloned() {
                Some(param) => self.filter(param, modifier, value)?,
                None => return Ok(false),
            },
        }
        Ok(true)
    }

    fn ignore(&mut self, why: String) -> Result<()> {
        if self.cx.strict {
            return Err(Error::invalid(format!("{why} (strict handling)")));
        }
        self.query.warnings.push(format!("{why}; it was ignored"));
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
            return Err(Error::invalid("`_summary=text` cannot be asked for together with includes"));
        }
        if let Some(text) = self.cursor {
            query.cursor = Some(Cursor::open(text, self.cx.secret, &query.identity())?);
        }
        Ok(query)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::shape::SORTS_MAX;
    use super::*;

    #[test]
    fn limits_hold_at_the_limit_and_past_it() {
        let registry = Registry::load(Arc::new(fhir_profiles::Definitions::load().unwrap())).unwrap();
        let secret = Secret([0; 16]);
        let cx = ParseCx {
            strict: true,
            bases: &Bases::default(),
            now: 0,
            count_default: 10,
            count_max: 50,
            values_max: 3,
            secret: &secret,
        };
        let parse = |pairs: &[(&str, &str)]| {
            let pairs: Vec<_> = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            Query::parse(&registry, "Patient", &pairs, &cx).map_err(|e| e.kind)
        };
        assert_eq!(parse(&vec![("gender", "male"); PARAMETERS_MAX]).unwrap().filters.len(), PARAMETERS_MAX);
        let too_costly = fhir_model::Kind::TooCostly;
        assert_eq!(parse(&vec![("gender", "male"); PARAMETERS_MAX + 1]).unwrap_err(), too_costly);
        assert!(parse(&[("gender", "male,female,other")]).is_ok());
        assert_eq!(parse(&[("gender", "male,female,other,unknown")]).unwrap_err(), too_costly);
        assert_eq!(parse(&[("_count", "50")]).unwrap().count, 50);
        assert_eq!(parse(&[("_count", "51")]).unwrap().count, 50);
        assert_eq!(parse(&[("_count", "99999999999999999999")]).unwrap_err(), fhir_model::Kind::Value);
        assert!(parse(&[("_sort", &["gender"; SORTS_MAX].join(","))]).is_ok());
        assert!(parse(&[("_sort", &["gender"; SORTS_MAX + 1].join(","))]).is_err());
        let text = |bytes: usize| "x".repeat(bytes);
        assert!(parse(&[("name:contains", &text(crate::fold::CONTAINS_BYTES_MAX))]).is_ok());
        assert!(parse(&[("name:contains", &text(crate::fold::CONTAINS_BYTES_MAX + 1))]).is_err());
    }
}
