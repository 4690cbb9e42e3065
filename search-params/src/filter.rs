//! From filters to conditions.

use crate::condition::{Chain, Condition, Has};
use crate::include::Named;
use crate::keyer::{Form, Keyer};
use crate::parameters::ParameterKind;
use crate::query::{Expression, Filter, Modifier, Query, Subject, Term, TextAsk};
use crate::registry::{Param, Registry, Role};
use crate::{composite, date, near, number, quantity, reference, string, token, uri};

/// The condition of a whole query.
pub fn condition(query: &Query, registry: &Registry, keyer: &Keyer) -> Condition {
    all(&query.filters, &query.type_name, registry, keyer)
}

fn all(filters: &[Filter], type_name: &str, registry: &Registry, keyer: &Keyer) -> Condition {
    Condition::All(filters.iter().map(|f| of(f, type_name, registry, keyer)).collect()).simplify()
}

fn of(filter: &Filter, type_name: &str, registry: &Registry, keyer: &Keyer) -> Condition {
    let any = |each: &dyn Fn(&Term) -> Condition| Condition::Any(filter.terms.iter().map(each).collect());
    let found = match &filter.subject {
        // Every resource has an id, and was written some time.
        Subject::Id | Subject::LastUpdated if filter.modifier == Modifier::Missing => {
            any(&|term| match term {
                Term::Flag(false) => Condition::All(Vec::new()),
                _ => Condition::never(),
            })
        }
        Subject::Id => ids(filter, registry.number(type_name).unwrap_or(0), keyer),
        Subject::LastUpdated => any(&|term| match term {
            Term::Date(term) => date::updated(term),
            _ => Condition::never(),
        }),
        Subject::Words(of) => any(&|term| match term {
            Term::Text(text) => Condition::Words(TextAsk { of: *of, text: text.clone() }),
            _ => Condition::never(),
        }),
        Subject::Expression(expression) => self::expression(expression, type_name, registry, keyer),
        Subject::List => any(&|term| match term {
            Term::Id(id) => Condition::List(id.clone()),
            _ => Condition::never(),
        }),
        Subject::Chain { param, targets } => Condition::Chain(Chain {
            code: param.code.clone(),
            targets: targets
                .iter()
                .map(|(t, filters)| (t.clone(), all(filters, t, registry, keyer)))
                .collect(),
            by_added: targets.iter().any(|(_, filters)| ask_added(filters)),
        }),
        Subject::Has { source, param, filters } => Condition::Has(Box::new(Has {
            source: source.clone(),
            code: param.code.clone(),
            condition: all(filters, source, registry, keyer),
        })),
        Subject::Param(param) => any(&|term| self::term(term, &filter.modifier, param, registry, keyer)),
        Subject::Compartment(params) => any(&|term| {
            Condition::Any(
                params.iter().map(|p| self::term(term, &Modifier::None, p, registry, keyer)).collect(),
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

fn expression(expression: &Expression, type_name: &str, registry: &Registry, keyer: &Keyer) -> Condition {
    let each = |list: &[Expression]| {
        list.iter().map(|one| self::expression(one, type_name, registry, keyer)).collect::<Vec<_>>()
    };
    match expression {
        Expression::One(filters) => all(filters, type_name, registry, keyer),
        Expression::All(list) => Condition::All(each(list)),
        Expression::Any(list) => Condition::Any(each(list)),
        Expression::Not(inner) => {
            Condition::Not(Box::new(self::expression(inner, type_name, registry, keyer)))
        }
    }
}

fn ids(filter: &Filter, number: u16, keyer: &Keyer) -> Condition {
    let (mut handles, mut ids) = (Vec::new(), Vec::new());
    for term in &filter.terms {
        if let Term::Id(id) = term {
            handles.push(keyer.handle(number, id));
            handles.push(keyer.foreign_handle(number, id));
            ids.push(id.clone());
        }
    }
    handles.sort_unstable();
    handles.dedup();
    Condition::Ids(handles, ids)
}

/// The condition of one value of a parameter.
pub(crate) fn term(
    term: &Term,
    modifier: &Modifier,
    param: &Param,
    registry: &Registry,
    keyer: &Keyer,
) -> Condition {
    match term {
        Term::Flag(missing) => {
            let present = match param.bit {
                Some(bit) => Condition::Present(bit),
                None => Condition::Keys(vec![keyer.key(param.type_number, &param.name, Form::Present, &[])]),
            };
            if *missing { Condition::Not(Box::new(present)) } else { present }
        }
        Term::Token(token) if *modifier == Modifier::Identifier => {
            reference::by_identifier(token, param, keyer)
        }
        Term::Token(token) if *modifier == Modifier::Below => {
            Condition::Coded(Box::new(token::Coded::new(token::Codes::Below(token.clone()), param)))
        }
        Term::Token(token) if *modifier == Modifier::Above => {
            Condition::Coded(Box::new(token::Coded::new(token::Codes::Above(token.clone()), param)))
        }
        Term::Token(token) => token::condition(token, param, keyer),
        Term::Reference(reference) => reference::condition(reference, param, keyer, registry.definitions()),
        Term::Text(text) => match (param.kind, modifier) {
            (ParameterKind::Uri, _) => uri::condition(text, modifier, param, keyer),
            (ParameterKind::Token, Modifier::Text) => token::by_text(text, param, keyer),
            (ParameterKind::Token, _) => {
                Condition::Coded(Box::new(token::Coded::new(token::Codes::Of(text.clone()), param)))
            }
            (ParameterKind::Reference, _) => {
                reference::by_version(text, *modifier == Modifier::Below, param, keyer)
            }
            _ => string::condition(text, modifier, param, keyer),
        },
        Term::Date(term) => date::condition(term, param, keyer),
        Term::Number(term) => number::condition(term, param, keyer),
        Term::Quantity(term) => quantity::condition(term, param, keyer),
        Term::OfType(term) => term.condition(param, keyer),
        Term::Composite(terms) => match &param.composite {
            Some(composite) => composite::condition(terms, param, composite, registry, keyer),
            None => Condition::never(),
        },
        Term::Near(term) => near::condition(term, param, keyer),
        Term::Id(_) => Condition::never(),
    }
}

/// The condition of a reverse include: resources that refer to one of these by the parameter.
pub fn refers_to(param: &Param, targets: &[Named], registry: &Registry, keyer: &Keyer) -> Condition {
    // What stands within a resource is another than the one here of the same id.
    if param.is_embedded() {
        return Condition::never();
    }
    let mut patients = Vec::new();
    let mut rest = Vec::new();
    let role = param.indexes.iter().any(|i| i.role == Role::Patient);
    for target in targets {
        if role && *target.key.type_name == *"Patient" && param.indexes.len() == 1 {
            patients.push(keyer.handle(registry.number("Patient").unwrap_or(0), &target.key.id));
        } else {
            let term = reference::Term::Local(target.key.clone());
            rest.push(reference::condition(&term, param, keyer, registry.definitions()));
        }
    }
    let urls: Vec<String> = targets.iter().flat_map(Named::urls).collect();
    if !urls.is_empty() {
        rest.push(reference::by_canonical(&urls, param, keyer));
    }
    if !patients.is_empty() {
        rest.push(Condition::Patient(patients));
    }
    Condition::Any(rest).simplify()
}
