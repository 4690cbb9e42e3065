-- What the index entries of all resources are made by: a build that makes others walks over them before it serves.
alter table search_version
  add column format        integer not null default 0, -- of all resources
  add column format_wanted integer not null default 0, -- of a walk that was begun,
  add column format_since  bigint  not null default 0; -- and the version that it was wanted as
