//! Conditions: `code:modifier=value,value`.

use std::sync::Arc;

use fhir_model::types::Types;
use fhir_model::{Error, Key, Result};

use super::{Parser, blanks, hints};
use crate::param::Param;
use crate::parameters::ParameterKind;
use crate::query::{Filter, Modifier, SearchTerm, Subject, TextSource};
use crate::text::{split_comma, split_dollar, unescape};
use crate::{date, near, number, quantity, reference, string, token, uri};

/// Most ways in which the references of a composite's parts can be meant together.
const WAYS_MAX: usize = 1_000;

impl Parser<'_> {
    /// `_id` and `_lastUpdated`.
    pub(super) fn column(&mut self, code: &str, modifier: Option<&str>, value: &str) -> Result<()> {
        let modifier = match modifier {
            None => Modifier::None,
            Some("missing") => Modifier::Missing,
            Some("not") if code == "_id" => Modifier::Not,
            Some(other) => {
                return Err(Error::invalid(format!("`{code}` does not take the modifier `:{other}`")));
            }
        };
        let values = self.values(code, value)?;
        let id = code == "_id";
        let terms = values.into_iter().map(str::trim).map(|v| match id {
            _ if modifier == Modifier::Missing => flag(v),
            true => {
                let id = unescape(v);
                self.hint_of_id(&id);
                Ok(SearchTerm::Id(id))
            }
            false => date::DateTerm::parse(&unescape(v), self.cx.now, self.cx.zone).map(SearchTerm::Date),
        });
        let terms = terms.collect::<Result<Vec<_>>>().map_err(|e| e.at(code))?;
        let subject = if id { Subject::Id } else { Subject::LastUpdated };
        self.query.filters.push(Filter { subject, modifier, terms });
        Ok(())
    }

    /// `_list=id`. The lists that a server keeps for a patient (`$current-problems`) are not kept.
    pub(super) fn list(&mut self, modifier: Option<&str>, value: &str) -> Result<()> {
        if let Some(modifier) = modifier {
            return Err(Error::invalid(format!("`_list` does not take the modifier `:{modifier}`")));
        }
        let terms = self.values("_list", value)?.into_iter().map(|id| {
            let id = unescape(id.trim());
            match (Key::is_id(&id), id.starts_with('$')) {
                (true, _) => Ok(SearchTerm::Id(id)),
                (_, true) => {
                    Err(Error::not_supported(format!("this server keeps no list `{id}`")).at("_list"))
                }
                _ => {
                    let text = format!("`{id}` is not the id of a List, such as `1` of `List/1`");
                    Err(Error::value(text).at("_list"))
                }
            }
        });
        let terms = terms.collect::<Result<Vec<_>>>()?;
        self.query.filters.push(Filter { subject: Subject::List, modifier: Modifier::None, terms });
        Ok(())
    }

    /// `_text` and `_content`. A comma is part of the words.
    pub(super) fn words(&mut self, of: TextSource, modifier: Option<&str>, value: &str) -> Result<()> {
        if let Some(modifier) = modifier {
            let name = of.parameter();
            return Err(Error::invalid(format!("`{name}` does not take the modifier `:{modifier}`")));
        }
        let terms = vec![SearchTerm::Text(value.to_owned())];
        self.query.filters.push(Filter { subject: Subject::Words(of), modifier: Modifier::None, terms });
        Ok(())
    }

    pub(super) fn filter(&mut self, param: Arc<Param>, modifier: Option<&str>, value: &str) -> Result<()> {
        self.uses(&param)?;
        let modifier = self.modifier(&param, modifier)?;
        let values = self.values(&param.code, value)?;
        let mut terms = Vec::with_capacity(values.len());
        for (at, value) in values.into_iter().enumerate() {
            self.terms(&param, &modifier, (at, value), &mut terms).map_err(|e| e.at(&*param.code))?;
        }
        self.query.filters.push(Filter { subject: Subject::Param(param), modifier, terms });
        Ok(())
    }

    fn modifier(&self, param: &Param, modifier: Option<&str>) -> Result<Modifier> {
        let Some(text) = modifier else { return Ok(Modifier::None) };
        let stated = param.modifiers().into_iter().find(|(name, _)| *name == text);
        let is_type = || self.registry.definitions().is_resource(text);
        let known = match stated {
            Some((_, modifier)) => Some(modifier),
            None if param.kind == ParameterKind::Reference && is_type() => {
                if !param.targets.is_empty() && !param.targets.iter().any(|t| **t == *text) {
                    let targets = param.targets.join(", ");
                    let text = format!("`{}` never refers to a {text}, but to {targets}", param.code);
                    return Err(Error::invalid(text));
                }
                Some(Modifier::Type(text.into()))
            }
            None => None,
        };
        known.ok_or_else(|| {
            let kind = param.kind.as_str();
            let all: Vec<String> = param.modifiers().iter().map(|(name, _)| format!(":{name}")).collect();
            let types = if param.kind == ParameterKind::Reference { " and types of resources" } else { "" };
            Error::invalid(format!(
                "`{}`, a {kind} parameter, does not take the modifier `:{text}` here, but {}{types}",
                param.code,
                all.join(", ")
            ))
        })
    }

    /// The term of a value, which stands at this place of a list; two terms where it can be meant in two ways.
    fn terms(
        &mut self,
        param: &Param,
        modifier: &Modifier,
        (at, value): (usize, &str),
        terms: &mut Vec<SearchTerm>,
    ) -> Result<()> {
        // In texts blanks are looked for; but not that after the comma of a list, where a text begins.
        let is_text = matches!(param.kind, ParameterKind::String | ParameterKind::Composite)
            || matches!(modifier, Modifier::Text);
        if is_text || !value.contains(' ') {
            let plain = if *modifier == Modifier::Exact { value } else { value.trim_start_matches(' ') };
            let term = self.term(param, modifier, plain)?;
            self.hint(param, modifier, plain, &term);
            terms.push(term);
            return Ok(());
        }
        let plain = blanks::without(value);
        let term = self.term(param, modifier, &plain)?;
        self.hint(param, modifier, &plain, &term);
        let plus = blanks::as_plus(value).filter(|_| matches!(term, SearchTerm::Token(_)));
        terms.push(term);
        match plus {
            Some(plus) if param.has_type(&["ContactPoint"]) => terms.push(self.term(param, modifier, &plus)?),
            // After a comma people write a blank.
            Some(plus) if at == 0 || value.contains("| ") => {
                let text = format!(
                    "`{}`: a blank before a number was left out; if `{plus}` is meant, write + as %2B",
                    param.code
                );
                if self.cx.strict {
                    return Err(Error::value(text));
                }
                self.warn(text);
            }
            _ => {}
        }
        Ok(())
    }

    fn term(&self, param: &Param, modifier: &Modifier, value: &str) -> Result<SearchTerm> {
        if *modifier == Modifier::Missing {
            return flag(value);
        }
        Ok(match (param.kind, modifier) {
            (ParameterKind::Token, Modifier::Text) => {
                SearchTerm::Text(string::parse(unescape(value), modifier)?)
            }
            (ParameterKind::Token, Modifier::In | Modifier::NotIn) => SearchTerm::Text(unescape(value)),
            (ParameterKind::Token, Modifier::Above | Modifier::Below) => {
                SearchTerm::Token(token::TokenTerm::parse(value)?.in_hierarchy(param)?)
            }
            (ParameterKind::Token, Modifier::OfType) => SearchTerm::OfType(token::OfType::parse(value)?),
            // Without a version, any: that is what the reference alone means.
            (ParameterKind::Reference, Modifier::Above | Modifier::Below)
                if unescape(value).contains('|') =>
            {
                SearchTerm::Text(unescape(value))
            }
            (ParameterKind::Reference, Modifier::Identifier) => {
                SearchTerm::Token(token::TokenTerm::parse(value)?)
            }
            (ParameterKind::Token, _) => {
                let term = token::TokenTerm::parse(value)?;
                if hints::is_truth(param) && !matches!(term.code.as_deref(), Some("true" | "false") | None) {
                    return Err(Error::value(format!("`{}` is true or false, not `{value}`", param.code)));
                }
                SearchTerm::Token(term)
            }
            (ParameterKind::Reference, Modifier::Type(type_name)) => SearchTerm::Reference(
                reference::ReferenceTerm::parse(&unescape(value), Some(type_name), self.cx.bases)?,
            ),
            (ParameterKind::Reference, _) => {
                SearchTerm::Reference(reference::ReferenceTerm::parse(&unescape(value), None, self.cx.bases)?)
            }
            (ParameterKind::String, modifier) => SearchTerm::Text(string::parse(unescape(value), modifier)?),
            (ParameterKind::Uri, modifier) => SearchTerm::Text(uri::parse(unescape(value), modifier)?),
            (ParameterKind::Date, _) => {
                SearchTerm::Date(date::DateTerm::parse(&unescape(value), self.cx.now, self.cx.zone)?)
            }
            (ParameterKind::Number, _) => SearchTerm::Number(number::NumberTerm::parse(&unescape(value))?),
            (ParameterKind::Quantity, _) => SearchTerm::Quantity(quantity::QuantityTerm::parse(value)?),
            (ParameterKind::Special, _) => SearchTerm::Near(near::NearTerm::parse(value)?),
            (ParameterKind::Composite, _) => SearchTerm::Composite(self.parts(param, value)?),
        })
    }

    /// `a$b`: a value for each part of a composite.
    fn parts(&self, param: &Param, value: &str) -> Result<Vec<SearchTerm>> {
        let parts = param.composite.as_ref().map_or(&[][..], |composite| &composite.parts);
        let values = split_dollar(value);
        if values.len() != parts.len() {
            let names: Vec<&str> = parts.iter().map(|part| &*part.code).collect();
            let text = format!(
                "`{}` takes {} values with a $ between them: {}; a $ within a value is written \\$",
                param.code,
                parts.len(),
                names.join("$")
            );
            return Err(Error::value(text));
        }
        let term = |(part, value): (&Arc<Param>, &&str)| {
            let term = self.term(part, &Modifier::None, value)?;
            match &term {
                SearchTerm::Token(token)
                    if token.code.is_none() && part.indexes.iter().any(|i| !i.systems) =>
                {
                    Err(Error::not_supported(format!("in `{}` a system goes with a code", param.code)))
                }
                _ => Ok(term),
            }
        };
        let terms = parts.iter().zip(&values).map(term).collect::<Result<Vec<SearchTerm>>>()?;
        // An id without its type is one of each type that the part may refer to, and all ways of all parts are combined.
        let ways = |(part, term): (&Arc<Param>, &SearchTerm)| match term {
            SearchTerm::Reference(reference::ReferenceTerm::Id(_)) if part.targets.is_empty() => WAYS_MAX,
            SearchTerm::Reference(reference::ReferenceTerm::Id(_)) => part.targets.len(),
            _ => 1,
        };
        let all = parts.iter().zip(&terms).map(ways).try_fold(1usize, usize::checked_mul);
        match all {
            Some(..=WAYS_MAX) => Ok(terms),
            _ => {
                let text =
                    format!("`{}` can mean too many resources: name the types of the references", param.code);
                Err(Error::new(fhir_model::Kind::TooCostly, text))
            }
        }
    }

    fn values<'v>(&self, code: &str, value: &'v str) -> Result<Vec<&'v str>> {
        let values = split_comma(value);
        if values.len() > self.cx.values_max {
            let text =
                format!("`{code}` has {} values; {} at most are allowed", values.len(), self.cx.values_max);
            return Err(Error::new(fhir_model::Kind::TooCostly, text).at(code));
        }
        match values.iter().any(|v| v.is_empty()) {
            true => {
                let text =
                    format!("`{code}` has an empty value in its list; a comma within a value is written \\,");
                Err(Error::value(text).at(code))
            }
            false => Ok(values),
        }
    }
}

/// The value of `:missing`.
fn flag(value: &str) -> Result<SearchTerm> {
    match value {
        "true" => Ok(SearchTerm::Flag(true)),
        "false" => Ok(SearchTerm::Flag(false)),
        _ => Err(Error::value(format!("`:missing` is true or false, not `{value}`"))),
    }
}
