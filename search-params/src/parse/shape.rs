//! What shapes the answer: `_sort`, `_include`, `_count`, `_total`, `_summary`.
//! <https://hl7.org/fhir/R4/search.html#return>

use std::sync::Arc;

use fhir_model::types::Types;
use fhir_model::{Error, Result};

use super::Parser;
use crate::parameters::ParameterKind;
use crate::query::{Include, Sort, Subject, Summary, Total};
use crate::registry::Param;

/// Most keys of `_sort`.
pub(super) const SORTS_MAX: usize = 8;

/// Several values at once have no order, nor have places.
fn is_ordered(param: &Param) -> bool {
    !matches!(param.kind, ParameterKind::Composite | ParameterKind::Special)
}

impl Parser<'_> {
    pub(super) fn count(&mut self, value: &str) -> Result<usize> {
        let count: u64 =
            value.parse().map_err(|_| Error::value(format!("`_count` is a whole number, not `{value}`")))?;
        Ok(usize::try_from(count).unwrap_or(usize::MAX).min(self.cx.count_max))
    }

    pub(super) fn sorts(&mut self, value: &str) -> Result<()> {
        for key in value.split(',') {
            let (code, descending) = match key.strip_prefix('-') {
                Some(code) => (code, true),
                None => (key, false),
            };
            let by = match code {
                "_id" => Subject::Id,
                "_lastUpdated" => Subject::LastUpdated,
                _ => match self.this.param(code) {
                    Some(param) if is_ordered(param) => Subject::Param(param.clone()),
                    _ => return Err(Error::invalid(format!("`{code}` cannot be sorted by")).at("_sort")),
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
    pub(super) fn include(
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

pub(super) fn total(value: &str) -> Result<Total> {
    match value {
        "none" => Ok(Total::None),
        "estimate" => Ok(Total::Estimate),
        "accurate" => Ok(Total::Accurate),
        _ => Err(Error::value(format!("`_total` is none, estimate or accurate, not `{value}`"))),
    }
}

pub(super) fn summary(value: &str) -> Result<Summary> {
    match value {
        "true" => Ok(Summary::True),
        "false" => Ok(Summary::False),
        "text" => Ok(Summary::Text),
        "data" => Ok(Summary::Data),
        "count" => Ok(Summary::Count),
        _ => Err(Error::value(format!("`_summary` is true, false, text, data or count, not `{value}`"))),
    }
}
