//! From the pairs of a query string to a [`Query`].
//!
//! Honest: what is not understood is an error (strict handling) or a warning (lenient), never passed over in
//! silence. A modifier, prefix or value that has no meaning is an error either way, as what would be answered is
//! not what was asked. <https://hl7.org/fhir/R4/search.html>

use std::sync::Arc;

use fhir_model::types::Types;
use fhir_model::{Error, Key, Result};

use crate::bases::Bases;
use crate::cursor::{Cursor, Secret};
use crate::parameters::ParameterKind;
use crate::query::{Filter, Include, Modifier, Query, Sort, Subject, Summary, Term, Total};
use crate::registry::{Param, Registry, TypeSearch};
use crate::text::{split_comma, unescape};
use crate::{date, number, quantity, reference, string, token};

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
const REFUSED: &[&str] =
    &["_has", "_text", "_content", "_list", "_filter", "_query", "_contained", "_containedType"];
/// Most parameters of one search.
const PARAMETERS_MAX: usize = 100;
/// Most keys of `_sort`.
const SORTS_MAX: usize = 8;

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
            query: Query {
                type_name: type_name.into(),
                filters: Vec::new(),
                sort: Vec::new(),
                includes: Vec::new(),
                count: cx.count_default,
                total: Total::None,
                summary: Summary::False,
                elements: Vec::new(),
                cursor: None,
                warnings: Vec::new(),
                applied: Vec::new(),
            },
        };
        for (name, value) in pairs {
            parser.pair(name, value)?;
        }
        parser.finish()
    }

    /// What page links of this search are bound to: everything that decides which resources match and their order.
    pub fn identity(&self) -> String {
        let mut text = self.type_name.to_string();
        for (name, value) in &self.applied {
            let shapes_only = matches!(
                name.split(':').next().unwrap_or(""),
                "_count"
                    | "_summary"
                    | "_elements"
                    | "_total"
                    | "_include"
                    | "_revinclude"
                    | "_format"
                    | "_pretty"
            );
            if !shapes_only {
                text.push_str(&format!("&{}:{name}={}:{value}", name.len(), value.len()));
            }
        }
        for filter in &self.filters {
            if let Subject::Compartment(_) = filter.subject {
                text.push_str(&format!("&{:?}", filter.terms));
            }
        }
        text
    }

    /// Adds the condition of a compartment: `Patient/1/Observation` is what refers to `Patient/1` by one of the
    /// compartment's parameters. <https://hl7.org/fhir/R4/compartmentdefinition.html>
    pub fn in_compartment(mut self, registry: &Registry, compartment: &Key) -> Result<Query> {
        let this = registry.of(&self.type_name)?;
        let codes = registry.compartments().for_resource(&compartment.type_name, &self.type_name);
        let Some(codes) = codes.filter(|c| !c.is_empty()) else {
            return Err(Error::not_found(format!(
                "{} in the {} compartment",
                self.type_name, compartment.type_name
            )));
        };
        if codes.iter().any(|c| **c == *"{def}") {
            let id = Filter {
                subject: Subject::Id,
                modifier: Modifier::None,
                terms: vec![Term::Id(compartment.id.to_string())],
            };
            self.filters.push(id);
            return Ok(self);
        }
        let params: Vec<Arc<Param>> = codes.iter().filter_map(|c| this.param(c).cloned()).collect();
        self.filters.push(Filter {
            subject: Subject::Compartment(params),
            modifier: Modifier::None,
            terms: vec![Term::Reference(reference::Term::Local(compartment.clone()))],
        });
        Ok(self)
    }
}

struct Parser<'a> {
    registry: &'a Registry,
    this: &'a TypeSearch,
    cx: &'a ParseCx<'a>,
    cursor: Option<&'a str>,
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
            "_total" => self.query.total = total(value)?,
            "_summary" => self.query.summary = summary(value)?,
            "_elements" => self.query.elements.extend(value.split(',').map(|e| Box::from(e.trim()))),
            "_sort" => self.sorts(value)?,
            "_include" | "_revinclude" => match self.include(code == "_revinclude", modifier, value)? {
                Ok(include) => self.query.includes.push(include),
                Err(why) => return self.ignore(format!("`{code}={value}`: {why}")),
            },
            "_id" | "_lastUpdated" => self.column(code, modifier, value)?,
            _ if REFUSED.contains(&code) => {
                return Err(Error::not_supported(format!(
                    "the parameter `{code}` is not supported by this server"
                )));
            }
            _ if name.contains('.') && self.this.param(code.split('.').next().unwrap_or("")).is_some() => {
                return Err(Error::not_supported(format!(
                    "chained search (`{name}`) is not supported by this server"
                )));
            }
            _ => match self.this.param(code).cloned() {
                Some(param) => self.filter(param, modifier, value)?,
                None => {
                    return self
                        .ignore(format!("`{code}` is not a search parameter of {}", self.this.type_name));
                }
            },
        }
        self.query.applied.push((name.to_owned(), value.to_owned()));
        Ok(())
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

    fn count(&mut self, value: &str) -> Result<usize> {
        let count: u64 =
            value.parse().map_err(|_| Error::value(format!("`_count` is a whole number, not `{value}`")))?;
        Ok(usize::try_from(count).unwrap_or(usize::MAX).min(self.cx.count_max))
    }

    fn values(&self, code: &str, value: &'a str) -> Result<Vec<&'a str>> {
        let values = split_comma(value);
        if values.len() > self.cx.values_max {
            let text = format!("`{code}` has {} values; {} are allowed", values.len(), self.cx.values_max);
            return Err(Error::new(fhir_model::Kind::TooCostly, text));
        }
        match values.iter().any(|v| v.is_empty()) {
            true => Err(Error::value(format!("`{code}` has an empty value in its list"))),
            false => Ok(values),
        }
    }

    /// `_id` and `_lastUpdated`.
    fn column(&mut self, code: &str, modifier: Option<&str>, value: &'a str) -> Result<()> {
        if let Some(modifier) = modifier {
            return Err(Error::invalid(format!("`{code}` does not take the modifier `:{modifier}`")));
        }
        let values = self.values(code, value)?;
        let id = code == "_id";
        let terms = values.into_iter().map(|v| match id {
            true => Ok(Term::Id(unescape(v))),
            false => date::Term::parse(&unescape(v), self.cx.now).map(Term::Date),
        });
        let terms = terms.collect::<Result<Vec<_>>>().map_err(|e| e.at(code))?;
        let subject = if id { Subject::Id } else { Subject::LastUpdated };
        self.query.filters.push(Filter { subject, modifier: Modifier::None, terms });
        Ok(())
    }

    fn filter(&mut self, param: Arc<Param>, modifier: Option<&str>, value: &'a str) -> Result<()> {
        let modifier = self.modifier(&param, modifier)?;
        let values = self.values(&param.code, value)?;
        let terms = values.into_iter().map(|v| self.term(&param, &modifier, v)).collect::<Result<Vec<_>>>();
        let terms = terms.map_err(|e| e.at(&*param.code))?;
        self.query.filters.push(Filter { subject: Subject::Param(param), modifier, terms });
        Ok(())
    }

    fn modifier(&self, param: &Param, modifier: Option<&str>) -> Result<Modifier> {
        use ParameterKind::{Reference, String, Token};
        let Some(text) = modifier else { return Ok(Modifier::None) };
        let known = match (text, param.kind) {
            ("missing", _) => Some(Modifier::Missing),
            ("exact", String) => Some(Modifier::Exact),
            ("contains", String) => Some(Modifier::Contains),
            ("not", Token) => Some(Modifier::Not),
            ("identifier", Reference) => Some(Modifier::Identifier),
            (type_name, Reference) if self.registry.definitions().is_resource(type_name) => {
                if !param.targets.is_empty() && !param.targets.iter().any(|t| **t == *type_name) {
                    return Err(Error::invalid(format!("`{}` never refers to a {type_name}", param.code)));
                }
                Some(Modifier::Type(type_name.into()))
            }
            _ => None,
        };
        known.ok_or_else(|| {
            let kind = param.kind.as_str();
            Error::invalid(format!(
                "`{}`, a {kind} parameter, does not take the modifier `:{text}` here",
                param.code
            ))
        })
    }

    fn term(&self, param: &Param, modifier: &Modifier, value: &str) -> Result<Term> {
        if *modifier == Modifier::Missing {
            return match value {
                "true" => Ok(Term::Flag(true)),
                "false" => Ok(Term::Flag(false)),
                _ => Err(Error::value(format!("`:missing` is true or false, not `{value}`"))),
            };
        }
        Ok(match (param.kind, modifier) {
            (ParameterKind::Reference, Modifier::Identifier) | (ParameterKind::Token, _) => {
                Term::Token(token::Term::parse(value)?)
            }
            (ParameterKind::Reference, Modifier::Type(type_name)) => {
                Term::Reference(reference::Term::parse(&unescape(value), Some(type_name), self.cx.bases)?)
            }
            (ParameterKind::Reference, _) => {
                Term::Reference(reference::Term::parse(&unescape(value), None, self.cx.bases)?)
            }
            (ParameterKind::String, modifier) => Term::Text(string::parse(unescape(value), modifier)?),
            (ParameterKind::Uri, _) => Term::Text(unescape(value)),
            (ParameterKind::Date, _) => Term::Date(date::Term::parse(&unescape(value), self.cx.now)?),
            (ParameterKind::Number, _) => Term::Number(number::Term::parse(&unescape(value))?),
            (ParameterKind::Quantity, _) => Term::Quantity(quantity::Term::parse(value)?),
            (ParameterKind::Composite | ParameterKind::Special, _) => {
                return Err(Error::not_supported(format!(
                    "`{}` is not supported by this server",
                    param.code
                )));
            }
        })
    }

    fn sorts(&mut self, value: &str) -> Result<()> {
        for key in value.split(',') {
            let (code, descending) = match key.strip_prefix('-') {
                Some(code) => (code, true),
                None => (key, false),
            };
            let by = match code {
                "_id" => Subject::Id,
                "_lastUpdated" => Subject::LastUpdated,
                _ => match self.this.param(code) {
                    Some(param) => Subject::Param(param.clone()),
                    None => return Err(Error::invalid(format!("`{code}` cannot be sorted by")).at("_sort")),
                },
            };
            self.query.sort.push(Sort { by, descending });
        }
        match self.query.sort.len() > SORTS_MAX {
            true => Err(Error::invalid(format!("`_sort` takes {SORTS_MAX} keys"))),
            false => Ok(()),
        }
    }

    /// What to include; `Err` for what would add nothing: a type or parameter that is not known, references of another
    /// type than the one that is searched.
    fn include(
        &self,
        reverse: bool,
        modifier: Option<&str>,
        value: &str,
    ) -> Result<std::result::Result<Include, String>> {
        let name = if reverse { "_revinclude" } else { "_include" };
        if let Some(modifier) = modifier {
            return Err(Error::not_supported(format!("`{name}:{modifier}` is not supported by this server")));
        }
        let malformed = || {
            let text = format!("`{name}={value}`: the form is Type:parameter or Type:parameter:Target");
            Err(Error::invalid(text).at(name))
        };
        let mut parts = value.split(':');
        let (source, code, target) = (parts.next().unwrap_or(""), parts.next(), parts.next());
        if parts.next().is_some() {
            return malformed();
        }
        if source == "*" && code.is_none() && !reverse {
            let source = self.this.type_name.clone();
            return Ok(Ok(Include { reverse, source, code: None, target: None }));
        }
        let Some(code) = code else { return malformed() };
        let Ok(of) = self.registry.of(source) else {
            return Ok(Err(format!("`{source}` is not a resource type")));
        };
        if !reverse && source != &*self.this.type_name {
            return Ok(Err(format!("the search is for {}, not {source}", self.this.type_name)));
        }
        let is_reference = |param: &Arc<Param>| param.kind == ParameterKind::Reference;
        if code != "*" && !of.param(code).is_some_and(is_reference) {
            return Ok(Err(format!("{source} has no reference parameter `{code}`")));
        }
        if let Some(target) = target.filter(|t| !self.registry.definitions().is_resource(t)) {
            return Ok(Err(format!("`{target}` is not a resource type")));
        }
        let code = (code != "*").then(|| Box::from(code));
        Ok(Ok(Include { reverse, source: source.into(), code, target: target.map(Box::from) }))
    }
}

fn total(value: &str) -> Result<Total> {
    match value {
        "none" => Ok(Total::None),
        "estimate" => Ok(Total::Estimate),
        "accurate" => Ok(Total::Accurate),
        _ => Err(Error::value(format!("`_total` is none, estimate or accurate, not `{value}`"))),
    }
}

fn summary(value: &str) -> Result<Summary> {
    match value {
        "true" => Ok(Summary::True),
        "false" => Ok(Summary::False),
        "text" => Ok(Summary::Text),
        "data" => Ok(Summary::Data),
        "count" => Ok(Summary::Count),
        _ => Err(Error::value(format!("`_summary` is true, false, text, data or count, not `{value}`"))),
    }
}

#[cfg(test)]
mod tests {
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
