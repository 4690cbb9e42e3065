//! Composites: what they are made of, found among the parameters or given indexes of their own.

use std::sync::Arc;

use fhir_model::types::Types;
use fhir_model::{Error, Result};

use super::compile::Build;
use super::{Index, Param, Role};
use crate::compile::{RESOURCE, compile};
use crate::composite::{Composite, Element};
use crate::parameters::{Parameter, ParameterKind, Parameters};
use crate::path::{Step, Trie};

/// A part of a composite before it has an index.
pub(super) struct Part {
    definition: Arc<Parameter>,
    /// From where the parts stand together.
    here: Vec<Vec<Step>>,
    /// From the resource.
    of_resource: Vec<Vec<Step>>,
}

/// What makes the parts within one element the same as those of another composite.
pub(super) type Shared = (Vec<Step>, Vec<(ParameterKind, Vec<Vec<Step>>)>);

pub(super) fn parts(definition: &Parameter, parameters: &Parameters) -> Result<Vec<Part>> {
    let mut parts = Vec::new();
    for component in &definition.components {
        let beyond = |why: &str| Error::internal(format!("{}: {why}", definition.url));
        let of = parameters.by_url(&component.definition).ok_or_else(|| beyond("a part is not known"))?;
        let mut part = Part { definition: of.clone(), here: Vec::new(), of_resource: Vec::new() };
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
    pub(super) fn element(&mut self, name: Box<str>, base: &[Step], parts: &[Part]) -> Option<usize> {
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
        let element = self.parts_of(&name, types.first()?, parts);
        let index = Index {
            name,
            kind: ParameterKind::Composite,
            role: Role::Plain,
            types,
            plain: false,
            identifies: false,
            implied_system: None,
            truth: false,
            element: Some(element),
            part: false,
            systems: true,
            steps: base.to_vec(),
        };
        self.by_element.insert(shared, at);
        self.this.indexes.push(Arc::new(index));
        Some(at)
    }

    fn parts_of(&self, name: &str, type_name: &str, parts: &[Part]) -> Element {
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
        let misfit = |(n, part): (usize, &Part)| !fits(part.definition.kind, &types(&here, &of_resource, n));
        if parts.iter().enumerate().any(misfit) {
            // R4 has the expressions of `DocumentReference.relationship` the wrong way round.
            (here, of_resource) = grow(&mut parts.iter().rev());
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
                element: None,
                part: true,
                systems,
                steps: Vec::new(),
            };
            Arc::new(Param {
                code: index.name.clone(),
                name: index.name.clone(),
                kind: index.kind,
                type_number: self.this.number,
                indexes: vec![Arc::new(index)],
                bit: None,
                only_target: None,
                composite: None,
                targets: part.definition.target.clone(),
                definition: part.definition.clone(),
                building: None,
            })
        };
        Element { parts: parts.iter().enumerate().map(param).collect(), here, of_resource }
    }

    /// How a composite is put together; none when a part of the whole resource is nothing that can be searched for.
    pub(super) fn composite(
        &self,
        parts: &[Part],
        whole: bool,
        elements: &[Arc<Index>],
        params: &[Arc<Param>],
    ) -> Option<Composite> {
        let whole = match whole {
            true => Some(parts.iter().map(|part| self.same(part, params)).collect::<Option<Vec<_>>>()?),
            false => None,
        };
        let of_element = || elements.first()?.element.as_ref().map(|e| e.parts.clone());
        Some(Composite { parts: of_element().or_else(|| whole.clone())?, whole })
    }

    /// The parameter whose values are just those of a part of the whole resource, or one that is cut down to them.
    fn same(&self, part: &Part, params: &[Arc<Param>]) -> Option<Arc<Param>> {
        let indexes: Option<Vec<Arc<Index>>> = part
            .here
            .iter()
            .map(|steps| {
                let at = self.by_path.get(&(part.definition.kind, steps.clone()))?;
                self.this.indexes.get(*at).cloned()
            })
            .collect();
        let indexes = indexes?;
        let has_all = |param: &&Arc<Param>| {
            let has = |index: &Arc<Index>| param.indexes.iter().any(|i| Arc::ptr_eq(i, index));
            // One that was added can go away.
            param.name == param.code && param.only_target.is_none() && indexes.iter().all(has)
        };
        let least = params.iter().filter(has_all).min_by_key(|param| param.indexes.len())?;
        if least.indexes.len() == indexes.len() {
            return Some(least.clone());
        }
        Some(Arc::new(Param {
            code: least.code.clone(),
            name: least.name.clone(),
            kind: least.kind,
            type_number: least.type_number,
            indexes,
            bit: least.bit,
            only_target: None,
            composite: None,
            targets: least.targets.clone(),
            definition: least.definition.clone(),
            building: None,
        }))
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
