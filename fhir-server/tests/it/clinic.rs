//! `/v1`: organisations, members, roles, domains, over HTTP.

mod domains;
mod idempotency;
mod me;
mod members;
mod organizations;
mod server;
