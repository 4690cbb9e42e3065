//! What is listed with `_at`, and what it costs.

use tokio_postgres::{Client, NoTls};

use super::*;
use crate::scope::Scope;
use crate::visibility::without_limits;
use crate::{Options, Store, testing};

/// Versions of each of the resources that change: one every ten µs.
const VERSIONS: i64 = 30;
const CHANGING: i64 = 1_000;
/// All of them came before this instant.
const END: i64 = 1_000_000;

/// The resources of `type_id` by SQL, as writing them one after the other would take longer: handle 1 is there since
/// the instant 0; handles from 10 on have [`VERSIONS`] versions each, of which the last is current; handle 2 has a
/// version at 5 and was deleted at 15.
async fn filled() -> (std::sync::Arc<Store>, Client, i32) {
    let url = testing::database().await.unwrap();
    let store = Store::open(
        &url,
        Options { connections_max: 2, ..Options::default() },
        testing::registry().await.unwrap(),
    );
    let store = store.await.unwrap();
    let type_id = i32::from(store.type_number("Basic").unwrap());
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(connection);
    let body = crate::codec::pack(br#"{"resourceType":"Basic"}"#).unwrap();
    let current = "insert into resource (handle, updated_at, date, present, type_id, version, method, keys, json) \
         select $1::int8 + n, $2::int8 + n % 10, 0, 0, $3::int4, $4::int4, 2, '{}', '{\"resourceType\": \"Basic\"}' \
         from generate_series(0, $5::int8 - 1) n";
    let last = i32::try_from(VERSIONS).unwrap();
    for (handle, at, version, n) in [(1_i64, 0_i64, 1, 1_i64), (10, last_at(), last, CHANGING)] {
        client.execute(current, &[&handle, &at, &type_id, &version, &n]).await.unwrap();
    }
    let past = "insert into resource_history (handle, updated_at, type_id, version, method, packed) \
         select 10 + n, v * 10 + n % 10, $1::int4, v, 2, $2::bytea \
         from generate_series(0, $3::int8 - 1) n, generate_series(1, $4::int4 - 1) v";
    client.execute(past, &[&type_id, &body, &CHANGING, &last]).await.unwrap();
    let gone = "insert into resource_history (handle, updated_at, type_id, version, method, packed) \
         values (2, 5, $1::int4, 1, 2, $2::bytea), (2, 15, $1::int4, 2, 4, null)";
    client.execute(gone, &[&type_id, &body]).await.unwrap();
    client.batch_execute("vacuum analyze").await.unwrap();
    (store, client, type_id)
}

/// When the last versions came.
fn last_at() -> i64 {
    VERSIONS * 10
}

fn asked(count: usize, at: (i64, i64)) -> HistoryPage {
    HistoryPage { count, at: Some(at), ..HistoryPage::default() }
}

#[tokio::test]
async fn versions_current_at_an_instant_are_found_in_bounded_steps() {
    let (store, client, type_id) = filled().await;
    let of = HistoryTarget::Type("Basic".into());
    let list = async |page: HistoryPage| store.history(&Scope::everything(), &of, &page).await.unwrap();

    // Each resource once, whenever: with what it was then.
    for (at, changing, deleted) in
        [(5, 0, 1), (9, 0, 1), (19, 1, 2), (last_at() - 1, VERSIONS - 1, 2), (END, VERSIONS, 2)]
    {
        let mut found = Vec::new();
        let mut page = asked(300, (at, at));
        loop {
            let part = list(page.clone()).await;
            found.extend(part.versions);
            let Some(next) = part.next else { break };
            page.before = Some(next);
        }
        let mut wanted = vec![(1, 1), (2, deleted)];
        wanted.extend((10..10 + CHANGING).filter(|_| changing > 0).map(|handle| (handle, changing)));
        let mut seen: Vec<_> = found.iter().map(|v| (v.handle, i64::from(v.version))).collect();
        seen.sort_unstable();
        assert_eq!(seen, wanted, "at {at}");
        assert!(found.is_sorted_by_key(|v| std::cmp::Reverse((v.updated_at, v.handle))), "at {at}");
        assert!(found.iter().all(|v| v.body.is_some() == (v.method != crate::Method::Delete)), "at {at}");
        let total = list(asked(0, (at, at))).await.total;
        assert_eq!(total, u64::try_from(wanted.len()).ok(), "at {at}");
    }
    // A period: what it began with, and what came in it.
    let during = list(asked(0, (19, 29))).await;
    assert_eq!(during.total, Some(2 + 2 * u64::try_from(CHANGING).unwrap()));
    // Neither deleted before the beginning nor changed since: what came later does not hide it.
    let since = HistoryPage { since: Some(10), ..asked(5, (12, 12)) };
    assert_eq!(list(since).await.versions.iter().map(|v| v.updated_at).max(), Some(12));

    // One page passes over so many superseded versions and no more.
    let first = HistoryPage { before: Some((last_at(), 0, 0)), ..asked(10, (END, END)) };
    let part = list(first.clone()).await;
    assert!(part.versions.is_empty() && part.next.is_some(), "{part:?}");
    let rest = list(HistoryPage { before: part.next, ..first }).await;
    assert_eq!(rest.versions.iter().map(|v| v.handle).collect::<Vec<_>>(), [2, 1]);
    assert!(rest.next.is_none());

    // And each statement scans the index, and reads nothing else.
    let plan = explain(&client, type_id).await;
    assert!(!plan.contains("Seq Scan on resource"), "{plan}");
    assert!(plan.contains("resource_history_updated") && plan.contains("resource_history_pkey"), "{plan}");
}

/// What [`TYPES`] does in the middle of the history.
async fn explain(client: &Client, type_id: i32) -> String {
    let (types, low, high, from) = (vec![type_id], i64::MIN, END, last_at() - 1);
    let (time, handle, version) = position_columns(None);
    let rows = client
        .query(
            &["explain (analyze, timing off) ", &without_limits(TYPES)].concat(),
            &[&types, &low, &high, &from, &time, &handle, &version, &100_i64],
        )
        .await
        .unwrap();
    let lines: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    lines.join("\n")
}
