//! Search requests, at whatever path: a type, the whole server, a compartment.

use fhir_access::Permission;
use fhir_model::types::Types;
use fhir_model::{Error, Key, Kind, Result, suggest};
use fhir_search::{ParseCx, Query, query};

use super::links::PageLinks;
use crate::request_context::RequestContext;
use crate::summary::Subset;

/// A search, read: a query for each type, alike but for the type.
pub(crate) struct SearchRequest {
    pub(super) queries: Vec<Query>,
    pub(super) links: PageLinks,
    /// Types were not named, so that only those that have resources are searched.
    pub(super) any_type: bool,
}

impl SearchRequest {
    /// `GET Patient?..`, `POST Patient/_search`
    pub(crate) fn from_type(
        ctx: &RequestContext<'_>,
        type_name: &str,
        pairs: Vec<(String, String)>,
    ) -> Result<SearchRequest> {
        let cx = ctx.parse_cx(ctx.strict());
        let queries = Query::parse_types(&ctx.cx.registry, &[type_name], &pairs, &cx)?;
        let applied = queries.first().map_or(&[][..], |query| &query.applied);
        let links = PageLinks::new(ctx, type_name, applied, query::identity(&queries, cx.bound_to));
        Ok(SearchRequest { queries, links, any_type: false })
    }

    /// `GET ?_type=Patient,Observation&..`, `POST _search`
    pub(crate) fn from_system(
        ctx: &RequestContext<'_>,
        pairs: Vec<(String, String)>,
    ) -> Result<SearchRequest> {
        let (named, pairs) = types_and_pairs(ctx, pairs)?;
        let types: Vec<&str> = match &named {
            Some(types) => types.iter().map(|name| &**name).collect(),
            None => ctx.cx.definitions.resource_types().collect(),
        };
        let cx = ctx.parse_cx(ctx.strict());
        let queries = Query::parse_types(&ctx.cx.registry, &types, &pairs, &cx)?;
        let identity = query::identity(&queries, cx.bound_to);
        let links = PageLinks::new(ctx, "", &with_types(named.as_deref(), &queries), identity);
        Ok(SearchRequest { queries, links, any_type: named.is_none() })
    }

    /// `GET Patient/1/Observation?..`, `POST Patient/1/Observation/_search`, both with `*` for all types.
    pub(crate) fn from_compartment(
        ctx: &RequestContext<'_>,
        compartment: &Key,
        type_name: &str,
        pairs: Vec<(String, String)>,
    ) -> Result<SearchRequest> {
        let registry = &ctx.cx.registry;
        let unknown = || Error::not_found(format!("a compartment of {}", compartment.type_name));
        let (named, pairs, types) = match type_name {
            "*" => {
                let (named, pairs) = types_and_pairs(ctx, pairs)?;
                let all = registry.compartments().get(&compartment.type_name).ok_or_else(unknown)?;
                let wanted =
                    |name: &&str| named.as_ref().is_none_or(|types| types.iter().any(|t| **t == **name));
                let types: Vec<&str> = all.resource_types().into_iter().filter(wanted).collect();
                if types.is_empty() {
                    let text =
                        format!("none of these types is in the compartment of a {}", compartment.type_name);
                    return Err(Error::value(text).at("_type"));
                }
                (named, pairs, types)
            }
            type_name => (None, pairs, vec![type_name]),
        };
        let any_type = type_name == "*";
        let cx = ctx.parse_cx(ctx.strict());
        let bound_to = format!("{compartment} {}", cx.bound_to);
        let queries = Query::parse_types(registry, &types, &pairs, &ParseCx { bound_to: &bound_to, ..cx })?;
        let path = format!("{compartment}/{type_name}");
        let identity = query::identity(&queries, &bound_to);
        let links = PageLinks::new(ctx, &path, &with_types(named.as_deref(), &queries), identity);
        let queries = queries.into_iter().map(|query| query.in_compartment(registry, compartment));
        Ok(SearchRequest { queries: queries.collect::<Result<_>>()?, links, any_type })
    }

    /// The part of the resources that is asked for, with a warning when it names what there is not. Refuses what can be
    /// refused whatever is found.
    pub(crate) fn check(&self, ctx: &RequestContext<'_>) -> Result<(Option<Subset>, Option<String>)> {
        let Some(query) = self.queries.first() else { return Ok((None, None)) };
        if query.explain && !ctx.cx.guard.holds(&ctx.request.principal, Permission::Administer) {
            let text = "how searches are answered is told to those who run the server";
            return Err(Error::new(Kind::Forbidden, text).at("_explain"));
        }
        let subset = Subset::from_search(query.summary, &query.elements);
        let types = || self.queries.iter().map(|query| &*query.type_name).collect::<Vec<_>>();
        let unknown = subset.as_ref().and_then(|part| part.check(&types(), &ctx.cx.definitions).err());
        match unknown {
            Some(error) if ctx.strict() => Err(Error::invalid(error.text).at("_elements")),
            unknown => Ok((subset, unknown.map(|error| format!("{}; it was ignored", error.text)))),
        }
    }

    /// Refuses what only the store knows that it cannot be answered: a value set or a code system that is not there, words
    /// without an index.
    pub(crate) async fn check_resolved(&self, ctx: &RequestContext<'_>) -> Result<()> {
        ctx.cx.store.check(&ctx.scope, &self.queries).await
    }
}

/// The parameters that took effect, and the types they were asked of.
fn with_types(named: Option<&[Box<str>]>, queries: &[Query]) -> Vec<(String, String)> {
    let types = named.map(|types| ("_type".to_owned(), types.join(",")));
    types.into_iter().chain(queries.iter().take(1).flat_map(|query| query.applied.clone())).collect()
}

/// The types that `_type` names, if it is there, and the other parameters.
type TypesAndPairs = (Option<Vec<Box<str>>>, Vec<(String, String)>);

fn types_and_pairs(ctx: &RequestContext<'_>, pairs: Vec<(String, String)>) -> Result<TypesAndPairs> {
    let (types, pairs): (Vec<_>, Vec<_>) = pairs.into_iter().partition(|(name, _)| name == "_type");
    let Some(((_, list), more)) = types.split_first() else { return Ok((None, pairs)) };
    if !more.is_empty() {
        let text = "`_type` is there more than once: nothing is of two types; name them in one list";
        return Err(Error::invalid(text).at("_type"));
    }
    let mut named: Vec<Box<str>> = Vec::new();
    for name in list.split(',').map(str::trim) {
        if !ctx.cx.definitions.is_resource(name) {
            let hint = suggest::hint(name, ctx.cx.definitions.resource_types());
            return Err(Error::value(format!("`{name}` is not a resource type{hint}")).at("_type"));
        }
        if !named.iter().any(|before| **before == *name) {
            named.push(name.into());
        }
    }
    Ok((Some(named), pairs))
}
