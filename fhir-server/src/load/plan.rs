//! What is sent of a piece: only what is not there yet, and what no later entry writes.
//!
//! Entries that are not written may be what others of their Bundle refer to by full url. Those stay in the transaction, in
//! a form that writes nothing where the resource is there (a conditional create by its id), so that the server, and nobody
//! else, resolves references.

use fhir_model::Result;
use fhir_model::json::{Doc, Ref};
use foldhash::{HashMap, HashSet, HashSetExt};

use super::identity::{Writes, entry_json};
use super::piece::{Entry, Piece};
use super::repeated::Repeated;
use super::same::{UrlMatch, absolute, base, same, urls_in};
use super::sent::Counts;
use super::target::{Answer, BundleKind, Lookup, Target};

/// What is to become of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    Write,
    Unchanged,
    Superseded,
}

/// What is looked up of an entry before it is written.
pub(super) fn lookup(entry: &Entry) -> Option<Lookup> {
    match &entry.made.writes {
        Writes::Key(key) => Some(Lookup::Key(key.clone())),
        Writes::Match(url) => Some(Lookup::Search(url.clone())),
        Writes::Unless(_) | Writes::Other => None,
    }
}

/// What is sent of a piece.
pub(super) struct Plan {
    decisions: Vec<Decision>,
    /// What else is sent, so that references to it are resolved: the entry, and its text in this form.
    kept: Vec<(usize, String)>,
    /// The entries that a search decides on: a conditional create that finds its resource is no write.
    pub(super) conditional: HashSet<usize>,
}

impl Plan {
    pub(super) async fn new(target: &Target, piece: &Piece, repeated: &Repeated) -> Result<Plan> {
        let lookups: Vec<Lookup> = piece.entries.iter().filter_map(lookup).collect();
        let mut found = target.current(&lookups).await?.into_iter();
        let current: Vec<Option<Doc>> =
            piece.entries.iter().map(|entry| lookup(entry).and_then(|_| found.next().flatten())).collect();
        let is_superseded =
            |entry: &Entry| entry.key().is_some_and(|key| repeated.is_superseded(key, entry.place));
        let compare = |(entry, current): (&Entry, &Option<Doc>)| {
            let ours = entry.made.resource.as_ref().filter(|_| !is_superseded(entry))?;
            same(ours.root(), current.as_ref()?.root(), &piece.urls, entry.full_url.as_deref())
        };
        let same: Vec<Option<Vec<UrlMatch>>> = piece.entries.iter().zip(&current).map(compare).collect();
        let found = searched(target, same.iter().flatten().flatten()).await?;
        let leads = |lead: &UrlMatch| found.get(&*lead.search).is_some_and(|name| *name == lead.to);
        let decide = |(entry, same): (&Entry, &Option<Vec<UrlMatch>>)| match same {
            _ if is_superseded(entry) => Decision::Superseded,
            Some(all) if all.iter().all(leads) => Decision::Unchanged,
            _ => Decision::Write,
        };
        let decisions: Vec<Decision> = piece.entries.iter().zip(&same).map(decide).collect();
        let kept = kept(piece, &decisions, &current);
        let is_conditional =
            |(at, entry): (usize, &Entry)| matches!(entry.made.writes, Writes::Unless(_)).then_some(at);
        let conditional = piece.entries.iter().enumerate().filter_map(is_conditional).collect();
        Ok(Plan { decisions, kept, conditional })
    }

    pub(super) fn keeps(&self) -> bool {
        !self.kept.is_empty()
    }

    /// The counts before anything is written: what is to be written has failed.
    pub(super) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for decision in &self.decisions {
            match decision {
                Decision::Write => counts.failed += 1,
                Decision::Unchanged => counts.unchanged += 1,
                Decision::Superseded => counts.superseded += 1,
            }
        }
        counts
    }

    pub(super) fn written(&self) -> impl Iterator<Item = usize> {
        let writes = |(at, decision): (usize, &Decision)| (*decision == Decision::Write).then_some(at);
        self.decisions.iter().enumerate().filter_map(writes)
    }

    pub(super) async fn write(
        &self,
        target: &Target,
        piece: &Piece,
        kind: BundleKind,
    ) -> Result<Vec<Answer>> {
        let entries = || self.written().filter_map(|at| piece.entries.get(at));
        let mut texts: Vec<String> = entries().map(|entry| entry.made.json.clone()).collect();
        if kind == BundleKind::Transaction {
            texts.extend(self.kept.iter().map(|(_, text)| text.clone()));
        }
        target.write(kind, &texts, entries().all(|entry| entry.made.is_repeatable)).await
    }

    /// The answers with the entries they belong to; those to what was kept come after.
    fn answered<'a>(&'a self, answers: &'a [Answer]) -> impl Iterator<Item = (usize, &'a Answer)> {
        self.written().zip(answers)
    }

    pub(super) fn count(&self, answers: &[Answer], counts: &mut Counts) {
        let total = self.written().count();
        for (at, answer) in self.answered(answers) {
            counts.answered(answer, self.conditional.contains(&at));
        }
        // A server that answers with fewer entries than were sent has not said what became of the others.
        counts.failed += total.saturating_sub(answers.len()) as u64;
    }
}

/// What the searches find, as `Type/id`; those that do not find one are not there.
async fn searched<'a>(
    target: &Target,
    leads: impl Iterator<Item = &'a UrlMatch>,
) -> Result<HashMap<&'a str, String>> {
    let mut searches: Vec<&str> = leads.map(|lead| &*lead.search).collect();
    searches.sort_unstable();
    searches.dedup();
    let lookups: Vec<Lookup> = searches.iter().map(|search| Lookup::Search((*search).to_owned())).collect();
    let found = target.current(&lookups).await?;
    let name = |doc: Doc| {
        let root = doc.root();
        Some(format!("{}/{}", root.get_str("resourceType")?, root.get_str("id")?))
    };
    Ok(searches.into_iter().zip(found).filter_map(|(search, doc)| Some((search, name(doc?)?))).collect())
}

/// The entries that are not written but referred to by those that are sent, in the form in which they are sent.
fn kept(piece: &Piece, decisions: &[Decision], current: &[Option<Doc>]) -> Vec<(usize, String)> {
    let mut by_url: HashMap<&str, usize> = HashMap::default();
    let mut open = Vec::new();
    for (at, (entry, decision)) in piece.entries.iter().zip(decisions).enumerate() {
        match (decision, &entry.full_url) {
            (Decision::Write, _) => open.push(at),
            (_, Some(url)) => {
                by_url.insert(url, at);
            }
            (_, None) => {}
        }
    }
    // Two entries of one Bundle may have the same full url; then the one that is written is meant.
    for entry in open.iter().filter_map(|at| piece.entries.get(*at)) {
        entry.full_url.as_deref().map(|url| by_url.remove(url));
    }
    let (mut kept, mut seen) = (Vec::new(), HashSet::new());
    while !by_url.is_empty() {
        let Some(entry) = open.pop().and_then(|at| piece.entries.get(at)) else { break };
        let mut found = Vec::new();
        mentioned(entry, &by_url, &mut found);
        for at in found.into_iter().filter(|at| seen.insert(*at)) {
            let (Some(entry), Some(current)) = (piece.entries.get(at), current.get(at)) else { continue };
            let Some(text) = kept_json(entry, current.as_ref()) else { continue };
            if current.is_none() {
                open.push(at);
            }
            kept.push((at, text));
        }
    }
    kept
}

/// The entries that are referred to by an entry.
pub(super) fn mentioned(entry: &Entry, by_url: &HashMap<&str, usize>, found: &mut Vec<usize>) {
    let base = base(entry.full_url.as_deref());
    match &entry.made.resource {
        Some(resource) => mentioned_in(resource.root(), base, by_url, found),
        // What is sent as it is has its resource in its text alone.
        None => {
            let text = Doc::parse(entry.made.json.as_str(), fhir_model::json::JsonLimits::NONE);
            text.iter().for_each(|doc| mentioned_in(doc.root(), base, by_url, found));
        }
    }
}

fn mentioned_in(value: Ref<'_>, base: Option<&str>, by_url: &HashMap<&str, usize>, found: &mut Vec<usize>) {
    match value.str() {
        Some(text) => urls_in(&text, &mut |url| found.extend(by_url.get(&*absolute(url, base)))),
        None => value.children().for_each(|child| mentioned_in(child, base, by_url, found)),
    }
}

/// An entry that only says what its full url means. Where the resource is not there yet, it is written for the time being,
/// unless the later one comes first.
pub(super) fn kept_json(entry: &Entry, current: Option<&Doc>) -> Option<String> {
    if current.is_none() && matches!(entry.made.writes, Writes::Match(_) | Writes::Unless(_)) {
        return Some(entry.made.json.clone());
    }
    let (url, resource) = (entry.full_url.as_deref(), entry.made.resource.as_ref()?);
    let (type_name, id) = match (&entry.made.writes, current) {
        (Writes::Key(key), None) => {
            return Some(entry_json(
                url,
                resource,
                &format!(r#""method":"PUT","url":"{key}","ifNoneMatch":"*""#),
            ));
        }
        (Writes::Key(key), Some(_)) => (key.type_name.to_string(), key.id.to_string()),
        (_, Some(current)) => {
            let root = current.root();
            (root.get_str("resourceType")?.into_owned(), root.get_str("id")?.into_owned())
        }
        (_, None) => return None,
    };
    let request = format!(r#""method":"POST","url":"{type_name}","ifNoneExist":"_id={id}""#);
    Some(entry_json(url, resource, &request))
}
