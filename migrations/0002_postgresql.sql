-- What only PostgreSQL itself knows: storage options and trigram search. Left out elsewhere.

create extension if not exists pg_trgm;

create index string_entry_trigram on string_entry using gin (value gin_trgm_ops) with (gin_pending_list_limit = 1024);

-- No pending list: every search by a key would read it whole, and after tens of thousands of creates that cost a
-- conditional update 4 to 7 ms instead of 1. Creates pay about a tenth for it.
alter index resource_keys set (fastupdate = off);
alter table resource set (fillfactor = 90);
