//! Criteria of a transaction that name its entries: `subject=urn:uuid:..` can be searched for when the entry has its id.

use fhir_model::{Key, Result, url};
use fhir_search::parameters::ParameterKind;
use fhir_search::query::{Expression, Filter, Subject};

use super::full_url_index::FullUrlIndex;
use crate::conditional::Criteria;
use crate::request_context::RequestContext;

/// The criteria with the keys of those entries they name whose keys the Bundle says, and the other entries they name.
pub(super) fn named(
    ctx: &RequestContext<'_>,
    criteria: Criteria,
    links: &FullUrlIndex,
    own: Option<&str>,
) -> Result<(Criteria, Vec<usize>)> {
    let (mut is_known, mut others) = (false, Vec::new());
    let pairs = pairs(ctx, &criteria, links, own, &mut |entry| {
        let key = links.key(entry);
        match key {
            Some(_) => is_known = true,
            None => others.push(entry),
        }
        key.map(Key::to_string)
    })?;
    let type_name = &criteria.query.type_name;
    let criteria = if is_known { Criteria::from_pairs(ctx, type_name, &pairs)? } else { criteria };
    Ok((criteria, others))
}

/// The criteria with the keys of the resources that the named entries have become.
pub(super) fn resolved(
    ctx: &RequestContext<'_>,
    criteria: &Criteria,
    links: &FullUrlIndex,
    own: Option<&str>,
    key: &dyn Fn(usize) -> Option<Key>,
) -> Result<Criteria> {
    let pairs = pairs(ctx, criteria, links, own, &mut |entry| key(entry).map(|key| key.to_string()))?;
    Criteria::from_pairs(ctx, &criteria.query.type_name, &pairs)
}

fn pairs(
    ctx: &RequestContext<'_>,
    criteria: &Criteria,
    links: &FullUrlIndex,
    own: Option<&str>,
    replace: &mut dyn FnMut(usize) -> Option<String>,
) -> Result<Vec<(String, String)>> {
    let mut pairs = url::pairs(criteria.text.split_once('?').map_or("", |(_, query)| query))?;
    for (name, value) in &mut pairs {
        let Some(values) = references(ctx, &criteria.query.type_name, name) else { continue };
        let parts = value.split(',').map(|part| {
            let may_be = values == References::Any || part.starts_with("urn:");
            let entry = links.find(part, own).filter(|_| may_be).map(|link| link.entry);
            entry.and_then(&mut *replace).unwrap_or_else(|| part.to_owned())
        });
        *value = parts.collect::<Vec<_>>().join(",");
    }
    Ok(pairs)
}

/// Which values of a parameter may name an entry.
#[derive(PartialEq)]
enum References {
    Any,
    /// A canonical is no link, though an entry may have it as its full url.
    Urns,
}

/// The values of a reference parameter that may name an entry.
fn references(ctx: &RequestContext<'_>, type_name: &str, name: &str) -> Option<References> {
    let (code, modifier) = name.split_once(':').unwrap_or((name, ""));
    let of_type = ctx.cx.registry.for_type(type_name).ok()?;
    let param = of_type.param(code)?;
    if matches!(modifier, "identifier" | "missing") || param.kind != ParameterKind::Reference {
        return None;
    }
    let canonical = param.indexes.iter().any(|index| index.has_canonicals());
    Some(if canonical { References::Urns } else { References::Any })
}

/// The types besides its own whose resources decide what the criteria find; `None` when that may be any.
pub(super) fn other_types(criteria: &Criteria) -> Option<Vec<&str>> {
    let mut types = Vec::new();
    collect(&criteria.query.filters, &mut types).then_some(types)
}

fn collect<'q>(filters: &'q [Filter], types: &mut Vec<&'q str>) -> bool {
    filters.iter().all(|filter| match &filter.subject {
        Subject::Id | Subject::LastUpdated | Subject::Param(_) | Subject::Compartment(_) => true,
        Subject::Chain { targets, .. } => targets.iter().all(|(target, filters)| {
            types.push(target);
            collect(filters, types)
        }),
        Subject::Has { source, filters, .. } => {
            types.push(source);
            collect(filters, types)
        }
        Subject::List => {
            types.push("List");
            true
        }
        Subject::Expression(expression) => collect_expression(expression, types),
        Subject::Words(_) => false,
    })
}

fn collect_expression<'q>(expression: &'q Expression, types: &mut Vec<&'q str>) -> bool {
    match expression {
        Expression::One(filters) => collect(filters, types),
        Expression::All(list) | Expression::Any(list) => {
            list.iter().all(|one| collect_expression(one, types))
        }
        Expression::Not(inner) => collect_expression(inner, types),
    }
}
