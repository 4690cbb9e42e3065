//! `set keys = ($1::int8[])[a:b]`: no slice of an array as the whole value.
//!
//! It makes a backend of Citus die, and with it all sessions. Within `coalesce(.., '{}')` it does not.

use super::super::sql::{Block, Token};

/// True where a column is set to a slice.
pub(super) fn is_broken(block: &Block) -> bool {
    block.assignments.iter().any(|assignments| {
        assignments.split(|token| token.is_sign(",")).any(|one| {
            let value = one.iter().position(|token| token.is_sign("=")).map_or(one, |at| &one[at + 1..]);
            is_slice(value) || is_list_with_slice(value)
        })
    })
}

/// `(a, b)`, `row(a, b)`
fn is_list_with_slice(value: &[Token]) -> bool {
    match value {
        [Token::Group(inner)] => inner.split(|token| token.is_sign(",")).any(is_slice),
        [row, Token::Group(inner)] if row.is("row") => inner.split(|token| token.is_sign(",")).any(is_slice),
        _ => false,
    }
}

/// `x[a:b]`, `(..)[a:b]::type`
fn is_slice(value: &[Token]) -> bool {
    let is_cast = |token: &Token| {
        token.is_sign("::")
            || matches!(token, Token::Word(_))
            || matches!(token, Token::Brackets(inner) if inner.is_empty())
    };
    let end = value.iter().rposition(|token| !is_cast(token)).unwrap_or(0);
    let is_call =
        value.first().and_then(Token::word).is_some() && matches!(value.get(1), Some(Token::Group(_)));
    !is_call
        && matches!(value.get(end), Some(Token::Brackets(inner)) if inner.iter().any(|token| token.is_sign(":")))
}

#[test]
fn samples() {
    super::check(
        "slice",
        &[
            "update resource r set version = v.version, keys = ($11::int8[])[v.keys_from:v.keys_to] from v where r.handle = v.handle",
            "update resource set (version, keys) = (1, (keys)[1:2]) where handle = $1",
            "update resource set (version, keys) = row(1, keys[$1:$2]) where handle = $3",
            "update resource set keys = keys[2:]::int8[] where handle = $1",
            "insert into resource (handle, keys) values ($1, $2) on conflict (handle) do update set keys = excluded.keys[1:2]",
            "with a as (update resource set keys = keys[:2]) select 1",
        ],
        &[
            "update resource r set keys = coalesce(($11::int8[])[v.keys_from:v.keys_to], '{}') from v where r.handle = v.handle",
            "update resource r set keys = nullif(($1::int8[])[v.a:v.b], '{}'), version = 1 from v where r.handle = v.handle",
            "update resource set patient = keys[1], date = ($1::int8[])[2] where handle = $2",
            "update resource r set keys = v.keys from (select u.handle, ($7::int8[])[u.a:u.b] from u) as v(handle, keys) where r.handle = v.handle",
            "insert into resource (handle, keys) select u.handle, ($1::int8[])[u.a:u.b] from u",
        ],
    );
}
