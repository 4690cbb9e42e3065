//! transaction: all entries or none. <https://hl7.org/fhir/R4/http.html#trules>
//!
//! Set-based: one read of what is there, one commit of all writes, and one search per distinct criterion, whatever
//! the number of entries. The specification's order (DELETE, POST, PUT and PATCH, GET) is kept in what each step
//! sees: criteria do not find what the transaction deletes, conditional references find what it writes
//! ([`conditional_references`](super::conditional_references)), and so do reads ([`reads`]).

use std::collections::HashMap;

use fhir_model::Result;
use fhir_model::error::Issue;
use fhir_model::json::{Doc, Ref};

use super::decide::{Decided, References, decide};
use super::entry_error::{in_entry, issue_in_entry, issue_located};
use super::entry_response;
use super::full_url_index::Identity;
use super::lookups::{Lookups, deletes};
use super::patches;
use super::plan::{Answers, Plan};
use super::reads;
use super::resolution::{identity, read_before, refuse_overlap};
use super::text::BundleText;
use crate::commit::commit;
use crate::reply::Reply;
use crate::request::Return;
use crate::request_context::{Attempts, RequestContext};

/// All entries or none.
pub(super) async fn transaction(ctx: &RequestContext<'_>, entries: &[Ref<'_>]) -> Result<Reply> {
    let patches: Vec<Option<Doc>> = entries.iter().map(|entry| patches::decoded(ctx, *entry)).collect();
    let plan = Plan::new(ctx, entries, &patches).await?;
    let mut attempts = Attempts::new(ctx.cx);
    let mut answers = loop {
        attempts.next()?;
        if let Some(answers) = plan.attempt(ctx).await? {
            break answers;
        }
    };
    reads::after(ctx, &plan.entries, &mut answers).await;
    let mut bundle =
        BundleText::new("transaction-response", answers.len() * 256).observed(ctx.cx.is_observed());
    for answer in &answers {
        entry_response::write(&mut bundle, answer.as_ref().unwrap_or(&Ok(Reply::empty(204))), ctx);
    }
    Ok(bundle.into_reply())
}

impl Plan<'_> {
    /// Decides and commits all writes. Returns `None` when the commit is stale: others changed what was read.
    async fn attempt(&self, ctx: &RequestContext<'_>) -> Result<Option<Answers>> {
        let cx = ctx.cx;
        let mut deletes = deletes(ctx, &self.entries).await?;
        let mut found = Lookups::new();
        let (mut resolution, mut renamed) = self.resolve_entries(ctx, &mut deletes, &mut found).await?;
        refuse_overlap(&resolution)?;
        read_before(ctx, &self.entries, &mut resolution).await?;
        let identities: Vec<Option<Identity>> =
            (0..resolution.len()).map(|at| identity(&resolution, at)).collect();
        self.references_with_names(ctx, &identities, &deletes, &mut renamed, &mut found).await?;

        let stamp = cx.store.commit_timestamp()?;
        let written = self.written(&resolution);
        let mut references = References::new(&identities, &found, &renamed, &written);
        let mut decided = decide(ctx, self, &resolution, &references, &stamp)?;
        while references.update(ctx, self, &decided.writes)? {
            decided = decide(ctx, self, &resolution, &references, &stamp)?;
        }
        let Decided { mut writes, entries, mut answers, written, deleted, same } = decided;
        reads::before(ctx, &self.entries, &writes, stamp.micros(), &mut answers).await?;
        for (write, at) in writes.iter().zip(&entries) {
            if let Some(checked) = self.entries.get(*at) {
                cx.store.check_write(&checked.scope, write).map_err(|e| in_entry(e, *at))?;
            }
        }
        let entry_of = |write: usize| entries.get(write).copied();
        let committed = commit(ctx, &stamp, &mut writes).await.map_err(|refused| {
            refused.into_error(|write, issue| match entry_of(write) {
                Some(at) => issue_in_entry(issue, at),
                None => issue,
            })
        });
        let Some(warnings) = committed? else { return Ok(None) };
        let mut by_entry: HashMap<usize, Vec<Issue>> = HashMap::new();
        for (at, issue) in warnings.into_iter().filter_map(|(write, issue)| Some((entry_of(write)?, issue))) {
            by_entry.entry(at).or_default().push(issue_located(issue, at));
        }
        let mut warnings = |at: usize| by_entry.remove(&at).unwrap_or_default();
        let ret = ctx.request.prefer.ret.unwrap_or(Return::Minimal);
        for (at, position, created) in written {
            if let (Some(slot), Some(write)) = (answers.get_mut(at), writes.get(position)) {
                *slot = Some(Ok(Reply::written(write, created, stamp.micros(), ret, warnings(at))));
            }
        }
        for (at, number) in deleted {
            if let Some(slot) = answers.get_mut(at) {
                let text = format!("{number} resources are deleted");
                *slot = Some(Ok(Reply::deleted_with(&text, ret, warnings(at))));
            }
        }
        for (at, first) in same {
            let Some(Some(Ok(first))) = answers.get(first) else { continue };
            let there = Reply { status: 200, body: None, ..first.clone() };
            if let Some(slot) = answers.get_mut(at) {
                *slot = Some(Ok(there));
            }
        }
        Ok(Some(answers))
    }
}
