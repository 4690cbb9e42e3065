//! The condition of one value of a parameter that is no composite: each type of parameter has its own.

use crate::condition::Condition;
use crate::index_hash::{Form, IndexHasher};
use crate::param::Param;
use crate::parameters::ParameterKind;
use crate::query::{Modifier, SearchTerm};
use crate::registry::Registry;
use crate::{date, near, number, quantity, reference, string, token, uri};

/// The condition of a value; that of a composite is made of those of its parts (`composite.rs`).
pub(crate) fn condition(
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
        SearchTerm::Near(term) => near::condition(term, param, hasher),
        SearchTerm::Id(_) | SearchTerm::Composite(_) => Condition::never(),
    }
}
