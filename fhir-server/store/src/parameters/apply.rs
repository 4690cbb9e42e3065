//! SearchParameters take effect in the transaction that writes them.

use deadpool_postgres::Transaction;
use fhir_model::{Error, Kind};
use fhir_search::custom::{self, Defined};

use super::definition::TYPE;
use super::{NEXT_VERSION, of_all_tenants, parse};
use crate::write::{PreparedWrite, WriteFailure};
use crate::{Store, reindex};

/// Most search parameters beside those of R4.
const PARAMETERS_MAX: i64 = 500;

const IN_FORCE: &str = "select p.number, p.types, p.definition from search_parameter p \
     where p.handle = $1::int8 and p.stage <> 4 order by p.number";

const RESTATE: &str = "update search_parameter p set definition = $2::text where p.number = $1::int8";

const RETIRE: &str = "update search_parameter p set stage = 4, since = $2::int8 where p.number = $1::int8";

const TAKEN: &str = "select p.types, p.definition from search_parameter p where p.code = $1::text \
     and p.types && $2::int4[] and p.stage <> 4 limit 1";

const HOW_MANY: &str = "select count(*) from search_parameter p where p.stage <> 4";

const ADD: &str = "insert into search_parameter (number, handle, code, types, stage, since, definition) \
     values ($1::int8, $2::int8, $3::text, $4::int4[], 1, $1::int8, $5::text)";

/// Lets the SearchParameters of a transaction take effect.
pub(crate) async fn apply_definitions(
    store: &Store,
    transaction: &Transaction<'_>,
    ready: &[PreparedWrite<'_>],
) -> std::result::Result<(), WriteFailure> {
    for one in ready {
        let Some(definition) = &one.definition else { continue };
        let statement = transaction.prepare_cached(IN_FORCE).await?;
        let before = transaction.query_opt(&statement, &[&one.handle]).await?;
        if before.is_none() && definition.defined.is_none() {
            continue;
        }
        let statement = transaction.prepare_cached(NEXT_VERSION).await?;
        let version: i64 = transaction.query_one(&statement, &[]).await?.try_get(0)?;
        if let Some(row) = before {
            let (number, types): (i64, Vec<i32>) = (row.try_get(0)?, row.try_get(1)?);
            let parameter = parse(row.try_get(2)?).map_err(WriteFailure::Other)?;
            let before = Defined { parameter, types: store.type_names(&types).map_err(WriteFailure::Other)? };
            if let Some(now) = definition.defined.as_ref().filter(|now| now.indexes_like(&before)) {
                let text = serde_json::to_string(&now.parameter)
                    .map_err(|e| WriteFailure::Other(Error::internal(e)))?;
                let statement = transaction.prepare_cached(RESTATE).await?;
                transaction.execute(&statement, &[&number, &text]).await?;
                continue;
            }
            let statement = transaction.prepare_cached(RETIRE).await?;
            transaction.execute(&statement, &[&number, &version]).await?;
            let type_ids = of_all_tenants(transaction, &types).await?;
            reindex::request(transaction, &type_ids, version).await?;
        }
        if let Some(defined) = &definition.defined {
            add(store, transaction, one.handle, version, defined).await?;
        }
    }
    Ok(())
}

async fn add(
    store: &Store,
    transaction: &Transaction<'_>,
    handle: i64,
    version: i64,
    defined: &Defined,
) -> std::result::Result<(), WriteFailure> {
    let code = &*defined.parameter.code;
    let types: Vec<i32> =
        defined.types.iter().filter_map(|name| store.registry.number(name)).map(i32::from).collect();
    let statement = transaction.prepare_cached(TAKEN).await?;
    if let Some(row) = transaction.query_opt(&statement, &[&code, &types]).await? {
        let taken: Vec<i32> = row.try_get(0)?;
        let by = parse(row.try_get(1)?).map_err(WriteFailure::Other)?;
        let shared: Vec<i32> = types.into_iter().filter(|t| taken.contains(t)).collect();
        let shared = store.type_names(&shared).map_err(WriteFailure::Other)?;
        let name = shared.first().map(|name| &**name).unwrap_or_default();
        return Err(WriteFailure::Other(custom::overlap(code, name, &by.url)));
    }
    let statement = transaction.prepare_cached(HOW_MANY).await?;
    if transaction.query_one(&statement, &[]).await?.try_get::<_, i64>(0)? >= PARAMETERS_MAX {
        let text = format!("this server has its {PARAMETERS_MAX} search parameters beside those of R4");
        return Err(WriteFailure::Other(Error::new(Kind::Rule, text).at(TYPE)));
    }
    let text =
        serde_json::to_string(&defined.parameter).map_err(|e| WriteFailure::Other(Error::internal(e)))?;
    let statement = transaction.prepare_cached(ADD).await?;
    transaction.execute(&statement, &[&version, &handle, &code, &types, &text]).await?;
    Ok(())
}
