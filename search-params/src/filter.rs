//! From filters to conditions.

use crate::condition::{Chain, Condition, Has};
use crate::include::ReferencedResource;
use crate::index_hash::{Form, IndexHasher};
use crate::parameters::ParameterKind;
use crate::query::{Expression, Filter, Modifier, Query, SearchTerm, Subject, TextQuery};
use crate::registry::{Param, Registry, Role};
use crate::{composite, date, near, number, quantity, reference, string, token, uri};

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

/// The condition of one value of a parameter.
pub(crate) fn term(
    term: &SearchTerm,
    modifier: &Modifier,
    param: &Param,
    registry: &Registry,
    hasher: &IndexHasher,
) -> Condition {
    match term {
        SearchTerm::Flag(missing) => {
            let present = match param.bit {
                Some(bit) => Condition::Present(bit),
                None => Condition::Keys(vec![hasher.key(param.type_number, &param.name, Form::Present, &[])]),
            };
            if *missing { Condition::Not(Box::new(present)) } else { present }
        }
        SearchTerm::Token(token) if *modifier == Modifier::Identifier => {
            reference::by_identifier(token, param, hasher)
        }
        SearchTerm::Token(token) if *modifier == Modifier::Below => Condition::CodedToken(Box::new(
            token::CodedToken::new(token::CodeSet::Below(token.clone()), param),
        )),
        SearchTerm::Token(token) if *modifier == Modifier::Above => Condition::CodedToken(Box::new(
            token::CodedToken::new(token::CodeSet::Above(token.clone()), param),
        )),
        SearchTerm::Token(token) => token::condition(token, param, hasher),
        SearchTerm::Reference(reference) => {
            reference::condition(reference, param, hasher, registry.definitions())
        }
        SearchTerm::Text(text) => match (param.kind, modifier) {
            (ParameterKind::Uri, _) => uri::condition(text, modifier, param, hasher),
            (ParameterKind::Token, Modifier::Text) => token::by_text(text, param, hasher),
            (ParameterKind::Token, _) => Condition::CodedToken(Box::new(token::CodedToken::new(
                token::CodeSet::ValueSet(text.clone()),
                param,
            ))),
            (ParameterKind::Reference, _) => {
                reference::by_version(text, *modifier == Modifier::Below, param, hasher)
            }
            _ => string::condition(text, modifier, param, hasher),
        },
        SearchTerm::Date(term) => date::condition(term, param, hasher),
        SearchTerm::Number(term) => number::condition(term, param, hasher),
        SearchTerm::Quantity(term) => quantity::condition(term, param, hasher),
        SearchTerm::OfType(term) => term.condition(param, hasher),
        SearchTerm::Composite(terms) => match &param.composite {
            Some(composite) => composite::condition(terms, param, composite, registry, hasher),
            None => Condition::never(),
        },
        SearchTerm::Near(term) => near::condition(term, param, hasher),
        SearchTerm::Id(_) => Condition::never(),
    }
}

/// The condition of a reverse include: resources that refer to one of these by the parameter.
pub fn refers_to(
    param: &Param,
    targets: &[ReferencedResource],
    registry: &Registry,
    hasher: &IndexHasher,
) -> Condition {
    // What stands within a resource is another than the one here of the same id.
    if param.is_embedded() {
        return Condition::never();
    }
    let mut patients = Vec::new();
    let mut rest = Vec::new();
    let role = param.indexes.iter().any(|i| i.role == Role::Patient);
    for target in targets {
        if role && *target.key.type_name == *"Patient" && param.indexes.len() == 1 {
            patients.push(hasher.handle(registry.number("Patient").unwrap_or(0), &target.key.id));
        } else {
            let term = reference::ReferenceTerm::Local(target.key.clone());
            rest.push(reference::condition(&term, param, hasher, registry.definitions()));
        }
    }
    let urls: Vec<String> = targets.iter().flat_map(ReferencedResource::urls).collect();
    if !urls.is_empty() {
        rest.push(reference::by_canonical(&urls, param, hasher));
    }
    if !patients.is_empty() {
        rest.push(Condition::Patient(patients));
    }
    Condition::Any(rest).simplify()
}
