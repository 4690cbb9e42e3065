-- Who may sign in, and what they may do. Times are microseconds since 1970. These tables are small, and stay on one node of a
-- distributed database. No table refers to another by a constraint: a copy of the database is made table by table.

-- Whoever has an account.
create table access_user (
  id            uuid     not null primary key,
  first_name    text     not null,
  last_name     text     not null,
  password      text,                        -- Argon2id, as PHC text; null: signs in otherwise
  roles         text[]   not null,           -- of the platform: SUPER:ADMIN, BASE:DOCTOR ..
  fhir_user     text,                        -- the resource of the platform that it is: Practitioner/..
  status        smallint not null,           -- 1 active, 2 suspended
  organization  uuid,                        -- the one that it works for
  created_at    bigint   not null
);

-- By what a user signs in: an e-mail address, a phone number, a name. No two users have the same.
create table access_login (
  name        text     not null primary key, -- normalised: in lower case, without spaces
  kind        smallint not null,             -- 1 e-mail, 2 phone, 3 name
  user_id     uuid     not null,
  verified_at bigint                         -- when the user proved that it receives what is sent there
);
create index access_login_user on access_login (user_id);

-- A sign-in, with all tokens that follow from it by refreshing.
create table access_session (
  id         uuid   not null primary key,
  user_id    uuid   not null,
  created_at bigint not null,
  expires_at bigint not null,
  idle_max   bigint,                         -- microseconds after which it ends when it is not refreshed: a shared computer
  ended_at   bigint
);
create index access_session_user on access_session (user_id);
create index access_session_expires on access_session (expires_at);

-- Refresh tokens by their SHA-256: used ones stay, so that their second use is known for what it is.
create table access_refresh_token (
  digest     bytea  not null primary key,
  session_id uuid   not null,
  issued_at  bigint not null,
  used_at    bigint
);
create index access_refresh_token_session on access_refresh_token (session_id);

-- Access tokens and sessions that ended before their time.
create table access_revoked (
  id         uuid   not null primary key,    -- of a token, or of a session
  until      bigint not null                 -- when its tokens have ended anyway
);

-- Raised in each transaction after which somebody may do less or other than before: every process looks at it.
create table access_epoch (
  id     smallint not null primary key,      -- 1
  rights bigint   not null,                  -- counts changes of what somebody may do
  ended  bigint   not null                   -- counts endings of sessions
);
insert into access_epoch (id, rights, ended) values (1, 0, 0);

-- What is sent or printed, and counts once, by its SHA-256.
create table access_code (
  digest     bytea    not null primary key,
  kind       smallint not null,              -- 1 verify an address, 2 set a password, 3 second factor, 4 first administrator, 5 recovery
  user_id    uuid,
  detail     text     not null,              -- of 1: the address
  expires_at bigint   not null,
  used_at    bigint
);
create index access_code_user on access_code (user_id);

-- The second factor.
create table access_totp (
  user_id      uuid   not null primary key,
  secret       bytea  not null,              -- sealed
  confirmed_at bigint,                       -- null: it does not count yet
  last_step    bigint not null               -- the greatest time step whose code was taken
);

-- Attempts to sign in that failed one after the other, by the SHA-256 of the name that was tried or of the address that tried.
create table access_failure (
  subject  bytea   not null primary key,
  failures integer not null,
  last_at  bigint  not null
);

-- Organisations: each is a tenant.
create table access_organization (
  id         uuid     not null primary key,
  tenant     integer  not null,
  slug       text     not null,              -- /o/<slug>/fhir/R4
  name       text     not null,
  status     smallint not null,              -- 1 active, 2 suspended
  created_at bigint   not null
);
create unique index access_organization_tenant on access_organization (tenant);
create unique index access_organization_slug on access_organization (slug);

-- The roles of one organisation: copies of the product's, and its own.
create table access_role (
  id              uuid    not null primary key,
  organization_id uuid    not null,
  name            text    not null,
  is_system       boolean not null,
  permissions     text[]  not null
);
create unique index access_role_name on access_role (organization_id, name);

create table access_member (
  organization_id uuid   not null,
  user_id         uuid   not null,
  roles           uuid[] not null,
  patient         text,                      -- the user as a patient of the organisation: an id
  created_at      bigint not null,
  primary key (organization_id, user_id)
);
create index access_member_user on access_member (user_id);

-- Who becomes a member as soon as the address is known to be theirs.
create table access_invitation (
  organization_id uuid   not null,
  email           text   not null,
  roles           uuid[] not null,
  created_at      bigint not null,
  primary key (organization_id, email)
);
create index access_invitation_email on access_invitation (email);

-- Domains that an organisation says are its own. Several may claim one; whoever proves it has it.
create table access_domain (
  id              uuid   not null primary key,
  organization_id uuid   not null,
  name            text   not null,           -- the domain: `clinic.example.org`
  token           text   not null,           -- what its TXT record has to say
  created_at      bigint not null,
  verified_at     bigint
);
create unique index access_domain_claim on access_domain (organization_id, name);
create unique index access_domain_verified on access_domain (name) where verified_at is not null;
