//! Writers that note what was acknowledged, and the checks that it is there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::Chance;
use crate::client::{Answer, Request, Subject};

/// Entries of each transaction.
pub(super) const BUNDLE_ENTRIES: usize = 6;
/// Identifiers that all writers race to create.
const SHARED_IDENTIFIERS: u64 = 40;
/// Resources that each writer updates again and again.
const UPDATED_PER_WRITER: u64 = 5;

/// What one writer was told, and what it asked without hearing the end.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// identifier -> id
    pub(super) created: BTreeMap<String, String>,
    /// id -> highest acknowledged count, highest count sent
    pub(super) updated: BTreeMap<String, (u64, u64)>,
    /// Identifiers of conditional creates that were acknowledged.
    pub(super) conditional: BTreeSet<String>,
    /// Bundle -> whether it was acknowledged.
    pub(super) bundles: BTreeMap<String, bool>,
    /// Answers by status; 0: the connection broke.
    pub(super) statuses: BTreeMap<u16, usize>,
    /// 503 without Retry-After or OperationOutcome, 500: what may never be answered.
    pub(super) improper: Vec<String>,
}

/// Writes until told to stop; a broken connection is noted and tried anew.
pub(super) fn write_until(
    stop: &AtomicBool,
    acknowledged: &AtomicUsize,
    base: &str,
    run: &str,
    writer: usize,
) -> Log {
    let mut log = Log::default();
    let mut chance = Chance::new(writer as u64 + 1);
    let subject = Subject::new(base);
    let mut count = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        count += 1;
        let kind = chance.below(10);
        let (request, note) = match kind {
            0..=2 => create(run, writer, count),
            3..=5 => update(run, writer, count, &mut chance),
            6 | 7 => conditional_create(run, &mut chance),
            _ => bundle(run, writer, count),
        };
        note.sent(&mut log);
        match subject.send(&request) {
            Ok(answer) => {
                *log.statuses.entry(answer.status).or_default() += 1;
                if matches!(answer.status, 200 | 201) {
                    note.acknowledged(&mut log, &answer);
                    acknowledged.fetch_add(1, Ordering::Relaxed);
                } else if let Some(wrong) = improper(&answer) {
                    log.improper.push(wrong);
                }
            }
            Err(_) => {
                *log.statuses.entry(0).or_default() += 1;
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
        }
    }
    log
}

/// What a write leaves in the log.
enum Note {
    Create { identifier: String },
    Update { id: String, count: u64 },
    Conditional { identifier: String },
    Bundle { name: String },
}

impl Note {
    fn sent(&self, log: &mut Log) {
        match self {
            Note::Update { id, count } => log.updated.entry(id.clone()).or_insert((0, 0)).1 = *count,
            Note::Bundle { name } => {
                log.bundles.insert(name.clone(), false);
            }
            Note::Create { .. } | Note::Conditional { .. } => {}
        }
    }

    fn acknowledged(&self, log: &mut Log, answer: &Answer) {
        match self {
            Note::Create { identifier } => {
                let id = answer.header("location").and_then(|location| {
                    let path = location.split("/_history/").next()?;
                    path.rsplit('/').next()
                });
                log.created.insert(identifier.clone(), id.unwrap_or_default().to_owned());
            }
            Note::Update { id, count } => log.updated.entry(id.clone()).or_insert((0, 0)).0 = *count,
            Note::Conditional { identifier } => {
                log.conditional.insert(identifier.clone());
            }
            Note::Bundle { name } => {
                log.bundles.insert(name.clone(), true);
            }
        }
    }
}

fn create(run: &str, writer: usize, count: u64) -> (Request, Note) {
    let identifier = format!("{run}-c-{writer}-{count}");
    let body =
        json!({"resourceType": "Patient", "identifier": [{"system": "urn:durability", "value": identifier}]});
    (Request::new("POST", "/Patient").json(&body), Note::Create { identifier })
}

fn update(run: &str, writer: usize, count: u64, chance: &mut Chance) -> (Request, Note) {
    let id = format!("{run}-u-{writer}-{}", chance.below(UPDATED_PER_WRITER));
    let body = json!({"resourceType": "Patient", "id": id, "multipleBirthInteger": count,
        "identifier": [{"system": "urn:durability", "value": id}, {"system": "urn:count", "value": format!("{id}-{count}")}]});
    (Request::new("PUT", format!("/Patient/{id}")).json(&body), Note::Update { id, count })
}

fn conditional_create(run: &str, chance: &mut Chance) -> (Request, Note) {
    let identifier = format!("{run}-s-{}", chance.below(SHARED_IDENTIFIERS));
    let body =
        json!({"resourceType": "Patient", "identifier": [{"system": "urn:durability", "value": identifier}]});
    let condition = format!("identifier=urn:durability|{identifier}");
    let request = Request::new("POST", "/Patient").header("If-None-Exist", condition).json(&body);
    (request, Note::Conditional { identifier })
}

fn bundle(run: &str, writer: usize, count: u64) -> (Request, Note) {
    let name = format!("{run}-b-{writer}-{count}");
    let entry = |number: usize| {
        json!({"resource": {"resourceType": "Observation", "status": "final", "code": {"text": number.to_string()},
            "identifier": [{"system": "urn:durability", "value": name}]},
            "request": {"method": "POST", "url": "Observation"}})
    };
    let entries: Vec<Value> = (0..BUNDLE_ENTRIES).map(entry).collect();
    let body = json!({"resourceType": "Bundle", "type": "transaction", "entry": entries});
    (Request::new("POST", "/").json(&body), Note::Bundle { name })
}

/// A server in trouble says 503, when to come again, and an OperationOutcome; anything else is improper.
fn improper(answer: &Answer) -> Option<String> {
    let is_outcome = answer
        .json()
        .is_some_and(|body| body.get("resourceType").and_then(Value::as_str) == Some("OperationOutcome"));
    let proper = answer.status == 503 && answer.header("retry-after").is_some() && is_outcome;
    // Two writers of one identifier may also be told 409 or 412.
    let contended = matches!(answer.status, 409 | 412) && is_outcome;
    (!proper && !contended)
        .then(|| format!("{} {}", answer.status, answer.text().chars().take(300).collect::<String>()))
}

/// What is wrong with the writes of the logs: lost writes, torn Bundles, duplicates, an index at odds with resources.
pub(super) struct Wrong {
    pub(super) lost: Vec<String>,
    pub(super) torn: Vec<String>,
    pub(super) duplicates: Vec<String>,
    pub(super) index: Vec<String>,
}

/// Asks the server for everything the logs know.
pub(super) fn verify(subject: &Subject, logs: &[Log]) -> Result<Wrong> {
    let mut wrong = Wrong { lost: Vec::new(), torn: Vec::new(), duplicates: Vec::new(), index: Vec::new() };
    for log in logs {
        for (identifier, id) in &log.created {
            if read(subject, id)?.is_none() {
                wrong.lost.push(format!("created Patient/{id} ({identifier})"));
            }
            let found = search(subject, "Patient", "urn:durability", identifier)?;
            if found != [id.as_str()] {
                wrong.index.push(format!("identifier {identifier} finds {found:?}, not {id}"));
            }
        }
        for (id, (acknowledged, sent)) in &log.updated {
            let count = read(subject, id)?.and_then(|patient| patient.get("multipleBirthInteger")?.as_u64());
            match count {
                Some(count) if count < *acknowledged => {
                    wrong
                        .lost
                        .push(format!("Patient/{id} stands at {count}, acknowledged was {acknowledged}"));
                }
                Some(count) if count > *sent => {
                    wrong.lost.push(format!("Patient/{id} at {count} was never sent"))
                }
                Some(count) => {
                    for (value, wanted) in [(count, 1), (count.saturating_sub(1), 0)] {
                        let found = search(subject, "Patient", "urn:count", &format!("{id}-{value}"))?;
                        if found.len() != wanted {
                            wrong
                                .index
                                .push(format!("Patient/{id} at {count}: {id}-{value} finds {found:?}"));
                        }
                    }
                }
                None if *acknowledged > 0 => wrong.lost.push(format!("updated Patient/{id}")),
                None => {}
            }
        }
        for (name, acknowledged) in &log.bundles {
            let found = search(subject, "Observation", "urn:durability", name)?.len();
            match (found, acknowledged) {
                (BUNDLE_ENTRIES, _) | (0, false) => {}
                (0, true) => wrong.lost.push(format!("Bundle {name}")),
                _ => wrong.torn.push(format!("Bundle {name}: {found} of {BUNDLE_ENTRIES}")),
            }
        }
    }
    let shared: BTreeSet<&String> = logs.iter().flat_map(|log| &log.conditional).collect();
    for identifier in shared {
        match search(subject, "Patient", "urn:durability", identifier)?.len() {
            0 => wrong.lost.push(format!("conditionally created {identifier}")),
            1 => {}
            many => wrong.duplicates.push(format!("{identifier} was created {many} times")),
        }
    }
    Ok(wrong)
}

fn read(subject: &Subject, id: &str) -> Result<Option<Value>> {
    let answer = subject.send(&Request::new("GET", format!("/Patient/{id}")))?;
    Ok(if answer.status == 200 { answer.json() } else { None })
}

/// The ids that a search by identifier finds.
pub(super) fn search(subject: &Subject, type_name: &str, system: &str, value: &str) -> Result<Vec<String>> {
    let target = format!("/{type_name}?identifier={system}%7C{value}&_count=50");
    let answer = subject.send(&Request::new("GET", &target))?;
    anyhow::ensure!(answer.status == 200, "GET {target} answers {}: {}", answer.status, answer.text());
    let bundle = answer.json().context("a Bundle")?;
    let entries = bundle.get("entry").and_then(Value::as_array).cloned().unwrap_or_default();
    Ok(entries
        .iter()
        .filter_map(|entry| entry.pointer("/resource/id")?.as_str().map(str::to_owned))
        .collect())
}
