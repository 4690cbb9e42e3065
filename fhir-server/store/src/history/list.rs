//! `_list`: the history of what is in a List.

use fhir_model::{Key, Result};

use super::{History, HistoryPage, HistoryTarget, count_of, position_columns};
use crate::scope::ScopedStore;

/// The versions of these rows, whatever their types; the columns are those of [`super::INSTANCE`]. Of superseded ones,
/// those that were current at the instant `$4` or came after it.
const ROWS: &str = page_of!(
    concat!(
        "select r.type_id, r.handle, r.version, r.updated_at, r.method, r.id, case when r.packed is null then r.json end as json, r.packed, true as current from resource r \
     where r.handle = any($1::int8[]) and r.type_id = any($9::int4[]){r} \
     union all \
     select h.type_id, h.handle, h.version, h.updated_at, h.method, h.id, null, h.packed, false from resource_history h \
     where h.handle = any($1::int8[]) and h.type_id = any($9::int4[]) and ",
        current_after!(),
        "{h}) v where v.updated_at >= $2::int8 and v.updated_at <= $3::int8 \
     and (v.updated_at, v.handle, v.version) < ($5::int8, $6::int8, $7::int4)"
    ),
    "$8::int8"
);

const COUNT: &str = concat!(
    "select (select count(*) from resource r where r.handle = any($1::int8[]) and r.type_id = any($5::int4[]) \
     and r.updated_at >= $2::int8 and r.updated_at <= $3::int8{r}) \
     + (select count(*) from resource_history h where h.handle = any($1::int8[]) and h.type_id = any($5::int4[]) \
     and h.updated_at >= $2::int8 and h.updated_at <= $3::int8 and ",
    current_after!(),
    "{h})"
);

impl ScopedStore<'_> {
    /// A page of the history of what is in a List, as far as it is of what is asked for.
    pub(super) async fn list_history(
        &self,
        of: &HistoryTarget,
        list: &str,
        page: &HistoryPage,
    ) -> Result<History> {
        let Some(listed) = self.list_entries(list).await? else {
            return Ok(History { total: Some(0), no_list: true, ..History::default() });
        };
        let wanted = |key: &Key| match of {
            HistoryTarget::Instance(one) => key == one,
            HistoryTarget::Type(type_name) => key.type_name == *type_name,
            HistoryTarget::System => true,
        };
        let listed: Vec<Key> = listed.into_iter().filter(wanted).collect();
        let (mut handles, mut types) = (Vec::new(), Vec::new());
        for key in &listed {
            handles.extend(self.handles(key)?);
            types.push(self.type_id(&key.type_name)?);
        }
        types.sort_unstable();
        types.dedup();
        self.check_looked_up(handles.len())?;
        let low = page.since.unwrap_or(i64::MIN);
        let (from, high) = page.at.unwrap_or((i64::MIN, i64::MAX));
        let client = self.client().await?;
        let rows = self.query(&client, COUNT, &[&handles, &low, &high, &from, &types]).await?;
        let total = Some(count_of(&rows)?);
        if page.count == 0 {
            return Ok(History { total, ..History::default() });
        }
        let (time, handle, version) = position_columns(page.before);
        let limit = i64::try_from(page.count + 1).unwrap_or(i64::MAX);
        let rows = self
            .page(&client, ROWS, &[&handles, &low, &high, &from, &time, &handle, &version, &limit, &types])
            .await?;
        let found = History { total, ..self.truncate(&rows, page.count)? };
        self.with_restored(&client, found).await
    }
}
