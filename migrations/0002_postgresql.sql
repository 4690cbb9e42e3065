-- What only PostgreSQL itself knows: storage options and trigram search. Left out elsewhere.

create extension if not exists pg_trgm;

create index string_entry_trigram on string_entry using gin (value gin_trgm_ops);

-- The pending list is searched by every query, so it is kept short.
alter index resource_keys set (fastupdate = on, gin_pending_list_limit = 512);
alter table resource set (fillfactor = 90);
