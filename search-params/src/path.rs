//! Search expressions as paths, and all paths of a type as one trie, by which a resource is traversed once.
//!
//! The expressions of R4 use a small part of FHIRPath: fields, `|`, `as`/`ofType`, `where(..)`, `resolve() is`,
//! `extension(url)`, `[0]`. That part compiles to steps here; what does not is left to the general evaluator.

use fhir_model::json::Ref;
use fhir_model::types::Types;

use crate::embedded::Container;
use crate::reference::target_type;

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Step {
    /// The children with this element name.
    Field(Box<str>),
    /// Only values of this type or one below it: narrows a choice.
    OfType(Box<str>),
    /// Only values of one of these types, to the letter: narrows a choice.
    OneOf(&'static [&'static str]),
    /// Only values that pass.
    Where(Test),
    /// Only the first.
    First,
}

/// A test on one value, without leaving it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Test {
    /// A child has this text (`system='phone'`).
    Child(Box<str>, Box<str>),
    /// A reference to a resource of this type (`resolve() is Patient`), as far as its text or `type` tells.
    Resolves(Box<str>),
    /// It carries an extension with this url.
    HasExtension(Box<str>),
}

impl Test {
    fn passes(&self, value: Ref<'_>, within: &Container<'_>) -> bool {
        match self {
            Test::Child(name, text) => value.get_str(name).is_some_and(|t| *t == **text),
            Test::Resolves(type_name) => target_type(value, within).is_some_and(|t| *t == **type_name),
            Test::HasExtension(url) => value
                .get("extension")
                .is_some_and(|list| list.items().any(|e| e.get_str("url").is_some_and(|u| *u == **url))),
        }
    }
}

/// True for the text of a reference to this type: `Patient/1`, `http://them/fhir/Patient/1`.
pub(crate) fn names(reference: &str, type_name: &str) -> bool {
    let mut parts = reference.split('/');
    // The last part is nothing but an id.
    parts.next_back();
    parts.any(|part| part == type_name)
}

/// The members that lead from a value of this type to the text it is sorted by; nothing for a type that has none, such
/// as the Attachment where a reference could be.
pub(crate) fn text_members(type_name: &str) -> Option<&'static [&'static str]> {
    Some(match type_name {
        "CodeableConcept" => &["coding", "code"],
        "Coding" => &["code"],
        "Identifier" | "ContactPoint" => &["value"],
        "Reference" => &["reference"],
        "Resource" => &["id"],
        primitive if primitive.starts_with(|c: char| c.is_ascii_lowercase()) => &[],
        _ => return None,
    })
}

/// All paths of a resource type. Leaves carry the number of the index they feed.
#[derive(Debug, Default)]
pub struct Trie {
    nodes: Vec<Node>,
    places_max: usize,
}

#[derive(Debug, Default)]
struct Node {
    type_name: Box<str>,
    /// (JSON key, node, only its first item).
    children: Vec<(Box<str>, usize, bool)>,
    tests: Vec<(Test, usize)>,
    leaves: Vec<usize>,
}

impl Trie {
    /// An empty trie of a resource type.
    pub fn new(type_name: &str) -> Trie {
        Trie::within(type_name, usize::MAX)
    }

    /// One that grows no further once it has `places_max` nodes; [`Trie::node_count`] says when it would.
    pub(crate) fn within(type_name: &str, places_max: usize) -> Trie {
        Trie { nodes: vec![Node { type_name: type_name.into(), ..Node::default() }], places_max }
    }

    /// Adds a path that feeds `leaf`. Returns false when the path leads nowhere in this type.
    pub fn add(&mut self, types: &dyn Types, steps: &[Step], leaf: usize) -> bool {
        self.grow(types, 0, steps, leaf)
    }

    /// The number of its nodes.
    pub(crate) fn node_count(&self) -> usize {
        self.nodes.len()
    }

    #[expect(clippy::indexing_slicing, reason = "node numbers are made here")]
    fn grow(&mut self, types: &dyn Types, node: usize, steps: &[Step], leaf: usize) -> bool {
        let Some((step, rest)) = steps.split_first() else {
            if !self.nodes[node].leaves.contains(&leaf) {
                self.nodes[node].leaves.push(leaf);
            }
            return true;
        };
        match step {
            Step::Field(name) => {
                let (first, rest) = match rest.split_first() {
                    Some((Step::First, after)) => (true, after),
                    _ => (false, rest),
                };
                let Some(element) = types.element(&self.nodes[node].type_name, name) else { return false };
                let (choice, kinds) = (element.choice, element.types.clone());
                let mut found = false;
                for kind in kinds {
                    if self.nodes.len() > self.places_max {
                        return false;
                    }
                    let key = if choice { choice_key(name, &kind) } else { name.clone() };
                    if !reaches(types, &kind, rest) {
                        continue;
                    }
                    let child = self.child(node, key, kind, first);
                    found |= self.grow(types, child, rest, leaf);
                }
                found
            }
            Step::OfType(_) | Step::OneOf(_) => {
                narrows(types, &self.nodes[node].type_name, step) && self.grow(types, node, rest, leaf)
            }
            Step::Where(test) => {
                let known = self.nodes[node].tests.iter().find(|(t, _)| t == test).map(|(_, n)| *n);
                let next = known.unwrap_or_else(|| {
                    let type_name = self.nodes[node].type_name.clone();
                    let next = self.push(type_name);
                    self.nodes[node].tests.push((test.clone(), next));
                    next
                });
                self.grow(types, next, rest, leaf)
            }
            Step::First => self.grow(types, node, rest, leaf),
        }
    }

    #[expect(clippy::indexing_slicing, reason = "node numbers are made here")]
    fn child(&mut self, node: usize, key: Box<str>, type_name: Box<str>, first: bool) -> usize {
        if let Some((_, n, _)) = self.nodes[node].children.iter().find(|c| c.0 == key && c.2 == first) {
            return *n;
        }
        let next = self.push(type_name);
        self.nodes[node].children.push((key, next, first));
        next
    }

    fn push(&mut self, type_name: Box<str>) -> usize {
        self.nodes.push(Node { type_name, ..Node::default() });
        self.nodes.len() - 1
    }

    /// The types of the values that feed a leaf, each once.
    pub fn leaf_types(&self, leaf: usize) -> Vec<&str> {
        let mut found: Vec<&str> =
            self.nodes.iter().filter(|n| n.leaves.contains(&leaf)).map(|n| &*n.type_name).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Walks a resource once; calls `visit(leaf, value, type)` for every value of every path.
    pub fn walk<'d>(
        &self,
        root: Ref<'d>,
        within: &Container<'d>,
        visit: &mut dyn FnMut(usize, Ref<'d>, &str),
    ) {
        self.step(0, root, within, visit);
    }

    fn step<'d>(
        &self,
        node: usize,
        value: Ref<'d>,
        within: &Container<'d>,
        visit: &mut dyn FnMut(usize, Ref<'d>, &str),
    ) {
        let Some(node) = self.nodes.get(node) else { return };
        for leaf in &node.leaves {
            visit(*leaf, value, &node.type_name);
        }
        for (test, next) in &node.tests {
            if test.passes(value, within) {
                self.step(*next, value, within, visit);
            }
        }
        if node.children.is_empty() || !value.is_object() {
            return;
        }
        for member in value.children() {
            for (_, next, first) in node.children.iter().filter(|(key, _, _)| member.key_is(key)) {
                for item in member.items().take(if *first { 1 } else { usize::MAX }) {
                    if !item.is_null() {
                        self.step(*next, item, within, visit);
                    }
                }
            }
        }
    }
}

/// `value` + `Quantity` = `valueQuantity`; `value` + `dateTime` = `valueDateTime`.
pub fn choice_key(name: &str, kind: &str) -> Box<str> {
    let mut key = String::with_capacity(name.len() + kind.len());
    key.push_str(name);
    let mut letters = kind.chars();
    key.extend(letters.next().map(|c| c.to_ascii_uppercase()));
    key.push_str(letters.as_str());
    key.into()
}

/// False when the next step narrows to another type, so that no dead branch is grown.
fn reaches(types: &dyn Types, kind: &str, rest: &[Step]) -> bool {
    rest.first().is_none_or(|step| narrows(types, kind, step))
}

/// Whether values of a type are among those that a step narrows to; true for a step that narrows to nothing.
fn narrows(types: &dyn Types, kind: &str, step: &Step) -> bool {
    match step {
        // `Resource` stands for any: whether it is the wanted one is seen when it is there. What is of a type below is of
        // the type: `as uri` finds a canonical.
        Step::OfType(wanted) => kind == &**wanted || kind == "Resource" || types.is_a(kind, wanted),
        Step::OneOf(these) => these.contains(&kind),
        _ => true,
    }
}
