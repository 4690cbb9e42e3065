//! The law of access: what a guard hides is as if it had never been written.
//!
//! Two servers: one holds everything and has a guard that hides a random part of it; the other was written in the same order, but
//! never what the first one hides, and is open. Both answer every question alike. Ids that servers give, times and version
//! numbers are compared by what they are of, page links by where they lead.
//!
//! What is made different on purpose: versions are counted, so that one that is hidden leaves a gap.
//!
//! What differs at a size that is not reached here: a scan in the order of an index gives up after so many entries, and cannot
//! tell entries of hidden rows from others before it looks at them. A sorted search with more matches than `sorted_max` may
//! therefore be refused for a caller from whom nearly all is hidden, and answered where the rest never was.
//!
//! What is not compared: where a page ends by its bytes, for who sees some patients alone. Such a scope finds rows by itself, so that
//! another plan sorts them, and of rows that are alike in the first sort key another one may be the last that fits.
//!
//! `CARI_SEED` repeats a run that failed.

mod corpus;
mod hiding;
mod questions;
mod servers;
mod templates;
mod writes;

use std::sync::atomic::Ordering;
use std::time::UNIX_EPOCH;

use fhir_search::sql::Placement;
use fhir_store::Options;
use futures_util::{StreamExt, stream};

use self::corpus::{Change, Corpus};
use self::hiding::Hiding;
use self::questions::Question;
use self::servers::{Side, copy_secrets};
use crate::app::{Setup, TestApp};
use fhir_store::testing::Random;

const QUESTIONS: usize = 400;
const WRITES: usize = 40;
/// Questions that are asked at the same time.
const PARALLEL: usize = 4;
/// Of an answer that differs, these are shown before and after.
const LINES: usize = 12;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_hidden_is_as_if_it_had_never_been_written() {
    // Another guard and other questions each time.
    let seed = match std::env::var("CARI_SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => UNIX_EPOCH.elapsed().unwrap().as_millis() as u64,
    };
    for (has_limits, only) in [(false, false), (true, false), (false, true), (true, true)] {
        println!("CARI_SEED={seed}, small limits: {has_limits}, some patients alone: {only}");
        run(seed, has_limits, only).await;
    }
}

async fn run(seed: u64, has_limits: bool, only: bool) {
    let mut random = Random::new(seed);
    let corpus = Corpus::random(&mut random, only);
    // Some are asked by the statements for a distributed database.
    let placement = random.chance(40).then_some(Placement::Distributed);
    let options = options(Options { placement, ..Options::default() }, &mut random, has_limits, only);
    let seen = corpus.groups.iter().flatten().filter(|change| change.seen).count();
    let all = corpus.groups.iter().flatten().count();
    println!("{seen} of {all} versions are seen; {placement:?}; hidden: {:?}", corpus.hidden);
    let guard = Hiding::new();
    let [from, to] = [database().await, database().await];
    let setup = || Setup {
        modules: vec![Box::new(fhir_operations::Everything)],
        store: options.clone(),
        ..Setup::default()
    };
    let guarded = Setup { guard: guard.clone(), database: Some(from.clone()), ..setup() };
    let mut guarded = Side::new(TestApp::set_up(guarded).await, &corpus.partly);
    copy_secrets(&from, &to).await;
    let open = Setup { database: Some(to), ..setup() };
    let mut open = Side::new(TestApp::set_up(open).await, &corpus.partly);
    write(&mut guarded, &mut open, &corpus).await;
    assert!(
        guard.rules.set(corpus.hidden.rules(&guarded.app.cx.store, &|text| guarded.render(text))).is_ok()
    );
    guard.off.store(false, Ordering::SeqCst);

    let mut asked: Vec<Question> = questions::fixed();
    asked.extend((0..QUESTIONS).map(|_| questions::random(&mut random, &corpus)));
    let found = compare(&guarded, &open, &asked).await;
    println!("{found} answers have something in them");
    // How many have depends on what is hidden; that none is empty by mistake, the totals tell.
    assert!(found > QUESTIONS / 16, "only {found} answers have something in them");
    totals_are_those_of(&guarded, &corpus).await;

    writes::an_id_that_is_hidden_answers_as_one_that_is_free(&guarded, &corpus).await;
    // What a caller who sees some patients alone may not write, the open server takes.
    let writes = if corpus.hidden.only.is_some() { 0 } else { WRITES };
    for _ in 0..writes {
        let write = writes::random(&mut random, &corpus);
        guarded.begin().await;
        open.begin().await;
        writes::compare(&mut guarded, &mut open, &write).await;
    }
    compare(&guarded, &open, &questions::whole()).await;
    for side in [guarded, open] {
        side.app.stop.now();
    }
}

/// Writes a random corpus, asks random questions about it without a scope and with one, and writes by criteria: for who wants to
/// see what the database is asked then. With `has_limits`, limits are small; with `only`, the scope is that of some patients.
pub(crate) async fn exercise(setup: Setup, seed: u64, (has_limits, only): (bool, bool), questions: usize) {
    let mut random = Random::new(seed);
    let corpus = Corpus::random(&mut random, only);
    let guard = Hiding::new();
    let store = options(setup.store, &mut random, has_limits, only);
    let app = TestApp::set_up(Setup { guard: guard.clone(), store, ..setup }).await;
    let mut side = Side::new(app, &corpus.partly);
    for group in &corpus.groups {
        side.begin().await;
        side.write(&group.iter().collect::<Vec<_>>()).await;
    }
    side.versions = vec![1; corpus.groups.iter().flatten().count()];
    let rules = corpus.hidden.rules(&side.app.cx.store, &|text| side.render(text));
    assert!(guard.rules.set(rules).is_ok());
    for is_off in [true, false] {
        guard.off.store(is_off, Ordering::SeqCst);
        let mut asked = questions::fixed();
        asked.extend((0..questions / 2).map(|_| questions::random(&mut random, &corpus)));
        let side = &side;
        let each = asked.iter().map(|question| side.ask(question));
        stream::iter(each).buffered(PARALLEL).for_each(async |_| {}).await;
    }
    for _ in 0..WRITES {
        let write = writes::random(&mut random, &corpus);
        side.begin().await;
        side.ask_and_name(&write).await;
    }
    side.app.stop.now();
}

/// What is looked up rarely, and, in every other run, small limits: each way to answer is taken, and what is refused is compared, too.
fn options(from: Options, random: &mut Random, limited: bool, only: bool) -> Options {
    let mut options = Options { connections_max: 4, chain_rare: 2, entries_few: 4, ..from };
    let mut limit = |limit: &mut usize, least: usize, more: usize| {
        if limited && random.chance(70) {
            *limit = least + random.below(more);
        }
    };
    limit(&mut options.include_max, 1, 12);
    if !only {
        limit(&mut options.page_bytes_max, 1000, 5000);
    }
    limit(&mut options.chain_max, 1, 8);
    limit(&mut options.sorted_max, 2, 10);
    limit(&mut options.looked_up_max, 5, 30);
    options
}

async fn database() -> String {
    fhir_store::testing::database().await.unwrap()
}

/// Everything on one side, what is seen on the other.
async fn write(guarded: &mut Side, open: &mut Side, corpus: &Corpus) {
    for group in &corpus.groups {
        guarded.begin().await;
        open.begin().await;
        guarded.write(&group.iter().collect::<Vec<_>>()).await;
        let seen: Vec<&Change> = group.iter().filter(|change| change.seen).collect();
        if !seen.is_empty() {
            open.write(&seen).await;
        }
        if open.ids.len() < guarded.ids.len() {
            open.ids.extend(guarded.ids.last().cloned());
        }
    }
    let changes: Vec<&Change> = corpus.groups.iter().flatten().collect();
    for n in 0..changes.len() {
        let change = changes.iter().find(|change| change.number == n).unwrap();
        let before = || {
            let is_before =
                |c: &&&Change| c.number <= n && c.type_name == change.type_name && c.id == change.id;
            changes.iter().filter(is_before)
        };
        let version = before().count();
        guarded.versions.push(version);
        // There is none of the number where it is not seen, on either side.
        open.versions.push(if change.seen { before().filter(|c| c.seen).count() } else { 900 });
    }
}

/// What is not hidden is found: each type has as many resources as were written and are seen.
async fn totals_are_those_of(guarded: &Side, corpus: &Corpus) {
    for type_name in corpus::TYPES {
        let answer = guarded.app.ask("GET", &format!("{type_name}?_summary=count")).send().await.unwrap();
        let bundle: serde_json::Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        assert_eq!(bundle["total"], corpus.seen_of(type_name), "{type_name}: {bundle}");
    }
}

/// Returns how many questions are answered with more than a little.
async fn compare(guarded: &Side, open: &Side, asked: &[Question]) -> usize {
    let each = asked.iter().map(async |question| {
        let (one, other) = tokio::join!(guarded.ask(question), open.ask(question));
        let found = usize::from(one.iter().any(|page| page.contains("fullUrl")));
        (found, difference(question, &one, &other))
    });
    let answers: Vec<_> = stream::iter(each).buffered(PARALLEL).collect().await;
    let different: Vec<&String> = answers.iter().filter_map(|(_, different)| different.as_ref()).collect();
    if let Some(first) = different.first() {
        let more: Vec<&str> =
            different.iter().skip(1).take(10).filter_map(|one| one.lines().next()).collect();
        panic!("{} answers differ: {first}\nand of these:\n{}", different.len(), more.join("\n"));
    }
    answers.iter().map(|(found, _)| found).sum()
}

/// Lines of two answers around the first that differs.
fn difference(question: &Question, guarded: &[String], open: &[String]) -> Option<String> {
    let at = (0..guarded.len().max(open.len())).find(|&n| guarded.get(n) != open.get(n))?;
    let [one, other] = [guarded, open].map(|pages| pages.get(at).map_or("no page", String::as_str));
    let line = one.lines().zip(other.lines()).take_while(|(one, other)| one == other).count();
    let [one, other] = [one, other].map(|page| {
        page.lines().skip(line.saturating_sub(LINES)).take(2 * LINES).collect::<Vec<_>>().join("\n")
    });
    Some(format!(
        "{question:?}, page {at}, line {line}\n--- behind the guard:\n{one}\n--- where it never was:\n{other}"
    ))
}
