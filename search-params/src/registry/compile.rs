//! From definitions to indexes: the parameters of a type are compiled, those that share a branch share an index, and
//! some indexes get a column of the resource's row.

use std::collections::HashMap;
use std::sync::Arc;

use fhir_model::types::Types;
use fhir_model::{Error, Result};
use fhir_profiles::Definitions;

use super::build::{Build, Draft, Part};
use super::composites::parts;
use super::type_search::TypeSearch;
use crate::compile::compile;
use crate::custom::Custom;
use crate::near;
use crate::param::{Composite, Index, Param, Role};
use crate::parameters::{Parameter, ParameterKind, Parameters};
use crate::path::{Step, Test, Trie};
use crate::string::PHONETIC_URL;

/// Parameters whose first coding gets the ordered column, in order of preference.
const PRIMARY_CODES: &[&str] = &["code", "vaccine-code", "type", "class", "category"];
/// Parameters whose date gets the ordered column, in order of preference.
const PRIMARY_DATES: &[&str] = &[
    "date",
    "effective-time",
    "onset-date",
    "recorded-date",
    "authoredon",
    "authored-on",
    "authored",
    "period",
    "occurrence",
    "created",
    "sent",
    "issued",
    "event-date",
    "started",
    "start-date",
    "birthdate",
    "payment-date",
];
/// Types whose parts are searched each.
fn is_named(type_name: &str) -> bool {
    matches!(type_name, "HumanName" | "Address")
}

/// Parameters with a bit in `present`; further ones of a type have a key.
const BITS: usize = 64;

impl TypeSearch {
    pub(super) fn compile(
        type_name: &str,
        definitions: &Definitions,
        parameters: &Parameters,
        customs: &[&Custom],
    ) -> Result<TypeSearch> {
        let number = definitions
            .type_number(type_name)
            .ok_or_else(|| Error::internal(format!("{type_name} has no number")))?;
        let mut build = Build {
            definitions,
            this: TypeSearch {
                type_name: type_name.into(),
                number,
                params: Vec::new(),
                indexes: Vec::new(),
                users: Vec::new(),
                wholes: Vec::new(),
                code_quantities: Vec::new(),
                trie: Trie::new(type_name),
            },
            by_path: HashMap::new(),
            by_element: HashMap::new(),
            drafts: Vec::new(),
        };
        for definition in parameters.for_type(type_name) {
            build.draft(definition, None, parameters)?;
        }
        for custom in customs {
            build.draft(&custom.definition, Some(custom), parameters)?;
        }
        Ok(build.finish())
    }
}

/// The branches of a definition for one type.
pub(crate) struct Branches {
    pub(crate) steps: Vec<Vec<Step>>,
    pub(crate) truth: bool,
}

impl Branches {
    /// The branches of an expression for a type. Returns `None` when no branch applies to it.
    pub(crate) fn parse(
        definition: &Parameter,
        type_name: &str,
        definitions: &Definitions,
    ) -> Result<Option<Branches>> {
        let Some(expression) = definition.expression_for(type_name) else { return Ok(None) };
        let compiled = compile(&expression)?;
        let here = |root: Option<&str>| root.is_none_or(|r| definitions.is_a(type_name, r));
        let mut steps = Vec::new();
        let branches = compiled.branches.into_iter().filter(|b| here(b.root.as_deref()));
        for branch in branches.flat_map(|branch| values(branch.steps, definition.kind)) {
            if !steps.contains(&branch) {
                steps.push(branch);
            }
        }
        Ok(Some(Branches { steps, truth: compiled.truth }))
    }
}

/// The paths of a branch: one that ends at an extension goes on to its values, as far as the parameter can look at them.
fn values(steps: Vec<Step>, kind: ParameterKind) -> Vec<Vec<Step>> {
    let is_extension = match steps.as_slice() {
        [.., Step::Field(name), Step::Where(Test::Child(child, _))] => {
            **name == *"extension" && **child == *"url"
        }
        _ => false,
    };
    if !is_extension || kind == ParameterKind::Composite {
        return vec![steps];
    }
    let with = |more: Vec<Step>| [steps.as_slice(), &[Step::Field("value".into())], &more].concat();
    let mut paths = vec![with(vec![Step::OneOf(value_types(kind))])];
    // What people read of a code is its text, as with `value-string`.
    if kind == ParameterKind::String {
        paths.push(with(vec![Step::OfType("CodeableConcept".into()), Step::Field("text".into())]));
    }
    paths
}

/// The FHIR types whose values a kind of parameter can look at: <https://hl7.org/fhir/R4/search.html#ptypes>
pub(crate) fn value_types(kind: ParameterKind) -> &'static [&'static str] {
    match kind {
        ParameterKind::String => &["string", "markdown", "code", "id", "uri", "HumanName", "Address"],
        ParameterKind::Token => &[
            "code",
            "Coding",
            "CodeableConcept",
            "Identifier",
            "ContactPoint",
            "boolean",
            "id",
            "string",
            "uri",
        ],
        ParameterKind::Reference => &["Reference", "canonical", "uri", "url", "Resource"],
        ParameterKind::Date => &["date", "dateTime", "instant", "Period", "Timing"],
        ParameterKind::Number => &["decimal", "integer", "positiveInt", "unsignedInt"],
        ParameterKind::Quantity => {
            &["Quantity", "Age", "Count", "Distance", "Duration", "Money", "Range", "SimpleQuantity"]
        }
        ParameterKind::Uri => &["uri", "url", "canonical", "oid", "uuid"],
        ParameterKind::Composite | ParameterKind::Special => &[],
    }
}

/// The type of resources that stand where references would, where the parameter is about one type.
fn embedded_target(indexes: &[Arc<Index>], definition: &Parameter) -> Option<Box<str>> {
    let all = !indexes.is_empty() && indexes.iter().all(|index| index.is_embedded());
    match definition.target.as_slice() {
        [one] if all => Some(one.clone()),
        _ => None,
    }
}

impl Build<'_> {
    fn draft(
        &mut self,
        definition: &Arc<Parameter>,
        custom: Option<&Custom>,
        parameters: &Parameters,
    ) -> Result<()> {
        let searchable = definition.kind != ParameterKind::Special || *definition.url == *near::URL;
        // `_id` and `_lastUpdated` are columns.
        if !searchable || matches!(&*definition.code, "_id" | "_lastUpdated") {
            return Ok(());
        }
        let found = Branches::parse(definition, &self.this.type_name, self.definitions)
            .map_err(|e| Error::internal(format!("{}: {e}", definition.url)))?;
        let Some(Branches { steps: mut branches, truth }) = found else { return Ok(()) };
        let mut only_target = None;
        // `subject.where(resolve() is Patient)` shares the entries of `subject`. Where the branches of a union do not all ask
        // for the same type, each tests for itself.
        if let Some(Some(Step::Where(Test::Resolves(target)))) = branches.first().map(|steps| steps.last()) {
            let target = target.clone();
            let asks = |steps: &Vec<Step>| steps.last() == Some(&Step::Where(Test::Resolves(target.clone())));
            if branches.iter().all(asks) {
                branches.iter_mut().for_each(|steps| drop(steps.pop()));
                only_target = Some(target);
            }
        }
        let (mut composed, mut whole) = (Vec::new(), false);
        if definition.kind == ParameterKind::Composite {
            composed = parts(definition, parameters)?;
            whole = branches.iter().any(Vec::is_empty);
            branches.retain(|steps| !steps.is_empty());
        }
        self.drafts.push(Draft {
            definition: definition.clone(),
            branches,
            only_target,
            truth,
            parts: composed,
            whole,
            custom: custom.map(|c| c.number),
            building: custom.and_then(|c| c.building()),
        });
        Ok(())
    }

    fn finish(mut self) -> TypeSearch {
        // Those that were added come last, so that they change nothing for the others. Otherwise parameters of one branch
        // first, so that indexes are named after them and unions share them.
        let mut order: Vec<usize> = (0..self.drafts.len()).collect();
        let size =
            |d: &Draft| (d.custom, d.branches.len(), d.only_target.is_some(), d.definition.code.clone());
        order.sort_by_key(|i| self.drafts.get(*i).map(size));
        let mut parts: Vec<Vec<Part>> =
            self.drafts.iter_mut().map(|d| std::mem::take(&mut d.parts)).collect();
        let mut shares: Vec<Vec<usize>> = vec![Vec::new(); self.drafts.len()];
        for at in order {
            let Some(draft) = self.drafts.get(at) else { continue };
            let (kind, name, truth) = (draft.definition.kind, draft.name(), draft.truth);
            let added = draft.custom.is_some();
            for (i, steps) in draft.branches.clone().into_iter().enumerate() {
                let known = self.by_path.get(&(kind, steps.clone())).copied();
                let name = if i == 0 { name.clone() } else { format!("{name}#{i}").into() };
                // An added parameter may use what R4's leave, never what another added one does, which may go away.
                let same = |i: &usize| !added || self.this.indexes.get(*i).is_some_and(|x| x.truth == truth);
                let index = match (known.filter(same), parts.get(at)) {
                    (Some(known), _) => Some(known),
                    (None, Some(parts)) if !parts.is_empty() => self.element(name, &steps, parts, added),
                    (None, _) => self.index(kind, name, steps, truth, added),
                };
                if let (Some(index), Some(share)) = (index, shares.get_mut(at)) {
                    share.push(index);
                }
            }
        }
        let wholes = self.drafts.iter().map(|d| d.whole.then(|| (d.name(), d.custom.is_some())));
        for (at, whole) in wholes.collect::<Vec<_>>().into_iter().enumerate() {
            if let (Some((name, added)), Some(parts)) = (whole, parts.get_mut(at)) {
                self.whole(&name, parts, added);
            }
        }
        self.assign_columns(&shares);
        self.index_phonetics(&shares);
        self.params(shares, parts);
        self.this
    }

    /// The parameters over the indexes that they share.
    fn params(&mut self, shares: Vec<Vec<usize>>, parts: Vec<Vec<Part>>) {
        self.this.users = vec![Vec::new(); self.this.indexes.len()];
        let drafts = std::mem::take(&mut self.drafts);
        let mut drafts: Vec<_> = drafts.into_iter().zip(shares.into_iter().zip(parts)).collect();
        drafts.sort_by(|a, b| a.0.definition.code.cmp(&b.0.definition.code));
        // One that goes may stand beside one that takes its place: then all of both is extracted, and nothing searched.
        drafts.dedup_by(|a, b| a.0.definition.code == b.0.definition.code && a.0.custom == b.0.custom);
        let mut free = 0..BITS as u8;
        let mut code_quantities = Vec::new();
        for (at, (draft, (share, parts))) in drafts.into_iter().enumerate() {
            for index in &share {
                if let Some(users) = self.this.users.get_mut(*index) {
                    users.push(at);
                }
            }
            let indexes: Vec<Arc<Index>> =
                share.iter().filter_map(|i| self.this.indexes.get(*i).cloned()).collect();
            if draft.whole {
                self.this.wholes.push((at, parts.iter().map(|part| part.whole.clone()).collect()));
            }
            let composite = self.composite(&parts, draft.whole, &indexes);
            // One that was added can go away; one of elements, too, has entries of its own.
            if draft.custom.is_none() && indexes.is_empty() {
                let quantity = composite.as_ref().and_then(Composite::quantity_by_code);
                code_quantities.extend(quantity.map(Box::<str>::from));
            }
            self.this.params.push(Arc::new(Param {
                code: draft.definition.code.clone(),
                name: draft.name(),
                kind: draft.definition.kind,
                type_number: self.this.number,
                composite,
                bit: if draft.custom.is_none() { free.next() } else { None },
                only_target: draft.only_target.or_else(|| embedded_target(&indexes, &draft.definition)),
                targets: draft.definition.target.clone(),
                definition: draft.definition,
                building: draft.building,
                indexes,
            }));
        }
        let quantities = code_quantities.iter().filter_map(|code| self.this.param(code));
        self.this.code_quantities = quantities.flat_map(|param| param.indexes.clone()).collect();
    }

    pub(super) fn index(
        &mut self,
        kind: ParameterKind,
        name: Box<str>,
        steps: Vec<Step>,
        truth: bool,
        added: bool,
    ) -> Option<usize> {
        let at = self.this.indexes.len();
        if !self.this.trie.add(self.definitions, &steps, at) {
            return None;
        }
        let types = self.this.trie.leaf_types(at);
        let types: Vec<Box<str>> = types.into_iter().map(Box::from).collect();
        let plain = types.iter().all(|t| self.definitions.is_primitive(t));
        let implied_system = if matches!(types.as_slice(), [one] if **one == *"code") {
            self.implied_system(&steps)
        } else {
            None
        };
        let words =
            kind == ParameterKind::String && (types.iter().any(|t| is_named(t)) || self.is_of_name(&steps));
        let identifies = types.iter().all(|t| matches!(&**t, "Identifier" | "ContactPoint"));
        if !added {
            self.by_path.insert((kind, steps.clone()), at);
        }
        let index = Index {
            name,
            kind,
            role: Role::Plain,
            types,
            plain,
            identifies,
            implied_system,
            steps,
            truth,
            words,
            sounds: false,
            element: None,
            part: false,
            systems: true,
        };
        self.this.indexes.push(Arc::new(index));
        Some(at)
    }

    fn implied_system(&self, steps: &[Step]) -> Option<Box<str>> {
        let (last, before) = steps.split_last()?;
        let Step::Field(name) = last else { return None };
        let holder = self.type_after(before)?;
        self.definitions.system_of_code_element(&holder, name).map(Box::from)
    }

    /// The type a path of plain fields leads to, when there is only one.
    fn type_after(&self, steps: &[Step]) -> Option<Box<str>> {
        let mut at = self.this.type_name.clone();
        for step in steps {
            if let Step::Field(name) = step {
                at = self.definitions.element(&at, name)?.types.first()?.clone();
            }
        }
        Some(at)
    }

    /// True for a part of a HumanName.
    fn is_of_name(&self, steps: &[Step]) -> bool {
        let last = steps.iter().rposition(|step| matches!(step, Step::Field(_)));
        let before = last.and_then(|last| steps.get(..last)).unwrap_or_default();
        self.type_after(before).is_some_and(|holder| *holder == *"HumanName")
    }

    /// True when a path gives at most one value.
    fn single(&self, steps: &[Step]) -> bool {
        let mut at = self.this.type_name.clone();
        for step in steps {
            let Step::Field(name) = step else { continue };
            let Some(element) = self.definitions.element(&at, name) else { return false };
            let Some(kind) = element.types.first() else { return false };
            if element.many {
                return false;
            }
            at = kind.clone();
        }
        true
    }

    /// Names that are searched by how they sound leave that, too.
    fn index_phonetics(&mut self, shares: &[Vec<usize>]) {
        for (draft, share) in self.drafts.iter().zip(shares) {
            if *draft.definition.url == *PHONETIC_URL {
                for index in share {
                    if let Some(index) = self.this.indexes.get_mut(*index).and_then(Arc::get_mut) {
                        index.sounds = true;
                    }
                }
            }
        }
    }

    /// Gives the columns of the row to the indexes that are to have them.
    fn assign_columns(&mut self, shares: &[Vec<usize>]) {
        let share_of = |code: &str| {
            let at = self.drafts.iter().position(|d| *d.definition.code == *code && d.custom.is_none())?;
            shares.get(at).filter(|s| s.len() == 1).and_then(|s| s.first().copied())
        };
        let kind_of = |i: usize| self.this.indexes.get(i).map(|x| x.kind);
        let single = |i: &usize| self.this.indexes.get(*i).is_some_and(|x| self.single(&x.steps));
        let date = PRIMARY_DATES
            .iter()
            .filter_map(|code| share_of(code))
            .find(|i| kind_of(*i) == Some(ParameterKind::Date) && single(i));
        let coded = |i: &usize| {
            kind_of(*i) == Some(ParameterKind::Token) && self.this.indexes.get(*i).is_some_and(|x| !x.plain)
        };
        let code = PRIMARY_CODES.iter().filter_map(|code| share_of(code)).find(coded);
        let patient =
            ["patient", "subject", "beneficiary"].iter().filter_map(|code| share_of(code)).find(|i| {
                kind_of(*i) == Some(ParameterKind::Reference)
                    && single(i)
                    && &*self.this.type_name != "Patient"
            });
        for (found, role) in [(date, Role::PrimaryDate), (code, Role::PrimaryCode), (patient, Role::Patient)]
        {
            if let Some(index) = found.and_then(|i| self.this.indexes.get_mut(i)).and_then(Arc::get_mut) {
                index.role = role;
            }
        }
    }
}
