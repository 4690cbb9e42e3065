//! Referential integrity: <https://hl7.org/fhir/R4/valueset-reference-handling-policy.html>, `enforced`.
//!
//! A reference to a resource of this server leads to one that is there, and what is referred to is not deleted. What
//! the same commit writes is there, and what it deletes is gone, in whatever order its entries stand. Which references
//! count: `fhir_search::local_references`.
//!
//! A reference that leads nowhere is a rule of this server that the content breaks: 422. A delete that is refused is at
//! odds with the state of other resources, and may be repeated when they are gone: 409, as the specification says of it
//! (<https://hl7.org/fhir/R4/http.html#delete>) and as other servers do.

use std::collections::{BTreeSet, HashSet};

use async_trait::async_trait;
use fhir_model::error::{ISSUES_MAX, Issue};
use fhir_model::json::Ref;
use fhir_model::{Key, Kind, Result};
use fhir_search::local_references::local_references;
use fhir_store::{Precondition, ResourceState, Write};

use super::{Verdict, WriteContext, WriteRule};
use crate::check::location;

/// Keeps references from leading nowhere. The store must index references (`IndexSettings::references`).
#[derive(Debug)]
pub struct ReferentialIntegrityRule;

#[async_trait]
impl WriteRule for ReferentialIntegrityRule {
    fn applies_to(&self, _: &Write) -> bool {
        true
    }

    async fn check(&self, context: &WriteContext<'_>) -> Result<Verdict> {
        match &context.write.doc {
            Some(doc) => written(context, doc.root()).await,
            None => deleted(context).await,
        }
    }
}

/// Everything that it refers to must be there.
async fn written(context: &WriteContext<'_>, resource: Ref<'_>) -> Result<Verdict> {
    let WriteContext { store, scope, write, together } = context;
    let references = local_references(resource, store.bases_of(scope.tenant()));
    // What is no type of FHIR's names no resource.
    let references: Vec<_> = references
        .into_iter()
        .filter(|reference| store.registry().number(&reference.key.type_name).is_some())
        .collect();
    let elsewhere: BTreeSet<&Key> =
        references.iter().map(|reference| &reference.key).filter(|key| !together.contains_key(key)).collect();
    let keys: Vec<Key> = elsewhere.into_iter().cloned().collect();
    let there = if keys.is_empty() { Vec::new() } else { store.are_current(scope, &keys).await? };
    let missing: HashSet<&Key> =
        keys.iter().zip(there).filter(|(_, is_there)| !is_there).map(|(key, _)| key).collect();
    let leads_nowhere = |target: &Key| match together.get(target) {
        Some(other) => other.doc.is_none(),
        None => missing.contains(target),
    };
    let mut issues = Vec::new();
    for reference in references.iter().filter(|reference| leads_nowhere(&reference.key)) {
        let text = format!("the reference to {} leads nowhere: there is no such resource", reference.key);
        let issue = Issue::error(Kind::Rule, text);
        // To find a location is to walk to it, and no client is told of more.
        let has_room = issues.len() < ISSUES_MAX;
        let at = has_room.then(|| location(resource, &write.key.type_name, reference.value));
        issues.push(at.into_iter().fold(issue, Issue::at));
    }
    let preconditions = keys.into_iter().map(Precondition::Present).collect();
    Ok(Verdict { issues, preconditions })
}

/// Nothing may refer to it but what goes or changes with it.
async fn deleted(context: &WriteContext<'_>) -> Result<Verdict> {
    let WriteContext { store, scope, write, together } = context;
    let rows: Vec<i64> = together.values().filter_map(|write| row(write)).collect();
    let referrers = store.referrers(scope, &write.key, &rows, 1).await?;
    Ok(match referrers.first() {
        Some(referrer) => {
            // A referrer that the caller does not see has no name.
            let hidden = store.hides_some(scope, &referrer.type_name);
            let name = if hidden { "another resource".to_owned() } else { referrer.to_string() };
            let text = format!("{} cannot be deleted: {name} refers to it", write.key);
            Verdict::from(Issue::error(Kind::Conflict, text))
        }
        None => {
            let preconditions = vec![Precondition::Unreferenced(write.key.clone())];
            Verdict { issues: Vec::new(), preconditions }
        }
    })
}

/// The row of what is there before a write.
fn row(write: &Write) -> Option<i64> {
    match &write.before {
        ResourceState::Current(version) => Some(version.handle),
        ResourceState::Deleted(_) | ResourceState::Absent => None,
    }
}
