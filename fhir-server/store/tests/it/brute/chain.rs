//! Chains and `_has`, by looking at every resource at the other end.

use std::collections::HashSet;
use std::sync::Arc;

use fhir_model::json::Ref;
use fhir_search::parameters::ParameterKind;
use fhir_search::query::Filter;
use fhir_search::registry::{Param, Registry};

use super::ask::pair;
use super::corpus::{Corpus, Home, One, Resource};
use super::matches::{local, matches, target_text};
use fhir_store::testing::Random;

/// For each resource of a type, whether its reference leads to one that all filters of its type hold of.
pub(super) fn chain(
    param: &Param,
    targets: &[(Box<str>, Vec<Filter>)],
    type_name: &str,
    corpus: &'static Corpus,
) -> Vec<bool> {
    // What is within a resource leads to what is within it, too, and out of it.
    let mut ends: HashSet<(&str, &str)> = HashSet::new();
    for end_corpus in [corpus.server(), corpus.embedded()] {
        let there = targets.iter().filter(|(target, _)| end_corpus.types().contains(&&**target));
        ends.extend(there.flat_map(|(target, filters)| holding(target, filters, end_corpus)));
    }
    let values = corpus.values(type_name, param, false);
    let leads = |resource: &Resource, value: &One| {
        let found = match within(resource, value, corpus.embedded()) {
            Some(found) => vec![found],
            None => targets_of(value, param, corpus.server()),
        };
        let may_be = |kind: &str| param.targets.is_empty() || param.targets.iter().any(|t| **t == *kind);
        found.iter().any(|(kind, id)| may_be(kind) && ends.contains(&(&**kind, &**id)))
    };
    let each = corpus.of(type_name).iter().zip(values.iter());
    each.map(|(resource, values)| values.iter().any(|value| leads(resource, value))).collect()
}

/// The resource within the same document that a value is or refers to.
pub(super) fn within(resource: &Resource, value: &One, embedded: &Corpus) -> Option<(String, String)> {
    let One::Node(node, _) = value else { return None };
    let id = match (node.get_str("resourceType"), &resource.home) {
        (Some(_), _) => format!("{}~0", resource.key),
        (None, home) => {
            let text = node.get_str("reference").or_else(|| node.str())?;
            match (text.strip_prefix('#'), home) {
                (Some(id), Home::Server) => format!("{}#{id}", resource.key),
                (Some(id), Home::Contained(holder)) => format!("{holder}#{id}"),
                (Some(id), Home::Entry(..)) => format!("{}#{id}", resource.key.id),
                (None, Home::Entry(bundle, name, i)) => format!("{name}~{}", entry_of(*bundle, *i, &text)?),
                (None, _) => return None,
            }
        }
    };
    let types = embedded.types();
    let of = types.iter().find(|name| embedded.of(name).iter().any(|one| *one.key.id == *id))?;
    Some(((*of).to_owned(), id))
}

/// The entry that a reference of another one leads to.
fn entry_of(bundle: Ref<'static>, from: usize, reference: &str) -> Option<usize> {
    let entries: Vec<_> = bundle.get("entry")?.items().collect();
    let full_url = |entry: &Ref<'static>| entry.get_str("fullUrl").map(|url| url.into_owned());
    let reference = reference.split("/_history/").next()?;
    let wanted = match (reference.contains(':'), full_url(&entries[from])) {
        (true, _) => reference.to_owned(),
        (false, Some(own)) => {
            let resource = entries[from].get("resource")?;
            let name = format!("{}/{}", resource.get_str("resourceType")?, resource.get_str("id")?);
            format!("{}{reference}", own.strip_suffix(&name)?)
        }
        (false, None) => {
            return entries.iter().position(|entry| {
                let Some(resource) = entry.get("resource").filter(|_| full_url(entry).is_none()) else {
                    return false;
                };
                let name =
                    |part: &str| resource.get_str(part).map(|text| text.into_owned()).unwrap_or_default();
                format!("{}/{}", name("resourceType"), name("id")) == reference
            });
        }
    };
    entries.iter().position(|entry| full_url(entry).as_deref() == Some(&*wanted))
}

/// For each resource of a type, whether one refers to it that all filters hold of.
pub(super) fn has(
    source: &str,
    param: &Param,
    filters: &[Filter],
    type_name: &str,
    corpus: &'static Corpus,
) -> Vec<bool> {
    let mut ends = HashSet::new();
    // Nothing refers to what is within a resource, and nothing within one counts for others.
    if !std::ptr::eq(corpus, corpus.server()) {
        return vec![false; corpus.of(type_name).len()];
    }
    if corpus.types().contains(&source) {
        let holding: HashSet<_> = holding(source, filters, corpus).collect();
        let values = corpus.values(source, param, false);
        for (resource, each) in corpus.of(source).iter().zip(values.iter()) {
            if holding.contains(&(source, &*resource.key.id)) {
                let is_within =
                    |value: &&One| matches!(value, One::Node(node, _) if node.get("resourceType").is_some());
                let refer = each.iter().filter(|value| !is_within(value));
                let targets = refer.flat_map(|value| targets_of(value, param, corpus));
                ends.extend(targets.filter(|(kind, _)| kind == type_name).map(|t| t.1));
            }
        }
    }
    corpus.of(type_name).iter().map(|r| ends.contains(&*r.key.id)).collect()
}

fn holding<'c>(
    type_name: &'c str,
    filters: &[Filter],
    corpus: &'static Corpus,
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
    let text = text.replace('#', "\n");
    let whole = |part: &str| part.lines().next().unwrap_or_default().to_owned();
    let (url, version) = match text.split_once('|') {
        Some((url, version)) => (whole(url), Some(whole(version)).filter(|version| !version.is_empty())),
        None => (whole(&text), None),
    };
    let allowed = |name: &str| param.targets.is_empty() || param.targets.iter().any(|t| **t == *name);
    let having = corpus.having(&url).iter().filter(|(key, own)| {
        allowed(&key.type_name) && version.as_ref().is_none_or(|version| own.as_ref() == Some(version))
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
    let of_type = registry.for_type(type_name).unwrap();
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
        let of_type = registry.for_type(end).unwrap();
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
        let of_type = registry.for_type(source).unwrap();
        let further = of_type.params();
        let (name, value) = match random.chance(20) {
            true => ask(random, corpus, registry, source)?,
            false => pair(random, corpus, source, further, Some(same))?,
        };
        return Some((format!("_has:{source}:{}:{name}", param.code), value));
    }
    None
}
