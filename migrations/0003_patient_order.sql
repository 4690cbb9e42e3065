-- The dates of one patient in the order of a page: date, then row. With the code between them every page of a patient was
-- sorted first, after all of the patient's rows had been read; and nothing was looked up by it.
drop index resource_patient;
create index resource_patient on resource (patient, type_id, date, handle) where patient is not null;
