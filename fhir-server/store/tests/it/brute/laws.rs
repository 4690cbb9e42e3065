//! Laws: what holds of the answers to every question, whatever each of them is. Nothing but the store decides here; the
//! examples only say what is worth asking.
//!
//! `CARI_SEED` repeats the questions of a run that failed.

use std::collections::BTreeSet;
use std::sync::Arc;

use fhir_search::Query;
use fhir_search::parameters::ParameterKind;
use fhir_store::Store;
use futures_util::{StreamExt, stream};

use super::ask::{self, Question};
use super::chain;
use super::corpus::{Corpus, One};
use super::parse;
use super::when;
use crate::all;
use fhir_store::testing::Random;

/// Questions for each law that is asked at random.
const QUESTIONS: usize = 250;
/// Counts that are asked for at the same time.
const PARALLEL: usize = 4;

type Ids = BTreeSet<String>;

#[tokio::test(flavor = "multi_thread")]
async fn laws_hold_whatever_is_asked() {
    let seed = std::env::var("CARI_SEED").map_or_else(
        |_| std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64,
        |text| text.parse().unwrap(),
    );
    println!("CARI_SEED={seed}");
    let store = fhir_store::testing::fresh().await.unwrap();
    let Some(corpus) = Corpus::load(&store).await else { return };
    let mut random = Random::new(seed);
    several_values_are_a_union(&mut random, &store, corpus).await;
    a_code_and_its_negation_and_what_has_none_partition_the_type(&mut random, &store, corpus).await;
    missing_and_present_partition_the_type(&store).await;
    the_months_of_a_year_sum_to_it(&mut random, &store, corpus).await;
    pages_partition_the_result_and_totals_count_it(&mut random, &store, corpus).await;
}

/// `a,b` finds what `a` finds and what `b` finds. With `:not` it is what neither of them is.
async fn several_values_are_a_union(random: &mut Random, store: &Arc<Store>, corpus: &Corpus) {
    let mut asked = 0;
    while asked < QUESTIONS {
        let Some((type_name, name, value)) = condition(random, store, corpus) else { continue };
        let values = split(&value);
        let negates = name.ends_with(":not") || name.ends_with(":not-in");
        // Of a chain it is each end that is not both, and there may be several ends.
        if values.len() < 2 || (negates && name.contains(['.', '_'])) {
            continue;
        }
        let Some(together) = found(store, type_name, &[(&name, &value)]).await else { continue };
        let mut each = Vec::new();
        for value in &values {
            each.push(found(store, type_name, &[(&name, value)]).await.unwrap());
        }
        let united =
            each.iter().cloned().reduce(|a, b| if negates { &a & &b } else { &a | &b }).unwrap_or_default();
        assert_eq!(together, united, "{type_name}?{name}={value}");
        asked += 1;
    }
}

/// `:not` finds also what has no value: "not in the set".
async fn a_code_and_its_negation_and_what_has_none_partition_the_type(
    random: &mut Random,
    store: &Arc<Store>,
    corpus: &Corpus,
) {
    let mut asked = 0;
    while asked < QUESTIONS {
        let type_name = ask::type_name(random, corpus);
        let of_type = store.registry().for_type(type_name).unwrap();
        let Some((name, value)) = ask::pair(random, corpus, type_name, of_type.params(), None) else {
            continue;
        };
        let code = name.strip_suffix(":not").unwrap_or(&name);
        let Some(param) = of_type.param(code).filter(|p| p.kind == ParameterKind::Token) else { continue };
        let code = &*param.code;
        let [not, missing] = ["not", "missing"].map(|modifier| format!("{code}:{modifier}"));
        // A value that is empty by chance is refused.
        let Some(having) = found(store, type_name, &[(code, &value)]).await else { continue };
        let other = found(store, type_name, &[(&not, &value), (&missing, "false")]).await.unwrap();
        let none = found(store, type_name, &[(&missing, "true")]).await.unwrap();
        let question = format!("{type_name}?{code}={value}");
        partition(&question, &[&having, &other, &none], &found(store, type_name, &[]).await.unwrap());
        let not = found(store, type_name, &[(&not, &value)]).await.unwrap();
        assert_eq!(not, &other | &none, "{question}, negated");
        asked += 1;
    }
}

/// Every parameter of every type: a resource has a value or has none. Two parts that meet nowhere and are as many as all
/// are a partition.
async fn missing_and_present_partition_the_type(store: &Arc<Store>) {
    let types: Vec<Box<str>> = store.registry().definitions().resource_types().map(Box::from).collect();
    let mut asked = Vec::new();
    for type_name in types {
        let whole = counted(store, &type_name, &[]).await;
        let of_type = store.registry().for_type(&type_name).unwrap();
        let codes = of_type.params().iter().map(|param| param.code.clone());
        let codes = codes.chain(["_id", "_lastUpdated"].map(Box::from));
        asked.extend(codes.map(|code| (type_name.clone(), code, whole)));
    }
    assert!(asked.len() > 1387, "{} parameters are fewer than R4 has", asked.len());
    let each = asked.iter().map(async |(type_name, code, whole)| {
        let name = format!("{code}:missing");
        let [none, some] = [
            counted(store, type_name, &[(&name, "true")]).await,
            counted(store, type_name, &[(&name, "false")]).await,
        ];
        let both = counted(store, type_name, &[(&name, "true"), (&name, "false")]).await;
        assert_eq!(
            (none + some, both),
            (*whole, 0),
            "{type_name}?{name}: {none} have none, {some} have some"
        );
    });
    stream::iter(each).buffer_unordered(PARALLEL).collect::<Vec<()>>().await;
}

/// A date equals a month when it lies within it. So what is written to the month or finer, and has one value, is of
/// exactly one month of its year. A period, or what is known to the year alone, may lie within the year and within no
/// month of it, and of several values each may have a month of its own: for these a month is only part of its year.
async fn the_months_of_a_year_sum_to_it(random: &mut Random, store: &Arc<Store>, corpus: &Corpus) {
    let mut summed = 0;
    for type_name in corpus.types() {
        let of_type = store.registry().for_type(type_name).unwrap();
        for param in of_type.params().iter().filter(|p| p.kind == ParameterKind::Date) {
            let values = corpus.values(type_name, param, true);
            let written: Vec<String> = values.iter().flatten().filter_map(point).collect();
            let Some(year) = random.pick(&written).and_then(|text| text.get(..4)) else { continue };
            let whole = counted(store, type_name, &[(&param.code, year)]).await;
            let mut sum = 0;
            for month in 1..=12 {
                let month = format!("{year}-{month:02}");
                let found = counted(store, type_name, &[(&param.code, &month)]).await;
                let both = counted(store, type_name, &[(&param.code, &month), (&param.code, year)]).await;
                assert_eq!(both, found, "{type_name}?{}={month} is not all of {year}", param.code);
                sum += found;
            }
            if values.iter().all(|each| each.len() < 2) && written.len() == values.iter().flatten().count() {
                assert_eq!(sum, whole, "{type_name}?{}={year} and its months", param.code);
                summed += 1;
            }
        }
    }
    assert!(summed > 30, "only {summed} parameters have dates that lie in one month");
}

/// A date that is written to the month or finer.
fn point(value: &One) -> Option<String> {
    let One::Node(node, type_name) = value else { return None };
    // `occurrenceString` is among the dates of immunizations.
    when::span(type_name, *node)?;
    node.str().map(|text| text.into_owned()).filter(|text| text.len() >= 7)
}

/// Each match is on one page, in the order of the whole; and all that count matches count these.
async fn pages_partition_the_result_and_totals_count_it(
    random: &mut Random,
    store: &Arc<Store>,
    corpus: &Corpus,
) {
    let mut several = 0;
    for _ in 0..QUESTIONS {
        let question = ask::question(random, corpus, store.registry());
        let Ok(query) = parse(&question, store) else { continue };
        let whole = store.search(&all(), &query).await.unwrap();
        let whole: Vec<String> = whole.matches.iter().map(|v| v.key.id.to_string()).collect();
        let size = 1 + random.below(whole.len().clamp(1, 40));
        let (walked, pages) = walk(&question, size, store).await;
        assert_eq!(walked, whole, "{question}, in pages of {size}");
        assert_eq!(walked.iter().collect::<BTreeSet<_>>().len(), walked.len(), "{question} finds some twice");
        let counted = store.search(&all(), &with(&question, &[("_summary", "count")], store)).await.unwrap();
        assert_eq!(
            counted.total.map(|t| (t.n, t.exact)),
            Some((walked.len() as u64, true)),
            "{question}, counted"
        );
        several += usize::from(pages > 1);
    }
    assert!(several * 5 > QUESTIONS, "only {several} of {QUESTIONS} have several pages");
}

/// The ids on all pages, and how many pages there are. Each says the same total.
async fn walk(question: &Question, size: usize, store: &Arc<Store>) -> (Vec<String>, usize) {
    let mut query = with(question, &[("_count", &size.to_string()), ("_total", "accurate")], store);
    let (mut ids, mut totals) = (Vec::new(), Vec::new());
    loop {
        let page = store.search(&all(), &query).await.unwrap();
        assert!(page.matches.len() <= size, "{question}: a page of {size} has {}", page.matches.len());
        ids.extend(page.matches.iter().map(|v| v.key.id.to_string()));
        totals.push(page.total.map(|t| (t.n, t.exact)));
        match page.next {
            Some(next) => query.cursor = Some(next),
            None => break,
        }
    }
    let all_alike = totals.iter().all(|total| *total == Some((ids.len() as u64, true)));
    assert!(all_alike, "{question} finds {}, its pages say {totals:?}", ids.len());
    (ids, totals.len())
}

/// A condition on a type, chains and `_has` among them.
fn condition<'c>(
    random: &mut Random,
    store: &Arc<Store>,
    corpus: &'c Corpus,
) -> Option<(&'c str, String, String)> {
    let type_name = ask::type_name(random, corpus);
    let of_type = store.registry().for_type(type_name).unwrap();
    let (name, value) = match random.chance(15) {
        true => chain::ask(random, corpus, store.registry(), type_name)?,
        false => ask::pair(random, corpus, type_name, of_type.params(), None)?,
    };
    Some((type_name, name, value))
}

/// What stands between commas that are not escaped.
fn split(value: &str) -> Vec<String> {
    let mut all = vec![String::new()];
    let mut escaped = false;
    for letter in value.chars() {
        match all.last_mut() {
            Some(last) if escaped || letter != ',' => last.push(letter),
            _ => all.push(String::new()),
        }
        escaped = letter == '\\' && !escaped;
    }
    all
}

fn with(question: &Question, more: &[(&str, &str)], store: &Arc<Store>) -> Query {
    let mut question = question.clone();
    question.pairs.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    parse(&question, store).unwrap_or_else(|e| panic!("{question}: {e}"))
}

fn asked(store: &Arc<Store>, type_name: &str, pairs: &[(&str, &str)]) -> fhir_model::Result<Query> {
    let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    parse(&Question { type_name: type_name.to_owned(), pairs, compartment: None }, store)
}

/// All matches. Returns `None` when the search is refused.
async fn found(store: &Arc<Store>, type_name: &str, pairs: &[(&str, &str)]) -> Option<Ids> {
    let query = asked(store, type_name, pairs).ok()?;
    let page = store.search(&all(), &query).await.unwrap_or_else(|e| panic!("{type_name}?{pairs:?}: {e:?}"));
    assert!(page.next.is_none(), "{type_name}?{pairs:?} has more than a page");
    Some(page.matches.iter().map(|v| v.key.id.to_string()).collect())
}

async fn counted(store: &Arc<Store>, type_name: &str, pairs: &[(&str, &str)]) -> u64 {
    let query = asked(store, type_name, pairs).unwrap_or_else(|e| panic!("{type_name}?{pairs:?}: {e}"));
    store.count(&all(), &query).await.unwrap_or_else(|e| panic!("{type_name}?{pairs:?}: {e:?}")).n
}

/// Each of the whole is in exactly one part.
fn partition(question: &str, parts: &[&Ids], whole: &Ids) {
    let sizes: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    let united: Ids = parts.iter().copied().flatten().cloned().collect();
    assert_eq!(united, *whole, "{question}: parts of {sizes:?}");
    assert_eq!(sizes.iter().sum::<usize>(), whole.len(), "{question}: parts of {sizes:?} meet");
}
