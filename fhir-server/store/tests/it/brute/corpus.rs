//! The resources, in the store and in memory, and the values FHIRPath finds in them.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;

use fhir_model::Key;
use fhir_model::fhirpath::{Context, Item, Value, evaluate, parse};
use fhir_model::json::{Doc, JsonLimits, Ref};
use fhir_model::types::Types;
use fhir_profiles::Definitions;
use fhir_search::registry::Param;
use fhir_store::{Commit, Method, ResourceState, Store, Write};

use super::added;
use super::resources;
use super::terms::Terms;
use crate::all;

/// Resources in one transaction.
const BATCH: usize = 200;
/// Every so many resources one is first written with the body of another, and updated; and one is deleted.
const UPDATE_EVERY: usize = 7;
const DELETE_EVERY: usize = 53;

#[derive(Clone)]
pub(super) struct Resource {
    pub(super) key: Key,
    pub(super) updated_at: i64,
    doc: &'static Doc,
    pub(super) home: Home,
}

/// Where a resource stands.
#[derive(Clone)]
pub(super) enum Home {
    /// By itself.
    Server,
    /// Among the contained resources of another, which is called so.
    Contained(String),
    /// Among the entries of a Bundle, which is called so, at this place.
    Entry(Ref<'static>, String, usize),
}

impl Resource {
    pub(super) fn root(&self) -> Ref<'static> {
        self.doc.root()
    }
}

/// One value of a parameter in a resource.
#[derive(Clone)]
pub(super) enum One {
    /// A node and its FHIR type.
    Node(Ref<'static>, Box<str>),
    /// What an expression computed.
    Truth(bool),
}

type Values = Rc<Vec<Vec<One>>>;

/// A resource, and its business version.
type Versioned = (Key, Option<String>);

/// Type and code, and whether all targets count.
type Asked = (Box<str>, Box<str>, bool);

pub(super) struct Corpus {
    definitions: &'static Definitions,
    types: BTreeMap<Box<str>, Vec<Resource>>,
    values: RefCell<HashMap<Asked, Values>>,
    together: RefCell<HashMap<Asked, Together>>,
    terms: OnceCell<Terms>,
    urls: OnceCell<HashMap<String, Vec<Versioned>>>,
    /// The resources within these.
    embedded: OnceCell<Box<Corpus>>,
    /// What these are within.
    server: Option<&'static Corpus>,
}

/// By resource, by element: the values of each part of a composite.
pub(super) type Together = Rc<Vec<Vec<Vec<Vec<One>>>>>;

impl Corpus {
    /// Writes the examples to the store. Returns `None` when the package is not on this machine.
    pub(super) async fn load(store: &Arc<Store>) -> Option<&'static Corpus> {
        let chosen = resources::choose()?;
        // The tree is looked at until the process ends.
        let definitions: &'static Arc<Definitions> =
            Box::leak(Box::new(store.registry().definitions().clone()));
        let mut corpus = Corpus::empty(definitions, None);
        for (n, batch) in chosen.chunks(BATCH).enumerate() {
            if n * BATCH >= chosen.len() / 2 && store.registry().customs().is_empty() {
                let added = added::definitions();
                let updated_at =
                    commit(store, added.iter().map(|(key, text)| (key, Some(text.as_str())))).await;
                added.into_iter().for_each(|(key, text)| corpus.push(key, text, updated_at));
            }
            let twins = batch
                .iter()
                .enumerate()
                .filter(|(i, _)| i.is_multiple_of(UPDATE_EVERY) || i.is_multiple_of(DELETE_EVERY));
            let first: Vec<_> =
                twins.clone().map(|(i, (key, text))| (key, other(batch, i).unwrap_or(text))).collect();
            commit(store, first.iter().map(|(key, text)| (*key, Some(text.as_str())))).await;
            let gone = |i: usize| i.is_multiple_of(DELETE_EVERY);
            let second =
                batch.iter().enumerate().map(|(i, (key, text))| (key, (!gone(i)).then_some(text.as_str())));
            let updated_at = commit(store, second).await;
            for (_, (key, text)) in batch.iter().enumerate().filter(|(i, _)| !gone(*i)) {
                corpus.push(key.clone(), text.clone(), updated_at);
            }
        }
        added::ready(store).await;
        Some(Box::leak(Box::new(corpus)))
    }

    fn empty(definitions: &'static Definitions, server: Option<&'static Corpus>) -> Corpus {
        Corpus {
            definitions,
            types: BTreeMap::new(),
            values: RefCell::default(),
            together: RefCell::default(),
            terms: OnceCell::new(),
            urls: OnceCell::new(),
            embedded: OnceCell::new(),
            server,
        }
    }

    /// These resources alone.
    pub(super) fn only(&'static self, keep: impl Fn(&str, usize) -> bool) -> &'static Corpus {
        let mut corpus = Corpus::empty(self.definitions, None);
        for (type_name, all) in &self.types {
            let kept = all.iter().enumerate().filter(|(at, _)| keep(type_name, *at));
            corpus.types.insert(type_name.clone(), kept.map(|(_, resource)| resource.clone()).collect());
        }
        Box::leak(Box::new(corpus))
    }

    /// The resources within these: contained ones and entries of Bundles, each as one of its own.
    pub(super) fn embedded(&'static self) -> &'static Corpus {
        if self.server.is_some() {
            return self;
        }
        self.embedded.get_or_init(|| {
            let mut within = Corpus::empty(self.definitions, Some(self));
            for resource in self.types.values().flatten() {
                let name = resource.key.to_string();
                within.add_contained(&name, resource.root());
                if *resource.key.type_name == *"Bundle" {
                    within.add_entries(&name, resource.root());
                }
            }
            Box::new(within)
        })
    }

    pub(super) fn is_resource(&self, name: &str) -> bool {
        self.definitions.is_resource(name)
    }

    /// What these are within, or these.
    pub(super) fn server(&'static self) -> &'static Corpus {
        self.server.unwrap_or(self)
    }

    fn add_contained(&mut self, name: &str, holder: Ref<'static>) {
        let siblings = holder.get("contained").map_or(serde_json::json!([]), |all| all.to_value());
        for one in siblings.as_array().cloned().unwrap_or_default() {
            // They refer to each other.
            let id = format!("{name}#{}", one["id"].as_str().unwrap_or_default());
            let mut one = one;
            one["contained"] = siblings.clone();
            self.add(id, &one, Home::Contained(name.to_owned()));
        }
    }

    fn add_entries(&mut self, name: &str, bundle: Ref<'static>) {
        for (i, entry) in bundle.get("entry").into_iter().flat_map(|all| all.items()).enumerate() {
            let Some(resource) = entry.get("resource") else { continue };
            let id = format!("{name}~{i}");
            self.add_contained(&id, resource);
            self.add(id, &resource.to_value(), Home::Entry(bundle, name.to_owned(), i));
        }
    }

    fn add(&mut self, id: String, body: &serde_json::Value, home: Home) {
        let Some(type_name) = body["resourceType"].as_str().filter(|t| self.definitions.is_resource(t))
        else {
            return;
        };
        self.push_within(Key::new(type_name, id), body.to_string(), 0, home);
    }

    fn push(&mut self, key: Key, text: String, updated_at: i64) {
        self.push_within(key, text, updated_at, Home::Server);
    }

    fn push_within(&mut self, key: Key, text: String, updated_at: i64, home: Home) {
        let doc: &'static Doc = Box::leak(Box::new(Doc::parse(text, JsonLimits::default()).unwrap()));
        let of_type = self.types.entry(key.type_name.clone()).or_default();
        of_type.push(Resource { key, updated_at, doc, home });
    }

    pub(super) fn types(&self) -> Vec<&str> {
        self.types.keys().map(|t| &**t).collect()
    }

    pub(super) fn of(&self, type_name: &str) -> &[Resource] {
        self.types.get(type_name).map_or(&[], Vec::as_slice)
    }

    /// The resources that have a canonical url, with their business versions.
    pub(super) fn having(&self, url: &str) -> &[Versioned] {
        let urls = self.urls.get_or_init(|| {
            let mut urls: HashMap<String, Vec<_>> = HashMap::new();
            for resource in self.types.values().flatten() {
                let version = resource.root().get_str("version").map(|version| version.into_owned());
                if let Some(url) = resource.root().get_str("url") {
                    urls.entry(url.into_owned()).or_default().push((resource.key.clone(), version));
                }
            }
            urls
        });
        urls.get(url).map_or(&[], Vec::as_slice)
    }

    /// What the examples and the specification say of codes.
    pub(super) fn terms(&self) -> &Terms {
        let texts = |type_name| self.of(type_name).iter().map(|r| r.root().raw().to_owned());
        self.terms.get_or_init(|| Terms::of(self.definitions, texts("ValueSet"), texts("CodeSystem")))
    }

    /// The values of a parameter in all resources of a type, in their order. `targets`: whatever a reference points
    /// at, without looking whether it is of the type that the expression asks for.
    pub(super) fn values(&self, type_name: &str, param: &Param, targets: bool) -> Values {
        let key = (Box::from(type_name), param.code.clone(), targets);
        if let Some(known) = self.values.borrow().get(&key) {
            return known.clone();
        }
        let mut text = param.definition.expression_for(type_name).unwrap().into_owned();
        const WHERE: &str = ".where(resolve() is ";
        while let Some(at) = text.find(WHERE).filter(|_| targets) {
            let close = at + text[at + WHERE.len()..].find(')').unwrap() + WHERE.len();
            text.replace_range(at..=close, "");
        }
        let expr = parse(&meant(&text, param)).unwrap();
        let find = |resource: &Resource| {
            let root = resource.doc.root();
            let cx = Context::new(self.definitions, root).as_filters();
            let items = evaluate(&expr, Item::resource(root), &cx).unwrap_or_else(|e| panic!("{text}: {e}"));
            let mut found = ones(&items);
            // `Bundle.entry[0].resource` is of any type, and `composition` is a Composition.
            let is_other = |node: &Ref<'_>| {
                let own = node.get_str("resourceType");
                own.is_some_and(|own| !param.targets.is_empty() && !param.targets.iter().any(|t| **t == *own))
            };
            found.retain(|one| !matches!(one, One::Node(node, _) if is_other(node)));
            found
        };
        let found: Values = Rc::new(self.of(type_name).iter().map(find).collect());
        self.values.borrow_mut().insert(key, found.clone());
        found
    }

    /// The values of the parts of a composite, in all resources of a type.
    pub(super) fn together(&self, type_name: &str, param: &Param) -> Together {
        let key = (Box::from(type_name), param.code.clone(), true);
        if let Some(known) = self.together.borrow().get(&key) {
            return known.clone();
        }
        let base = parse(&param.definition.expression_for(type_name).unwrap()).unwrap();
        let mut texts: Vec<String> = param
            .definition
            .components
            .iter()
            .map(|c| c.expression.replace("DateTime", "dateTime"))
            .collect();
        if *param.code == *"relationship" {
            // The specification has them the wrong way round.
            texts.reverse();
        }
        let parts: Vec<_> = texts.iter().map(|text| parse(text).unwrap()).collect();
        let find = |resource: &Resource| {
            let root = resource.doc.root();
            let cx = Context::new(self.definitions, root).as_filters();
            let bases = evaluate(&base, Item::resource(root), &cx).unwrap();
            let of = |item: &Item<'static>| {
                parts.iter().map(|part| ones(&evaluate(part, item.clone(), &cx).unwrap())).collect()
            };
            bases.iter().map(of).collect()
        };
        let found: Together = Rc::new(self.of(type_name).iter().map(find).collect());
        self.together.borrow_mut().insert(key, found.clone());
        found
    }
}

/// What an expression means for a search: `as uri` finds a canonical, and an extension has a value.
fn meant(expression: &str, param: &Param) -> String {
    use fhir_search::parameters::ParameterKind::{String, Token};
    let text = expression.replace(" as uri)", ".where($this is uri))");
    if !text.contains(".extension('") || !text.ends_with("')") {
        return text;
    }
    let kinds = match param.kind {
        String => "$this is string or $this is HumanName or $this is Address or $this is uri",
        Token => {
            "$this is Coding or $this is CodeableConcept or $this is Identifier or $this is ContactPoint or \
             $this is boolean or $this is string or $this is uri"
        }
        _ => "$this is Reference or $this is canonical or $this is url",
    };
    let value = format!("{text}.value.where({kinds})");
    if param.kind == String { format!("{value} | {text}.value.ofType(CodeableConcept).text") } else { value }
}

fn ones(items: &[Item<'static>]) -> Vec<One> {
    let found = items.iter().filter_map(|item| match item {
        Item::Node(node) => Some(One::Node(node.json()?, item.type_name().into())),
        Item::Value(Value::Boolean(truth)) => Some(One::Truth(*truth)),
        Item::Value(_) => None,
    });
    found.collect()
}

/// The text of another resource of the same type.
fn other(batch: &[(Key, String)], at: usize) -> Option<&String> {
    let type_name = &batch[at].0.type_name;
    batch.iter().skip(at + 1).find(|(key, _)| key.type_name == *type_name).map(|(_, text)| text)
}

/// Writes all in one transaction; no text deletes. Gives their `lastUpdated`.
async fn commit<'a>(store: &Arc<Store>, texts: impl Iterator<Item = (&'a Key, Option<&'a str>)>) -> i64 {
    let mut writes = Vec::new();
    for (key, text) in texts {
        let before = store.read(&all(), key).await.unwrap();
        let version = before.last_version() + 1;
        let method = match (&before, text) {
            (ResourceState::Absent | ResourceState::Deleted(_), None) => panic!("{key} is not there"),
            (_, None) => Method::Delete,
            _ => Method::Put,
        };
        let doc = text.map(|text| Doc::parse(text, JsonLimits::default()).unwrap());
        writes.push(Write { key: key.clone(), before, version, method, doc, preconditions: Vec::new() });
    }
    let timestamp = store.commit_timestamp().unwrap();
    assert_eq!(store.commit(&all(), &timestamp, &writes).await.unwrap(), Commit::Done);
    timestamp.micros()
}
