//! `expect` blocks: what must be true of an answer, one statement a line.

use anyhow::{Context, Result, bail};
use regex_lite::Regex;
use serde_json::Value;

use crate::client::Answer;
use crate::found::ExpectedMatches;
use crate::path::{Path, Test};
use crate::template::Variables;

/// Checks an answer against a block, line by line, and captures what `let` names. The first line that does not hold
/// is the error.
pub(crate) fn check(block: &str, answer: &Answer, variables: &mut Variables) -> Result<()> {
    let mut status_asked = false;
    for text in statements(block)? {
        let text = variables.text(&text)?;
        if text.starts_with(|c: char| c.is_ascii_digit()) {
            status(&text, answer)?;
            status_asked = true;
        } else {
            statement(&text, answer, variables)?;
        }
    }
    if !status_asked {
        bail!("an expect block names at least one status");
    }
    Ok(())
}

/// The statements of a block: its lines, but that a JSON value may go on over several.
pub(crate) fn statements(block: &str) -> Result<Vec<String>> {
    let mut statements = Vec::new();
    let mut lines = block.lines();
    while let Some(line) = lines.next() {
        let mut text = line.trim().to_owned();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        while is_open_json(&text) {
            text.push('\n');
            text.push_str(lines.next().with_context(|| format!("`{line}`: the JSON has no end"))?);
        }
        statements.push(text);
    }
    Ok(statements)
}

fn status(text: &str, answer: &Answer) -> Result<()> {
    let wanted: Vec<u16> =
        text.split_whitespace().map(str::parse).collect::<Result<_, _>>().context("statuses are numbers")?;
    if !wanted.contains(&answer.status) {
        bail!("expected status {text}\n     found status {}", answer.status);
    }
    Ok(())
}

fn statement(text: &str, answer: &Answer, variables: &mut Variables) -> Result<()> {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    match word {
        "header" => header(rest, answer),
        "let" => capture(rest, answer, variables),
        "outcome" => outcome(rest, answer),
        "resource" => {
            equal(&without_server_parts(&parse_body(answer)?), &without_server_parts(&json_after(rest)?))
        }
        "body" => body(rest, answer),
        "found" => ExpectedMatches::parse(rest)?
            .check(&parse_body(answer)?, variables.get("run").unwrap_or_default()),
        _ => path(text, answer),
    }
}

fn header(text: &str, answer: &Answer) -> Result<()> {
    let (name, rest) =
        text.split_once(' ').context("`header NAME = text`, `~ regex`, `exists` or `absent`")?;
    let found = answer.header(name);
    let (word, wanted) = rest.split_once(' ').unwrap_or((rest, ""));
    let holds = match word {
        "exists" => found.is_some(),
        "absent" => found.is_none(),
        "=" => found == Some(wanted.trim()),
        "~" => matches(wanted.trim(), found.unwrap_or_default())?,
        "!~" => !matches(wanted.trim(), found.unwrap_or_default())?,
        _ => bail!("`header {text}`: `=`, `~`, `!~`, `exists` or `absent` follows the name"),
    };
    if !holds {
        bail!("expected header {text}\n     found {}", found.unwrap_or("no such header"));
    }
    Ok(())
}

fn capture(text: &str, answer: &Answer, variables: &mut Variables) -> Result<()> {
    let (name, source) = text.split_once('=').context("`let NAME = PATH`")?;
    let (name, source) = (name.trim(), source.trim());
    let value = match source.strip_prefix("header ") {
        Some(header) => {
            let (header, regex) = header.split_once('~').map_or((header, "(.*)"), |(h, r)| (h, r.trim()));
            let found =
                answer.header(header.trim()).with_context(|| format!("no header {header} to capture"))?;
            let regex = Regex::new(regex).with_context(|| format!("`{regex}` is no regular expression"))?;
            let captures =
                regex.captures(found).with_context(|| format!("{header}: `{found}` is not {regex}"))?;
            captures.get(1).with_context(|| format!("{regex} captures nothing"))?.as_str().to_owned()
        }
        None => match Path::parse(source)?.evaluate(&parse_body(answer)?).as_slice() {
            [Value::String(text)] => text.clone(),
            [one] => one.to_string(),
            other => bail!("`{source}` has {} values to capture, not one", other.len()),
        },
    };
    variables.set(name, value);
    Ok(())
}

/// `outcome SEVERITY CODE[|CODE...] [~ REGEX]`: the body is an OperationOutcome with such an issue.
fn outcome(text: &str, answer: &Answer) -> Result<()> {
    let (words, regex) = text.split_once('~').unwrap_or((text, ""));
    let mut words = words.split_whitespace();
    let severity = words.next().context("`outcome SEVERITY CODE`")?;
    let codes: Vec<&str> = words.next().context("`outcome SEVERITY CODE`")?.split('|').collect();
    let body = parse_body(answer)?;
    let issues = Path::parse("OperationOutcome.issue")?.evaluate(&body);
    for issue in &issues {
        let member = |name: &str| issue.get(name).and_then(Value::as_str).unwrap_or_default();
        let details = issue.pointer("/details/text").and_then(Value::as_str).unwrap_or_default();
        let said = format!("{details} {}", member("diagnostics"));
        if member("severity") == severity && codes.contains(&member("code")) && matches(regex.trim(), &said)?
        {
            return Ok(());
        }
    }
    bail!(
        "expected outcome {text}\n     found {}",
        if issues.is_empty() { body } else { Value::Array(issues) }
    )
}

fn body(text: &str, answer: &Answer) -> Result<()> {
    let (word, wanted) = text.split_once(' ').unwrap_or((text, ""));
    let found = answer.text();
    let holds = match word {
        "empty" => answer.body.is_empty(),
        "contains" => found.contains(wanted.trim()),
        "!contains" => !found.contains(wanted.trim()),
        "~" => matches(wanted.trim(), &found)?,
        "!~" => !matches(wanted.trim(), &found)?,
        "=" => return equal(&parse_body(answer)?, &json_after(text)?),
        _ => bail!("`body {text}`: `=`, `~`, `!~`, `contains`, `!contains` or `empty` follows"),
    };
    if !holds {
        bail!("expected body {text}\n     found {}", shortened(&found));
    }
    Ok(())
}

fn path(text: &str, answer: &Answer) -> Result<()> {
    let test = Test::parse(text)?;
    let body = parse_body(answer)?;
    if !test.holds(&body) {
        let found = test.path.evaluate(&body);
        bail!("expected {text}\n     found {}", shortened(&Value::Array(found).to_string()));
    }
    Ok(())
}

/// The place of the first difference, not two whole resources.
fn equal(found: &Value, wanted: &Value) -> Result<()> {
    match difference("body", wanted, found) {
        None => Ok(()),
        Some(difference) => bail!("{difference}"),
    }
}

/// The first difference of two JSON values: key order is free, the text of numbers is not.
pub(crate) fn difference(at: &str, wanted: &Value, found: &Value) -> Option<String> {
    match (wanted, found) {
        (Value::Object(a), Value::Object(b)) => {
            let missing = a.iter().find(|(key, _)| !b.contains_key(*key));
            let added = b.iter().find(|(key, _)| !a.contains_key(*key));
            if let Some((key, value)) = missing {
                return Some(format!(
                    "expected {at}.{key} = {}\n     found nothing there",
                    shortened(&value.to_string())
                ));
            }
            if let Some((key, value)) = added {
                return Some(format!(
                    "expected nothing at {at}.{key}\n     found {}",
                    shortened(&value.to_string())
                ));
            }
            a.iter().find_map(|(key, value)| difference(&format!("{at}.{key}"), value, b.get(key)?))
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).enumerate().find_map(|(i, (a, b))| difference(&format!("{at}[{i}]"), a, b))
        }
        (a, b) if a == b => None,
        (a, b) => Some(format!(
            "expected {at} = {}\n     found {}",
            shortened(&a.to_string()),
            shortened(&b.to_string())
        )),
    }
}

/// A resource without what the server owns: its id, version and time, and a `meta` that held nothing else.
pub(crate) fn without_server_parts(resource: &Value) -> Value {
    let mut resource = resource.clone();
    if let Value::Object(members) = &mut resource {
        members.shift_remove("id");
        if let Some(Value::Object(meta)) = members.get_mut("meta") {
            meta.shift_remove("versionId");
            meta.shift_remove("lastUpdated");
            if meta.is_empty() {
                members.shift_remove("meta");
            }
        }
    }
    resource
}

fn json_after(text: &str) -> Result<Value> {
    let json = text.trim_start().strip_prefix('=').context("`=` and JSON follow")?;
    serde_json::from_str(json).with_context(|| format!("`{json}` is not JSON"))
}

fn parse_body(answer: &Answer) -> Result<Value> {
    answer.json().with_context(|| format!("the body is not JSON: {}", shortened(&answer.text())))
}

fn matches(regex: &str, text: &str) -> Result<bool> {
    Ok(Regex::new(regex).with_context(|| format!("`{regex}` is no regular expression"))?.is_match(text))
}

/// Whether the value behind `=` or `~=` is JSON that has not ended yet.
fn is_open_json(text: &str) -> bool {
    let Some((_, value)) = text.split_once("= ") else { return false };
    value.trim_start().starts_with(['{', '['])
        && serde_json::from_str::<Value>(value).is_err_and(|error| error.is_eof())
}

fn shortened(text: &str) -> String {
    const CHARS_MAX: usize = 1500;
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{} ... ({} bytes)", text.get(..end).unwrap_or_default(), text.len()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::client::Answer;
    use crate::template::Variables;

    fn answer() -> Answer {
        Answer {
            status: 201,
            headers: vec![("ETag".into(), "W/\"1\"".into())],
            body: br#"{"resourceType":"Patient","id":"7","meta":{"versionId":"1","lastUpdated":"2020"},
                "multipleBirthInteger":2,"extension":[{"url":"u:d","valueDecimal":1.00}]}"#
                .to_vec(),
        }
    }

    /// Each statement, and whether it holds: a wrong expectation must fail.
    #[test]
    fn statements() {
        let rows: &[(&str, bool)] = &[
            ("201", true),
            ("200 201", true),
            ("200", false),
            ("", false), // no status asked for
            ("201\nheader ETag = W/\"1\"", true),
            ("201\nheader etag ~ ^W/", true),
            ("201\nheader ETag = W/\"2\"", false),
            ("201\nheader Location exists", false),
            ("201\nheader Location absent", true),
            ("201\nPatient.id = \"7\"", true),
            ("201\nPatient.id = \"8\"", false),
            ("201\nObservation.id = \"7\"", false),
            ("201\nPatient.extension.valueDecimal = 1.00", true),
            ("201\nPatient.extension.valueDecimal = 1.0", false),
            ("201\nbody empty", false),
            ("201\nbody contains \"versionId\"", true),
            ("201\nbody !contains \"versionId\"", false),
            ("201\nbody ~ \"id\":\\s*\"7\"", true),
            ("201\noutcome error not-found", false),
            ("201\nfound a", false),
            ("201\nnonsense here", false),
            (
                "201\nresource = {\"resourceType\": \"Patient\", \"extension\": [\n\
                 {\"url\": \"u:d\", \"valueDecimal\": 1.00}],\n\"multipleBirthInteger\": 2}",
                true,
            ),
            ("201\nresource = {\"resourceType\": \"Patient\"}", false),
            ("201\nbody = {\"resourceType\": \"Patient\"}", false),
            ("201\nlet id = Patient.id\nPatient.id = \"{{id}}\"", true),
            ("201\nlet id = Patient.name", false),
            ("201\nlet v = header ETag ~ \"(\\d+)\"\nPatient.meta.versionId = \"{{v}}\"", true),
        ];
        for (block, expected) in rows {
            let found = check(block, &answer(), &mut Variables::default());
            assert_eq!(found.is_ok(), *expected, "{block}: {found:?}");
        }
    }

    #[test]
    fn outcomes() {
        let answer = Answer {
            status: 404,
            body: br#"{"resourceType":"OperationOutcome","issue":[
                {"severity":"error","code":"not-found","details":{"text":"Patient/7 is not known"}}]}"#
                .to_vec(),
            ..Answer::default()
        };
        let rows = [
            ("404\noutcome error not-found", true),
            ("404\noutcome error deleted|not-found", true),
            ("404\noutcome error not-found ~ Patient/7", true),
            ("404\noutcome error not-found ~ Patient/8", false),
            ("404\noutcome error deleted", false),
            ("404\noutcome warning not-found", false),
        ];
        for (block, expected) in rows {
            assert_eq!(check(block, &answer, &mut Variables::default()).is_ok(), expected, "{block}");
        }
    }
}
