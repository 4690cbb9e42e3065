//! Chains and reverse chains: <https://hl7.org/fhir/R4/search.html#chaining>
//!
//! `subject:Patient.organization.name=x` asks of what a reference leads to; `_has:Observation:patient:code=x` asks of what
//! refers to the resource. Both end in an ordinary condition of another type, which may be one of them again.

use std::sync::Arc;

use fhir_model::{Error, Kind, Result, suggest};

use super::Parser;
use crate::param::Param;
use crate::parameters::ParameterKind;
use crate::query::{Filter, Modifier, Query, Subject};

/// Steps of one chain.
pub(super) const DEPTH_MAX: usize = 8;
/// Types that one step of a chain without a type may lead to.
pub(super) const TYPES_MAX: usize = 12;
/// References that all chains of a search go through, one for each type that has it: a few names without types unfold to
/// very many.
pub(super) const LINKS_MAX: usize = 200;

impl<'a> Parser<'a> {
    /// `_has:Type:reference:rest`
    pub(super) fn has(&mut self, name: &str, value: &str) -> Result<()> {
        let malformed = || {
            Error::invalid(format!(
                "`{name}`: the form is _has:Type:reference:parameter, such as _has:Observation:patient:code=1234-5"
            ))
            .at("_has")
        };
        let mut parts = name.splitn(4, ':').skip(1);
        let (Some(source), Some(code), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(malformed());
        };
        let of = self
            .registry
            .for_type(source)
            .map_err(|_| Error::invalid(format!("`{name}`: `{source}` is not a resource type")).at("_has"))?;
        let reference = |p: &&Arc<Param>| p.kind == ParameterKind::Reference;
        let Some(param) = of.param(code).filter(reference).cloned() else {
            let text = format!("`{name}`: `{code}` is no reference parameter of {source}");
            return Err(Error::invalid(text).at("_has"));
        };
        if !param.leads_to(&self.this.type_name) {
            // Of all types that are searched, it asks for those that are referred to.
            if self.all.iter().any(|other| param.leads_to(&other.type_name)) {
                self.finds = false;
                self.query.filters.push(Filter {
                    subject: Subject::Id,
                    modifier: Modifier::None,
                    terms: vec![],
                });
                return Ok(());
            }
            let text = format!("`{name}`: `{code}` of {source} never refers to a {}", self.searched());
            return Err(Error::invalid(text).at("_has"));
        }
        self.uses_of(source, None, &param)?;
        self.link(name)?;
        let Some(filters) = self.beyond(source, None, rest, value)? else {
            return Err(Error::invalid(format!(
                "`{name}`: {source} has no search parameter `{rest}`{}",
                suggest::hint(rest, of.params().iter().map(|p| &*p.code))
            ))
            .at("_has"));
        };
        self.push_chain(Subject::Has { source: source.into(), param, filters });
        Ok(())
    }

    /// Parses `reference.rest` or `reference:Type.rest`. Returns false when there is no such reference parameter.
    pub(super) fn chain(&mut self, name: &str, value: &str) -> Result<bool> {
        let Some((head, rest)) = name.split_once('.') else { return Ok(false) };
        let (code, only) = match head.split_once(':') {
            Some((code, only)) => (code, Some(only)),
            None => (head, None),
        };
        let Some(param) = self.param(code) else { return Ok(false) };
        if param.kind != ParameterKind::Reference {
            return Err(Error::invalid(format!(
                "`{name}`: `{code}` is no reference, so nothing can follow it"
            )));
        }
        self.uses(&param)?;
        self.link(name)?;
        let types = self.types_beyond(name, &param, only)?;
        let (mut targets, mut first_error) = (Vec::new(), None);
        for type_name in types {
            match self.beyond(&type_name, Some(&self.this.type_name), rest, value) {
                Ok(Some(_)) if targets.len() == TYPES_MAX => {
                    let text = format!(
                        "`{name}` can lead to more than {TYPES_MAX} types; say which: `{code}:Type.{rest}`"
                    );
                    return Err(Error::new(Kind::TooCostly, text));
                }
                Ok(Some(filters)) => targets.push((type_name, filters)),
                Ok(None) => {}
                // Another type would do, but this one cannot be left out.
                Err(error) if matches!(error.kind, Kind::Unavailable | Kind::TooCostly) => return Err(error),
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        if targets.is_empty() {
            return Err(first_error.unwrap_or_else(|| {
                Error::invalid(format!(
                    "`{name}`: nothing that `{head}` refers to has the search parameter `{rest}`"
                ))
            }));
        }
        self.push_chain(Subject::Chain { param, targets });
        Ok(true)
    }

    /// The types that a step of a chain may lead to.
    pub(super) fn types_beyond(
        &self,
        name: &str,
        param: &Param,
        only: Option<&str>,
    ) -> Result<Vec<Box<str>>> {
        if let Some(only) = only {
            if self.registry.for_type(only).is_err() {
                return Err(Error::invalid(format!("`{name}`: `{only}` is not a resource type")));
            }
            if !param.leads_to(only) {
                return Err(Error::invalid(format!("`{}` never refers to a {only}", param.code)));
            }
            return Ok(vec![only.into()]);
        }
        Ok(match &param.only_target {
            Some(only) => vec![only.clone()],
            None if param.targets.is_empty() || param.targets.iter().any(|t| &**t == "Resource") => {
                self.registry.definitions().resource_types().map(Box::from).collect()
            }
            None => param.targets.clone(),
        })
    }

    /// The conditions on a resource of another type. Returns `None` when the type has no such parameter.
    fn beyond(
        &mut self,
        type_name: &str,
        holder: Option<&str>,
        name: &str,
        value: &str,
    ) -> Result<Option<Vec<Filter>>> {
        check_depth(name, self.depth + 1)?;
        let this = self.registry.for_type(type_name)?;
        let mut parser = Parser {
            registry: self.registry,
            this: &this,
            all: std::slice::from_ref(&this),
            cx: self.cx,
            holder,
            depth: self.depth + 1,
            links: self.links,
            finds: true,
            query: Query::new(type_name),
        };
        let known = parser.condition(name, value)?;
        self.hear(&mut parser.query);
        Ok(known.then_some(parser.query.filters))
    }

    fn link(&self, name: &str) -> Result<()> {
        self.links.set(self.links.get() + 1);
        if self.links.get() <= LINKS_MAX {
            return Ok(());
        }
        let text = format!(
            "the chains of this search go through more than {LINKS_MAX} references, the last at `{name}`; say which \
             types they lead to: `reference:Type.parameter`"
        );
        Err(Error::new(Kind::TooCostly, text))
    }

    fn push_chain(&mut self, subject: Subject) {
        self.query.filters.push(Filter { subject, modifier: Modifier::None, terms: Vec::new() });
    }
}

/// Refuses a chain of too many steps, of which the last ones are still to be read.
pub(super) fn check_depth(rest: &str, steps: usize) -> Result<()> {
    match steps <= DEPTH_MAX {
        true => Ok(()),
        false => {
            let text = format!("a chain has {DEPTH_MAX} steps at most, and `{rest}` is one more");
            Err(Error::new(Kind::TooCostly, text))
        }
    }
}
