//! Runs a page against the subject: set-up first, then every case, each on its own feet.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::client::{Answer, Request, Subject};
use crate::expect;
use crate::found::ExpectedMatches;
use crate::laws;
use crate::page::{Case, Kind, Page, Row, Step};
use crate::template::Variables;

/// Pages followed before a search is called endless.
const PAGES_MAX: usize = 200;
/// How often a request is sent again that waits for its answer.
const AGAIN_EVERY: Duration = Duration::from_millis(200);

/// How one case ended.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    /// `r4/http/create#client-ids` or, for a row, `r4/search/date#years/date=2020`.
    pub(crate) id: String,
    /// `None`: passed.
    pub(crate) failure: Option<String>,
}

/// Runs one page. `run` is unlike that of every other page and run: it sets the page's data apart.
pub(crate) fn run(subject: &Subject, page: &Page, run: &str) -> Vec<Outcome> {
    let mut variables = Variables::default();
    variables.set("run", run);
    variables.set("base", &subject.base);
    // An oid has digits alone.
    variables.set(
        "n",
        run.bytes().map(|byte| (byte % 10).to_string()).collect::<String>().trim_start_matches('0'),
    );
    variables.set("origin", subject.origin());
    let mut outcomes = Vec::new();
    let mut set_up_failed = None;
    for case in &page.cases {
        if let Some(failure) = &set_up_failed {
            let failure = Some(format!("the page's set-up failed: {failure}"));
            outcomes.push(Outcome { id: format!("{}#{}", page.name, case.slug), failure });
            continue;
        }
        let before = outcomes.len();
        run_case(subject, page, case, &mut variables, &mut outcomes);
        let failed = outcomes.get(before..).into_iter().flatten().find_map(|outcome| outcome.failure.clone());
        if case.slug == "set-up" {
            set_up_failed = failed;
            // Set-up is not a case when it works.
            if set_up_failed.is_none() {
                outcomes.truncate(before);
            }
        }
    }
    outcomes
}

fn run_case(
    subject: &Subject,
    page: &Page,
    case: &Case,
    variables: &mut Variables,
    outcomes: &mut Vec<Outcome>,
) {
    let id = format!("{}#{}", page.name, case.slug);
    let at = |line: usize, error: &anyhow::Error| format!("conformance/{}.md:{line}\n{error:#}", page.name);
    for step in &case.steps {
        if let Kind::Search { head, rows } = &step.kind {
            for row in rows {
                let failure =
                    search_row(subject, head, row, variables).err().map(|error| at(row.line, &error));
                let query = if row.query.is_empty() { "(all)" } else { &row.query };
                outcomes.push(Outcome { id: format!("{id}/{query}"), failure });
            }
            continue;
        }
        if let Err(error) = run_step(subject, step, variables) {
            // The steps of a case build on each other: the first failure ends it.
            outcomes.push(Outcome { id, failure: Some(at(step.line, &error)) });
            return;
        }
    }
    // Rows stand for themselves; a case of rows and `given` blocks alone has nothing else to report.
    let asks = |step: &Step| matches!(step.kind, Kind::Http { .. } | Kind::Walk { .. });
    if case.slug == "set-up" || case.steps.iter().any(asks) {
        outcomes.push(Outcome { id, failure: None });
    }
}

fn run_step(subject: &Subject, step: &Step, variables: &mut Variables) -> Result<()> {
    match &step.kind {
        Kind::Given(resources) => given(subject, resources, variables),
        Kind::Http { request, expect, waits } => {
            std::thread::sleep(Duration::from_millis(waits.before_ms));
            let deadline = Instant::now() + Duration::from_millis(waits.until_ms);
            loop {
                let request = parse_request(request, variables)?;
                let answer = subject.send(&request)?;
                let checked = expect::check(expect, &answer, variables)
                    .and_then(|()| laws::check(subject, &request, &answer))
                    .with_context(|| exchange(&request, &answer));
                if checked.is_ok() || Instant::now() >= deadline {
                    return checked;
                }
                std::thread::sleep(AGAIN_EVERY);
            }
        }
        Kind::Walk { request, expect } => {
            let (request, between) = request.split_once("\n\n").unwrap_or((request, ""));
            let request = parse_request(request, variables)?;
            let bundle = walk(subject, &request, between, variables)?;
            let body = bundle.to_string().into_bytes();
            let answer = Answer { status: 200, body, ..Answer::default() };
            expect::check(&format!("200\n{expect}"), &answer, variables)
                .with_context(|| format!("walking {} {}", request.method, request.target))
        }
        Kind::Search { .. } => Ok(()),
    }
}

/// Stores resources: PUT under the id they have, POST when they have none. Each gets the run as a tag, so that
/// searches of the page can leave out what else the server holds.
fn given(subject: &Subject, resources: &str, variables: &Variables) -> Result<()> {
    let text = variables.text(resources)?;
    for resource in serde_json::Deserializer::from_str(&text).into_iter::<Value>() {
        let mut resource = resource.context("a given block holds JSON resources")?;
        let run = variables.get("run").unwrap_or_default();
        tag(&mut resource, run);
        let type_name = resource.get("resourceType").and_then(Value::as_str).context("a resourceType")?;
        let request = match resource.get("id").and_then(Value::as_str) {
            Some(id) => Request::new("PUT", format!("/{type_name}/{id}")),
            None => Request::new("POST", format!("/{type_name}")),
        };
        let request = request.json(&resource);
        let answer = subject.send(&request)?;
        if !matches!(answer.status, 200 | 201) {
            bail!("{}\nexpected status 200 or 201", exchange(&request, &answer));
        }
    }
    Ok(())
}

/// Adds the run to `meta.tag`.
fn tag(resource: &mut Value, run: &str) {
    let Value::Object(members) = resource else { return };
    let meta = members.entry("meta").or_insert_with(|| json!({}));
    let Value::Object(meta) = meta else { return };
    if let Value::Array(tags) = meta.entry("tag").or_insert_with(|| json!([])) {
        tags.push(json!({"system": "http://example.org/run", "code": run}));
    }
}

fn search_row(subject: &Subject, head: &str, row: &Row, variables: &mut Variables) -> Result<()> {
    let (line, headers) = head.split_once('\n').unwrap_or((head, ""));
    let (method, target) = line.split_once(' ').context("a search block begins with `GET /...`")?;
    let request = if method == "POST" {
        let (target, form) = target.split_once('?').unwrap_or((target, ""));
        let form = joined(form, &row.query);
        // A form is encoded as a query is.
        let form = variables.target(&format!("?{form}"))?;
        let body = form.get(1..).unwrap_or_default();
        let head = format!("POST {target}\n{headers}Content-Type: application/x-www-form-urlencoded\n");
        Request { body: body.as_bytes().to_vec(), ..parse_request(&head, variables)? }
    } else {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let query = joined(query, &row.query);
        let question = if query.is_empty() { "" } else { "?" };
        parse_request(&format!("{method} {path}{question}{query}\n{headers}"), variables)?
    };
    let expected = variables.text(&row.expected)?;
    if let Ok(status @ 100..=599) = expected.parse::<u16>() {
        let answer = subject.send(&request)?;
        let wrong = answer.status != status;
        let check = if wrong { Err(anyhow::anyhow!("expected status {status}")) } else { Ok(()) };
        return check
            .and_then(|()| laws::check(subject, &request, &answer))
            .with_context(|| exchange(&request, &answer));
    }
    let found = ExpectedMatches::parse(&expected)?;
    let found = if row.in_order { found.in_order() } else { found };
    let bundle = walk(subject, &request, "", variables)?;
    found
        .check(&bundle, variables.get("run").unwrap_or_default())
        .with_context(|| format!("{} {} {}", request.method, request.target, body_text(&request)))
}

fn joined(base: &str, query: &str) -> String {
    match (base.is_empty(), query.is_empty()) {
        (true, _) => query.to_owned(),
        (_, true) => base.to_owned(),
        _ => format!("{base}&{query}"),
    }
}

/// Follows `next` links to the end. The result has all entries in `entry`, and counts what was seen on the way. When
/// `between` is not empty, that request goes out after each page.
fn walk(subject: &Subject, first: &Request, between: &str, variables: &mut Variables) -> Result<Value> {
    let (mut entries, mut totals, mut sizes, mut selves) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut request = first.clone();
    let kind = loop {
        let answer = subject.send(&request)?;
        if answer.status != 200 {
            bail!("{}\nexpected status 200", exchange(&request, &answer));
        }
        let bundle = answer.json().with_context(|| exchange(&request, &answer))?;
        laws::check(subject, &request, &answer)
            .and_then(|()| laws::check_search_bundle(&bundle))
            .with_context(|| exchange(&request, &answer))?;
        let page = bundle.get("entry").and_then(Value::as_array).cloned().unwrap_or_default();
        sizes.push(json!(page.len()));
        entries.extend(page);
        totals.extend(bundle.get("total").cloned());
        selves.extend(link(&bundle, "self").map(Value::from));
        let Some(next) = link(&bundle, "next") else { break bundle.get("type").cloned() };
        if sizes.len() >= PAGES_MAX {
            bail!("{} has more than {PAGES_MAX} pages", first.target);
        }
        if !between.is_empty() {
            variables.set("page", sizes.len().to_string());
            let request = parse_request(between, variables)?;
            let answer = subject.send(&request)?;
            if answer.status >= 300 {
                bail!("{}\nexpected the write between two pages to be done", exchange(&request, &answer));
            }
        }
        // What follows a POST _search is a GET: the link says everything.
        let keep = |name: &str| !name.eq_ignore_ascii_case("content-type");
        let headers = first.headers.iter().filter(|(name, _)| keep(name)).cloned().collect();
        request = Request { headers, ..Request::new("GET", next) };
    };
    laws::check_distinct(&entries)?;
    Ok(json!({
        "resourceType": "Walk", "type": kind, "pages": sizes.len(), "size": sizes, "total": totals,
        "self": selves, "entry": entries,
    }))
}

fn link(bundle: &Value, relation: &str) -> Option<String> {
    let links = bundle.get("link")?.as_array()?;
    let link = links.iter().find(|link| link.get("relation").and_then(Value::as_str) == Some(relation))?;
    link.get("url")?.as_str().map(str::to_owned)
}

/// Request line, headers, an empty line, the body.
fn parse_request(text: &str, variables: &Variables) -> Result<Request> {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut lines = head.lines();
    let line = lines.next().context("a request line")?;
    let (method, target) = line.split_once(' ').context("a request line is `METHOD /target`")?;
    let mut request = Request::new(method, variables.target(target.trim())?);
    for line in lines.filter(|line| !line.trim().is_empty()) {
        let (name, value) = line.split_once(':').with_context(|| format!("`{line}` is no header"))?;
        request = request.header(name.trim(), variables.text(value.trim())?);
    }
    request.body = variables.bytes(body.trim_end_matches('\n'))?;
    let has_type = request.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    if !request.body.is_empty() && !has_type {
        request = request.header("Content-Type", "application/fhir+json");
    }
    Ok(request)
}

/// A request and its answer, for the reader of a failure.
fn exchange(request: &Request, answer: &Answer) -> String {
    const BODY_CHARS_MAX: usize = 700;
    let headers: String = request.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    let text = answer.text();
    let cut: String = text.chars().take(BODY_CHARS_MAX).collect();
    let dots = if cut.len() < text.len() { " ..." } else { "" };
    let sent = body_text(request);
    format!("{} {}\n{headers}{sent}\n--> {}\n{cut}{dots}\n", request.method, request.target, answer.status)
}

fn body_text(request: &Request) -> String {
    const BODY_CHARS_MAX: usize = 400;
    String::from_utf8_lossy(&request.body).chars().take(BODY_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests;
