-- Date ranges of more than 32 days, which are few, by their upper ends: what lasts into an asked time though it began long
-- before it. Shorter ones are found by their lower ends alone (search-params/src/sql/window.rs).
create index resource_long on resource (type_id, date_high) where date_high > date + 2764800000000;
