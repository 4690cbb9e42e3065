//! Accounts over HTTP: signing in, going on, signing out; on one server and on several of one database.

mod first_steps;
mod mail;
mod matrix;
mod own_record;
mod passwords;
mod revocation;
mod second_factor;
mod sessions;
mod setup;
mod support;
