-- Answers to creates that were sent with an Idempotency-Key, so that the same request sent again has one effect and one answer. Rows
-- are small, are removed after a day, and stay on one node of a distributed database. Times are microseconds since 1970.
create table clinic_idempotency (
  tenant     integer not null,               -- the organisation that was asked
  principal  text    not null,               -- who asked
  path       text    not null,               -- what was asked: /v1/organizations
  key        text    not null,               -- the header's value
  digest     bytea   not null,               -- SHA-256 of the request
  owner      uuid    not null,               -- the request that is, or was, answered
  lease_at   bigint  not null,               -- until when that may take
  status     integer,                        -- null: it is being answered
  headers    text,                           -- a JSON object: those of note
  body       bytea,                          -- as it was sent
  created_at bigint  not null,               -- when the request came; a day later nothing of it is kept
  primary key (tenant, principal, path, key)
);
create index clinic_idempotency_created on clinic_idempotency (created_at);
