-- Criteria of searches that are too long for a link, behind a short one: every process can follow it until it expires.
create table long_search (
  key        bytea   not null primary key,   -- a hash of the criteria, of who asked, and where: the same search has one row
  criteria   text    not null,               -- as a query string
  bytes      integer not null,
  expires_at bigint  not null                -- microseconds since 1970
);

create index long_search_expires on long_search (expires_at);
