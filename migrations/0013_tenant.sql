-- Organisations that share the database, and what history needs so that a scope holds of it as of current versions.

create table tenant (
  number     integer not null primary key,   -- the high half of `type_id`
  slug       text    not null,               -- /o/<slug>/fhir/R4
  created_at bigint  not null                -- microseconds since 1970
);

create unique index tenant_slug on tenant (slug);

-- As in `resource`, of the version itself; a deletion has those of the version that it deleted. Null of versions from before:
-- they are seen by who sees everything alone.
alter table resource_history
  add column patient bigint,
  add column keys    bigint[];
