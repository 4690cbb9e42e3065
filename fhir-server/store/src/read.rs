//! read and vread: by primary key, nothing else.

use fhir_database::failure;
use fhir_model::{Error, Key, Result};
use fhir_search::index_hash::format_server_id;
use fhir_search::tenant::TenantId;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, Type};

use crate::body::{self, Jsonb};
use crate::scope::ScopedStore;
use crate::version::{Method, ResourceState, Version};
use crate::{Store, codec, pipelined};

macro_rules! current {
    () => {
        "select r.handle, r.version, r.updated_at, r.method, r.id, case when r.packed is null then r.json end, r.packed \
     from resource r where r.handle = any($1::int8[]) and r.type_id = $2::int4"
    };
}

/// The columns of a current version, in the order [`version`] reads them.
pub(crate) const SQL: &str = current!();

/// The same of what a caller sees.
const VISIBLE: &str = concat!(current!(), "{r}");

/// Columns of a match, before those that only some statements have.
pub(crate) const COLUMNS: usize = 7;

/// The last version in history: a deletion, or what a deleted row left.
const LAST: &str = "select h.handle, h.version, h.updated_at, h.method, h.id, h.packed from resource_history h \
     where h.handle = any($1::int8[]) and h.type_id = $2::int4 and h.method = 4 order by h.version desc limit 4";

const VERSION: &str = "select h.handle, h.version, h.updated_at, h.method, h.id, h.packed from resource_history h \
     where h.handle = any($1::int8[]) and h.type_id = $2::int4 and h.version = $3::int4{h}";

/// A current version from a row of [`SQL`] (or of a search, which has the same columns first).
pub(crate) fn version(type_name: &str, row: &Row) -> Result<Version> {
    let json: Option<Jsonb<'_>> = row.try_get(5).map_err(Error::internal)?;
    let packed: Option<&[u8]> = row.try_get(6).map_err(Error::internal)?;
    Ok(Version {
        key: key(type_name, row)?,
        version: number(row)?,
        updated_at: row.try_get(2).map_err(Error::internal)?,
        method: Method::from_number(row.try_get(3).map_err(Error::internal)?),
        body: Some(body::read(json, packed)?),
        handle: row.try_get(0).map_err(Error::internal)?,
    })
}

/// The bytes of the body of a row that has the columns of [`SQL`] first. A page is cut by these: what else a row has depends on
/// the statement that found it, and which one that is may depend on what is hidden.
pub(crate) fn body_bytes(row: &Row) -> usize {
    let bytes = |column: usize| {
        let length = row.try_get::<_, ByteLength>(column);
        debug_assert!(length.is_ok(), "no body in column {column}");
        length.map_or(0, |length| length.0)
    };
    bytes(5) + bytes(6)
}

/// How long a body is; nothing where there is none.
struct ByteLength(usize);

impl<'a> FromSql<'a> for ByteLength {
    fn from_sql(
        _: &Type,
        raw: &'a [u8],
    ) -> std::result::Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(ByteLength(raw.len()))
    }

    fn from_sql_null(_: &Type) -> std::result::Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(ByteLength(0))
    }

    fn accepts(kind: &Type) -> bool {
        matches!(*kind, Type::JSONB | Type::BYTEA)
    }
}

/// The type and id alone: nothing is copied of the body.
pub(crate) fn key(type_name: &str, row: &Row) -> Result<Key> {
    let handle: i64 = row.try_get(0).map_err(Error::internal)?;
    let id: Option<&str> = row.try_get(4).map_err(Error::internal)?;
    Ok(Key::new(type_name, id.map_or_else(|| format_server_id(handle), str::to_owned)))
}

/// A version from a row of history.
pub(crate) fn from_history(type_name: &str, row: &Row) -> Result<Version> {
    let handle: i64 = row.try_get(0).map_err(Error::internal)?;
    let id: Option<&str> = row.try_get(4).map_err(Error::internal)?;
    let packed: Option<&[u8]> = row.try_get(5).map_err(Error::internal)?;
    Ok(Version {
        key: Key::new(type_name, id.map_or_else(|| format_server_id(handle), str::to_owned)),
        version: number(row)?,
        updated_at: row.try_get(2).map_err(Error::internal)?,
        method: Method::from_number(row.try_get(3).map_err(Error::internal)?),
        body: packed.map(codec::unpack).transpose()?,
        handle,
    })
}

/// A version from a row of a listing: type first, then the columns of a current version, whether it is current last.
pub(crate) fn from_listing(type_name: &str, row: &Row) -> Result<Version> {
    let handle: i64 = row.try_get(1).map_err(Error::internal)?;
    let version: i32 = row.try_get(2).map_err(Error::internal)?;
    let id: Option<&str> = row.try_get(5).map_err(Error::internal)?;
    let json: Option<Jsonb<'_>> = row.try_get(6).map_err(Error::internal)?;
    let packed: Option<&[u8]> = row.try_get(7).map_err(Error::internal)?;
    let gone = json.is_none() && packed.is_none();
    Ok(Version {
        key: Key::new(type_name, id.map_or_else(|| format_server_id(handle), str::to_owned)),
        version: u32::try_from(version).map_err(Error::internal)?,
        updated_at: row.try_get(3).map_err(Error::internal)?,
        method: Method::from_number(row.try_get(4).map_err(Error::internal)?),
        body: if gone { None } else { Some(body::read(json, packed)?) },
        handle,
    })
}

fn number(row: &Row) -> Result<u32> {
    let version: i32 = row.try_get(1).map_err(Error::internal)?;
    u32::try_from(version).map_err(Error::internal)
}

impl Store {
    pub(crate) fn type_number(&self, type_name: &str) -> Result<u16> {
        self.registry
            .number(type_name)
            .ok_or_else(|| Error::not_found(format!("the resource type `{type_name}`")))
    }
}

impl Store {
    /// A version from a row of either half of a history, whose first column is the type.
    pub(crate) fn version_from_listing(&self, row: &Row) -> Result<Version> {
        from_listing(self.type_name(row.try_get(0).map_err(Error::internal)?)?, row)
    }

    /// A version from the columns of a match and its type.
    pub(crate) fn version_of_any_type(&self, row: &Row) -> Result<Version> {
        version(self.type_name(row.try_get(COLUMNS).map_err(Error::internal)?)?, row)
    }

    /// The type of a `type_id`, whatever its tenant.
    pub(crate) fn type_name(&self, type_id: i32) -> Result<&str> {
        let (_, number) = TenantId::from_type_id(type_id)?;
        let type_name = self.registry.definitions().type_name(number);
        type_name.ok_or_else(|| Error::internal("a row of an unknown type"))
    }

    /// The types of `type_id`s.
    pub(crate) fn type_names(&self, type_ids: &[i32]) -> Result<Vec<Box<str>>> {
        type_ids.iter().map(|type_id| self.type_name(*type_id).map(Box::from)).collect()
    }
}

impl ScopedStore<'_> {
    /// The current state of a resource.
    pub(crate) async fn read(&self, key: &Key) -> Result<ResourceState> {
        let handles = self.handles(key)?;
        let type_id = self.type_id(&key.type_name)?;
        if !self.sees_all_of(&key.type_name) || self.is_on_standby() {
            return Ok(self
                .read_many(std::slice::from_ref(key))
                .await?
                .pop()
                .unwrap_or(ResourceState::Absent));
        }
        let connection = self.connections.pipelined().await?;
        let read = connection.statement(pipelined::READ)?;
        let rows = connection.client.query(read, &[&handles, &type_id]).await.map_err(failure::classify)?;
        for row in &rows {
            let version = version(&key.type_name, row)?;
            if version.key.id == key.id {
                return Ok(ResourceState::Current(version));
            }
        }
        let rows = connection.client.query(LAST, &[&handles, &type_id]).await.map_err(failure::classify)?;
        for row in &rows {
            let version = from_history(&key.type_name, row)?;
            if version.key.id == key.id {
                return Ok(ResourceState::Deleted(version));
            }
        }
        Ok(ResourceState::Absent)
    }

    /// The current states of many resources, in the order asked: two statements at most per type.
    pub(crate) async fn read_many(&self, keys: &[Key]) -> Result<Vec<ResourceState>> {
        let mut found = vec![ResourceState::Absent; keys.len()];
        let mut places: std::collections::HashMap<&Key, Vec<usize>> = std::collections::HashMap::new();
        let mut types: std::collections::BTreeMap<&str, Vec<i64>> = std::collections::BTreeMap::new();
        for (at, key) in keys.iter().enumerate() {
            places.entry(key).or_default().push(at);
            types.entry(&key.type_name).or_default().extend(self.handles(key)?);
        }
        if keys.is_empty() {
            return Ok(found);
        }
        let client = self.client().await?;
        for (type_name, mut handles) in types {
            handles.sort_unstable();
            handles.dedup();
            let type_id = self.type_id(type_name)?;
            let mut put = |version: Version, state: fn(Version) -> ResourceState| {
                for at in places.get(&version.key).into_iter().flatten() {
                    if let Some(slot) = found.get_mut(*at)
                        && slot.last_version() < version.version
                    {
                        *slot = state(version.clone());
                    }
                }
            };
            let rows = self.query_of(type_name, &client, VISIBLE, &[&handles, &type_id]).await?;
            let current = rows.len();
            for row in &rows {
                put(version(type_name, row)?, ResourceState::Current);
            }
            if current < handles.len() {
                let rows = self.query_of(type_name, &client, DELETED, &[&handles, &type_id]).await?;
                for row in &rows {
                    put(from_history(type_name, row)?, ResourceState::Deleted);
                }
            }
        }
        Ok(found)
    }

    /// One version of a resource; [`ResourceState::Absent`] when there is no such version.
    pub(crate) async fn vread(&self, key: &Key, version: u32) -> Result<ResourceState> {
        if let ResourceState::Current(current) = self.read(key).await?
            && current.version == version
        {
            return Ok(ResourceState::Current(current));
        }
        let handles = self.handles(key)?;
        let type_id = self.type_id(&key.type_name)?;
        let Ok(number) = i32::try_from(version) else { return Ok(ResourceState::Absent) };
        let client = self.client().await?;
        let rows = self.query_of(&key.type_name, &client, VERSION, &[&handles, &type_id, &number]).await?;
        for row in &rows {
            let found = from_history(&key.type_name, row)?;
            if found.key.id == key.id {
                let gone = found.body.is_none();
                return Ok(if gone { ResourceState::Deleted(found) } else { ResourceState::Current(found) });
            }
        }
        Ok(ResourceState::Absent)
    }
}

/// Deletions of resources that are not there now. (A recreated one has later versions; the caller keeps the last.)
const DELETED: &str = "select h.handle, h.version, h.updated_at, h.method, h.id, h.packed from resource_history h \
     where h.handle = any($1::int8[]) and h.type_id = $2::int4 and h.method = 4{h}";
