//! `_include` and `_revinclude`: <https://hl7.org/fhir/R4/search.html#revinclude>

use fhir_model::types::Types;
use fhir_model::{Error, Result};

use super::Parser;
use crate::parameters::ParameterKind;
use crate::query::Include;

/// Most includes of one search.
pub(super) const INCLUDES_MAX: usize = 50;

impl Parser<'_> {
    /// What to include; `Err` for what would add nothing: a type or parameter that is not known, references of another
    /// type than those that are searched.
    pub(super) fn include(
        &mut self,
        reverse: bool,
        modifier: Option<&str>,
        value: &str,
    ) -> Result<std::result::Result<Include, String>> {
        let name = if reverse { "_revinclude" } else { "_include" };
        let iterate = match modifier {
            None => false,
            // What R4 calls `iterate` was `recurse` before.
            Some("iterate" | "recurse") => true,
            Some(other) => {
                return Err(
                    Error::invalid(format!("`{name}` does not take the modifier `:{other}`")).at(name)
                );
            }
        };
        if self.query.includes.len() >= INCLUDES_MAX {
            let text = format!("a search has at most {INCLUDES_MAX} of `_include` and `_revinclude` here");
            return Err(Error::new(fhir_model::Kind::TooCostly, text).at(name));
        }
        let (source, code, target) = parts(value).ok_or_else(|| {
            let text =
                format!("`{name}={value}`: the form is Type:parameter, Type:parameter:Target, Type:* or *");
            Error::invalid(text).at(name)
        })?;
        let mut include = Include {
            reverse,
            iterate,
            source: source.map(Box::from),
            code: None,
            target: target.map(Box::from),
        };
        if reverse {
            self.uses_all(source, code)?;
        }
        let Some(source) = source else { return Ok(Ok(include)) };
        let Ok(of) = self.registry.for_type(source) else {
            return Ok(Err(format!("`{source}` is not a resource type")));
        };
        if let Some(target) = target.filter(|t| !self.registry.definitions().is_resource(t)) {
            return Ok(Err(format!("`{target}` is not a resource type")));
        }
        if !reverse && !iterate && !self.searches(source) {
            return Ok(Err(format!("the search is for {}, not {source}", self.searched())));
        }
        if let Some(code) = code {
            let param = of.param(code).filter(|param| param.kind == ParameterKind::Reference);
            let Some(param) = param else {
                return Ok(Err(format!("{source} has no reference parameter `{code}`")));
            };
            if let Some(target) = target.filter(|target| !param.leads_to(target)) {
                return Ok(Err(format!("`{code}` of {source} never refers to a {target}")));
            }
            if reverse && !iterate && !self.types().any(|type_name| param.leads_to(type_name)) {
                return Ok(Err(format!("`{code}` of {source} never refers to a {}", self.searched())));
            }
            include.code = Some(code.into());
        }
        if reverse && !iterate && target.is_some_and(|target| !self.searches(target)) {
            return Ok(Err(format!(
                "the search is for {}, not {}",
                self.searched(),
                target.unwrap_or_default()
            )));
        }
        Ok(Ok(include))
    }

    /// What is referred to stands in what was found; what refers to it is found by these parameters.
    fn uses_all(&mut self, source: Option<&str>, code: Option<&str>) -> Result<()> {
        for custom in self.registry.customs() {
            let definition = &custom.definition;
            let meant = definition.kind == ParameterKind::Reference
                && source.is_none_or(|source| custom.types.iter().any(|t| **t == *source))
                && code.is_none_or(|code| *definition.code == *code);
            if meant {
                self.uses_added(&definition.code, custom.building().as_ref())?;
            }
        }
        Ok(())
    }

    fn types(&self) -> impl Iterator<Item = &str> {
        self.all.iter().map(|of| &*of.type_name)
    }

    fn searches(&self, type_name: &str) -> bool {
        self.types().any(|one| one == type_name)
    }

    /// The types that are searched, some of them where they are many.
    pub(super) fn searched(&self) -> String {
        const NAMED: usize = 5;
        let some: Vec<&str> = self.types().take(NAMED).collect();
        let more = if self.all.len() > NAMED { ", .." } else { "" };
        format!("{}{more}", some.join(", "))
    }
}

/// Type, parameter and target; empty for `*`. Returns `None` when the text has none of the forms.
fn parts(value: &str) -> Option<(Option<&str>, Option<&str>, Option<&str>)> {
    let mut parts = value.split(':');
    let (source, code, target) = (parts.next()?, parts.next(), parts.next());
    let some = |text: &&str| !text.is_empty();
    if parts.next().is_some() || !some(&source) || !code.iter().all(some) || !target.iter().all(some) {
        return None;
    }
    let star = |text: &&str| *text != "*";
    let target = target.filter(star);
    match (source, code) {
        ("*", None | Some("*")) => Some((None, None, target)),
        ("*", Some(_)) | (_, None) => None,
        (source, code) => Some((Some(source), code.filter(star), target)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let rows = [
            ("*", Some((None, None, None))),
            ("*:*", Some((None, None, None))),
            ("Observation:*", Some((Some("Observation"), None, None))),
            ("Observation:*:Patient", Some((Some("Observation"), None, Some("Patient")))),
            ("Observation:subject", Some((Some("Observation"), Some("subject"), None))),
            ("Observation:subject:Patient", Some((Some("Observation"), Some("subject"), Some("Patient")))),
            ("Observation", None),
            ("*:subject", None),
            ("Observation:", None),
            (":subject", None),
            ("Observation:subject:", None),
            ("a:b:c:d", None),
        ];
        for (text, read) in rows {
            assert_eq!(parts(text), read, "{text}");
        }
    }
}
