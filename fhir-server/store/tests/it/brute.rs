//! Searches compared with brute force: thousands of random questions to R4's examples, synthetic records and changed
//! ones of both, answered by the store and by an evaluator that shares nothing with it but the parser and FHIRPath.
//!
//! Every second question is answered by the statements for a distributed database, which a plain one takes as well.
//!
//! `CARI_BRUTE_QUERIES` says how many; `CARI_SEED` repeats the questions of a run that failed; `CARI_BRUTE_ASK` is one question
//! to be asked under many scopes.

mod added;
mod ask;
mod by_code;
mod chain;
mod corpus;
mod expression;
mod laws;
mod matches;
mod mutate;
mod names;
mod order;
mod resources;
mod scopes;
mod terms;
mod when;

use std::collections::HashMap;
use std::sync::Arc;

use ask::Question;
use corpus::Corpus;
use fhir_model::Key;
use fhir_model::date::Zone;
use fhir_search::sql::Placement;
use fhir_search::{IndexSettings, ParseCx, Query};
use fhir_store::testing::Random;
use fhir_store::{Scope, Store};

use super::all;

const QUERIES: usize = 2000;
/// Questions that are asked under one scope, before another is drawn.
const QUESTIONS_A_SCOPE: usize = 100;
/// Of the questions, those that are other ones each time.
const NEW_PERCENT: usize = 20;
/// Failures that are shown.
const SHOWN_MAX: usize = 15;

#[tokio::test(flavor = "multi_thread")]
async fn the_store_finds_what_brute_force_finds() {
    // So that some chains and entries are walked and some are not, among few resources.
    let settings = IndexSettings { zone: Zone::parse(when::ZONE).unwrap(), ..IndexSettings::default() };
    let options = fhir_store::Options { chain_rare: 3, entries_few: 5, settings, ..Default::default() };
    let url = fhir_store::testing::database().await.unwrap();
    let open = async |options| {
        Store::open(&url, options, fhir_store::testing::registry().await.unwrap()).await.unwrap()
    };
    // The same resources, asked by the statements for a distributed database: every second question is put to it.
    let distributed = fhir_store::Options { placement: Some(Placement::Distributed), ..options.clone() };
    let stores = [open(options).await, open(distributed).await];
    let [store, _] = &stores;
    let Some(corpus) = Corpus::load(store).await else { return };
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let queries = number("CARI_BRUTE_QUERIES").map_or(QUERIES, |n| n as usize);
    let runs = match number("CARI_SEED") {
        Some(seed) => vec![(seed, queries)],
        None => {
            let new = queries * NEW_PERCENT / 100;
            let seed = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
            vec![(1, queries - new), (seed, new)]
        }
    };
    if let Ok(text) = std::env::var("CARI_BRUTE_ASK") {
        return ask_one(&text, store, corpus).await;
    }
    for (seed, queries) in runs {
        println!("CARI_SEED={seed} CARI_BRUTE_QUERIES={queries}");
        let mut random = Random::new(seed);
        let mut tally = Tally::default();
        let (mut scope, mut seen) = (all(), corpus);
        for n in 0..queries {
            // The questions are about everything, the answers about what is seen.
            if n % QUESTIONS_A_SCOPE == 0 {
                (scope, seen) = match n / QUESTIONS_A_SCOPE % 2 {
                    0 => (all(), corpus),
                    _ => scopes::random(&mut random, store, corpus),
                };
                if let Err(why) = scopes::reads(&mut random, (store, &scope), corpus, seen).await {
                    tally.wrong.push(why);
                }
            }
            let question = ask::question(&mut random, corpus, store.registry());
            let [_, distributed] = &stores;
            let asked = if n % 2 == 0 { store } else { distributed };
            if let Err(why) = ask_both(&question, &mut random, (asked, &scope), seen, &mut tally).await {
                let under = match (std::ptr::eq(seen, corpus), n % 2 == 0) {
                    (true, true) => "",
                    (false, true) => " (under a scope)",
                    (true, false) => " (as if it were distributed)",
                    (false, false) => " (under a scope, as if it were distributed)",
                };
                tally.wrong.push(format!("{question}{under}\n    {why}"));
            }
        }
        println!("{tally:?}");
        let shown: Vec<_> = tally.wrong.iter().take(SHOWN_MAX).cloned().collect();
        assert!(
            shown.is_empty(),
            "seed {seed}: {} disagree, such as\n{}",
            tally.wrong.len(),
            shown.join("\n")
        );
        // Questions that find nothing show little.
        assert!(tally.refused * 20 < queries, "{} of {queries} are refused", tally.refused);
        assert!(tally.found_some * 3 > queries, "only {} of {queries} find anything", tally.found_some);
    }
}

/// Asks one question, such as `Patient?name=ada`, without a scope and under many.
async fn ask_one(text: &str, store: &Arc<Store>, corpus: &'static Corpus) {
    let (type_name, pair) = text.split_once('?').unwrap();
    let (name, value) = pair.split_once('=').unwrap();
    let pairs = vec![(name.to_owned(), value.to_owned())];
    let question = Question { type_name: type_name.into(), pairs, compartment: None };
    let mut random = Random::new(1);
    let (mut scope, mut seen) = (all(), corpus);
    for n in 0..100 {
        let asked = ask_both(&question, &mut random, (store, &scope), seen, &mut Tally::default()).await;
        assert_eq!(asked, Ok(()), "{question}, scope {n}");
        (scope, seen) = scopes::random(&mut random, store, corpus);
    }
}

#[derive(Default)]
struct Tally {
    asked: usize,
    refused: usize,
    found_some: usize,
    found: usize,
    pages: usize,
    refusals: Vec<String>,
    wrong: Vec<String>,
}

impl std::fmt::Debug for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Tally { asked, refused, found_some, found, pages, refusals, wrong } = self;
        write!(
            f,
            "{asked} asked, {refused} refused, {found_some} found {found} in all, {pages} pages, {} disagree",
            wrong.len()
        )?;
        refusals.iter().take(5).try_for_each(|text| write!(f, "\n  refused: {text}"))
    }
}

/// Asks the store and brute force; an error says how they differ.
async fn ask_both(
    question: &Question,
    random: &mut Random,
    (store, scope): (&Arc<Store>, &Scope),
    corpus: &'static Corpus,
    tally: &mut Tally,
) -> Result<(), String> {
    tally.asked += 1;
    let query = match parse(question, store) {
        Ok(query) => query,
        Err(why) => {
            tally.refused += 1;
            tally.refusals.push(format!("{question}: {why}"));
            return Ok(());
        }
    };
    let type_name = &*question.type_name;
    let resources = corpus.of(type_name);
    let positions: HashMap<&str, usize> =
        resources.iter().enumerate().map(|(i, r)| (&*r.key.id, i)).collect();
    let filters: Vec<Vec<bool>> =
        query.filters.iter().map(|f| matches::matches(f, type_name, corpus)).collect();
    let wanted: Vec<usize> = (0..resources.len()).filter(|i| filters.iter().all(|f| f[*i])).collect();

    let page = store.search(scope, &query).await.map_err(|e| format!("{e:?}"))?;
    let ids: Vec<String> = page.matches.iter().map(|v| v.key.id.to_string()).collect();
    let order: Vec<usize> = ids
        .iter()
        .map(|id| positions.get(&**id).copied().ok_or(format!("{id} was deleted, or is hidden")))
        .collect::<Result<_, _>>()?;
    let mut found = order.clone();
    found.sort_unstable();
    if found != wanted {
        let show = |these: &[usize], without: &[usize]| {
            let only = these.iter().filter(|i| !without.contains(i)).map(|i| &*resources[*i].key.id);
            only.take(5).collect::<Vec<_>>().join(" ")
        };
        return Err(format!(
            "the store finds {}, brute force {}; only the store: {}; only brute force: {}",
            found.len(),
            wanted.len(),
            show(&found, &wanted),
            show(&wanted, &found)
        ));
    }
    tally.found += found.len();
    tally.found_some += usize::from(!found.is_empty());
    let total = store.count(scope, &query).await.map_err(|e| format!("{e:?}"))?;
    if total.n != wanted.len() as u64 || page.total.is_none_or(|t| t.n != total.n || !t.exact) {
        return Err(format!("{} match, {total:?} are counted, {:?} are said", wanted.len(), page.total));
    }
    let keys: Vec<_> =
        query.sort.iter().map(|s| (s.descending, order::values(s, type_name, corpus))).collect();
    for pair in order.windows(2) {
        if order::compare(&keys, pair[0], pair[1]).is_gt() {
            let show = |at: usize| {
                format!("{} {:?}", resources[at].key.id, keys.iter().map(|(_, v)| &v[at]).collect::<Vec<_>>())
            };
            return Err(format!("out of order: {}, then {}", show(pair[0]), show(pair[1])));
        }
    }
    if !ids.is_empty() && random.chance(40) {
        let size = random.below(ids.len()) + 1;
        walk_pages(query, size.max(ids.len() / 8), &ids, (store, scope), tally).await?;
    }
    Ok(())
}

/// Pages partition the result, in its order, forth and back.
async fn walk_pages(
    mut query: Query,
    size: usize,
    ids: &[String],
    (store, scope): (&Arc<Store>, &Scope),
    tally: &mut Tally,
) -> Result<(), String> {
    query.count = size;
    let mut pages = Vec::new();
    let last = loop {
        let page = store.search(scope, &query).await.map_err(|e| format!("{e:?}"))?;
        tally.pages += 1;
        pages.push(page.matches.iter().map(|v| v.key.id.to_string()).collect::<Vec<_>>());
        match page.next.clone() {
            Some(next) if pages.len() <= ids.len() => query.cursor = Some(next),
            _ => break page,
        }
    };
    if pages.concat() != ids {
        return Err(format!("pages of {size} are {pages:?}, the whole is {ids:?}"));
    }
    let mut at = last;
    for wanted in pages.iter().rev().skip(1) {
        query.cursor = at.previous.clone();
        at = store.search(scope, &query).await.map_err(|e| format!("{e:?}"))?;
        tally.pages += 1;
        let found: Vec<_> = at.matches.iter().map(|v| v.key.id.to_string()).collect();
        if found != *wanted {
            return Err(format!("the page before has {found:?}, not {wanted:?}"));
        }
    }
    Ok(())
}

fn parse(question: &Question, store: &Arc<Store>) -> fhir_model::Result<Query> {
    let cx = ParseCx {
        strict: true,
        bases: store.bases(),
        zone: store.zone(),
        now: store.now(),
        count_default: 1000,
        count_max: 1000,
        values_max: 100,
        secret: store.secret(),
        bound_to: "",
    };
    let query = Query::parse(store.registry(), &question.type_name, &question.pairs, &cx)?;
    match &question.compartment {
        Some(patient) => query.in_compartment(store.registry(), &Key::new("Patient", patient.as_str())),
        None => Ok(query),
    }
}
