//! An entry of a transaction, checked: what is known of it before the database is asked.

use fhir_model::interaction::Interaction;
use fhir_model::json::{Doc, Ref};
use fhir_model::{Error, Result};
use fhir_store::Scope;

use super::check_question;
use super::criteria::named;
use super::entries::Entry;
use super::full_url_index::FullUrlIndex;
use super::patches::{self, PatchSource};
use super::references::{ReferenceSite, sites};
use crate::check::{check, id_of};
use crate::conditional::Criteria;
use crate::request_context::{RequestContext, check_write, same_id};
use fhir_access::AccessRequest;

/// One entry.
pub(super) struct CheckedEntry<'d> {
    pub(super) entry: Entry<'d>,
    /// What the entry may change, were it a request of its own; what it replaces is read in it. Criteria are asked in the scope of
    /// the Bundle.
    pub(super) scope: Scope,
    /// Of `ifNoneExist`, or of the url of a conditional update, patch or delete.
    pub(super) criteria: Option<Criteria>,
    /// The entries that the criteria name and that have no id yet.
    pub(super) names: Vec<usize>,
    /// The patch, when the entry is one.
    pub(super) patch: Option<PatchSource<'d>>,
    /// The references to replace in the resource, or in the patch.
    pub(super) sites: Vec<ReferenceSite<'d>>,
}

impl<'d> CheckedEntry<'d> {
    /// `json_patch`: what the entry has in a Binary.
    pub(super) async fn new(
        ctx: &RequestContext<'_>,
        entry: Entry<'d>,
        json_patch: Option<&'d Doc>,
        links: &FullUrlIndex,
    ) -> Result<CheckedEntry<'d>> {
        let cx = ctx.cx;
        let scope = cx
            .guard
            .scope(AccessRequest {
                interaction: &entry.interaction,
                query: &entry.query,
                ..ctx.request.access()
            })
            .await?;
        let pairs = || fhir_model::url::pairs(&entry.query);
        let body = |type_name: &str| -> Result<Ref<'d>> {
            let resource =
                entry.resource.ok_or_else(|| Error::invalid("the entry has no `resource`").at("resource"))?;
            check(resource, type_name, &*cx.definitions)?;
            Ok(resource)
        };
        if ctx.strict() {
            check_write(&entry.interaction, &pairs()?)?;
        }
        let (mut criteria, mut patch) = (None, None);
        match &entry.interaction {
            Interaction::Create(type_name) => {
                body(type_name)?;
                if let Some(text) = &entry.conditions.if_none_exist {
                    criteria = Some(Criteria::from_header(ctx, type_name, text)?);
                }
            }
            Interaction::Update(key) => same_id(body(&key.type_name)?, &key.type_name, &key.id)?,
            Interaction::ConditionalUpdate(type_name) => {
                id_of(body(type_name)?, type_name)?;
                criteria = Some(Criteria::from_pairs(ctx, type_name, &pairs()?)?);
            }
            Interaction::Patch(_) | Interaction::ConditionalPatch(_) => {
                patch = Some(PatchSource::new(ctx, &entry, json_patch)?);
                if let Interaction::ConditionalPatch(type_name) = &entry.interaction {
                    criteria = Some(Criteria::from_pairs(ctx, type_name, &pairs()?)?);
                }
            }
            Interaction::ConditionalDelete(type_name) => {
                criteria = Some(Criteria::from_pairs(ctx, type_name, &pairs()?)?);
            }
            Interaction::Operation(level, code) if cx.operations.affects_state(level, code)? => {
                let text = format!("${code} changes things by itself, so it cannot be part of a transaction");
                return Err(Error::not_supported(text));
            }
            _ => check_question::check(ctx, &entry)?,
        }
        let own = entry.full_url.as_deref();
        let named = criteria.map(|criteria| named(ctx, criteria, links, own)).transpose()?;
        let (criteria, names) = named.map_or((None, Vec::new()), |(criteria, names)| (Some(criteria), names));
        if let (Interaction::ConditionalDelete(_), Some(name)) = (&entry.interaction, names.first()) {
            let text = format!("what is deleted is looked for first, when entry {name} has no id yet");
            return Err(Error::invalid(text).at("request.url"));
        }
        let sites = match (&entry.interaction, &patch) {
            (Interaction::Create(_) | Interaction::Update(_) | Interaction::ConditionalUpdate(_), _) => {
                sites(ctx, &entry, links)?
            }
            (_, Some(patch)) => patches::sites(ctx, &entry, patch, links)?,
            _ => Vec::new(),
        };
        Ok(CheckedEntry { entry, scope, criteria, names, patch, sites })
    }
}
