-- The row that a claim was spent on. On a database of several machines the claim may be visible before that row is: who finds the
-- claim waits for it (fhir-server/store/src/late_visibility.rs). Null in claims of the release before, in those of several rows, and in
-- the turns of deletions and creations.
alter table claim
  add column handle  bigint,                 -- the row, current or (by now) in history
  add column version integer;                -- the version that was written with the claim
