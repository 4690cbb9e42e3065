//! transaction: all entries or none. <https://hl7.org/fhir/R4/http.html#trules>
//!
//! Set-based: one read of what is there, one commit of all writes, and one search per distinct criterion, whatever
//! the number of entries. The specification's order (DELETE, POST, PUT and PATCH, GET) is kept in what each step
//! sees: criteria do not find what the transaction deletes, and reads come after the commit.

use std::collections::{HashMap, HashSet};

use fhir_model::interaction::Interaction;
use fhir_model::json::Ref;
use fhir_model::{Error, Key, Kind, Result};
use fhir_store::{Claim, Commit, Found, Version};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::batch::write as write_answer;
use super::entries::{Entry, patch_body};
use super::in_entry;
use super::links::Links;
use super::references::{Says, Site, edits, sites};
use super::text::BundleText;
use crate::ask::{Ask, Attempts, same_id};
use crate::change::{Change, Patch, What};
use crate::check::{check, id_of};
use crate::conditional::{Criteria, Target, several, target};
use crate::handle::handle;
use crate::patch::interaction::{nothing, of_body};
use crate::reply::{Reply, location};
use crate::request::Return;
use crate::update::taken;

pub(super) async fn transaction(ask: &Ask<'_>, entries: &[Ref<'_>]) -> Result<Reply> {
    let plan = Plan::new(ask, entries)?;
    let mut attempts = Attempts::new(ask.cx);
    let mut answers = loop {
        attempts.next()?;
        if let Some(answers) = plan.attempt(ask).await? {
            break answers;
        }
    };
    plan.read(ask, &mut answers).await;
    let mut bundle = BundleText::new("transaction-response", answers.len() * 256);
    for answer in &answers {
        write_answer(&mut bundle, answer.as_ref().unwrap_or(&Ok(Reply::empty(204))), ask);
    }
    Ok(Reply::made(bundle.finish()))
}

/// What is known of a transaction from the Bundle alone.
struct Plan<'d> {
    entries: Vec<Planned<'d>>,
    links: Links,
}

struct Planned<'d> {
    entry: Entry<'d>,
    /// Of `ifNoneExist`, or of the url of a conditional update, patch or delete.
    criteria: Option<Criteria>,
    patch: Option<Patch>,
    sites: Vec<Site<'d>>,
}

/// What becomes of an entry in one attempt.
enum Fate {
    /// Its resource is written.
    Write { key: Key, before: Option<Found>, claim: Option<Claim> },
    /// It is the same conditional create as that of an earlier entry.
    Same(usize),
    /// A conditional create found this.
    Existing(Version),
    /// All of these are deleted.
    Delete(Vec<Version>),
    /// It is answered after the commit.
    Read,
}

/// What criteria found, and the claim when they found nothing and somebody may create.
type Lookups = HashMap<String, (Vec<Version>, Option<Claim>)>;

type Answers = Vec<Option<Result<Reply>>>;

impl<'d> Plan<'d> {
    /// Reads and checks all entries: what can be refused is refused before the database is asked.
    fn new(ask: &Ask<'_>, refs: &[Ref<'d>]) -> Result<Plan<'d>> {
        let mut entries = Vec::with_capacity(refs.len());
        for (at, entry) in refs.iter().enumerate() {
            let entry =
                Entry::parse(*entry, &ask.request.base, &*ask.cx.definitions).map_err(|e| in_entry(e, at))?;
            entries.push(entry);
        }
        let links = Links::new(&entries)?;
        let planned = entries
            .into_iter()
            .enumerate()
            .map(|(at, entry)| Planned::new(ask, entry, &links).map_err(|e| in_entry(e, at)));
        let entries = planned.collect::<Result<Vec<_>>>()?;
        Ok(Plan { entries, links })
    }

    /// Decides and commits all writes; nothing when others changed what was read.
    async fn attempt(&self, ask: &Ask<'_>) -> Result<Option<Answers>> {
        let cx = ask.cx;
        let (deletes, deleted) = self.deletes(ask).await?;
        let lookups = self.lookups(ask, &deleted).await?;
        let mut fates = self.fates(ask, deletes, &lookups)?;
        self.refuse_overlap(&fates)?;
        self.read_before(ask, &mut fates).await?;
        let identities: Vec<Option<Key>> = (0..fates.len()).map(|at| identity(&fates, at)).collect();

        let stamp = cx.store.stamp()?;
        let ret = ask.request.prefer.ret.unwrap_or(Return::Minimal);
        let mut writes = Vec::new();
        let mut answers: Answers = Vec::with_capacity(fates.len());
        // (entry, position of its write, whether it creates)
        let (mut written, mut same) = (Vec::new(), Vec::new());
        for (at, (planned, fate)) in self.entries.iter().zip(fates).enumerate() {
            let conditions = &planned.entry.conditions;
            let answer = match fate {
                Fate::Read => None,
                Fate::Same(_) => {
                    same.push(at);
                    None
                }
                Fate::Existing(version) => Some(Ok(Reply::existing(&version, ret))),
                Fate::Delete(versions) => {
                    let text = format!("{} resources are deleted", versions.len());
                    for version in versions {
                        let key = version.key.clone();
                        let change =
                            Change { key, before: Found::Current(version), what: What::Delete, claim: None };
                        let decided =
                            change.decide(cx, conditions, stamp.micros()).map_err(|e| in_entry(e, at))?;
                        writes.extend(decided.map(|d| d.write));
                    }
                    Some(Ok(Reply::gone(&text, ret)))
                }
                Fate::Write { key, before, claim } => {
                    let what =
                        self.what(planned, &identities, &lookups, &deleted).map_err(|e| in_entry(e, at))?;
                    let before = before.unwrap_or(Found::Never);
                    let change = Change { key, before, what, claim };
                    let decided =
                        change.decide(cx, conditions, stamp.micros()).map_err(|e| in_entry(e, at))?;
                    decided
                        .map(|d| {
                            written.push((at, writes.len(), d.created));
                            writes.push(d.write);
                            Ok(Reply::empty(204))
                        })
                        .or_else(|| Some(Ok(Reply::gone("there was nothing to delete", ret))))
                }
            };
            answers.push(answer);
        }
        if let Commit::Stale = cx.store.commit(&ask.scope, &stamp, &writes).await? {
            return Ok(None);
        }
        for (at, position, created) in written {
            if let (Some(slot), Some(write)) = (answers.get_mut(at), writes.get(position)) {
                *slot = Some(Ok(Reply::written(write, created, stamp.micros(), ret)));
            }
        }
        for at in same {
            if let (Some(slot), Some(Some(key))) = (answers.get_mut(at), identities.get(at)) {
                *slot = Some(Ok(Reply {
                    version: Some(1),
                    last_modified: Some(stamp.micros()),
                    location: Some(location(key, 1)),
                    ..Reply::empty(200)
                }));
            }
        }
        Ok(Some(answers))
    }

    /// What conditional deletes find, by entry; and the keys of everything that is deleted.
    async fn deletes(&self, ask: &Ask<'_>) -> Result<(HashMap<usize, Vec<Version>>, HashSet<Key>)> {
        let mut deleted = HashSet::new();
        let mut lookups = Vec::new();
        for (at, planned) in self.entries.iter().enumerate() {
            match (&planned.entry.interaction, &planned.criteria) {
                (Interaction::Delete(key), _) => {
                    deleted.insert(key.clone());
                }
                (Interaction::ConditionalDelete(_), Some(criteria)) => lookups.push(async move {
                    let found = crate::delete::find(ask, criteria).await.map_err(|e| in_entry(e, at))?;
                    Ok::<_, Error>((at, found))
                }),
                _ => {}
            }
        }
        let lookups = stream::iter(lookups).buffer_unordered(ask.cx.limits.parallel_max.max(1));
        let found: HashMap<usize, Vec<Version>> = lookups.try_collect().await?;
        deleted.extend(found.values().flatten().map(|v| v.key.clone()));
        Ok((found, deleted))
    }

    /// What all other criteria find, each asked once.
    async fn lookups(&self, ask: &Ask<'_>, deleted: &HashSet<Key>) -> Result<Lookups> {
        let mut distinct: HashMap<&str, (&Criteria, bool)> = HashMap::new();
        for planned in &self.entries {
            let creates = match planned.entry.interaction {
                Interaction::Create(_) | Interaction::ConditionalUpdate(_) => true,
                Interaction::ConditionalPatch(_) => false,
                _ => continue,
            };
            if let Some(criteria) = &planned.criteria {
                distinct.entry(&criteria.text).or_insert((criteria, false)).1 |= creates;
            }
        }
        for site in self.entries.iter().flat_map(|p| &p.sites) {
            if let Says::Criteria(criteria) = &site.says {
                distinct.entry(&criteria.text).or_insert((criteria, false));
            }
        }
        let lookups: Vec<_> = distinct
            .into_values()
            .map(|(criteria, creates)| lookup(ask, criteria, creates, deleted))
            .collect();
        stream::iter(lookups).buffer_unordered(ask.cx.limits.parallel_max.max(1)).try_collect().await
    }

    fn fates(
        &self,
        ask: &Ask<'_>,
        mut deletes: HashMap<usize, Vec<Version>>,
        lookups: &Lookups,
    ) -> Result<Vec<Fate>> {
        let mut creators: HashMap<&str, usize> = HashMap::new();
        let mut fates = Vec::with_capacity(self.entries.len());
        for (at, planned) in self.entries.iter().enumerate() {
            let looked_up = planned.criteria.as_ref().and_then(|c| Some((c, lookups.get(&c.text)?)));
            let fresh = |type_name: &str| Key::new(type_name, ask.cx.store.new_id());
            let fate = match (&planned.entry.interaction, looked_up) {
                (Interaction::Create(type_name), None) => {
                    Fate::Write { key: fresh(type_name), before: Some(Found::Never), claim: None }
                }
                (Interaction::Create(type_name), Some((criteria, (found, claim)))) => {
                    match found.as_slice() {
                        [] => match creators.get(criteria.text.as_str()) {
                            Some(first) => Fate::Same(*first),
                            None => {
                                creators.insert(&criteria.text, at);
                                Fate::Write {
                                    key: fresh(type_name),
                                    before: Some(Found::Never),
                                    claim: claim.clone(),
                                }
                            }
                        },
                        [one] => Fate::Existing(one.clone()),
                        _ => return Err(in_entry(several(&criteria.text), at)),
                    }
                }
                (Interaction::ConditionalUpdate(type_name), Some((criteria, (found, claim)))) => {
                    let id = planned.entry.resource.map(|r| id_of(r, type_name)).transpose()?.flatten();
                    let target =
                        target(found.clone(), id.as_deref(), &criteria.text).map_err(|e| in_entry(e, at))?;
                    match target {
                        Target::Existing(version) => Fate::Write {
                            key: version.key.clone(),
                            before: Some(Found::Current(version)),
                            claim: None,
                        },
                        Target::New(id) => {
                            creators.insert(&criteria.text, at);
                            let before = if id.is_some() { None } else { Some(Found::Never) };
                            let key = id.map_or_else(|| fresh(type_name), |id| Key::new(&**type_name, id));
                            Fate::Write { key, before, claim: claim.clone() }
                        }
                    }
                }
                (Interaction::ConditionalPatch(_), Some((criteria, (found, _)))) => {
                    match target(found.clone(), None, &criteria.text).map_err(|e| in_entry(e, at))? {
                        Target::Existing(version) => Fate::Write {
                            key: version.key.clone(),
                            before: Some(Found::Current(version)),
                            claim: None,
                        },
                        Target::New(_) => return Err(in_entry(nothing(&criteria.text), at)),
                    }
                }
                (Interaction::Update(key) | Interaction::Patch(key) | Interaction::Delete(key), _) => {
                    Fate::Write { key: key.clone(), before: None, claim: None }
                }
                (Interaction::ConditionalDelete(_), _) => {
                    Fate::Delete(deletes.remove(&at).unwrap_or_default())
                }
                _ => Fate::Read,
            };
            fates.push(fate);
        }
        Ok(fates)
    }

    /// No resource may be changed twice.
    fn refuse_overlap(&self, fates: &[Fate]) -> Result<()> {
        let mut seen: HashMap<&Key, usize> = HashMap::new();
        for (at, fate) in fates.iter().enumerate() {
            let keys: Vec<&Key> = match fate {
                Fate::Write { key, .. } => vec![key],
                Fate::Delete(versions) => versions.iter().map(|v| &v.key).collect(),
                _ => continue,
            };
            for key in keys {
                if let Some(first) = seen.insert(key, at) {
                    let text = format!(
                        "{key} is changed by entry {first} already; a transaction changes a resource once"
                    );
                    return Err(in_entry(Error::invalid(text), at));
                }
            }
        }
        Ok(())
    }

    /// Reads what the writes replace, at once.
    async fn read_before(&self, ask: &Ask<'_>, fates: &mut [Fate]) -> Result<()> {
        let open = |fate: &Fate| match fate {
            Fate::Write { key, before: None, .. } => Some(key.clone()),
            _ => None,
        };
        let keys: Vec<Key> = fates.iter().filter_map(open).collect();
        if keys.is_empty() {
            return Ok(());
        }
        let mut found = ask.cx.store.read_many(&ask.scope, &keys).await?.into_iter();
        for (at, (fate, planned)) in fates.iter_mut().zip(&self.entries).enumerate() {
            if let Fate::Write { key, before: before @ None, .. } = fate {
                let now = found.next().unwrap_or(Found::Never);
                if let (Found::Current(_), Interaction::ConditionalUpdate(_), Some(criteria)) =
                    (&now, &planned.entry.interaction, &planned.criteria)
                {
                    return Err(in_entry(taken(key, &criteria.text), at));
                }
                *before = Some(now);
            }
        }
        Ok(())
    }

    /// The change of an entry, with its references resolved.
    fn what<'p>(
        &self,
        planned: &Planned<'p>,
        identities: &[Option<Key>],
        lookups: &Lookups,
        deleted: &HashSet<Key>,
    ) -> Result<What<'p>> {
        if let Some(patch) = &planned.patch {
            return Ok(What::Patch(patch.clone()));
        }
        let Some(resource) = planned.entry.resource else { return Ok(What::Delete) };
        let identity = |at: usize| identities.get(at).cloned().flatten();
        let found = |criteria: &Criteria| self.referenced(criteria, identities, lookups, deleted);
        let edits = edits(&planned.entry, &planned.sites, &self.links, &identity, &found)?;
        Ok(match planned.entry.interaction {
            Interaction::Create(_) => What::Create(resource, edits),
            Interaction::Delete(_) => What::Delete,
            _ => What::Update(resource, edits),
        })
    }

    /// The one resource that a conditional reference means: there already, or created here under the same criteria.
    fn referenced(
        &self,
        criteria: &Criteria,
        identities: &[Option<Key>],
        lookups: &Lookups,
        deleted: &HashSet<Key>,
    ) -> Result<Key> {
        let found = lookups.get(&criteria.text).map(|(found, _)| found.as_slice()).unwrap_or_default();
        let mut found = found.iter().filter(|v| !deleted.contains(&v.key));
        match (found.next(), found.next()) {
            (Some(one), None) => Ok(one.key.clone()),
            (Some(_), Some(_)) => Err(several(&criteria.text)),
            (None, _) => {
                let same = |p: &Planned<'_>| p.criteria.as_ref().is_some_and(|c| c.text == criteria.text);
                let creator =
                    self.entries.iter().position(same).and_then(|at| identities.get(at).cloned().flatten());
                creator.ok_or_else(|| {
                    Error::new(Kind::NotFound, format!("the reference {} finds no resource", criteria.text))
                })
            }
        }
    }

    /// Answers the reads, after the writes.
    async fn read(&self, ask: &Ask<'_>, answers: &mut Answers) {
        let reads: Vec<_> = self
            .entries
            .iter()
            .enumerate()
            .filter(|(_, planned)| !planned.entry.interaction.is_write())
            .map(|(at, planned)| async move {
                let answer = match planned.entry.request(ask) {
                    Ok(request) => handle(ask.cx, request).await,
                    Err(e) => Err(e),
                };
                (at, answer)
            })
            .collect();
        let reads = stream::iter(reads).buffer_unordered(ask.cx.limits.parallel_max.max(1));
        for (at, answer) in reads.collect::<Vec<_>>().await {
            if let Some(slot) = answers.get_mut(at) {
                *slot = Some(answer);
            }
        }
    }
}

impl<'d> Planned<'d> {
    fn new(ask: &Ask<'_>, entry: Entry<'d>, links: &Links) -> Result<Planned<'d>> {
        let cx = ask.cx;
        // The scope of the whole is used for the commit; each entry must be allowed by itself all the same.
        cx.guard.scope(&ask.request.principal, &entry.interaction)?;
        let pairs = || fhir_model::url::pairs(&entry.query);
        let body = |type_name: &str| -> Result<Ref<'d>> {
            let resource =
                entry.resource.ok_or_else(|| Error::invalid("the entry has no `resource`").at("resource"))?;
            check(resource, type_name, &*cx.definitions)?;
            Ok(resource)
        };
        let (mut criteria, mut patch) = (None, None);
        match &entry.interaction {
            Interaction::Create(type_name) => {
                body(type_name)?;
                if let Some(text) = &entry.conditions.if_none_exist {
                    criteria = Some(Criteria::of_header(ask, type_name, text)?);
                }
            }
            Interaction::Update(key) => same_id(body(&key.type_name)?, &key.type_name, &key.id)?,
            Interaction::ConditionalUpdate(type_name) => {
                id_of(body(type_name)?, type_name)?;
                criteria = Some(Criteria::of_pairs(ask, type_name, &pairs()?)?);
            }
            Interaction::Patch(_) | Interaction::ConditionalPatch(_) => {
                let body = entry.resource.map(|r| patch_body(r, ask)).transpose()?;
                patch = Some(of_body(body.as_ref())?);
                if let Interaction::ConditionalPatch(type_name) = &entry.interaction {
                    criteria = Some(Criteria::of_pairs(ask, type_name, &pairs()?)?);
                }
            }
            Interaction::ConditionalDelete(type_name) => {
                criteria = Some(Criteria::of_pairs(ask, type_name, &pairs()?)?);
            }
            Interaction::Operation(level, code) if cx.operations.affects_state(level, code) => {
                let text = format!("${code} changes things by itself, so it cannot be part of a transaction");
                return Err(Error::not_supported(text));
            }
            _ => {}
        }
        let sites = match entry.interaction {
            Interaction::Create(_) | Interaction::Update(_) | Interaction::ConditionalUpdate(_) => {
                sites(ask, &entry, links)?
            }
            _ => Vec::new(),
        };
        Ok(Planned { entry, criteria, patch, sites })
    }
}

/// What one criterion finds, without what is deleted.
async fn lookup(
    ask: &Ask<'_>,
    criteria: &Criteria,
    creates: bool,
    deleted: &HashSet<Key>,
) -> Result<(String, (Vec<Version>, Option<Claim>))> {
    let limit = deleted.len() + 2;
    let search = || async {
        let mut found = ask.cx.store.matches(&ask.scope, &criteria.query, limit).await?;
        found.retain(|v| !deleted.contains(&v.key));
        Ok::<_, Error>(found)
    };
    let found = search().await?;
    if !found.is_empty() || !creates {
        return Ok((criteria.text.clone(), (found, None)));
    }
    // As in [`Criteria::find`]: only what is searched after the claim was taken counts.
    let claim = ask.cx.store.claim(&criteria.text).await?;
    Ok((criteria.text.clone(), (search().await?, Some(claim))))
}

/// What an entry's resource is called.
fn identity(fates: &[Fate], at: usize) -> Option<Key> {
    match fates.get(at)? {
        Fate::Write { key, .. } => Some(key.clone()),
        Fate::Existing(version) => Some(version.key.clone()),
        Fate::Same(first) => match fates.get(*first)? {
            Fate::Write { key, .. } => Some(key.clone()),
            _ => None,
        },
        Fate::Delete(_) | Fate::Read => None,
    }
}
