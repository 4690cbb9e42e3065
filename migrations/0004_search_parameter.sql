-- Search parameters that were added at runtime, and the work they make: old resources get index entries by a job.

-- Grows with every change below; a change is made holding its row, so that versions are committed in order.
create table search_version (
  id      integer not null primary key,
  version bigint  not null
);

insert into search_version (id, version) values (1, 0);

-- One row for each time that a SearchParameter took effect, until nothing is left of it in the index.
create table search_parameter (
  number     bigint    not null primary key, -- part of the keys of its entries: the version that added it
  handle     bigint    not null,             -- of the SearchParameter
  code       text      not null,
  types      integer[] not null,             -- numbers of the resource types it is for
  stage      smallint  not null,             -- 1 known, 2 building, 3 ready, 4 retiring
  since      bigint    not null,             -- the version as which it came to its stage
  definition text      not null              -- what is used of the SearchParameter, as JSON
);

create index search_parameter_handle on search_parameter (handle);

-- One row for each resource type whose rows were or are to be indexed anew: where the walk over them is.
create table reindex (
  type_id         integer not null primary key,
  wanted          bigint  not null,          -- the version that its rows are to be indexed by
  done            bigint  not null,          -- the version that they are indexed by
  walking         bigint,                    -- the version of the walk under way
  until_at        bigint  not null,          -- lastUpdated up to which it goes
  position_at     bigint  not null,          -- lastUpdated and handle of the last row it took
  position_handle bigint  not null,
  rows_done       bigint  not null,
  rows_total      bigint,                    -- null: not counted yet
  owner           bigint  not null,          -- the process that works on it
  leased_until    bigint  not null,          -- when another may take it over
  started_at      bigint,
  ended_at        bigint,
  failure         text                       -- why it does not go on
);

-- What a process indexes by: a walk begins when all that write have come so far.
alter table writer add column search_version bigint not null default 0;
