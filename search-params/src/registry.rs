//! All search parameters of all types, compiled; the walk that extracts their values.

use std::collections::HashMap;
use std::sync::Arc;

use fhir_model::json::Ref;
use fhir_model::types::Types;
use fhir_model::{Error, Result};
use fhir_profiles::Definitions;

use crate::bases::Bases;
use crate::compartments::Compartments;
use crate::compile::compile;
use crate::keyer::{Form, Keyer};
use crate::parameters::{Parameter, ParameterKind, Parameters};
use crate::path::{Step, Test, Trie};
use crate::rows::{DATE_MIN, Ordered, Rows};
use crate::sink::{Found, Sink};
use crate::{date, number, quantity, reference, string, token, uri};

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
/// Parameters with a bit in `present`; further ones of a type have a key.
const BITS: usize = 64;

/// What a column of the resource row holds of an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Nothing: keys and entries only.
    Plain,
    /// The primary date.
    PrimaryDate,
    /// The primary code.
    PrimaryCode,
    /// The patient.
    Patient,
}

/// One branch of one or more parameters: what is stored. Parameters that share a branch share its entries
/// (`patient` and `subject`, `combo-code` and `code`).
#[derive(Debug)]
pub struct Index {
    /// Part of its keys.
    pub name: Box<str>,
    /// How its values are compared.
    pub kind: ParameterKind,
    /// Its column.
    pub role: Role,
    /// True when its values are codes, strings, booleans: tokens without a system in the data.
    pub plain: bool,
    /// True for identifiers: tokens that are expected to be rare.
    pub identifies: bool,
    /// The system that the binding of a `code` element implies.
    pub implied_system: Option<Box<str>>,
    /// Where the values stand in the body, as SQL/JSON paths: for sorting by what has no ordered entries.
    pub paths: Vec<String>,
    /// True when the value is whether there is one: `deceased`.
    pub truth: bool,
    steps: Vec<Step>,
}

/// A search parameter of one type.
#[derive(Debug)]
pub struct Param {
    /// `code`, `birthdate` ...
    pub code: Box<str>,
    /// Its type.
    pub kind: ParameterKind,
    /// Number of the resource type.
    pub type_number: u16,
    /// Where its values are.
    pub indexes: Vec<Arc<Index>>,
    /// Its bit in `present`; none: a key.
    pub bit: Option<u8>,
    /// Only references to this type count (`patient` over `subject`).
    pub only_target: Option<Box<str>>,
    /// Types it may point at.
    pub targets: Vec<Box<str>>,
    /// Its definition.
    pub definition: Arc<Parameter>,
}

impl Param {
    /// Where its values stand in the body, as SQL/JSON paths.
    pub fn json_paths(&self) -> Vec<String> {
        let all = self.indexes.iter().flat_map(|index| &index.paths);
        let own = |path: &String| match (&self.only_target, path.strip_suffix(".reference")) {
            (Some(only), Some(holder)) => {
                format!("{holder} ? ({}).reference", Test::Resolves(only.clone()).json_predicate())
            }
            _ => path.clone(),
        };
        all.map(own).collect()
    }
}

/// The parameters of one type.
#[derive(Debug)]
pub struct TypeSearch {
    /// The type.
    pub type_name: Box<str>,
    /// Its number.
    pub number: u16,
    params: Vec<Arc<Param>>,
    indexes: Vec<Arc<Index>>,
    /// Per index: the parameters over it.
    users: Vec<Vec<usize>>,
    trie: Trie,
}

/// Every type's parameters.
pub struct Registry {
    definitions: Arc<Definitions>,
    parameters: Parameters,
    compartments: Compartments,
    types: HashMap<Box<str>, TypeSearch>,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Registry({} types)", self.types.len())
    }
}

impl Registry {
    /// Compiles the parameters of R4.
    pub fn load(definitions: Arc<Definitions>) -> Result<Registry> {
        let parameters = Parameters::load()?;
        let compartments = Compartments::load()?;
        let mut types = HashMap::new();
        for type_name in definitions.resource_types() {
            types.insert(Box::from(type_name), TypeSearch::compile(type_name, &definitions, &parameters)?);
        }
        Ok(Registry { definitions, parameters, compartments, types })
    }

    /// The definitions it was compiled with.
    pub fn definitions(&self) -> &Arc<Definitions> {
        &self.definitions
    }

    /// The parameters as data.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// The compartments.
    pub fn compartments(&self) -> &Compartments {
        &self.compartments
    }

    /// The parameters of a type.
    pub fn of(&self, type_name: &str) -> Result<&TypeSearch> {
        self.types.get(type_name).ok_or_else(|| Error::not_found(format!("the resource type `{type_name}`")))
    }

    /// The number of a type.
    pub fn number(&self, type_name: &str) -> Option<u16> {
        self.types.get(type_name).map(|t| t.number)
    }

    /// All index entries of a resource, in one walk. `bases` are the server's own urls.
    pub fn extract(&self, keyer: &Keyer, type_name: &str, resource: Ref<'_>, bases: &Bases) -> Result<Rows> {
        let this = self.of(type_name)?;
        let mut rows = Rows::default();
        let numbers = |name: &str| self.number(name);
        let mut truths = vec![false; this.indexes.len()];
        let mut visit = |leaf: usize, value: Ref<'_>, value_type: &str| {
            let (Some(index), Some(users)) = (this.indexes.get(leaf), this.users.get(leaf)) else { return };
            let mut sink = Sink {
                keyer,
                type_number: this.number,
                index,
                bases,
                numbers: &numbers,
                rows: &mut rows,
                found: Found::default(),
            };
            if index.truth {
                if let Some(truth) = truths.get_mut(leaf) {
                    *truth |= value.bool() != Some(false);
                }
                return;
            }
            index_value(value, value_type, &mut sink);
            let found = sink.found;
            this.mark_present(users, &found, keyer, &mut rows);
        };
        this.trie.walk(resource, &mut visit);
        for (leaf, index) in this.indexes.iter().enumerate().filter(|(_, i)| i.truth) {
            let text = if truths.get(leaf) == Some(&true) { "true" } else { "false" };
            rows.keys.push(keyer.key(this.number, &index.name, Form::Code, &[text]));
            let found = Found { any: true, targets: Vec::new() };
            if let Some(users) = this.users.get(leaf) {
                this.mark_present(users, &found, keyer, &mut rows);
            }
        }
        if *this.type_name == *"Patient" {
            rows.patient = resource.get_str("id").map(|id| keyer.handle(this.number, &id));
        }
        let date = rows.date.map_or(DATE_MIN, |d| d.0);
        let further = std::mem::take(&mut rows.further_codes);
        rows.ordered.extend(further.into_iter().map(|key| Ordered { key, value: date, extra: 0, rank: 0 }));
        rows.finish();
        Ok(rows)
    }

    /// The references of a resource under a parameter (none: under every one), as `_include` follows them.
    pub fn references(
        &self,
        type_name: &str,
        code: Option<&str>,
        resource: Ref<'_>,
        bases: &Bases,
    ) -> Result<Vec<fhir_model::Key>> {
        let this = self.of(type_name)?;
        let mut found = Vec::new();
        let mut visit = |leaf: usize, value: Ref<'_>, value_type: &str| {
            let Some(users) = this.users.get(leaf) else { return };
            if value_type == "Resource" {
                return;
            }
            let text = if value_type == "Reference" { value.get_str("reference") } else { value.str() };
            let Some(reference::Target::Local(key)) = text.and_then(|t| reference::Target::parse(&t, bases))
            else {
                return;
            };
            let wanted = users.iter().filter_map(|u| this.params.get(*u)).any(|param| {
                param.kind == ParameterKind::Reference
                    && code.is_none_or(|c| *param.code == *c)
                    && param.only_target.as_ref().is_none_or(|only| *only == key.type_name)
            });
            if wanted && !found.contains(&key) {
                found.push(key);
            }
        };
        this.trie.walk(resource, &mut visit);
        Ok(found)
    }
}

fn index_value(value: Ref<'_>, value_type: &str, sink: &mut Sink<'_>) {
    match sink.index.kind {
        ParameterKind::Token => token::index(value, value_type, sink),
        ParameterKind::String => string::index(value, value_type, sink),
        ParameterKind::Reference => reference::index(value, value_type, sink),
        ParameterKind::Date => date::index(value, value_type, sink),
        ParameterKind::Number => number::index(value, sink),
        ParameterKind::Quantity => quantity::index(value, value_type, sink),
        ParameterKind::Uri => uri::index(value, sink),
        ParameterKind::Composite | ParameterKind::Special => {}
    }
}

impl TypeSearch {
    /// The parameter of a code.
    pub fn param(&self, code: &str) -> Option<&Arc<Param>> {
        self.params.binary_search_by(|p| (*p.code).cmp(code)).ok().and_then(|i| self.params.get(i))
    }

    /// All parameters, by code.
    pub fn params(&self) -> &[Arc<Param>] {
        &self.params
    }

    /// All indexes.
    pub fn indexes(&self) -> &[Arc<Index>] {
        &self.indexes
    }

    /// Visits every value of every index of a resource of the type, with the value's type, in one walk.
    pub fn walk<'d>(&self, resource: Ref<'d>, visit: &mut dyn FnMut(&Arc<Index>, Ref<'d>, &str)) {
        self.trie.walk(resource, &mut |leaf, value, value_type| {
            if let Some(index) = self.indexes.get(leaf) {
                visit(index, value, value_type);
            }
        });
    }

    fn mark_present(&self, users: &[usize], found: &Found, keyer: &Keyer, rows: &mut Rows) {
        if !found.any {
            return;
        }
        for param in users.iter().filter_map(|u| self.params.get(*u)) {
            let counts = match &param.only_target {
                Some(only) => found.targets.contains(only),
                None => true,
            };
            if counts {
                match param.bit {
                    Some(bit) => rows.present |= 1 << bit,
                    None => rows.keys.push(keyer.key(self.number, &param.code, Form::Present, &[])),
                }
            }
        }
    }

    fn compile(type_name: &str, definitions: &Definitions, parameters: &Parameters) -> Result<TypeSearch> {
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
                trie: Trie::new(type_name),
            },
            by_path: HashMap::new(),
            drafts: Vec::new(),
        };
        for definition in parameters.for_type(type_name) {
            build.draft(definition)?;
        }
        Ok(build.finish())
    }
}

/// A parameter before its indexes are shared out.
struct Draft {
    definition: Arc<Parameter>,
    branches: Vec<Vec<Step>>,
    only_target: Option<Box<str>>,
    truth: bool,
}

struct Build<'a> {
    definitions: &'a Definitions,
    this: TypeSearch,
    by_path: HashMap<(ParameterKind, Vec<Step>), usize>,
    drafts: Vec<Draft>,
}

impl Build<'_> {
    fn draft(&mut self, definition: &Arc<Parameter>) -> Result<()> {
        let searchable = !matches!(definition.kind, ParameterKind::Composite | ParameterKind::Special);
        // `_id` and `_lastUpdated` are columns.
        if !searchable || matches!(&*definition.code, "_id" | "_lastUpdated") {
            return Ok(());
        }
        let Some(expression) = definition.expression_for(&self.this.type_name) else { return Ok(()) };
        let compiled =
            compile(&expression).map_err(|e| Error::internal(format!("{}: {e}", definition.url)))?;
        let mut only_target = None;
        let mut branches = Vec::new();
        for mut branch in compiled.branches {
            let here = branch.root.as_deref().is_none_or(|r| self.definitions.is_a(&self.this.type_name, r));
            if !here {
                continue;
            }
            // `subject.where(resolve() is Patient)` shares the entries of `subject`.
            if let Some(Step::Where(Test::Resolves(target))) = branch.steps.last() {
                only_target = Some(target.clone());
                branch.steps.pop();
            }
            if !branches.contains(&branch.steps) {
                branches.push(branch.steps);
            }
        }
        self.drafts.push(Draft {
            definition: definition.clone(),
            branches,
            only_target,
            truth: compiled.truth,
        });
        Ok(())
    }

    fn finish(mut self) -> TypeSearch {
        // Parameters of one branch first, so that indexes are named after them and unions share them.
        let mut order: Vec<usize> = (0..self.drafts.len()).collect();
        let size = |d: &Draft| (d.branches.len(), d.only_target.is_some(), d.definition.code.clone());
        order.sort_by_key(|i| self.drafts.get(*i).map(size));
        let mut shares: Vec<Vec<usize>> = vec![Vec::new(); self.drafts.len()];
        for at in order {
            let Some(draft) = self.drafts.get(at) else { continue };
            let (kind, code, truth) = (draft.definition.kind, draft.definition.code.clone(), draft.truth);
            for (i, steps) in draft.branches.clone().into_iter().enumerate() {
                let known = self.by_path.get(&(kind, steps.clone())).copied();
                let index = known.or_else(|| {
                    let name = if i == 0 { code.clone() } else { format!("{code}#{i}").into() };
                    self.index(kind, name, steps, truth)
                });
                if let (Some(index), Some(share)) = (index, shares.get_mut(at)) {
                    share.push(index);
                }
            }
        }
        self.roles(&shares);
        let Build { mut this, drafts, .. } = self;
        let indexes: Vec<Arc<Index>> = std::mem::take(&mut this.indexes);
        this.users = vec![Vec::new(); indexes.len()];
        let mut drafts: Vec<(Draft, Vec<usize>)> = drafts.into_iter().zip(shares).collect();
        drafts.sort_by(|a, b| a.0.definition.code.cmp(&b.0.definition.code));
        drafts.dedup_by(|a, b| a.0.definition.code == b.0.definition.code);
        for (at, (draft, share)) in drafts.into_iter().enumerate() {
            for index in &share {
                if let Some(users) = this.users.get_mut(*index) {
                    users.push(at);
                }
            }
            this.params.push(Arc::new(Param {
                code: draft.definition.code.clone(),
                kind: draft.definition.kind,
                type_number: this.number,
                indexes: share.iter().filter_map(|i| indexes.get(*i).cloned()).collect(),
                bit: u8::try_from(at).ok().filter(|b| usize::from(*b) < BITS),
                only_target: draft.only_target,
                targets: draft.definition.target.clone(),
                definition: draft.definition,
            }));
        }
        this.indexes = indexes;
        this
    }

    fn index(&mut self, kind: ParameterKind, name: Box<str>, steps: Vec<Step>, truth: bool) -> Option<usize> {
        let at = self.this.indexes.len();
        if !self.this.trie.add(self.definitions, &steps, at) {
            return None;
        }
        let types = self.this.trie.leaf_types(at);
        let plain = types.iter().all(|t| self.definitions.is_primitive(t));
        let implied_system = if types == ["code"] { self.implied_system(&steps) } else { None };
        let identifies = types.iter().all(|t| matches!(*t, "Identifier" | "ContactPoint"));
        let paths = self.this.trie.json_paths(at);
        self.by_path.insert((kind, steps.clone()), at);
        let index =
            Index { name, kind, role: Role::Plain, plain, identifies, implied_system, steps, paths, truth };
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

    /// Gives the columns of the row to the indexes that are to have them.
    fn roles(&mut self, shares: &[Vec<usize>]) {
        let share_of = |code: &str| {
            let at = self.drafts.iter().position(|d| *d.definition.code == *code)?;
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

#[cfg(test)]
mod tests;
