//! `Patient/$everything`: the records of all patients the caller may see, one after another.
//!
//! What the members of a page refer to is on the same page, so it can come again with a later one; and so can what is in
//! the records of several patients. On one page nothing comes twice.

use fhir_interactions::Cx;
use fhir_model::{Error, Key, Result};
use fhir_search::cursor::{self, Cursor};
use fhir_search::{ParseCx, Query};
use fhir_store::{Scope, Version};

use super::answer::Page;
use super::continuation::ContinuationToken;
use super::references::References;
use super::request::EverythingRequest;

/// Patients read at once.
const PATIENTS: usize = 20;
/// After all members.
const END: (i32, i64, i64) = (i32::MAX, i64::MAX, i64::MAX);

/// A patient and its position in the order of patients.
struct Patient {
    key: Key,
    updated_at: i64,
    handle: i64,
}

/// A page: patients in the order of their last update, each with the compartment.
pub(crate) async fn page(cx: &Cx, scope: &Scope, asked: &EverythingRequest) -> Result<Page> {
    let mut page = Page::default();
    let mut last = None;
    match &asked.after {
        None => {}
        Some(ContinuationToken::Patient { id, updated_at, handle, member }) => {
            let patient =
                Patient { key: Key::new("Patient", id.as_str()), updated_at: *updated_at, handle: *handle };
            patient.members(cx, scope, asked, *member, &mut page).await?;
            last = Some(patient);
        }
        Some(_) => return Err(Error::invalid("the page link belongs to another call")),
    }
    fill(cx, scope, asked, last, &mut page).await?;
    page.whole = asked.after.is_none() && page.next.is_none();
    let mut references = References::new(cx, &asked.bases);
    page.matches.iter().for_each(|version| references.scan(version.body.as_deref().unwrap_or_default()));
    let found = references.follow(scope).await?.into_values();
    page.included =
        found.filter(|v| asked.wants(&v.key.type_name) && asked.is_recent(v.updated_at)).collect();
    Ok(page)
}

/// Adds patients after the last one until the page is full or there are no more.
async fn fill(
    cx: &Cx,
    scope: &Scope,
    asked: &EverythingRequest,
    mut last: Option<Patient>,
    page: &mut Page,
) -> Result<()> {
    while page.next.is_none() {
        let found = patients(cx, scope, last.as_ref()).await?;
        let more = found.len() == PATIENTS;
        for version in found {
            if page.matches.len() >= asked.count {
                page.next = last.as_ref().map(|patient| patient.place(Some(END)));
                return Ok(());
            }
            let patient =
                Patient { key: version.key.clone(), updated_at: version.updated_at, handle: version.handle };
            // As of one patient: the Patient itself, however old it is.
            if asked.wants("Patient") {
                page.matches.push(version);
            }
            patient.members(cx, scope, asked, None, page).await?;
            if page.next.is_some() {
                return Ok(());
            }
            last = Some(patient);
        }
        if !more {
            return Ok(());
        }
    }
    Ok(())
}

/// The patients after one, in the order of their last update.
async fn patients(cx: &Cx, scope: &Scope, last: Option<&Patient>) -> Result<Vec<Version>> {
    let parse = ParseCx {
        strict: true,
        bases: cx.store.bases_of(scope.tenant()),
        zone: cx.store.zone(),
        now: cx.store.now(),
        count_default: PATIENTS,
        count_max: PATIENTS,
        values_max: 1,
        secret: cx.store.secret(),
        bound_to: "",
    };
    let sort = [("_sort".to_owned(), "_lastUpdated".to_owned())];
    let mut query = Query::parse(&cx.registry, "Patient", &sort, &parse)?;
    query.cursor = last.map(|patient| Cursor {
        sort_values: vec![cursor::SortValue::Number(patient.updated_at)],
        handle: patient.handle,
        backwards: false,
        within: None,
    });
    Ok(cx.store.search(scope, &query).await?.matches)
}

impl Patient {
    /// Adds the members of the compartment after a position, as far as they fit.
    async fn members(
        &self,
        cx: &Cx,
        scope: &Scope,
        asked: &EverythingRequest,
        after: Option<(i32, i64, i64)>,
        page: &mut Page,
    ) -> Result<()> {
        let room = asked.count.saturating_sub(page.matches.len());
        let mut found = cx.store.compartment(scope, &self.key, &asked.filter(), after, room + 1).await?;
        if found.len() > room {
            found.truncate(room);
            page.next = Some(self.place(found.last().map(|m| m.position).or(after)));
        }
        for member in found {
            if page.shown.insert(member.version.handle) {
                page.matches.push(member.version);
            }
        }
        Ok(())
    }

    fn place(&self, member: Option<(i32, i64, i64)>) -> ContinuationToken {
        ContinuationToken::Patient {
            id: self.key.id.to_string(),
            updated_at: self.updated_at,
            handle: self.handle,
            member,
        }
    }
}
