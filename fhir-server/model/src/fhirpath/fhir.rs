//! FHIR's additions: <https://hl7.org/fhir/R4/fhirpath.html#functions>

use std::borrow::Cow;

use super::ast::{Expr, TypeName};
use super::call::Call;
use super::evaluate::{EvalError, Evaluation, Items, boolean, error};
use super::function::Function as F;
use super::html;
use super::item::{Item, Node, Value};
use crate::json::Ref;

/// Where FHIR's own type definitions are named.
const STRUCTURE: &str = "http://hl7.org/fhir/StructureDefinition/";

impl<'a> Evaluation<'_, 'a> {
    pub(super) fn fhir(&self, input: Items<'a>, call: &Call<'_, '_, 'a>) -> Result<Items<'a>, EvalError> {
        let at = call.at;
        let answer = match call.function {
            F::Extension => return self.extensions(&input, call),
            F::HasExtension => Some(!self.extensions(&input, call)?.is_empty()),
            F::HasValue => Some(self.own_value(&input).is_some()),
            F::GetValue => return Ok(self.own_value(&input).map(Item::Value).into_iter().collect()),
            F::Resolve => {
                let mut found = Vec::new();
                for item in &input {
                    found.extend(self.resolved(item));
                }
                return Ok(found);
            }
            // Definitions of elements and slices are not within reach of the type knowledge.
            F::ElementDefinition => return Ok(Vec::new()),
            F::Slice => return Err(error(at, "`slice()` is not supported")),
            F::CheckModifiers => return self.checked_modifiers(input, call),
            F::ConformsTo => self.conforms(&input, call)?,
            F::MemberOf => self.member(&input, call)?,
            F::Subsumes | F::SubsumedBy => self.subsumption(&input, call)?,
            F::HtmlChecks => self.string(&input, at)?.map(|text| html::is_narrative(&text)),
            F::GetResourceKey => return Ok(input.iter().filter_map(resource_key).map(Item::text).collect()),
            _ => return self.reference_keys(&input, call),
        };
        Ok(answer.map(boolean).into_iter().collect())
    }

    fn extensions(&self, input: &[Item<'a>], call: &Call<'_, '_, 'a>) -> Result<Items<'a>, EvalError> {
        let Some(url) = self.string(&self.first_argument(call)?, call.at)? else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for item in input {
            if let Item::Node(node) = item {
                node.child(self.cx.types, "extension", &mut found);
            }
        }
        found.retain(|item| {
            item.json().and_then(|json| json.get_str("url")).is_some_and(|found| found == url)
        });
        Ok(found)
    }

    /// The value of a single primitive.
    fn own_value(&self, input: &[Item<'a>]) -> Option<Value<'a>> {
        match input {
            [Item::Node(node)] if node.value.is_some_and(|json| !json.is_object()) => {
                node.to_value(self.cx.types)
            }
            _ => None,
        }
    }

    /// The resource a Reference, uri or canonical points at.
    fn resolved(&self, item: &Item<'a>) -> Option<Item<'a>> {
        let (reference, said) = match item.json() {
            Some(json) if json.is_object() => (json.get_str("reference")?, json.get_str("type")),
            Some(json) => (json.str()?, None),
            None => match item {
                Item::Value(Value::String(text)) => (text.clone(), None),
                _ => return None,
            },
        };
        if let Some(id) = reference.strip_prefix('#') {
            return self.contained(id);
        }
        if let Some(resolver) = self.cx.resolver {
            return resolver.resolve(&reference).map(Item::resource);
        }
        let type_name = self.referenced_type(&reference).or(said)?;
        Some(Item::Node(Node { value: None, sibling: None, type_name }))
    }

    fn contained(&self, id: &str) -> Option<Item<'a>> {
        if id.is_empty() {
            return Some(Item::resource(self.cx.root));
        }
        // A contained resource refers to its siblings, which are in the root.
        [self.cx.resource, self.cx.root].into_iter().find_map(|holder| {
            let found =
                holder.get("contained")?.items().find(|it| it.get_str("id").is_some_and(|found| found == id));
            found.map(Item::resource)
        })
    }

    /// `Patient` of `Patient/1`, `http://server/Patient/1/_history/2`, `Patient?identifier=1`.
    fn referenced_type(&self, reference: &str) -> Option<Cow<'a, str>> {
        let path = reference.split(['?', '|', '#']).next()?;
        let path = path.split("/_history/").next()?;
        let mut parts = path.rsplit('/');
        let last = parts.next()?;
        let candidates = [parts.next(), Some(last).filter(|_| reference.contains('?'))];
        let is_resource = |name: &&str| self.cx.types.is_resource(name);
        candidates.into_iter().flatten().find(is_resource).map(|name| Cow::Owned(name.to_owned()))
    }

    /// Modifier extensions other than those named are errors.
    fn checked_modifiers(&self, input: Items<'a>, call: &Call<'_, '_, 'a>) -> Result<Items<'a>, EvalError> {
        let mut known = Vec::new();
        for argument in call.args {
            known.extend(self.string(&self.argument(argument, call.scope)?, call.at)?);
        }
        for modifiers in input.iter().filter_map(|item| item.json()?.get("modifierExtension")) {
            for url in modifiers.items().map(|modifier| modifier.get_str("url").unwrap_or_default()) {
                if !known.contains(&url) {
                    return Err(error(call.at, format!("the modifier extension `{url}` is not known")));
                }
            }
        }
        Ok(input)
    }

    fn conforms(&self, input: &[Item<'a>], call: &Call<'_, '_, 'a>) -> Result<Option<bool>, EvalError> {
        let at = call.at;
        let (Some(item), Some(profile)) =
            (self.single(input, at)?, self.string(&self.first_argument(call)?, at)?)
        else {
            return Ok(None);
        };
        if let (Some(profiles), Some(node)) = (self.cx.profiles, item.as_node())
            && let Some(conforms) = profiles.conforms_to(node, &profile)
        {
            return Ok(Some(conforms));
        }
        let name = profile.strip_prefix(STRUCTURE).map(|name| name.split('|').next().unwrap_or(name));
        let types = self.cx.types;
        match name.filter(|name| types.is_resource(name) || !types.elements(name).is_empty()) {
            Some(name) => Ok(Some(self.is(item, &TypeName { namespace: None, name: name.into() }))),
            None => Err(error(at, format!("the profile `{profile}` is not known"))),
        }
    }

    fn member(&self, input: &[Item<'a>], call: &Call<'_, '_, 'a>) -> Result<Option<bool>, EvalError> {
        let (Some(item), Some(value_set)) =
            (self.single(input, call.at)?, self.string(&self.first_argument(call)?, call.at)?)
        else {
            return Ok(None);
        };
        let Some(terminology) = self.cx.terminology else { return Ok(None) };
        let answers = codings(item)
            .into_iter()
            .map(|(system, code)| terminology.member_of(&value_set, system.as_deref(), &code));
        // One coding of the value set is enough; no answer at all is no answer.
        Ok(answers.fold(None, |any, answer| if any == Some(true) { any } else { answer.or(any) }))
    }

    fn subsumption(&self, input: &[Item<'a>], call: &Call<'_, '_, 'a>) -> Result<Option<bool>, EvalError> {
        let other = self.first_argument(call)?;
        let (Some(item), Some(other)) = (self.single(input, call.at)?, self.single(&other, call.at)?) else {
            return Ok(None);
        };
        let (general, specific) = if call.function == F::Subsumes { (item, other) } else { (other, item) };
        let Some(terminology) = self.cx.terminology else { return Ok(None) };
        let mut any = None;
        for (system, code) in codings(general) {
            for (other_system, other_code) in codings(specific) {
                let (Some(system), true) = (&system, system == other_system) else { continue };
                let answer = terminology.subsumes(system, &code, &other_code);
                any = if any == Some(true) { any } else { answer.or(any) };
            }
        }
        Ok(any)
    }

    fn reference_keys(&self, input: &[Item<'a>], call: &Call<'_, '_, 'a>) -> Result<Items<'a>, EvalError> {
        let wanted = match call.args.first() {
            Some(Expr::Member { name, .. }) => Some(name.to_string()),
            Some(other) => self.string(&self.argument(other, call.scope)?, call.at)?.map(Cow::into_owned),
            None => None,
        };
        let keys = input.iter().filter_map(|item| {
            let reference = item.json()?.get_str("reference")?;
            let path = reference.split("/_history/").next()?;
            let mut parts = path.rsplit('/');
            let (id, type_name) = (parts.next()?, parts.next()?);
            let fits = wanted.as_deref().is_none_or(|wanted| wanted == type_name);
            fits.then(|| Item::text(format!("{type_name}/{id}")))
        });
        Ok(keys.collect())
    }
}

/// `Patient/1`: equal to what `getReferenceKey()` gives of a reference to it.
fn resource_key(item: &Item<'_>) -> Option<String> {
    let json = item.json()?;
    Some(format!("{}/{}", json.get_str("resourceType")?, json.get_str("id")?))
}

/// System and code of a code, Coding or CodeableConcept.
fn codings<'a>(item: &Item<'a>) -> Vec<(Option<Cow<'a, str>>, Cow<'a, str>)> {
    let coding = |json: Ref<'a>| Some((json.get_str("system"), json.get_str("code")?));
    match item {
        Item::Value(Value::String(code)) => vec![(None, code.clone())],
        Item::Value(_) => Vec::new(),
        Item::Node(node) => match node.value {
            Some(json) if json.is_object() => match json.get("coding") {
                Some(all) => all.items().filter_map(coding).collect(),
                None => coding(json).into_iter().collect(),
            },
            Some(json) => json.str().map(|code| (None, code)).into_iter().collect(),
            None => Vec::new(),
        },
    }
}
