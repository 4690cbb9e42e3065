//! `Patient/[id]/$everything`: the record of one patient.

use std::collections::BTreeMap;

use fhir_interactions::Cx;
use fhir_model::{Error, Key, Result};
use fhir_store::{EverythingFilter, ResourceState, Scope, Version};

use super::answer::Page;
use super::continuation::ContinuationToken;
use super::references::References;
use super::request::EverythingRequest;

/// Members read at once when only their references matter.
const BATCH: usize = 1000;

/// A page: the patient and the compartment, then what they refer to.
pub(crate) async fn page(cx: &Cx, scope: &Scope, patient: &Key, asked: &EverythingRequest) -> Result<Page> {
    let mut page = Page::default();
    let mut after = None;
    match &asked.after {
        None => {
            let found = match cx.store.read(scope, patient).await? {
                ResourceState::Current(found) => found,
                ResourceState::Deleted(_) => return Err(Error::gone(patient)),
                ResourceState::Absent => return Err(Error::not_found(patient)),
            };
            // "At a minimum, the patient resource itself is returned", however old it is.
            if asked.wants("Patient") {
                page.matches.push(found);
            }
        }
        Some(ContinuationToken::Member(place)) => after = Some(*place),
        Some(ContinuationToken::Reference(key)) => {
            references(cx, scope, patient, asked, key.as_ref(), &mut page).await?;
            return Ok(page);
        }
        Some(ContinuationToken::Patient { .. }) => {
            return Err(Error::invalid("the page link belongs to another call"));
        }
    }
    members(cx, scope, patient, asked, after, &mut page).await?;
    if page.next.is_none() {
        page.whole = asked.after.is_none();
        references(cx, scope, patient, asked, None, &mut page).await?;
    }
    Ok(page)
}

/// Fills the page with members of the compartment.
async fn members(
    cx: &Cx,
    scope: &Scope,
    patient: &Key,
    asked: &EverythingRequest,
    after: Option<(i32, i64, i64)>,
    page: &mut Page,
) -> Result<()> {
    let room = asked.count.saturating_sub(page.matches.len());
    let mut found = cx.store.compartment(scope, patient, &asked.filter(), after, room + 1).await?;
    if found.len() > room {
        found.truncate(room);
        // With no room at all, the patient filled the page: members begin on the next.
        let last = found.last().map_or((i32::MIN, i64::MIN, i64::MIN), |m| m.position);
        page.next = Some(ContinuationToken::Member(last));
    }
    page.matches.extend(found.into_iter().map(|m| m.version));
    Ok(())
}

/// Fills what is left of the page with what the record refers to, after this key.
async fn references(
    cx: &Cx,
    scope: &Scope,
    patient: &Key,
    asked: &EverythingRequest,
    after: Option<&Key>,
    page: &mut Page,
) -> Result<()> {
    let outside = |t: &str| cx.registry.compartments().for_resource("Patient", t).is_none();
    if !asked.types.is_empty() && !asked.types.iter().any(|t| outside(t)) {
        return Ok(());
    }
    let all = gather(cx, scope, patient, asked, page).await?;
    let wanted = all
        .into_iter()
        .filter(|(key, _)| after.is_none_or(|after| key > after))
        .filter(|(key, version)| asked.wants(&key.type_name) && asked.is_recent(version.updated_at));
    // What fits beside a whole record is added to it; else they have pages of their own.
    let room = asked.count.saturating_sub(page.matches.len()).max(usize::from(page.matches.is_empty()));
    let mut last = after.cloned();
    for (key, version) in wanted {
        if page.included.len() == room {
            page.next = Some(ContinuationToken::Reference(last));
            break;
        }
        last = Some(key);
        page.included.push(version);
    }
    Ok(())
}

/// What the whole record refers to. When all of it is on the page, nothing is read twice.
async fn gather(
    cx: &Cx,
    scope: &Scope,
    patient: &Key,
    asked: &EverythingRequest,
    page: &Page,
) -> Result<BTreeMap<Key, Version>> {
    let mut references = References::new(cx, &asked.bases);
    let mut scan = |version: &Version| references.scan(version.body.as_deref().unwrap_or_default());
    if page.whole && asked.types.is_empty() && asked.wanted.since.is_none() {
        page.matches.iter().for_each(scan);
        return references.follow(scope).await;
    }
    if let ResourceState::Current(found) = cx.store.read(scope, patient).await? {
        scan(&found);
    }
    let every = EverythingFilter { types: None, since: None, ..asked.wanted.clone() };
    let mut after = None;
    loop {
        let members = cx.store.compartment(scope, patient, &every, after, BATCH).await?;
        members.iter().for_each(|member| scan(&member.version));
        match members.last() {
            Some(last) if members.len() == BATCH => after = Some(last.position),
            _ => return references.follow(scope).await,
        }
    }
}
