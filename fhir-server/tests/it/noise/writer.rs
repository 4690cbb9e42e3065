//! Who writes the noise: part of it before what it stands beside, the rest before the answer goes out.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use fhir_interactions::{
    Access, Body, Cx, Interaction, Method, Observer, Request, Verdict, WriteContext, WriteRule, handle,
};
use fhir_model::Result;
use fhir_model::json::{Doc, JsonLimits};
use fhir_search::index_hash::parse_server_id;
use fhir_store::Write;
use fhir_store::testing::Random;
use serde_json::{Value, json};
use tokio::task::Id;

use super::copies::{HiddenResource, Original};
use super::guard::has_patient;

/// Larger ones have no copies, nor have all of those that are written together when they are many.
const BODY_BYTES_MAX: usize = 64 * 1024;
const TOGETHER_MAX: usize = 12;

/// Writes noise as a caller who sees everything.
pub(super) struct NoiseWriter {
    seed: u64,
    open: Cx,
    /// What is to be written before an answer goes out, by the task that answers.
    pending: Mutex<HashMap<Id, Vec<HiddenResource>>>,
    /// The `type/id` of what was written by pages, by page and type.
    seen: Mutex<HashMap<(String, String), Vec<String>>>,
    /// The `type/id` of each version of the noise, and of each deletion.
    written: Mutex<Vec<String>>,
    deleted: Mutex<Vec<String>>,
    /// How many writes have noise beside them.
    writes: AtomicUsize,
}

impl NoiseWriter {
    /// `open` is the server without a guard that hides anything.
    pub(super) fn new(seed: u64, open: Cx) -> Arc<NoiseWriter> {
        let (pending, seen, written, deleted, writes) = Default::default();
        Arc::new(NoiseWriter { seed, open, pending, seen, written, deleted, writes })
    }

    /// The `type/id` of everything that is hidden and was not deleted.
    pub(super) fn keys(&self) -> Vec<String> {
        let deleted = self.deleted.lock().unwrap();
        let mut keys = self.written.lock().unwrap().clone();
        keys.retain(|key| !deleted.contains(key));
        keys.sort();
        keys.dedup();
        keys
    }

    /// True for the `type/id` of something that is hidden, or was until it was deleted.
    pub(super) fn is_noise(&self, key: &str) -> bool {
        self.written.lock().unwrap().iter().any(|written| written == key)
    }

    /// (hidden versions, writes that have some beside them)
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.written.lock().unwrap().len(), self.writes.load(Ordering::Relaxed))
    }

    /// Others of the page of a `type/id`, of the same type. Ids that clients choose begin with the name of the page's run.
    fn others(&self, key: &str) -> Vec<String> {
        let Some(group) = group(key) else { return Vec::new() };
        let mut others = self.seen.lock().unwrap().get(&group).cloned().unwrap_or_default();
        others.retain(|other| other != key);
        others
    }

    fn remember(&self, key: &str) {
        let Some(group) = group(key) else { return };
        let mut seen = self.seen.lock().unwrap();
        let all = seen.entry(group).or_default();
        if all.iter().all(|other| other != key) {
            all.push(key.to_owned());
        }
    }

    /// What is written before a write, and what after it.
    fn chosen(&self, context: &WriteContext<'_>) -> (Vec<HiddenResource>, Vec<HiddenResource>) {
        let WriteContext { write, together, store, .. } = context;
        let body = write.doc.as_ref().unwrap().root().to_value();
        let mut random = self.random(write, &body);
        if random.below(together.len()) >= TOGETHER_MAX {
            return Default::default();
        }
        self.writes.fetch_add(1, Ordering::Relaxed);
        self.remember(&write.key.to_string());
        let original = Original {
            key: &write.key,
            body: &body,
            has_patient: has_patient(store, &write.key.type_name),
            others: &|key| self.others(key),
        };
        let mut before = original.noise(&mut random);
        let after = before.split_off(random.below(before.len() + 1));
        (before, after)
    }

    /// Writes all first versions together, then all second ones, and so on.
    async fn write(&self, mut all: Vec<HiddenResource>) {
        while !all.is_empty() {
            let mut taken = Vec::new();
            let mut entries = Vec::new();
            for hidden in &mut all {
                if hidden
                    .id
                    .as_ref()
                    .is_some_and(|id| taken.contains(&(hidden.type_name.clone(), id.clone())))
                {
                    continue;
                }
                let version = hidden.versions.remove(0);
                let url = match &hidden.id {
                    Some(id) => format!("{}/{id}", hidden.type_name),
                    None => hidden.type_name.to_string(),
                };
                taken.extend(hidden.id.clone().map(|id| (hidden.type_name.clone(), id)));
                entries.push(match (version, &hidden.id) {
                    (Some(body), None) => {
                        json!({"resource": body, "request": {"method": "POST", "url": url}})
                    }
                    (Some(mut body), Some(id)) => {
                        body["id"] = json!(id);
                        json!({"resource": body, "request": {"method": "PUT", "url": url}})
                    }
                    (None, _) => json!({"request": {"method": "DELETE", "url": url}}),
                });
            }
            all.retain(|hidden| !hidden.versions.is_empty());
            self.commit(entries).await;
        }
    }

    async fn commit(&self, entries: Vec<Value>) {
        let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": entries});
        let doc = Doc::parse(bundle.to_string(), JsonLimits::default()).unwrap();
        let request = Request::new(Method::Post, "", &*self.open.definitions).unwrap();
        assert_eq!(request.interaction, Interaction::Bundle);
        let reply = handle(&self.open, Request { body: Some(Body::Resource(doc)), ..request }).await;
        let reply = reply.unwrap_or_else(|error| panic!("{error}: {bundle:#}"));
        let answer: Value = serde_json::from_slice(&reply.body.unwrap()).unwrap();
        for (entry, answered) in entries.iter().zip(answer["entry"].as_array().unwrap()) {
            let url = entry["request"]["url"].as_str().unwrap();
            let location = answered["response"]["location"].as_str();
            match entry["request"]["method"].as_str().unwrap() {
                "DELETE" => self.deleted.lock().unwrap().push(url.to_owned()),
                "PUT" => {
                    self.deleted.lock().unwrap().retain(|key| key != url);
                    self.written.lock().unwrap().push(url.to_owned());
                }
                _ => {
                    let id = location.unwrap().rsplit('/').nth(2).unwrap();
                    self.written.lock().unwrap().push(format!("{url}/{id}"));
                }
            }
        }
    }

    /// A generator that depends on the seed and on what is written, but not on what the server gives: ids and times.
    fn random(&self, write: &Write, body: &Value) -> Random {
        let mut body = body.clone();
        if let Some(meta) = body.get_mut("meta").and_then(Value::as_object_mut) {
            meta.remove("versionId");
            meta.remove("lastUpdated");
        }
        let mut hasher = DefaultHasher::new();
        (self.seed, &write.key.type_name, write.version).hash(&mut hasher);
        let text = body.to_string();
        for word in
            text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| parse_server_id(word).is_none())
        {
            word.hash(&mut hasher);
        }
        Random::new(hasher.finish())
    }
}

/// The run of the page and the type.
fn group(key: &str) -> Option<(String, String)> {
    let (type_name, id) = key.split_once('/')?;
    Some((id.split_once('-')?.0.to_owned(), type_name.to_owned()))
}

/// The rule sees every write before it is committed.
pub(super) struct NoiseRule(pub(super) Arc<NoiseWriter>);

#[async_trait]
impl WriteRule for NoiseRule {
    fn applies_to(&self, write: &Write) -> bool {
        write.doc.as_ref().is_some_and(|doc| doc.text().len() <= BODY_BYTES_MAX)
    }

    async fn check(&self, context: &WriteContext<'_>) -> Result<Verdict> {
        let (before, after) = self.0.chosen(context);
        self.0.pending.lock().unwrap().entry(tokio::task::id()).or_default().extend(after);
        self.0.write(before).await;
        Ok(Verdict::default())
    }
}

#[async_trait]
impl Observer for NoiseWriter {
    async fn observe(&self, _: &Access<'_>) -> Result<()> {
        let after = self.pending.lock().unwrap().remove(&tokio::task::id());
        self.write(after.unwrap_or_default()).await;
        Ok(())
    }
}
