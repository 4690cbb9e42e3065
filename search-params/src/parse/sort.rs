//! `_sort`: <https://hl7.org/fhir/R4/search.html#sort>

use std::sync::Arc;

use fhir_model::{Error, Kind, Result};

use super::Parser;
use crate::param::Param;
use crate::parameters::ParameterKind;
use crate::query::{Sort, SortBy};

/// Most keys of `_sort`.
pub(super) const SORTS_MAX: usize = 8;

/// Several values at once have no order, nor have places.
fn is_ordered(param: &Param) -> bool {
    !matches!(param.kind, ParameterKind::Composite | ParameterKind::Special)
}

impl Parser<'_> {
    pub(super) fn sorts(&mut self, value: &str) -> Result<()> {
        for key in value.split(',').map(str::trim) {
            let (code, descending) = match key.strip_prefix('-') {
                Some(code) => (code, true),
                None => (key, false),
            };
            let by = match code {
                "_id" => SortBy::Id,
                "_lastUpdated" => SortBy::LastUpdated,
                _ => match self.param(code) {
                    Some(param) if is_ordered(&param) => {
                        self.uses(&param)?;
                        SortBy::Param(param)
                    }
                    Some(_) => {
                        let text = format!("`{code}` cannot be sorted by: its values have no order");
                        return Err(Error::invalid(text).at("_sort"));
                    }
                    None if code.contains('.') => self.sort_chain(code)?,
                    None => {
                        let text = format!("cannot be sorted by: {}", self.unknown(code));
                        return Err(Error::invalid(text).at("_sort"));
                    }
                },
            };
            if self.query.sort.len() == SORTS_MAX {
                let text = format!("`_sort` takes {SORTS_MAX} keys at most");
                return Err(Error::new(Kind::TooCostly, text).at("_sort"));
            }
            self.query.sort.push(Sort { by, descending });
        }
        Ok(())
    }

    /// `subject.family` or `subject:Patient.family`: one step to what a reference leads to.
    fn sort_chain(&mut self, key: &str) -> Result<SortBy> {
        let refused = |text: String| Error::invalid(text).at("_sort");
        let (head, code) = key.split_once('.').unwrap_or((key, ""));
        let (reference, only) = match head.split_once(':') {
            Some((reference, only)) => (reference, Some(only)),
            None => (head, None),
        };
        let Some(param) = self.param(reference).filter(|p| p.kind == ParameterKind::Reference) else {
            return Err(refused(format!("`{key}` cannot be sorted by: `{reference}` is no reference")));
        };
        if code.contains('.') {
            return Err(refused(format!("`{key}` cannot be sorted by: one step is followed, not several")));
        }
        let mut targets: Vec<(Box<str>, Arc<Param>)> = Vec::new();
        for type_name in self.types_beyond(key, &param, only)? {
            let found = self.registry.for_type(&type_name)?.param(code).filter(|p| is_ordered(p)).cloned();
            targets.extend(found.map(|inner| (type_name, inner)));
        }
        let Some((_, first)) = targets.first() else {
            let text = format!("`{key}` cannot be sorted by: nothing that `{head}` refers to has `{code}`");
            return Err(refused(text));
        };
        if targets.iter().any(|(_, inner)| inner.kind != first.kind) {
            let text = format!(
                "`{key}` is not the same kind of value everywhere; say which: `{reference}:Type.{code}`"
            );
            return Err(refused(text));
        }
        for (type_name, inner) in &targets {
            self.uses_of(type_name, Some(&self.this.type_name), inner)?;
        }
        Ok(SortBy::Chain { param, targets })
    }
}
