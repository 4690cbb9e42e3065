//! Races over two server processes on one database: of many writers exactly one wins.

use std::sync::{Barrier, Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::{Checks, run_name, writer};
use crate::client::{Answer, Request, Subject};

/// Runs both kinds of races over the servers, with so many requests at the same time.
pub(crate) fn run(bases: &[String], races: usize, writers: usize) -> Result<bool> {
    ensure!(writers >= bases.len(), "fewer writers than servers");
    let mut checks = Checks::default();
    let wrong = if_match(bases, races, writers)?;
    checks.note(&format!("{races} races of {writers} updates with one If-Match: one winner each"), &wrong);
    let wrong = conditional_create(bases, races, writers)?;
    checks.note(&format!("{races} races of {writers} conditional creates: one created each"), &wrong);
    Ok(checks.close())
}

/// All writers read version n and send an update of it at the same time.
fn if_match(bases: &[String], races: usize, writers: usize) -> Result<Vec<String>> {
    let id = format!("{}-lock", run_name());
    let first = Subject::new(bases.first().context("a server")?);
    let body = json!({"resourceType": "Patient", "id": id});
    let target = format!("/Patient/{id}");
    let made = first.send(&Request::new("PUT", &target).json(&body))?;
    ensure!(made.status == 201, "PUT {target} answers {}", made.status);
    let request = |race: usize, writer: usize| {
        let body = json!({"resourceType": "Patient", "id": id, "multipleBirthInteger": race * 1000 + writer});
        Request::new("PUT", &target).header("If-Match", format!("W/\"{}\"", race + 1)).json(&body)
    };
    let mut wrong = run_races(bases, races, writers, &request, |race, answers| {
        let won = answers.iter().filter(|answer| answer.status == 200).count();
        let lost = answers.iter().filter(|answer| matches!(answer.status, 409 | 412)).count();
        (won != 1 || lost != writers - 1).then(|| format!("race {race}: {}", statuses(answers)))
    });
    let last = first.send(&Request::new("GET", &target))?;
    let etag = last.header("etag").unwrap_or_default().to_owned();
    if etag != format!("W/\"{}\"", races + 1) {
        wrong.push(format!("after {races} races the version is {etag}"));
    }
    Ok(wrong)
}

/// All writers create what is not there yet.
fn conditional_create(bases: &[String], races: usize, writers: usize) -> Result<Vec<String>> {
    let run = run_name();
    let request = |race: usize, writer: usize| {
        let value = format!("{run}-r-{race}");
        let body = json!({"resourceType": "Patient", "multipleBirthInteger": writer,
            "identifier": [{"system": "urn:durability", "value": value}]});
        let condition = format!("identifier=urn:durability|{value}");
        Request::new("POST", "/Patient").header("If-None-Exist", condition).json(&body)
    };
    let mut wrong = run_races(bases, races, writers, &request, |race, answers| {
        let created = answers.iter().filter(|answer| answer.status == 201).count();
        let found = answers.iter().filter(|answer| matches!(answer.status, 200 | 409 | 412)).count();
        (created != 1 || found != writers - 1).then(|| format!("race {race}: {}", statuses(answers)))
    });
    let first = Subject::new(bases.first().context("a server")?);
    for race in 0..races {
        let found = writer::search(&first, "Patient", "urn:durability", &format!("{run}-r-{race}"))?;
        if found.len() != 1 {
            wrong.push(format!("race {race} left {found:?}"));
        }
    }
    Ok(wrong)
}

/// So many races; in each, all writers start at the same time, spread over the servers.
fn run_races(
    bases: &[String],
    races: usize,
    writers: usize,
    request: &(impl Fn(usize, usize) -> Request + Sync),
    judge: impl Fn(usize, &[Answer]) -> Option<String> + Sync,
) -> Vec<String> {
    let barrier = Barrier::new(writers);
    let answers = Mutex::new(Vec::new());
    let wrong = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for (writer, base) in (0..writers).zip(bases.iter().cycle()) {
            let (barrier, answers, wrong, judge) = (&barrier, &answers, &wrong, &judge);
            scope.spawn(move || {
                let subject = Subject::new(base);
                for race in 0..races {
                    let request = request(race, writer);
                    barrier.wait();
                    // A writer that fell out would leave the others waiting: no answer is an answer too, status 0.
                    let answer = subject.send(&request).unwrap_or_default();
                    answers.lock().unwrap_or_else(PoisonError::into_inner).push(answer);
                    if barrier.wait().is_leader() {
                        let answers =
                            std::mem::take(&mut *answers.lock().unwrap_or_else(PoisonError::into_inner));
                        wrong.lock().unwrap_or_else(PoisonError::into_inner).extend(judge(race, &answers));
                    }
                    barrier.wait();
                }
            });
        }
    });
    wrong.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn statuses(answers: &[Answer]) -> String {
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    format!("answers {statuses:?}")
}
