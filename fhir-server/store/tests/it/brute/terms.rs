//! What value sets and code systems say of codes, read from them anew: those of the examples come before those that FHIR
//! publishes. What is beyond this reading is not asked for.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::rc::Rc;

use fhir_profiles::code_system::{Concept, Content};
use fhir_profiles::value_set::{Contains, Include};
use fhir_profiles::{CodeSystem, Definitions, ValueSet};
use fhir_search::registry::Param;
use serde::de::DeserializeOwned;

use super::ask::escaped;
use super::corpus::One;
use super::matches::tokens;
use fhir_store::testing::Random;

/// System and code.
pub(super) type Codes = BTreeSet<(String, String)>;

/// Value sets of value sets of ...
const DEPTH_MAX: usize = 8;
/// More codes are refused.
const CODES_MAX: usize = 10_000;

pub(super) struct Terms {
    definitions: &'static Definitions,
    sets: Stored<ValueSet>,
    systems: Stored<CodeSystem>,
    /// The value sets that name a code system, by its url.
    naming: HashMap<String, Vec<String>>,
    expanded: RefCell<HashMap<String, Option<Rc<Codes>>>>,
}

/// Examples by url; of those that share one it is not clear which is meant.
struct Stored<T> {
    by_url: HashMap<String, T>,
    shared: HashSet<String>,
}

impl<T: DeserializeOwned> Stored<T> {
    fn of(texts: impl Iterator<Item = String>) -> Stored<T> {
        let mut found = Stored { by_url: HashMap::new(), shared: HashSet::new() };
        for text in texts {
            let json: serde_json::Value = serde_json::from_str(&text).unwrap();
            let Some(url) = json["url"].as_str().map(str::to_owned) else { continue };
            let read = serde_json::from_value(json).ok();
            let alone = !found.by_url.contains_key(&url);
            match read.filter(|_| alone) {
                Some(one) => drop(found.by_url.insert(url, one)),
                None => drop(found.shared.insert(url)),
            }
        }
        found
    }
}

impl Terms {
    pub(super) fn of(
        definitions: &'static Definitions,
        sets: impl Iterator<Item = String>,
        systems: impl Iterator<Item = String>,
    ) -> Terms {
        let (sets, systems) = (Stored::of(sets), Stored::of(systems));
        let mut terms =
            Terms { definitions, sets, systems, naming: HashMap::new(), expanded: RefCell::default() };
        let mut urls: Vec<String> = definitions.value_set_urls().map(str::to_owned).collect();
        urls.extend(terms.sets.by_url.keys().cloned());
        urls.sort();
        urls.dedup();
        for url in urls {
            let Some((set, _)) = terms.set(&url) else { continue };
            let named: BTreeSet<String> =
                set.compose.include.iter().filter_map(|i| i.system.as_deref().map(str::to_owned)).collect();
            for system in named {
                terms.naming.entry(system).or_default().push(url.clone());
            }
        }
        terms
    }

    /// A value set, and whether it is one that FHIR publishes.
    fn set(&self, url: &str) -> Option<(&ValueSet, bool)> {
        let (plain, version) = url.split_once('|').map_or((url, None), |(url, version)| (url, Some(version)));
        if self.sets.shared.contains(plain) {
            return None;
        }
        let is = |set: &&ValueSet| version.is_none() || set.version.as_deref() == version;
        match self.sets.by_url.get(plain).filter(is) {
            Some(stored) => Some((stored, false)),
            None => self.definitions.value_set(plain).unwrap().map(|set| (set, true)),
        }
    }

    fn system(&self, url: &str) -> Option<&CodeSystem> {
        let (plain, version) = url.split_once('|').map_or((url, None), |(url, version)| (url, Some(version)));
        if self.systems.shared.contains(plain) {
            return None;
        }
        let is = |system: &&CodeSystem| version.is_none() || system.version.as_deref() == version;
        let stored = self.systems.by_url.get(plain).filter(is);
        stored.or_else(|| self.definitions.code_system(plain).unwrap())
    }

    /// The codes of a value set. Returns `None` when it uses what this reading does not cover.
    pub(super) fn codes(&self, url: &str) -> Option<Rc<Codes>> {
        if let Some(known) = self.expanded.borrow().get(url) {
            return known.clone();
        }
        let found = self.expand(url, 0).map(Rc::new);
        self.expanded.borrow_mut().insert(url.to_owned(), found.clone());
        found
    }

    fn expand(&self, url: &str, depth: usize) -> Option<Codes> {
        let (set, published) = self.set(url).filter(|_| depth < DEPTH_MAX)?;
        let mut codes = Codes::new();
        if let Some(expansion) = &set.expansion
            && (published || set.compose.include.is_empty())
        {
            expansion.contains.iter().for_each(|one| contained(one, &mut codes));
            return few(codes);
        }
        if set.compose.include.is_empty() {
            return None;
        }
        for include in &set.compose.include {
            codes.extend(self.included(include, depth)?);
        }
        for exclude in &set.compose.exclude {
            let out = self.included(exclude, depth)?;
            codes.retain(|code| !out.contains(code));
        }
        few(codes)
    }

    /// What is of the system and in all of the value sets.
    fn included(&self, include: &Include, depth: usize) -> Option<Codes> {
        let mut all: Vec<Codes> = Vec::new();
        if let Some(url) = &include.system {
            all.push(self.of_system(url, include)?);
        }
        for url in &include.value_set {
            all.push(self.expand(url, depth + 1)?);
        }
        few(all.into_iter().reduce(|a, b| &a & &b).unwrap_or_default())
    }

    fn of_system(&self, url: &str, include: &Include) -> Option<Codes> {
        let of = |code: &str| (url.to_owned(), code.to_owned());
        if !include.concept.is_empty() {
            return Some(include.concept.iter().map(|concept| of(&concept.code)).collect());
        }
        let versioned = include.version.as_ref().map_or(url.to_owned(), |version| format!("{url}|{version}"));
        let system = self.system(&versioned)?;
        if matches!(system.content, Content::NotPresent | Content::Supplement) {
            return None;
        }
        let mut left: BTreeSet<&str> = system.concepts.iter().map(|concept| &*concept.code).collect();
        for filter in &include.filter {
            let below = below(system, &filter.value);
            match (&*filter.property, &*filter.op) {
                ("concept" | "code", "is-a") => left.retain(|code| below.contains(code)),
                ("concept" | "code", "is-not-a") => left.retain(|code| !below.contains(code)),
                ("concept" | "code", "=") => left.retain(|code| **code == *filter.value),
                _ => return None,
            }
        }
        Some(left.into_iter().map(of).collect())
    }

    /// The codes above or below a code, it itself among them.
    pub(super) fn related(&self, url: &str, code: &str, is_below: bool) -> Codes {
        let mut codes = Codes::from([(url.to_owned(), code.to_owned())]);
        if let Some(system) = self.system(url) {
            let found = if is_below { below(system, code) } else { above(system, code) };
            codes.extend(found.into_iter().map(|code| (url.to_owned(), code.to_owned())));
        }
        codes
    }
}

fn few(codes: Codes) -> Option<Codes> {
    (codes.len() <= CODES_MAX).then_some(codes)
}

fn contained(one: &Contains, codes: &mut Codes) {
    if let Some(code) = one.code.as_deref().filter(|_| !one.is_abstract) {
        codes.insert((one.system.as_deref().unwrap_or_default().to_owned(), code.to_owned()));
    }
    one.contains.iter().for_each(|inner| contained(inner, codes));
}

fn is(system: &CodeSystem, concept: &Concept, code: &str) -> bool {
    match system.case_sensitive {
        true => *concept.code == *code,
        false => concept.code.to_lowercase() == code.to_lowercase(),
    }
}

/// From a concept to those right below it, until there are no more.
fn below<'s>(system: &'s CodeSystem, code: &str) -> BTreeSet<&'s str> {
    let mut found: Vec<bool> = system.concepts.iter().map(|concept| is(system, concept, code)).collect();
    loop {
        let more: Vec<usize> = system
            .concepts
            .iter()
            .enumerate()
            .filter_map(|(at, concept)| {
                let has = concept.parents.iter().any(|parent| found[*parent as usize]);
                (has && !found[at]).then_some(at)
            })
            .collect();
        if more.is_empty() {
            break;
        }
        more.into_iter().for_each(|at| found[at] = true);
    }
    system.concepts.iter().zip(found).filter(|(_, is)| *is).map(|(concept, _)| &*concept.code).collect()
}

/// From a concept to those right above it, until there are no more.
fn above<'s>(system: &'s CodeSystem, code: &str) -> BTreeSet<&'s str> {
    let mut found = BTreeSet::new();
    let mut open: Vec<&Concept> =
        system.concepts.iter().filter(|concept| is(system, concept, code)).collect();
    while let Some(concept) = open.pop() {
        if found.insert(&*concept.code) {
            open.extend(concept.parents.iter().map(|parent| &system.concepts[*parent as usize]));
        }
    }
    found
}

/// A modifier and a value that ask for a code of a resource, or just miss it.
pub(super) fn ask(
    random: &mut Random,
    terms: &Terms,
    param: &Param,
    value: &One,
) -> Option<(&'static str, String)> {
    let One::Node(node, kind) = value else { return None };
    if param.indexes.iter().all(|i| i.identifies || i.truth) {
        return None;
    }
    let implied = match param.indexes.as_slice() {
        [index] => index.implied_system.as_deref(),
        _ => None,
    };
    let all = tokens(kind, *node);
    let (system, code) = random.pick(&all)?;
    let (of_data, code) = (system.clone().flatten(), code.as_deref()?);
    let url = of_data.as_deref().or(implied)?;
    if random.chance(50) {
        let naming = terms.naming.get(url)?;
        let set = random.pick(naming).filter(|set| terms.codes(set).is_some())?;
        return Some((random.pick(&[":in", ":not-in"])?, escaped(set)));
    }
    let system = terms.system(url)?;
    // What is asked for is on the other side of what is there.
    let is_below = random.chance(50);
    let ends = if is_below { above(system, code) } else { below(system, code) };
    let end = *random.pick(&ends.into_iter().collect::<Vec<_>>())?;
    let text = match implied == Some(url) && random.chance(30) {
        true => escaped(end),
        false => format!("{}|{}", escaped(url), escaped(end)),
    };
    let modifier = if is_below { ":below" } else { ":above" };
    (terms.related(url, end, is_below).len() <= CODES_MAX).then_some((modifier, text))
}
