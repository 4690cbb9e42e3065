//! Composites: what they are made of, found among the parameters or given indexes of their own.

use std::sync::Arc;

use fhir_model::types::Types;
use fhir_model::{Error, Result};

use super::build::{Build, Part, Shared};
use crate::compile::{RESOURCE, compile};
use crate::param::{Composite, Element, Index, Param, Role};
use crate::parameters::{Parameter, ParameterKind, Parameters};
use crate::path::{Step, Trie};

/// The parts of a composite, as its definition names them.
pub(super) fn parts(definition: &Parameter, parameters: &Parameters) -> Result<Vec<Part>> {
    let mut parts = Vec::new();
    for component in &definition.components {
        let beyond = |why: &str| Error::internal(format!("{}: {why}", definition.url));
        let definition = match &component.resolved {
            Some(resolved) => Arc::new(Parameter::clone(resolved)),
            None => {
                let known = parameters.by_url(&component.definition);
                known.ok_or_else(|| beyond("a part is not known"))?.clone()
            }
        };
        let mut part = Part { definition, here: Vec::new(), of_resource: Vec::new(), whole: Vec::new() };
        for branch in compile(&component.expression).map_err(|e| beyond(&e.to_string()))?.branches {
            match branch.root.as_deref() {
                Some(RESOURCE) => part.of_resource.push(branch.steps),
                _ => part.here.push(branch.steps),
            }
        }
        parts.push(part);
    }
    Ok(parts)
}

impl Build<'_> {
    /// The index of a composite within the elements at a path.
    pub(super) fn element(
        &mut self,
        name: Box<str>,
        base: &[Step],
        parts: &[Part],
        added: bool,
    ) -> Option<usize> {
        let same = |part: &Part| {
            (part.definition.kind, [part.here.as_slice(), part.of_resource.as_slice()].concat())
        };
        let shared: Shared = (base.to_vec(), parts.iter().map(same).collect());
        if let Some(known) = self.by_element.get(&shared) {
            return Some(*known);
        }
        let at = self.this.indexes.len();
        if !self.this.trie.add(self.definitions, base, at) {
            return None;
        }
        let types: Vec<Box<str>> = self.this.trie.leaf_types(at).into_iter().map(Box::from).collect();
        let element = self.parts_of(&name, types.first()?, parts, added);
        let index = Index {
            name,
            kind: ParameterKind::Composite,
            role: Role::Plain,
            types,
            plain: false,
            identifies: false,
            implied_system: None,
            truth: false,
            words: false,
            sounds: false,
            element: Some(element),
            part: false,
            systems: true,
            steps: base.to_vec(),
        };
        // What was added can go away: nobody shares it.
        if !added {
            self.by_element.insert(shared, at);
        }
        self.this.indexes.push(Arc::new(index));
        Some(at)
    }

    /// Finds the indexes of the parts of a composite of the whole resource; one that was added gets those it lacks.
    pub(super) fn whole(&mut self, name: &str, parts: &mut [Part], added: bool) {
        for (n, part) in parts.iter_mut().enumerate() {
            let kind = part.definition.kind;
            let paths: Vec<Vec<Step>> = part.here.iter().chain(&part.of_resource).cloned().collect();
            let several = paths.len() > 1;
            let index = |(i, steps): (usize, Vec<Step>)| {
                let own = || match several {
                    true => format!("{name}${n}#{i}"),
                    false => format!("{name}${n}"),
                };
                let known = self.by_path.get(&(kind, steps.clone())).copied();
                let known = known.filter(|at| self.this.indexes.get(*at).is_some_and(|x| !x.truth));
                known.or_else(|| added.then(|| self.index(kind, own().into(), steps, false, added)).flatten())
            };
            let found = paths.into_iter().enumerate().map(index);
            // Of one that was added a path may lead nowhere; of R4's each has an index of its own.
            part.whole = match added {
                true => found.flatten().collect(),
                false => found.collect::<Option<Vec<usize>>>().unwrap_or_default(),
            };
        }
    }

    fn parts_of(&self, name: &str, type_name: &str, parts: &[Part], added: bool) -> Element {
        let grow = |paths: &mut dyn Iterator<Item = &Part>| {
            let (mut here, mut of_resource) = (Trie::new(type_name), Trie::new(&self.this.type_name));
            for (n, part) in paths.enumerate() {
                // A path that leads nowhere here leaves its part without values.
                for steps in &part.here {
                    here.add(self.definitions, steps, n);
                }
                for steps in &part.of_resource {
                    of_resource.add(self.definitions, steps, n);
                }
            }
            (here, of_resource)
        };
        let (mut here, mut of_resource) = grow(&mut parts.iter());
        let types = |here: &Trie, of_resource: &Trie, n: usize| -> Vec<Box<str>> {
            [here.leaf_types(n), of_resource.leaf_types(n)].concat().into_iter().map(Box::from).collect()
        };
        let all_fit = |here: &Trie, of_resource: &Trie| {
            let mut all = parts.iter().enumerate();
            all.all(|(n, part)| fits(part.definition.kind, &types(here, of_resource, n)))
        };
        if !added && !all_fit(&here, &of_resource) {
            // R4 has the expressions of `DocumentReference.relationship` the wrong way round.
            let (back, back_of_resource) = grow(&mut parts.iter().rev());
            if all_fit(&back, &back_of_resource) {
                (here, of_resource) = (back, back_of_resource);
            }
        }
        let ordered = |part: &Part| {
            use ParameterKind::{Date, Number, Quantity, String};
            matches!(part.definition.kind, Date | Number | Quantity | String)
        };
        let systems = !parts.iter().any(ordered);
        let param = |(n, part): (usize, &Part)| {
            let types = types(&here, &of_resource, n);
            let implied_system = match (types.as_slice(), part.here.as_slice()) {
                ([one], [path]) if **one == *"code" => match path.as_slice() {
                    [Step::Field(field)] => self.definitions.system_of_code_element(type_name, field),
                    _ => None,
                },
                _ => None,
            };
            let index = Index {
                name: format!("{name}${n}").into(),
                kind: part.definition.kind,
                role: Role::Plain,
                plain: types.iter().all(|t| self.definitions.is_primitive(t)),
                identifies: false,
                implied_system: implied_system.map(Box::from),
                types,
                truth: false,
                words: false,
                sounds: false,
                element: None,
                part: true,
                systems,
                steps: Vec::new(),
            };
            self.part(part, index.name.clone(), vec![Arc::new(index)])
        };
        Element { parts: parts.iter().enumerate().map(param).collect(), here, of_resource }
    }

    /// How a composite is put together. Returns `None` when a part on the whole resource is not searchable.
    pub(super) fn composite(
        &self,
        parts: &[Part],
        whole: bool,
        elements: &[Arc<Index>],
    ) -> Option<Composite> {
        let whole = match whole {
            true => Some(parts.iter().map(|part| self.resource_part(part)).collect::<Option<Vec<_>>>()?),
            false => None,
        };
        let of_element = || elements.first()?.element.as_ref().map(|e| e.parts.clone());
        Some(Composite { parts: of_element().or_else(|| whole.clone())?, whole })
    }

    /// The parameter that a part on the whole resource is searched by. Returns `None` when it is not searchable.
    fn resource_part(&self, part: &Part) -> Option<Arc<Param>> {
        let indexes = part.whole.iter().map(|at| self.this.indexes.get(*at).cloned());
        let indexes = indexes.collect::<Option<Vec<_>>>().filter(|found| !found.is_empty())?;
        Some(self.part(part, part.definition.code.clone(), indexes))
    }

    fn part(&self, part: &Part, name: Box<str>, indexes: Vec<Arc<Index>>) -> Arc<Param> {
        Arc::new(Param {
            code: name.clone(),
            name,
            kind: part.definition.kind,
            type_number: self.this.number,
            indexes,
            bit: None,
            only_target: None,
            composite: None,
            targets: part.definition.target.clone(),
            definition: part.definition.clone(),
            building: None,
        })
    }
}

/// Whether values of these types can be what a parameter of this kind looks at.
fn fits(kind: ParameterKind, types: &[Box<str>]) -> bool {
    let reference = |t: &str| matches!(t, "Reference" | "canonical" | "uri" | "Resource");
    match kind {
        ParameterKind::Reference => types.iter().any(|t| reference(t)),
        ParameterKind::Token => !types.iter().all(|t| reference(t)),
        _ => !types.is_empty(),
    }
}
