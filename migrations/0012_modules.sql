-- What the modules stand on: processes that know of each other, the change feed, jobs, access.

-- 1. Processes that write, and leases -------------------------------------------------------------------------------------

-- A process that is gone is fenced first: nothing is written any more with stamps of its row. The row is deleted when no
-- connection is left (by its application_name) that can have begun a statement before.
alter table writer add column application_name text not null default '';
alter table writer add column fenced_at bigint;               -- microseconds since 1970, by the database's clock

-- All leases are rows of `lease`, which is there before the first migration (fhir-server/database/src/lease.rs).
drop table if exists migration_lease;
alter table reindex drop column owner;
alter table reindex drop column leased_until;

-- 2. The change feed: one index over all types ----------------------------------------------------------------------------

-- As an expression, which the feed alone asks for: for the history of a rare type the planner would walk past all others.
create index resource_feed on resource ((updated_at + 0), handle);
create index resource_history_feed on resource_history ((updated_at + 0), handle, version);

-- 3. Jobs, consumers of the feed, schedules, dead letters (fhir-server/work) ----------------------------------------------

-- Work to be done once, and again after a failure. Times are microseconds since 1970, by the database's clock.
create table job (
  id       bigint  not null primary key,
  type     text    not null,
  key      text    not null,                 -- of two jobs with the same there is one: what must be done once only
  payload  text    not null,                 -- JSON
  run_at   bigint  not null,                 -- when it may be begun; while it runs, when its lease is over
  attempts integer not null,                 -- that were begun
  owner    bigint  not null,                 -- the process that runs it; 0: none does
  done_at  bigint,                           -- it is done (and kept for its key) or in the dead letters
  failure  text                              -- why the last attempt failed
);

create unique index job_key on job (type, key);
create index job_due on job (run_at) where done_at is null;

-- How far the consumers of the change feed are. Who works for one has the lease `consumer <name>`.
create table consumer (
  name       text    not null primary key,
  updated_at bigint  not null,               -- its place: everything up to this version is done
  handle     bigint  not null,
  version    integer not null,
  failures   integer not null,               -- attempts at the next change that were begun and did not succeed
  failure    text
);

-- When the job of a schedule is due next.
create table schedule (
  name    text   not null primary key,
  cron    text   not null,                   -- what `next_at` was computed from
  next_at bigint not null
);

-- What failed too often: waits for somebody to retry or discard it. Holds no data of patients but ids.
create table dead_letter (
  id         bigint   not null primary key,
  kind       smallint not null,              -- 1 a job, 2 a change for a consumer
  name       text     not null,              -- the type of the job; the consumer
  key        text     not null,              -- the key of the job; the version, as `Patient/1/_history/2`
  attempts   integer  not null,
  reason     text     not null,
  failed_at  bigint   not null,
  retried_at bigint                          -- it is being tried again
);

create unique index dead_letter_key on dead_letter (kind, name, key);
create index dead_letter_failed on dead_letter (failed_at, id);
