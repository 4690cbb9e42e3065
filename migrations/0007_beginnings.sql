-- Hashes of what the resource's texts begin with, by which a walk along an order passes over what cannot match
-- (search-params/src/beginning.rs). In no index: what few have is found by `string_entry`.
alter table resource add column beginnings bigint[];
