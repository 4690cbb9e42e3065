//! The store against a real PostgreSQL, one fresh database per test.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

/// What is the same on every database: one test for each, on the stores that an async function gives.
macro_rules! scenarios {
    ($store:path) => {
        scenarios! { $store:
            by_code quantities_of_a_code_are_in_order,
            by_code quantities_of_a_code_are_found,
            by_code what_is_changed_moves,
            search searches_find_what_they_should,
            search pages_partition_the_result_in_both_directions,
            search includes_follow_references_both_ways,
            search sorting_goes_by_the_values_of_the_parameter,
            search long_texts_are_sorted_by_their_beginning,
            search missing_values_are_last,
            search references_elsewhere_and_by_identifier,
            names names_are_found_as_people_have_them,
            names texts_are_tokens_whatever_their_case,
            values ranges_of_numbers,
            values identifiers_by_type,
            values versions_and_paths,
            values places,
            values values_of_one_element,
            values texts_of_codes,
            values units_that_convert,
            values codes_that_terminology_knows,
            write what_is_written_is_read,
            write numbers_keep_their_text,
            write versions_deletion_and_recreation,
            write a_stale_write_writes_nothing,
            write one_of_many_claimants_wins,
            write many_writes_are_one_transaction,
        }
    };
    ($store:path: $($module:ident $name:ident,)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                crate::$module::$name(&$store().await).await;
            }
        )*
    };
}

mod beginnings;
mod brute;
mod budget;
mod by_code;
mod chain;
mod deny_list;
mod embedded;
mod explain;
mod feed;
mod include;
mod index_change;
mod late_rows;
mod limits;
mod long_search;
mod names;
mod paging;
mod parameters;
mod partitioned;
mod preconditions;
mod previous;
mod reindex;
mod search;
mod tenants;
mod values;
mod write;

mod plain {
    async fn fresh() -> std::sync::Arc<fhir_store::Store> {
        fhir_store::testing::fresh().await.unwrap()
    }

    scenarios!(fresh);
}

mod packed {
    async fn fresh() -> std::sync::Arc<fhir_store::Store> {
        let options = fhir_store::Options { packed: true, connections_max: 4, ..Default::default() };
        fhir_store::testing::fresh_with(options).await.unwrap()
    }

    scenarios!(fresh);
}

use std::sync::Arc;

use fhir_model::Key;
use fhir_model::json::{Doc, JsonLimits};
use fhir_search::{ParseCx, Query};
use fhir_store::{Claim, Commit, Method, Precondition, ResourceState, Scope, Store, Write};

/// Everything is visible to tests.
pub fn all() -> Scope {
    Scope::everything()
}

/// The body with what the server owns.
pub fn doc(body: &str, key: &Key, version: u32) -> Doc {
    let rest = body.trim_start().strip_prefix('{').unwrap();
    let comma = if rest.trim_start().starts_with('}') { "" } else { "," };
    let (kind, id) = (&key.type_name, &key.id);
    let text =
        format!(r#"{{"resourceType":"{kind}","id":"{id}","meta":{{"versionId":"{version}"}}{comma}{rest}"#);
    Doc::parse(text, JsonLimits::default()).unwrap()
}

/// A write that follows what is there.
pub async fn next(store: &Store, key: &Key, body: Option<&str>, claim: Option<Claim>) -> Write {
    let before = store.read(&all(), key).await.unwrap();
    let version = before.last_version() + 1;
    let method = match (&before, body) {
        (_, None) => Method::Delete,
        (ResourceState::Absent, _) => Method::Post,
        _ => Method::Put,
    };
    let preconditions = claim.map(Precondition::Claim).into_iter().collect();
    Write {
        key: key.clone(),
        before,
        version,
        method,
        doc: body.map(|b| doc(b, key, version)),
        preconditions,
    }
}

/// Writes and expects that it is done.
pub async fn put(store: &Store, type_name: &str, id: &str, body: &str) -> Key {
    let key = Key::new(type_name, id);
    let mut write = next(store, &key, Some(body), None).await;
    if matches!(write.before, ResourceState::Absent) {
        write.method = Method::Put;
    }
    let timestamp = store.commit_timestamp().unwrap();
    assert_eq!(store.commit(&all(), &timestamp, &[write]).await.unwrap(), Commit::Done);
    key
}

/// A query as a client writes it, without percent encoding.
pub fn query(store: &Arc<Store>, text: &str) -> Query {
    parse(store, text).unwrap_or_else(|e| panic!("{text}: {e}"))
}

/// The same, which may be refused.
///
/// # Errors
///
/// As `Query::parse`.
pub fn parse(store: &Arc<Store>, text: &str) -> fhir_model::Result<Query> {
    let (type_name, rest) = text.split_once('?').unwrap_or((text, ""));
    let pairs: Vec<(String, String)> = rest
        .split('&')
        .filter(|p| !p.is_empty())
        .map(|p| p.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned())).unwrap())
        .collect();
    let cx = ParseCx {
        strict: true,
        bases: store.bases(),
        zone: store.zone(),
        now: store.now(),
        count_default: 100,
        count_max: 1000,
        values_max: 1000,
        secret: store.secret(),
        bound_to: "",
    };
    Query::parse(store.registry(), type_name, &pairs, &cx)
}

/// The ids a search finds, in order, joined by spaces.
pub async fn search(store: &Arc<Store>, text: &str) -> String {
    let page = store.search(&all(), &query(store, text)).await.unwrap_or_else(|e| panic!("{text}: {e:?}"));
    page.matches.iter().map(|v| v.key.id.to_string()).collect::<Vec<_>>().join(" ")
}
