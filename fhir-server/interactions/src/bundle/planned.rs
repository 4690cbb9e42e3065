//! An entry of a transaction, checked: what is known of it before the database is asked.

use fhir_model::interaction::Interaction;
use fhir_model::json::{Doc, Ref};
use fhir_model::{Error, Result};

use super::criteria::named;
use super::entries::Entry;
use super::links::Links;
use super::patches::{self, Sent};
use super::reads;
use super::references::{Site, sites};
use crate::ask::{Ask, same_id};
use crate::check::{check, id_of};
use crate::conditional::Criteria;
use crate::handle::check_write;

/// One entry.
pub(super) struct Planned<'d> {
    pub(super) entry: Entry<'d>,
    /// Of `ifNoneExist`, or of the url of a conditional update, patch or delete.
    pub(super) criteria: Option<Criteria>,
    /// The entries that the criteria name and that have no id yet.
    pub(super) names: Vec<usize>,
    /// What a patch does.
    pub(super) patch: Option<Sent<'d>>,
    /// What is to be replaced in the resource, or the patch.
    pub(super) sites: Vec<Site<'d>>,
}

impl<'d> Planned<'d> {
    /// `json_patch`: what the entry has in a Binary.
    pub(super) fn new(
        ask: &Ask<'_>,
        entry: Entry<'d>,
        json_patch: Option<&'d Doc>,
        links: &Links,
    ) -> Result<Planned<'d>> {
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
        if ask.strict() {
            check_write(&entry.interaction, &pairs()?)?;
        }
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
                patch = Some(Sent::new(ask, &entry, json_patch)?);
                if let Interaction::ConditionalPatch(type_name) = &entry.interaction {
                    criteria = Some(Criteria::of_pairs(ask, type_name, &pairs()?)?);
                }
            }
            Interaction::ConditionalDelete(type_name) => {
                criteria = Some(Criteria::of_pairs(ask, type_name, &pairs()?)?);
            }
            Interaction::Operation(level, code) if cx.operations.affects_state(level, code)? => {
                let text = format!("${code} changes things by itself, so it cannot be part of a transaction");
                return Err(Error::not_supported(text));
            }
            _ => reads::check(ask, &entry)?,
        }
        let own = entry.full_url.as_deref();
        let named = criteria.map(|criteria| named(ask, criteria, links, own)).transpose()?;
        let (criteria, names) = named.map_or((None, Vec::new()), |(criteria, names)| (Some(criteria), names));
        if let (Interaction::ConditionalDelete(_), Some(name)) = (&entry.interaction, names.first()) {
            let text = format!("what is deleted is looked for first, when entry {name} has no id yet");
            return Err(Error::invalid(text).at("request.url"));
        }
        let sites = match (&entry.interaction, &patch) {
            (Interaction::Create(_) | Interaction::Update(_) | Interaction::ConditionalUpdate(_), _) => {
                sites(ask, &entry, links)?
            }
            (_, Some(patch)) => patches::sites(ask, &entry, patch, links)?,
            _ => Vec::new(),
        };
        Ok(Planned { entry, criteria, names, patch, sites })
    }
}
