//! Chains and `_has`, by looking at every resource at the other end.

use std::collections::HashSet;
use std::sync::Arc;

use fhir_search::parameters::ParameterKind;
use fhir_search::query::Filter;
use fhir_search::registry::{Param, Registry};

use super::ask::pair;
use super::corpus::{Corpus, One};
use super::matches::{local, matches, target_text};
use super::random::Random;

/// For each resource of a type, whether its reference leads to one that all filters of its type hold of.
pub(super) fn chain(
    param: &Param,
    targets: &[(Box<str>, Vec<Filter>)],
    type_name: &str,
    corpus: &Corpus,
) -> Vec<bool> {
    let ends: HashSet<(&str, &str)> = targets
        .iter()
        .filter(|(target, _)| corpus.types().contains(&&**target))
        .flat_map(|(target, filters)| holding(target, filters, corpus))
        .collect();
    let values = corpus.values(type_name, param, false);
    let leads = |value: &One| {
        targets_of(value, param, corpus).iter().any(|(kind, id)| ends.contains(&(&**kind, &**id)))
    };
    values.iter().map(|each| each.iter().any(leads)).collect()
}

/// For each resource of a type, whether one refers to it that all filters hold of.
pub(super) fn has(
    source: &str,
    param: &Param,
    filters: &[Filter],
    type_name: &str,
    corpus: &Corpus,
) -> Vec<bool> {
    let mut ends = HashSet::new();
    if corpus.types().contains(&source) {
        let holding: HashSet<_> = holding(source, filters, corpus).collect();
        let values = corpus.values(source, param, false);
        for (resource, each) in corpus.of(source).iter().zip(values.iter()) {
            if holding.contains(&(source, &*resource.key.id)) {
                let targets = each.iter().flat_map(|value| targets_of(value, param, corpus));
                ends.extend(targets.filter(|(kind, _)| kind == type_name).map(|t| t.1));
            }
        }
    }
    corpus.of(type_name).iter().map(|r| ends.contains(&*r.key.id)).collect()
}

fn holding<'c>(
    type_name: &'c str,
    filters: &[Filter],
    corpus: &'c Corpus,
) -> impl Iterator<Item = (&'c str, &'c str)> {
    let each: Vec<Vec<bool>> = filters.iter().map(|f| matches(f, type_name, corpus)).collect();
    let all = move |i: &usize| each.iter().all(|holds| holds[*i]);
    let resources = corpus.of(type_name);
    (0..resources.len()).filter(all).map(move |i| (type_name, &*resources[i].key.id))
}

/// Types and ids that a value of a parameter refers to: itself, or by a canonical url that resources have.
pub(super) fn targets_of(value: &One, param: &Param, corpus: &Corpus) -> Vec<(String, String)> {
    let One::Node(node, kind) = value else { return Vec::new() };
    let Some(text) = target_text(*node) else { return Vec::new() };
    if let Some((kind, id)) = local(&text) {
        return vec![(kind.to_owned(), id.to_owned())];
    }
    if !matches!(&**kind, "canonical" | "uri" | "url") {
        return Vec::new();
    }
    let (url, version) = text.split_once('|').map_or((&*text, None), |(url, version)| (url, Some(version)));
    let allowed = |name: &str| param.targets.is_empty() || param.targets.iter().any(|t| **t == *name);
    let having = corpus.having(url).iter().filter(|(key, own)| {
        allowed(&key.type_name) && version.is_none_or(|version| own.as_deref() == Some(version))
    });
    having.map(|(key, _)| (key.type_name.to_string(), key.id.to_string())).collect()
}

/// A chain or `_has` about a resource, with what holds at its other end.
pub(super) fn ask(
    random: &mut Random,
    corpus: &Corpus,
    registry: &Registry,
    type_name: &str,
) -> Option<(String, String)> {
    if random.chance(50) {
        ask_chain(random, corpus, registry, type_name)
    } else {
        ask_has(random, corpus, registry, type_name)
    }
}

fn references(registry: &Registry, type_name: &str) -> Vec<Arc<Param>> {
    let of_type = registry.of(type_name).unwrap();
    let all = of_type.params().iter();
    all.filter(|p| p.kind == ParameterKind::Reference).cloned().collect()
}

fn ask_chain(
    random: &mut Random,
    corpus: &Corpus,
    registry: &Registry,
    type_name: &str,
) -> Option<(String, String)> {
    let params = references(registry, type_name);
    for _ in 0..20 {
        let param = random.pick(&params)?;
        let values = corpus.values(type_name, param, false);
        let ends: Vec<_> =
            values.iter().flatten().flat_map(|value| targets_of(value, param, corpus)).collect();
        let Some((end, id)) = random.pick(&ends) else { continue };
        if !corpus.types().contains(&end.as_str()) {
            continue;
        }
        let same = corpus.of(end).iter().position(|r| *r.key.id == **id);
        let of_type = registry.of(end).unwrap();
        let further = of_type.params();
        let (name, value) = match random.chance(20) {
            true => ask(random, corpus, registry, end)?,
            false => pair(random, corpus, end, further, same)?,
        };
        let typed = param.only_target.is_none() && (param.targets.len() != 1 || random.chance(50));
        let head = if typed { format!("{}:{end}", param.code) } else { param.code.to_string() };
        return Some((format!("{head}.{name}"), value));
    }
    None
}

fn ask_has(
    random: &mut Random,
    corpus: &Corpus,
    registry: &Registry,
    type_name: &str,
) -> Option<(String, String)> {
    for _ in 0..60 {
        let types = corpus.types();
        let source = *random.pick(&types)?;
        let params = references(registry, source);
        let Some(param) = random.pick(&params) else { continue };
        let values = corpus.values(source, param, false);
        let targets = |value: &One| targets_of(value, param, corpus);
        let refers = |each: &Vec<One>| each.iter().flat_map(targets).any(|(kind, _)| kind == type_name);
        let Some(same) = values.iter().position(refers) else { continue };
        let of_type = registry.of(source).unwrap();
        let further = of_type.params();
        let (name, value) = match random.chance(20) {
            true => ask(random, corpus, registry, source)?,
            false => pair(random, corpus, source, further, Some(same))?,
        };
        return Some((format!("_has:{source}:{}:{name}", param.code), value));
    }
    None
}
