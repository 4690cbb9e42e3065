-- The resource store: one narrow row per resource, history beside it, entries for what needs an order.
-- Runs unchanged when the tables are distributed by `handle`: no triggers, sequences, foreign keys or constraints
-- without the distribution column.

-- Current versions. `handle` is embedded in ids the server gives (16 hexadecimal digits) and a negative hash of ids
-- that clients choose, which are then kept in `id`.
create table resource (
  handle       bigint   not null primary key,
  updated_at   bigint   not null,            -- lastUpdated, microseconds since 1970
  patient      bigint,                       -- handle of the patient the resource is about (a Patient: its own)
  date         bigint   not null,            -- lower bound of the primary date; the least bigint when there is none
  date_high    bigint,                       -- its upper bound, when it is not the second that begins at the lower one
  primary_code bigint,                       -- key of the first coding of the type's primary token
  present      bigint   not null,            -- bit i: search parameter i of the type has a value
  type_id      integer  not null,            -- number of the resource type (and tenant)
  version      integer  not null,
  method       smallint not null,            -- how the version came: 1 POST, 2 PUT, 3 PATCH
  keys         bigint[] not null,            -- equality keys: tokens, references, uris, exact strings
  id           text,                         -- null when it is the handle in hexadecimal
  json         jsonb,                        -- the body; null when only packed
  packed       bytea                         -- codec (2 bytes) and compressed exact text, where jsonb would change it
);

create index resource_patient on resource (patient, type_id, date, primary_code, handle) where patient is not null;
create index resource_code    on resource (primary_code, date, handle) where primary_code is not null;
create index resource_date    on resource (type_id, date, handle);
create index resource_updated on resource (type_id, updated_at, handle);
create index resource_keys    on resource using gin (keys);

-- Values that are searched or sorted by order: dates beside the primary one, numbers, quantities, and the second and
-- further codings of the primary token (value = primary date).
create table ordered_entry (
  key    bigint   not null,
  value  bigint   not null,
  handle bigint   not null,
  extra  bigint   not null,                  -- dates: upper bound; quantities: key of the unit; otherwise 0
  rank   smallint not null,                  -- bit 0: least of the resource under the key; bit 1: greatest
  primary key (key, value, handle, extra)
);

-- Folded texts, in code point order.
create table string_entry (
  key    bigint   not null,
  value  text     not null collate "C",
  handle bigint   not null,
  rank   smallint not null,                  -- as above; bit 2: a later window of a long text
  primary key (key, value, handle)
);

-- Superseded versions and deletions; append-only.
create table resource_history (
  handle     bigint   not null,
  updated_at bigint   not null,
  type_id    integer  not null,
  version    integer  not null,
  method     smallint not null,              -- 1 POST, 2 PUT, 3 PATCH, 4 DELETE
  id         text,
  packed     bytea,                          -- null: the deletion itself
  primary key (handle, version)
);

create index resource_history_updated on resource_history (type_id, updated_at, handle, version);

-- Uniqueness that no key above settles: the criteria of a conditional write, for as long as it takes.
create table claim (
  key     bigint not null primary key,
  turn    bigint not null
);

-- One row per server process: nothing with an earlier lastUpdated will come from it any more.
create table writer (
  id           bigint not null primary key,
  horizon      bigint not null,
  heartbeat_at bigint not null
);

-- Secrets and facts of this database.
create table setting (
  name  text  not null primary key,
  value bytea not null
);
