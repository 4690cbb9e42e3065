create table visits_encounter (
  -- 'Encounter/1/_history/1': each version once
  key text primary key
);
