-- What index entries depend on besides resources and the build: the zone of dates, the server's own urls, whether the case
-- of codes matters. Kept with the format, so that where it changes the index is made anew, too.
alter table search_version
  add column index_settings text not null default '[]'; -- of all resources; where there are several, the last is wanted
-- What a process indexes by: one that would do so by other settings does not begin beside it.
alter table writer add column index_settings text not null default '';

-- The second format compares texts without punctuation and white space, so what there was is none of it: the walks before
-- the server serves put in all that there should be.
truncate table string_entry;
truncate table ordered_entry;
truncate table distinct_text;
