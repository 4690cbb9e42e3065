//! Whether a chain holds of a resource by what stands within it: asked of the body.

use std::cell::RefCell;
use std::collections::HashMap;

use fhir_model::Result;
use fhir_model::json::Ref;

use super::{Container, Nesting};
use crate::condition::{Chain, Condition};
use crate::index_hash::IndexHasher;
use crate::parameters::ParameterKind;
use crate::registry::{Registry, Set};
use crate::rows::Rows;
use crate::settings::IndexSettings;

/// The evaluation of conditions on the resources within one body. What was answered of a resource is remembered: their
/// references may go around in circles.
#[derive(Debug)]
pub struct Evaluation<'a> {
    registry: &'a Registry,
    hasher: &'a IndexHasher,
    settings: &'a IndexSettings,
    /// By the place of a resource in its document, and the address of a condition.
    answered: RefCell<HashMap<(u32, *const Condition), bool>>,
}

impl<'a> Evaluation<'a> {
    /// Of one body.
    pub fn new(
        registry: &'a Registry,
        hasher: &'a IndexHasher,
        settings: &'a IndexSettings,
    ) -> Evaluation<'a> {
        Evaluation { registry, hasher, settings, answered: RefCell::default() }
    }

    /// True when a reference of the resource leads to one within it that meets the chain's condition.
    ///
    /// # Errors
    ///
    /// When a resource within it has more values than can be compared.
    pub fn reaches(&self, resource: Ref<'_>, chain: &Chain) -> Result<bool> {
        let ends = self.ends(resource, Container::new(resource), &chain.code)?;
        self.any_holds(ends, chain)
    }

    fn any_holds(&self, ends: Vec<(Ref<'_>, Container<'_>)>, chain: &Chain) -> Result<bool> {
        for (end, within) in ends {
            let type_name = end.get_str("resourceType").unwrap_or_default();
            let condition = chain.targets.iter().find(|(target, _)| **target == *type_name);
            if let Some((_, condition)) = condition
                && self.holds(&type_name, end, within, condition)?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The resources within the document that a parameter of the resource leads to, each once.
    fn ends<'d>(
        &self,
        resource: Ref<'d>,
        within: Container<'d>,
        code: &str,
    ) -> Result<Vec<(Ref<'d>, Container<'d>)>> {
        let this = self.registry.for_type(&resource.get_str("resourceType").unwrap_or_default())?;
        let mut ends: Vec<(Ref<'d>, Container<'d>)> = Vec::new();
        this.walk_with_users(resource, within, &mut |users, value, _| {
            let mut users = users;
            let is_it =
                |param: &crate::param::Param| param.kind == ParameterKind::Reference && *param.code == *code;
            let Some(param) = (&mut users).find(|param| is_it(param)) else { return };
            let Some((end, within)) = within.target(value) else { return };
            let type_name = end.get_str("resourceType").unwrap_or_default();
            if param.leads_to(&type_name) && !ends.iter().any(|(known, _)| *known == end) {
                ends.push((end, within));
            }
        });
        Ok(ends)
    }

    fn holds(
        &self,
        type_name: &str,
        resource: Ref<'_>,
        within: Container<'_>,
        condition: &Condition,
    ) -> Result<bool> {
        let asked = (resource.index(), std::ptr::from_ref(condition));
        if let Some(known) = self.answered.borrow().get(&asked) {
            return Ok(*known);
        }
        let place = Nesting::Within(within);
        let rows = self.registry.extract_within(
            Set::Written,
            self.hasher,
            type_name,
            resource,
            self.settings,
            place,
        )?;
        let holds = self.meets(resource, within, &rows, condition)?;
        self.answered.borrow_mut().insert(asked, holds);
        Ok(holds)
    }

    fn meets(
        &self,
        resource: Ref<'_>,
        within: Container<'_>,
        rows: &Rows,
        condition: &Condition,
    ) -> Result<bool> {
        let of = |part: &Condition| self.meets(resource, within, rows, part);
        Ok(match condition {
            Condition::All(parts) => {
                for part in parts {
                    if !of(part)? {
                        return Ok(false);
                    }
                }
                true
            }
            Condition::Any(parts) => {
                for part in parts {
                    if of(part)? {
                        return Ok(true);
                    }
                }
                false
            }
            Condition::Not(inner) => !of(inner)?,
            Condition::Visible(_) => true,
            Condition::Embedded(embedded) => {
                let ends = self.ends(resource, within, &embedded.chain.code)?;
                // What an entry of the Bundle is, is not the server's resource of the same id.
                let is_entry = ends.iter().any(|(end, within)| within.is_entry(*end));
                self.any_holds(ends, &embedded.chain)? || (!is_entry && of(&embedded.others)?)
            }
            // The entry of a Bundle has an id of its own; what is contained has no more than a name within what contains
            // it, which may be another's id here.
            Condition::Ids(_, ids) => {
                within.is_entry(resource)
                    && resource.get_str("id").is_some_and(|own| ids.iter().any(|id| **id == *own))
            }
            one => one.holds(rows),
        })
    }
}
