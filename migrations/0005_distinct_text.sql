-- Texts that many resources have, each once: what codes are called, the uris and the units of an index. A search for what
-- begins with something reads the few here and asks the resources for their keys. Nothing is ever taken out: a text that
-- no resource has any more finds none.
create table distinct_text (
  key    bigint not null,                    -- of the index
  value  text   not null collate "C",        -- the text, or its beginning
  token  bigint not null,                    -- the text's own key, as it is among the keys of resources
  primary key (key, value, token)
);
