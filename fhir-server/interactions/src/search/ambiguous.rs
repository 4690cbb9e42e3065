//! An id without a type: <https://hl7.org/fhir/R4/search.html#reference>
//!
//! "Servers SHOULD fail a search where the logical id in a reference refers to more than one matching resource across
//! different types". Ids that this server gives are of one resource alone; those that clients choose are looked up.

use std::collections::BTreeMap;

use fhir_model::{Error, Key, Result};
use fhir_search::index_hash::parse_server_id;
use fhir_search::query::{Query, SearchTerm, Subject};
use fhir_search::reference;
use fhir_search::registry::Param;

use crate::request_context::RequestContext;

/// Most ids that are looked up: a longer list is of somebody who knows.
const IDS_MAX: usize = 50;

/// Refuses an id without a type when there are resources of several types that the parameter may refer to.
pub(super) async fn check(ctx: &RequestContext<'_>, queries: &[Query]) -> Result<()> {
    for filter in queries.iter().flat_map(|query| &query.filters) {
        let Subject::Param(param) = &filter.subject else { continue };
        let ids = filter.terms.iter().filter_map(|term| match term {
            SearchTerm::Reference(reference::ReferenceTerm::Id(id)) if parse_server_id(id).is_none() => {
                Some(id.as_str())
            }
            _ => None,
        });
        let ids: Vec<&str> = ids.collect();
        if !ids.is_empty() && ids.len() <= IDS_MAX {
            refuse(ctx, param, &ids).await?;
        }
    }
    Ok(())
}

async fn refuse(ctx: &RequestContext<'_>, param: &Param, ids: &[&str]) -> Result<()> {
    let types: Vec<&str> = ctx.cx.definitions.resource_types().filter(|name| param.leads_to(name)).collect();
    if types.len() < 2 {
        return Ok(());
    }
    let keys: Vec<Key> = ids.iter().flat_map(|id| types.iter().map(|name| Key::new(*name, *id))).collect();
    let mut there: BTreeMap<Box<str>, Vec<Key>> = BTreeMap::new();
    for version in ctx.cx.store.current(&ctx.scope, &keys).await? {
        there.entry(version.key.id.clone()).or_default().push(version.key);
    }
    let Some((id, mut keys)) = there.into_iter().find(|(_, keys)| keys.len() > 1) else { return Ok(()) };
    keys.sort_unstable();
    let names: Vec<String> = keys.iter().map(Key::to_string).collect();
    let one = names.first().map_or("", String::as_str);
    let text = format!(
        "`{code}={id}` can mean {}: name the type, such as `{code}={one}`",
        names.join(" and "),
        code = param.code
    );
    Err(Error::value(text).at(&*param.code))
}
