//! Real HTTP against a real server in this process, on a real PostgreSQL.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on ends by panicking"
)]

mod accounts;
mod app;
mod backup;
mod bad_texts;
mod binary;
mod bodies;
mod browser;
mod clinic;
mod commands;
mod content;
mod dead_letters;
mod export;
mod failover;
mod formats;
mod headers;
mod index_change;
mod law;
mod load;
mod modules;
mod names;
mod noise;
mod observer;
mod organizations;
mod outbound;
mod pages;
mod process;
mod rate_limits;
mod schema;
mod settings;
mod shutdown;
mod slow_clients;
mod standby;
mod statements;
mod syntax;
mod trouble;
