//! A piece that is all or nothing to the server, but not to its file: what can be written of it is.

use fhir_model::{Error, Result};
use foldhash::HashSet;

use super::piece::Piece;
use super::plan::{Plan, kept_json, lookup, mentioned};
use super::sent::{Counts, Sent, stops};
use super::target::{Answer, BundleKind, Lookup, Target};

/// Writes a refused piece in parts, halved until those entries are found that are refused: each part is a transaction, as
/// only that resolves references. What is refused may refer by search to what comes later, and is tried again then.
pub(super) async fn parts(target: &Target, piece: &Piece, plan: &Plan, sent: &mut Sent) {
    sent.counts.add(Counts { failed: 0, ..plan.counts() });
    let mentions = Mentions::from_piece(piece);
    let mut open: HashSet<usize> = plan.written().collect();
    // All of them have just been refused.
    let mut parts = halves(plan.written().collect());
    let mut refused: Vec<(usize, Error)> = Vec::new();
    let mut has_written = false;
    loop {
        let Some(entries) = parts.pop() else {
            if refused.is_empty() || !std::mem::take(&mut has_written) {
                break;
            }
            parts.push(refused.drain(..).map(|(at, _)| at).collect());
            continue;
        };
        // What others refer to was written with them.
        let entries: Vec<usize> = entries.into_iter().filter(|at| open.contains(at)).collect();
        if entries.is_empty() {
            continue;
        }
        match (part(target, piece, &entries, &mentions).await, entries.as_slice()) {
            (Ok(answers), _) => {
                has_written = true;
                for (at, answer) in answers.into_iter().filter(|(at, _)| open.remove(at)) {
                    sent.counts.answered(&answer, plan.conditional.contains(&at));
                    if let Some(entry) = piece.entries.get(at).filter(|_| !answer.is_done()) {
                        sent.errors.push((entry.name.clone(), format!("{}: {}", answer.status, answer.text)));
                    }
                }
            }
            (Err(error), _) if error.kind.status() >= 500 || stops(&error) => {
                entries.iter().for_each(|at| _ = open.remove(at));
                sent.counts.failed += entries.len() as u64;
                sent.fail(piece.name.clone(), &error);
                if sent.stopped.is_some() {
                    break;
                }
            }
            (Err(error), [at]) => refused.push((*at, error)),
            (Err(_), _) => parts.extend(halves(entries)),
        }
    }
    for (at, error) in refused.iter().filter(|(at, _)| open.contains(at)) {
        let name = piece.entries.get(*at).map_or(&piece.name, |entry| &entry.name);
        sent.fail(name.clone(), error);
    }
    sent.counts.failed += open.len() as u64;
}

/// The second half, and the first, which is taken next.
fn halves(mut entries: Vec<usize>) -> Vec<Vec<usize>> {
    let second = entries.split_off(entries.len() / 2);
    vec![second, entries]
}

/// Writes some entries of a piece, with those that they refer to. Gives the answers to all that may have been written.
async fn part(
    target: &Target,
    piece: &Piece,
    entries: &[usize],
    mentions: &Mentions,
) -> Result<Vec<(usize, Answer)>> {
    let get = |at: &usize| piece.entries.get(*at);
    let others = mentions.from(entries);
    let lookups: Vec<Lookup> = others.iter().filter_map(get).filter_map(lookup).collect();
    let mut found = target.current(&lookups).await?.into_iter();
    let mut texts: Vec<String> = entries.iter().filter_map(get).map(|e| e.made.json.clone()).collect();
    let mut written = entries.to_vec();
    let mut kept = Vec::new();
    for (at, entry) in others.iter().filter_map(|at| Some((*at, get(at)?))) {
        let current = lookup(entry).and_then(|_| found.next().flatten());
        let Some(text) = kept_json(entry, current.as_ref()) else { continue };
        match current {
            Some(_) => kept.push(text),
            None => {
                written.push(at);
                texts.push(text);
            }
        }
    }
    texts.append(&mut kept);
    let is_repeatable = written.iter().filter_map(get).all(|entry| entry.made.is_repeatable);
    // An operation may be of a kind that no transaction takes.
    let kind = match (entries.len(), is_repeatable) {
        (1, false) if others.is_empty() => BundleKind::Batch,
        _ => BundleKind::Transaction,
    };
    let answers = target.write(kind, &texts, is_repeatable).await?;
    Ok(written.into_iter().zip(answers).collect())
}

/// Which entries of a piece refer to which by full url.
struct Mentions(Vec<Vec<usize>>);

impl Mentions {
    fn from_piece(piece: &Piece) -> Mentions {
        let urls = piece.entries.iter().enumerate();
        let by_url = urls.filter_map(|(at, entry)| Some((entry.full_url.as_deref()?, at))).collect();
        let all = piece.entries.iter().map(|entry| {
            let mut found = Vec::new();
            mentioned(entry, &by_url, &mut found);
            found.sort_unstable();
            found.dedup();
            found
        });
        Mentions(all.collect())
    }

    /// All others that these lead to.
    fn from(&self, entries: &[usize]) -> Vec<usize> {
        let mut seen: HashSet<usize> = entries.iter().copied().collect();
        let (mut open, mut others) = (entries.to_vec(), Vec::new());
        while let Some(at) = open.pop() {
            for other in self.0.get(at).into_iter().flatten().filter(|at| seen.insert(**at)) {
                open.push(*other);
                others.push(*other);
            }
        }
        others
    }
}
