//! What a scope hides is as if it had never been written: random scopes, and the corpus without what they hide. Which
//! resources that are is told by brute force.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use fhir_model::Key;
use fhir_search::TenantId;
use fhir_search::condition::Condition;
use fhir_store::{HistoryPage, HistoryTarget, ResourceState, Rule, Rules, Scope, Store, TypeRules};

use super::ask::Question;
use super::corpus::Corpus;
use super::{matches, parse};
use fhir_store::testing::Random;

/// A random scope, and what is left of the corpus under it.
pub(super) fn random(
    random: &mut Random,
    store: &Arc<Store>,
    corpus: &'static Corpus,
) -> (Scope, &'static Corpus) {
    let mut rules = BTreeMap::new();
    let mut visible: BTreeMap<String, Vec<bool>> = BTreeMap::new();
    for type_name in corpus.types() {
        let all = vec![true; corpus.of(type_name).len()];
        let (rule, seen) = match random.below(10) {
            0 => (None, all.iter().map(|_| false).collect()),
            1..=4 => hide(some_ids(random, type_name, corpus), type_name, store, corpus),
            5..=7 => hide(some_patients(random, type_name, store, corpus), type_name, store, corpus),
            8 => hide(some_status(random, type_name, store, corpus), type_name, store, corpus),
            _ => (Some(Rule::all()), all),
        };
        rules.extend(rule.map(|rule| (Box::from(type_name), rule)));
        visible.insert(type_name.to_owned(), seen);
    }
    // The same, said of types one by one, or of those alone that differ from all others.
    let rules = match random.chance(50) {
        true => Rules::by_type(rules).unwrap(),
        false => {
            let hidden = visible.keys().filter(|name| !rules.contains_key(name.as_str()));
            let hidden: Vec<Box<str>> = hidden.map(|name| name.as_str().into()).collect();
            rules.retain(|_, rule| *rule != Rule::all() || random.chance(20));
            rules.extend(hidden.into_iter().map(|name| (name, Rule::none())));
            Rules::ByType(Arc::new(TypeRules::new(rules, Rule::all()).unwrap()))
        }
    };
    let scope = Scope::new(TenantId::DEFAULT, vec![(TenantId::DEFAULT, rules)]);
    (scope, corpus.only(|type_name, at| visible[type_name][at]))
}

/// The rule that hides what a question finds, and what brute force says it leaves.
fn hide(
    pair: Option<(&str, String)>,
    type_name: &str,
    store: &Arc<Store>,
    corpus: &'static Corpus,
) -> (Option<Rule>, Vec<bool>) {
    let Some((name, value)) = pair else {
        return (Some(Rule::all()), vec![true; corpus.of(type_name).len()]);
    };
    let pairs = vec![(name.to_owned(), value)];
    let question = Question { type_name: type_name.into(), pairs, compartment: None };
    let query = parse(&question, store).unwrap();
    let filter = Condition::Not(Box::new(store.condition(TenantId::DEFAULT, &query)));
    let found = matches::matches(&query.filters[0], type_name, corpus);
    (Some(Rule { filter, ..Rule::all() }), found.iter().map(|found| !found).collect())
}

fn some_ids(random: &mut Random, type_name: &str, corpus: &'static Corpus) -> Option<(&'static str, String)> {
    let mut ids: Vec<String> = corpus.of(type_name).iter().map(|r| r.key.id.to_string()).collect();
    ids.retain(|_| random.chance(30));
    (!ids.is_empty()).then(|| ("_id", ids.into_iter().take(90).collect::<Vec<_>>().join(",")))
}

fn some_patients(
    random: &mut Random,
    type_name: &str,
    store: &Arc<Store>,
    corpus: &'static Corpus,
) -> Option<(&'static str, String)> {
    let param = store.registry().for_type(type_name).unwrap().param("patient").cloned()?;
    if *param.targets != [Box::from("Patient")] && param.only_target.as_deref() != Some("Patient") {
        return None;
    }
    let mut ids: Vec<String> = corpus.of("Patient").iter().map(|r| format!("Patient/{}", r.key.id)).collect();
    ids.retain(|_| random.chance(40));
    (!ids.is_empty()).then(|| ("patient", ids.into_iter().take(90).collect::<Vec<_>>().join(",")))
}

fn some_status(
    random: &mut Random,
    type_name: &str,
    store: &Arc<Store>,
    corpus: &'static Corpus,
) -> Option<(&'static str, String)> {
    store.registry().for_type(type_name).unwrap().param("status")?;
    let all: Vec<String> = corpus
        .of(type_name)
        .iter()
        .filter_map(|r| r.root().get_str("status").map(|status| status.into_owned()))
        .collect();
    Some(("status", random.pick(&all)?.clone()))
}

/// Reads, versions, histories and totals of what is hidden are those of what never was; an error says which are not.
pub(super) async fn reads(
    random: &mut Random,
    (store, scope): (&Arc<Store>, &Scope),
    corpus: &'static Corpus,
    seen: &'static Corpus,
) -> Result<(), String> {
    for type_name in corpus.types() {
        let visible: HashSet<&Key> = seen.of(type_name).iter().map(|resource| &resource.key).collect();
        let Some(resource) = random.pick(corpus.of(type_name)) else { continue };
        let (key, is_seen) = (&resource.key, visible.contains(&resource.key));
        let state = store.read(scope, key).await.map_err(|e| format!("{key}: {e:?}"))?;
        if matches!(state, ResourceState::Current(_)) != is_seen || (!is_seen && state.last_version() > 0) {
            return Err(format!("{key} is read as {state:?}, and is seen: {is_seen}"));
        }
        if store.current(scope, std::slice::from_ref(key)).await.map_err(|e| format!("{e:?}"))?.len()
            != usize::from(is_seen)
        {
            return Err(format!("{key} is current or not, and is seen: {is_seen}"));
        }
        let page = HistoryPage { count: 100, ..HistoryPage::default() };
        let of = HistoryTarget::Instance(key.clone());
        match store.history(scope, &of, &page).await {
            Ok(history) if !is_seen => return Err(format!("{key} has a history of {:?}", history.total)),
            Err(e) if is_seen => return Err(format!("{key} has no history: {e:?}")),
            _ => {}
        }
        for version in 1..=state.last_version().max(2) {
            let found = store.vread(scope, key, version).await.map_err(|e| format!("{key}: {e:?}"))?;
            if !is_seen && !matches!(found, ResourceState::Absent) {
                return Err(format!("version {version} of {key} is {found:?}"));
            }
        }
        // No version of the type is of what is hidden; each current one of what is seen is there.
        let (mut found, mut page) = (HashSet::new(), HistoryPage { count: 1000, ..HistoryPage::default() });
        loop {
            let of = HistoryTarget::Type(type_name.into());
            let history =
                store.history(scope, &of, &page).await.map_err(|e| format!("{type_name}: {e:?}"))?;
            found.extend(history.versions.into_iter().map(|version| version.key));
            match history.next {
                Some(next) => page.before = Some(next),
                None => break,
            }
        }
        let hidden =
            corpus.of(type_name).iter().map(|r| &r.key).find(|k| !visible.contains(k) && found.contains(k));
        if let Some(key) = hidden.or_else(|| visible.iter().copied().find(|key| !found.contains(key))) {
            return Err(format!("the history of {type_name} is wrong about {key}"));
        }
        let present = store.types_with_resources(scope, &[type_name]).await.map_err(|e| format!("{e:?}"))?;
        if present.is_empty() != visible.is_empty() {
            return Err(format!("{type_name} has resources: {present:?}, and {} are seen", visible.len()));
        }
    }
    Ok(())
}
