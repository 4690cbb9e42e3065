//! A server that is asked, and its answers as they can be compared with those of another.

use std::fmt::Write;

use fhir_database::{ConnectionOptions, Connections};
use fhir_model::date::format_instant;
use reqwest::header::HeaderMap;
use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};

use super::corpus::Change;
use super::questions::Question;
use crate::app::TestApp;

/// Pages after which a search is not followed any more: none has so many matches.
const PAGES_MAX: usize = 500;

/// A server, and what it made by itself.
pub(super) struct Side {
    pub(super) app: TestApp,
    /// The ids it gave; of what it was not told those that the other gave.
    pub(super) ids: Vec<String>,
    /// When each group of changes was about to be written.
    pub(super) times: Vec<String>,
    /// The version that each change has here; of what is not here, what it has on the other.
    pub(super) versions: Vec<usize>,
    /// Resources whose versions are not all seen.
    pub(super) partly: Vec<String>,
}

impl Side {
    pub(super) fn new(app: TestApp, partly: &[String]) -> Side {
        let (ids, times, versions) = (Vec::new(), Vec::new(), Vec::new());
        Side { app, ids, times, versions, partly: partly.to_vec() }
    }

    /// A text with what this server made in the place of placeholders.
    pub(super) fn render(&self, text: &str) -> String {
        let mut rendered = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('{') {
            rendered.push_str(&rest[..at]);
            rest = &rest[at..];
            let found = rest.find('}').and_then(|end| Some((self.value(&rest[1..end])?, end)));
            match found {
                Some((value, end)) => {
                    rendered.push_str(&value);
                    rest = &rest[end + 1..];
                }
                None => {
                    rendered.push('{');
                    rest = &rest[1..];
                }
            }
        }
        rendered + rest
    }

    fn value(&self, name: &str) -> Option<String> {
        if name == "base" {
            return Some(self.app.base());
        }
        let at: usize = name.get(1..)?.parse().ok()?;
        match &name[..1] {
            "s" => self.ids.get(at).cloned(),
            "t" => self.times.get(at).cloned(),
            "v" => self.versions.get(at).map(usize::to_string),
            _ => None,
        }
    }

    /// Notes the time; commits before and after it differ from it in milliseconds.
    pub(super) async fn begin(&mut self) {
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        self.times.push(format_instant(self.app.cx.store.now()));
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }

    /// Writes changes in one transaction, or a single one.
    pub(super) async fn write(&mut self, changes: &[&Change]) {
        if let [Change { post: true, body: Some(body), type_name, .. }] = changes {
            let sent = self.app.send("POST", type_name, &self.render(&body.to_string()));
            let answer = sent.send().await.unwrap();
            assert_eq!(answer.status(), 201, "{body}");
            let location = answer.headers()["location"].to_str().unwrap();
            self.ids.push(location.rsplit('/').nth(2).unwrap().to_owned());
            return;
        }
        let entries = changes.iter().map(|change| {
            let url = format!("{}/{}", change.type_name, change.id);
            match &change.body {
                Some(body) => json!({"resource": body, "request": {"method": "PUT", "url": url}}),
                None => json!({"request": {"method": "DELETE", "url": url}}),
            }
        });
        let bundle =
            json!({"resourceType": "Bundle", "type": "transaction", "entry": entries.collect::<Vec<_>>()});
        let sent = self.app.send("POST", "", &self.render(&bundle.to_string()));
        let answer = sent.send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert_eq!(status, 200, "{text}: {bundle}");
    }

    /// The same of a write. An id that it gives gets the next placeholder. Returns true when there is one.
    pub(super) async fn ask_and_name(&mut self, write: &Question) -> (Vec<String>, bool) {
        let answer = self.request(write).send().await.unwrap();
        let created = answer.status() == 201;
        let location = answer.headers().get("location").map(|url| url.to_str().unwrap().to_owned());
        let parts = (answer.status(), answer.headers().clone());
        let text = answer.text().await.unwrap();
        let location = location.filter(|_| created).or_else(|| {
            let bundle: Value = serde_json::from_str(&text).ok()?;
            Some(bundle["entry"][0]["response"]["location"].as_str()?.to_owned())
        });
        let id = location.and_then(|url| Some(url.rsplit('/').nth(2)?.to_owned()));
        let made = id.is_some();
        self.ids.extend(id);
        (vec![self.comparable(parts, &text)], made)
    }

    fn request(&self, question: &Question) -> RequestBuilder {
        let body = question.body.as_ref().map(|body| self.render(body));
        let mut request = self.app.ask(question.method, &self.render(&question.path));
        for (name, value) in &question.headers {
            request = request.header(*name, self.render(value));
        }
        if let Some(body) = body {
            let media_type = match question.path.contains("_search") {
                true => "application/x-www-form-urlencoded",
                false => "application/fhir+json",
            };
            if question.headers.iter().all(|(name, _)| *name != "content-type") {
                request = request.header("content-type", media_type);
            }
            request = request.body(body);
        }
        request
    }

    /// What a question is answered: all pages, so that they can be compared.
    pub(super) async fn ask(&self, question: &Question) -> Vec<String> {
        let mut pages = Vec::new();
        let mut request = self.request(question);
        loop {
            let answer = request.send().await.unwrap();
            let parts = (answer.status(), answer.headers().clone());
            let text = answer.text().await.unwrap();
            pages.push(self.comparable(parts, &text));
            match next_link(&text) {
                Some(url) if pages.len() < PAGES_MAX => request = self.app.client.get(url),
                Some(_) => panic!("{question:?} has no end"),
                None => return pages,
            }
        }
    }

    fn comparable(&self, (status, headers): (StatusCode, HeaderMap), text: &str) -> String {
        let mut page = status.as_u16().to_string();
        for name in ["content-type", "etag", "last-modified", "location", "cache-control"] {
            let Some(value) = headers.get(name) else { continue };
            let value = match name {
                "etag" | "last-modified" => "there is one".to_owned(),
                _ => masked(&self.without_ids(value.to_str().unwrap())),
            };
            write!(page, "\n{name}: {value}").unwrap();
        }
        match serde_json::from_str::<Value>(&self.without_ids(text)) {
            Ok(mut body) => {
                self.level(&mut body);
                format!("{page}\n{body:#}")
            }
            Err(_) => format!("{page}\n{text}"),
        }
    }

    fn without_ids(&self, text: &str) -> String {
        let mut text = text.replace(&self.app.base(), "BASE");
        for (at, id) in self.ids.iter().enumerate() {
            if text.contains(id) {
                text = text.replace(id, &format!("GIVEN{at}"));
            }
        }
        text
    }

    /// Times become the numbers of the changes, versions and page links are masked.
    fn level(&self, value: &mut Value) {
        match value {
            Value::Object(members) => {
                let is_partly = members.get("fullUrl").and_then(Value::as_str).is_some_and(|url| {
                    self.partly.iter().any(|key| url.ends_with(&self.without_ids(&self.render(key))))
                });
                let is_update = members.get("request").is_some_and(|request| request["method"] == "PUT");
                for (name, value) in members.iter_mut() {
                    match (name.as_str(), &mut *value) {
                        ("lastUpdated" | "lastModified", Value::String(time)) => {
                            *time = format!("T{}", self.times.partition_point(|from| *from <= *time));
                        }
                        ("versionId" | "etag", version) => *version = json!("V"),
                        // Where the version before was hidden, there was one all the same.
                        ("response", response)
                            if is_partly && is_update && response["status"].is_string() =>
                        {
                            self.level(response);
                            response["status"] = json!("200 or 201");
                        }
                        _ => self.level(value),
                    }
                }
                if let Some(entries) = members.get_mut("entry").and_then(Value::as_array_mut) {
                    // What is included comes in no particular order, after the matches.
                    entries.sort_by_cached_key(|entry| {
                        (entry["search"]["mode"] == "include").then(|| entry["fullUrl"].to_string())
                    });
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.level(item)),
            Value::String(text) => {
                let mut found = masked(text);
                for (at, time) in self.times.iter().enumerate() {
                    for time in [time.clone(), time.replace(':', "%3A")] {
                        if found.contains(&time) {
                            found = found.replace(&time, &format!("AT{at}"));
                        }
                    }
                }
                *text = found;
            }
            _ => {}
        }
    }
}

/// Without what follows `_cursor=` and `_history/`.
fn masked(text: &str) -> String {
    let mut text = text.to_owned();
    for mark in ["_cursor=", "_history/", "W/\""] {
        let mut from = 0;
        while let Some(at) = text[from..].find(mark) {
            let start = from + at + mark.len();
            let end = text[start..].find(|c: char| !c.is_ascii_alphanumeric() && !"-_%.~".contains(c));
            let end = end.map_or(text.len(), |end| start + end);
            text.replace_range(start..end, "_");
            from = start;
        }
    }
    text
}

fn next_link(text: &str) -> Option<String> {
    let page: Value = serde_json::from_str(text).ok()?;
    let next = page["link"].as_array()?.iter().find(|link| link["relation"] == "next")?;
    Some(next["url"].as_str()?.to_owned())
}

/// Gives a database the secrets of another one: rows that are equal in what they are sorted by come in the order of hashes.
pub(super) async fn copy_secrets(from: &str, to: &str) {
    let [from, to] = [from, to].map(|url| {
        let options = ConnectionOptions {
            connections_max: 1,
            statement_timeout: std::time::Duration::from_secs(10),
            application_name: "test".to_owned(),
            pipelined: &[],
            plan_for_values: false,
            standby_of: None,
        };
        Connections::open(url, options).unwrap()
    });
    let rows = "select name, value from setting where name like 'secret.%'";
    for row in from.client().await.unwrap().query(rows, &[]).await.unwrap() {
        let (name, value): (String, Vec<u8>) = (row.get(0), row.get(1));
        let insert = "insert into setting (name, value) values ($1, $2)";
        to.client().await.unwrap().execute(insert, &[&name, &value]).await.unwrap();
    }
}
