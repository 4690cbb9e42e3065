//! Nothing volatile in what decides whether a row is written, nor in what a row of a distributed table is set to.
//!
//! "functions used in the WHERE clause of the ON CONFLICT clause of INSERTs on distributed tables must be marked IMMUTABLE",
//! "functions used in UPDATE queries on distributed tables must not be VOLATILE": the time is a parameter.

use super::super::sql::{Block, Relation, Token};

/// Functions of which every call may return something else.
const VOLATILE: [&str; 8] = [
    "clock_timestamp",
    "timeofday",
    "random",
    "gen_random_uuid",
    "uuid_generate_v4",
    "nextval",
    "setval",
    "pg_sleep",
];

/// True where a condition of a conflict calls a volatile function, or a change of a distributed table does.
pub(super) fn is_broken(block: &Block) -> bool {
    let changes = block.source.is_none() && block.target.as_ref().is_some_and(Relation::is_distributed);
    let all = if changes { &block.expressions } else { &block.conflict_conditions };
    all.iter().any(|expression| calls_volatile(expression))
}

fn calls_volatile(tokens: &[Token]) -> bool {
    let mut pairs = tokens.windows(2);
    let calls = pairs.any(|pair| {
        matches!(pair[1], Token::Group(_)) && pair[0].word().is_some_and(|word| VOLATILE.contains(&word))
    });
    calls || tokens.iter().any(|token| calls_volatile(token.inner()))
}

#[test]
fn samples() {
    super::check(
        "volatile",
        &[
            "insert into lease (name, owner, expires_at) values ($1, $2, $3) on conflict (name) do update set owner = excluded.owner \
             where lease.owner = excluded.owner or lease.expires_at < (extract(epoch from clock_timestamp()) * 1000000)::int8",
            "insert into job (id) select $1 on conflict (id) where random() < 0.5 do nothing",
            "with w as (select 1) insert into claim (key) select 1 from w on conflict (key) do update set turn = 1 where claim.turn < nextval('s')",
            "with gate as (insert into claim (key) select 1 on conflict (key) do update set turn = 1 where claim.turn < random() returning 1) \
             select * from gate",
            "update resource r set updated_at = (extract(epoch from clock_timestamp()) * 1000000)::int8 where r.handle = $1",
            "delete from resource_history h where h.updated_at < $1 * random()",
        ],
        &[
            "insert into lease (name, expires_at) values ($1, (extract(epoch from clock_timestamp()) * 1000000)::int8) on conflict (name) \
             do update set expires_at = excluded.expires_at where lease.expires_at < $2::int8 returning random()",
            "insert into t (a) select b from u where u.at < clock_timestamp() on conflict do nothing",
            "update writer w set heartbeat_at = (extract(epoch from clock_timestamp()) * 1000000)::int8 where w.id = $1",
            "update resource r set updated_at = random where r.handle = $1",
            "insert into t (a) values (1) on conflict (a) do update set at = 1 where t.random < now()",
        ],
    );
}
