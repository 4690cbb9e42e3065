//! From filters to conditions.

pub(crate) mod term;

use crate::condition::{Chain, Condition, Has};
use crate::index_hash::IndexHasher;
use crate::param::Param;
use crate::query::{Expression, Filter, Modifier, Query, SearchTerm, Subject, TextQuery};
use crate::registry::Registry;
use crate::{composite, date};

/// The condition of a whole query.
pub fn condition(query: &Query, registry: &Registry, hasher: &IndexHasher) -> Condition {
    all(&query.filters, &query.type_name, registry, hasher)
}

fn all(filters: &[Filter], type_name: &str, registry: &Registry, hasher: &IndexHasher) -> Condition {
    Condition::All(filters.iter().map(|f| filter_condition(f, type_name, registry, hasher)).collect())
        .simplify()
}

fn filter_condition(
    filter: &Filter,
    type_name: &str,
    registry: &Registry,
    hasher: &IndexHasher,
) -> Condition {
    let any =
        |each: &dyn Fn(&SearchTerm) -> Condition| Condition::Any(filter.terms.iter().map(each).collect());
    let found = match &filter.subject {
        // Every resource has an id, and was written some time.
        Subject::Id | Subject::LastUpdated if filter.modifier == Modifier::Missing => {
            any(&|term| match term {
                SearchTerm::Flag(false) => Condition::All(Vec::new()),
                _ => Condition::never(),
            })
        }
        Subject::Id => ids(filter, registry.number(type_name).unwrap_or(0), hasher),
        Subject::LastUpdated => any(&|term| match term {
            SearchTerm::Date(term) => date::updated(term),
            _ => Condition::never(),
        }),
        Subject::Words(of) => any(&|term| match term {
            SearchTerm::Text(text) => Condition::FullText(TextQuery { source: *of, text: text.clone() }),
            _ => Condition::never(),
        }),
        Subject::Expression(expression) => self::expression(expression, type_name, registry, hasher),
        Subject::List => any(&|term| match term {
            SearchTerm::Id(id) => Condition::List(id.clone()),
            _ => Condition::never(),
        }),
        Subject::Chain { param, targets } => Condition::Chain(Chain {
            code: param.code.clone(),
            targets: targets
                .iter()
                .map(|(t, filters)| (t.clone(), all(filters, t, registry, hasher)))
                .collect(),
            by_added: targets.iter().any(|(_, filters)| ask_added(filters)),
        }),
        Subject::Has { source, param, filters } => Condition::Has(Box::new(Has {
            source: source.clone(),
            code: param.code.clone(),
            condition: all(filters, source, registry, hasher),
        })),
        Subject::Param(param) => any(&|term| self::term(term, &filter.modifier, param, registry, hasher)),
        Subject::Compartment(params) => any(&|term| {
            Condition::Any(
                params.iter().map(|p| self::term(term, &Modifier::None, p, registry, hasher)).collect(),
            )
        }),
    };
    match filter.modifier {
        // `:not` finds what lacks the element, too.
        Modifier::Not | Modifier::NotIn => Condition::Not(Box::new(found)),
        _ => found,
    }
}

/// True when some of the filters are by parameters that were added at runtime.
fn ask_added(filters: &[Filter]) -> bool {
    filters.iter().any(|filter| match &filter.subject {
        Subject::Param(param) => param.is_added(),
        Subject::Chain { param, targets } => {
            param.is_added() || targets.iter().any(|(_, filters)| ask_added(filters))
        }
        Subject::Expression(expression) => expression_asks_added(expression),
        // These are of other resources, or of no parameter.
        Subject::Has { .. } | Subject::Compartment(_) | Subject::List | Subject::Words(_) => false,
        Subject::Id | Subject::LastUpdated => false,
    })
}

fn expression_asks_added(expression: &Expression) -> bool {
    match expression {
        Expression::One(filters) => ask_added(filters),
        Expression::All(list) | Expression::Any(list) => list.iter().any(expression_asks_added),
        Expression::Not(inner) => expression_asks_added(inner),
    }
}

fn expression(
    expression: &Expression,
    type_name: &str,
    registry: &Registry,
    hasher: &IndexHasher,
) -> Condition {
    let each = |list: &[Expression]| {
        list.iter().map(|one| self::expression(one, type_name, registry, hasher)).collect::<Vec<_>>()
    };
    match expression {
        Expression::One(filters) => all(filters, type_name, registry, hasher),
        Expression::All(list) => Condition::All(each(list)),
        Expression::Any(list) => Condition::Any(each(list)),
        Expression::Not(inner) => {
            Condition::Not(Box::new(self::expression(inner, type_name, registry, hasher)))
        }
    }
}

fn ids(filter: &Filter, number: u16, hasher: &IndexHasher) -> Condition {
    let (mut handles, mut ids) = (Vec::new(), Vec::new());
    for term in &filter.terms {
        if let SearchTerm::Id(id) = term {
            handles.push(hasher.handle(number, id));
            handles.push(hasher.foreign_handle(number, id));
            ids.push(id.clone());
        }
    }
    handles.sort_unstable();
    handles.dedup();
    Condition::Ids(handles, ids)
}

/// The condition of one value of a parameter, which may be a composite.
fn term(
    term: &SearchTerm,
    modifier: &Modifier,
    param: &Param,
    registry: &Registry,
    hasher: &IndexHasher,
) -> Condition {
    match (term, &param.composite) {
        (SearchTerm::Composite(terms), Some(composite)) => {
            composite::condition(terms, param, composite, registry, hasher)
        }
        _ => self::term::condition(term, modifier, param, registry, hasher),
    }
}
