//! All current resources, as one instant has them.

use fhir_database::failure;
use fhir_model::{Error, Result};
use fhir_search::sql;
use futures_util::TryStreamExt;
use tokio_postgres::IsolationLevel;
use tokio_postgres::types::ToSql;

use crate::scope::Scope;
use crate::search::parameters;
use crate::version::Version;
use crate::{Store, read};

const CURRENT: &str = "select r.handle, r.version, r.updated_at, r.method, r.id, case when r.packed is null then r.json end, r.packed \
     from resource r where r.type_id = $1::int4 and ";
const ORDER: &str = " order by r.date, r.handle";

impl Store {
    /// Gives every current resource of the scope's tenant that its caller sees to `each`, type by type, as they were at one instant; nothing is kept in memory.
    /// PostgreSQL keeps old rows meanwhile, so it is not for every request.
    ///
    /// # Errors
    ///
    /// When the database does not answer, or `each` fails.
    pub async fn export(
        &self,
        scope: &Scope,
        mut each: impl FnMut(Version) -> Result<()> + Send,
    ) -> Result<()> {
        let scoped = self.scoped(scope);
        let mut client = self.connections.client().await?;
        let snapshot =
            client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true);
        let snapshot = snapshot.start().await.map_err(failure::classify)?;
        snapshot.batch_execute("set local statement_timeout = 0").await.map_err(failure::classify)?;
        for type_name in self.registry.definitions().resource_types() {
            let type_id = scoped.type_id(type_name)?;
            let visible = sql::predicate(&scoped.visible(type_name), 2);
            let text = [CURRENT, visible.text(), ORDER].concat();
            let values = [vec![&type_id as &(dyn ToSql + Sync)], parameters(visible.binds())].concat();
            let rows = snapshot.query_raw(&text, values).await.map_err(failure::classify)?;
            let mut rows = std::pin::pin!(rows);
            while let Some(row) = rows.try_next().await.map_err(failure::classify)? {
                each(read::version(type_name, &row)?)?;
            }
        }
        snapshot.commit().await.map_err(failure::classify).map_err(Error::internal)
    }
}
