//! Every example resource of a FHIR package: stored, read back, compared; by JSON and, when asked, by XML and back.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::client::{Answer, Request, Subject};
use crate::expect::{difference, without_server_parts};

/// Files handled at the same time.
const FILES_AT_ONCE: usize = 4;

/// What became of one file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum ExampleResult {
    NoResource,
    Equal,
    /// Not taken: the status and what the server said.
    Refused(String),
    /// Taken, and something else was given back.
    Different(String),
}

/// Runs over the folder and prints a section of Markdown. True when nothing came back changed.
pub(crate) fn run(subject: &Subject, folder: &Path, xml: bool) -> Result<bool> {
    let files = files(folder)?;
    let next = AtomicUsize::new(0);
    let fates = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..FILES_AT_ONCE {
            scope.spawn(|| {
                while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
                    let fate = fate(subject, file, xml)
                        .unwrap_or_else(|error| ExampleResult::Different(format!("{error:#}")));
                    if let Ok(mut fates) = fates.lock() {
                        fates.push((name, fate));
                    }
                }
            });
        }
    });
    let mut fates = fates.into_inner().unwrap_or_default();
    fates.sort();
    print!("{}", markdown(&fates, xml));
    let different = fates.iter().filter(|(_, fate)| matches!(fate, ExampleResult::Different(_))).count();
    let equal = fates.iter().filter(|(_, fate)| *fate == ExampleResult::Equal).count();
    println!("\n{equal} passed, {different} failed");
    Ok(different == 0 && equal > 0)
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if path.extension().is_some_and(|extension| extension == "json") && !hidden {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn fate(subject: &Subject, file: &Path, xml: bool) -> Result<ExampleResult> {
    let text = std::fs::read_to_string(file)?;
    let resource: Value = serde_json::from_str(&text)?;
    let Some(type_name) = resource.get("resourceType").and_then(Value::as_str) else {
        return Ok(ExampleResult::NoResource);
    };
    let id = resource.get("id").and_then(Value::as_str);
    let request = match id {
        Some(id) => Request::new("PUT", format!("/{type_name}/{id}")),
        None => Request::new("POST", format!("/{type_name}")),
    };
    // The file's own bytes go out: to parse them first would hide what the parser mends.
    let request =
        Request { body: text.into_bytes(), ..request }.header("Content-Type", "application/fhir+json");
    let answer = subject.send(&request)?;
    if !matches!(answer.status, 200 | 201) {
        return Ok(ExampleResult::Refused(reason(&answer)));
    }
    let id = match id {
        Some(id) => id.to_owned(),
        None => id_of(&answer).context("a Location with the id of what was created")?,
    };
    let back = get(subject, &format!("/{type_name}/{id}"))?;
    let back = back.json().context("what is read back is JSON")?;
    if back.get("id").and_then(Value::as_str) != Some(&id) {
        return Ok(ExampleResult::Different(format!("the id is {:?}, not {id}", back.get("id"))));
    }
    if let Some(difference) =
        difference("body", &without_server_parts(&resource), &without_server_parts(&back))
    {
        return Ok(ExampleResult::Different(difference));
    }
    if xml { through_xml(subject, &resource, type_name, &id) } else { Ok(ExampleResult::Equal) }
}

/// Reads as XML, stores that XML under another id, and reads that as JSON.
fn through_xml(subject: &Subject, resource: &Value, type_name: &str, id: &str) -> Result<ExampleResult> {
    const ID_CHARS_MAX: usize = 64;
    let answer = get(subject, &format!("/{type_name}/{id}?_format=xml"))?;
    let room = ID_CHARS_MAX - "xml-".len();
    let other: String = format!("xml-{}", id.chars().take(room).collect::<String>());
    let text = answer.text();
    let text = text.replacen(&format!("<id value=\"{id}\"/>"), &format!("<id value=\"{other}\"/>"), 1);
    let request = Request { body: text.into_bytes(), ..Request::new("PUT", format!("/{type_name}/{other}")) };
    let answer = subject.send(&request.header("Content-Type", "application/fhir+xml"))?;
    if !matches!(answer.status, 200 | 201) {
        return Ok(ExampleResult::Different(format!("its XML is refused: {}", reason(&answer))));
    }
    let back = get(subject, &format!("/{type_name}/{other}"))?.json().context("what is read back is JSON")?;
    let (mut sent, mut back) = (without_server_parts(resource), without_server_parts(&back));
    squeeze_narrative(&mut sent);
    squeeze_narrative(&mut back);
    Ok(match difference("body", &sent, &back) {
        None => ExampleResult::Equal,
        Some(difference) => ExampleResult::Different(format!("by XML: {difference}")),
    })
}

fn get(subject: &Subject, target: &str) -> Result<Answer> {
    let answer = subject.send(&Request::new("GET", target).header("Accept", "application/fhir+json"))?;
    anyhow::ensure!(answer.status == 200, "GET {target} answers {}", reason(&answer));
    Ok(answer)
}

fn id_of(answer: &Answer) -> Option<String> {
    let location = answer.header("location")?;
    let path = location.split("/_history/").next()?;
    path.rsplit('/').next().map(str::to_owned)
}

/// White space in narrative is not content: XML parsers may fold it.
fn squeeze_narrative(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (key, member) in members.iter_mut() {
                match member {
                    Value::String(text) if key == "div" => {
                        *text = text.split_whitespace().collect::<Vec<_>>().join(" ");
                    }
                    other => squeeze_narrative(other),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(squeeze_narrative),
        _ => {}
    }
}

fn reason(answer: &Answer) -> String {
    let body = answer.json().unwrap_or_default();
    let text = body.pointer("/issue/0/details/text").or_else(|| body.pointer("/issue/0/diagnostics"));
    let place = body.pointer("/issue/0/expression/0").and_then(Value::as_str);
    let text = text.and_then(Value::as_str).unwrap_or("(no text)");
    format!("{} {text}{}", answer.status, place.map(|place| format!(" (at {place})")).unwrap_or_default())
}

fn markdown(fates: &[(String, ExampleResult)], xml: bool) -> String {
    let count = |test: &dyn Fn(&ExampleResult) -> bool| fates.iter().filter(|(_, fate)| test(fate)).count();
    let mut text = format!(
        "| files | no resource | stored and read back equal{} | refused | different |\n|---|---|---|---|---|\n\
         | {} | {} | {} | {} | {} |\n",
        if xml { ", by JSON and by XML" } else { "" },
        fates.len(),
        count(&|fate| *fate == ExampleResult::NoResource),
        count(&|fate| *fate == ExampleResult::Equal),
        count(&|fate| matches!(fate, ExampleResult::Refused(_))),
        count(&|fate| matches!(fate, ExampleResult::Different(_))),
    );
    let mut reasons: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for (name, fate) in fates {
        match fate {
            ExampleResult::Refused(reason) => reasons.entry(("Refused", reason)).or_default().push(name),
            ExampleResult::Different(reason) => reasons.entry(("Different", reason)).or_default().push(name),
            ExampleResult::NoResource | ExampleResult::Equal => {}
        }
    }
    let mut heading = "";
    for ((kind, reason), names) in reasons {
        if kind != heading {
            text.push_str(&format!("\n{kind}:\n\n"));
            heading = kind;
        }
        let one_line = reason.split_whitespace().collect::<Vec<_>>().join(" ");
        text.push_str(&format!("- {one_line}: {}\n", names.join(", ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{ExampleResult, markdown, squeeze_narrative};

    #[test]
    fn white_space_of_narrative_alone_is_squeezed() {
        let mut value = json!({"text": {"div": "<div>\n  a  b</div>"}, "name": [{"text": "a  b"}]});
        squeeze_narrative(&mut value);
        assert_eq!(value, json!({"text": {"div": "<div> a b</div>"}, "name": [{"text": "a  b"}]}));
    }

    #[test]
    fn the_section_groups_refusals_by_reason() {
        let fates = [
            ("a.json".to_owned(), ExampleResult::Equal),
            ("b.json".to_owned(), ExampleResult::Refused("400 no".into())),
            ("c.json".to_owned(), ExampleResult::Refused("400 no".into())),
        ];
        let text = markdown(&fates, false);
        assert!(text.contains("| 3 | 0 | 1 | 2 | 0 |"), "{text}");
        assert!(text.contains("- 400 no: b.json, c.json"), "{text}");
    }
}
