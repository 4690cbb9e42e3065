//! The server's settings: one TOML file, the environment, the command line; the later wins.
//!
//! ```
//! use fhir_config::{Config, Sources};
//!
//! let config = Config::load(Sources::default().flag("--listen", "listen", Some("127.0.0.1:9000")))?;
//! assert_eq!(config.listen.port(), 9000);
//! assert_eq!(config.limits.count_max, 1000);
//! # Ok::<(), fhir_config::Error>(())
//! ```
//!
//! [`SETTINGS`] is the one list of what can be set. A key that is not in it, or a value that makes no sense, stops the
//! start, with its name, its file and its line; all problems are reported at once.

mod backup;
mod config;
mod error;
mod modules;
mod outbound;
mod rate_limits;
mod reader;
mod secret;
mod settings;
mod sources;

pub use backup::Backup;
pub use config::{
    Auth, Body, Concurrency, ConditionalDelete, Config, Database, Exposure, Integrity, Limits, Log,
    LogFormat, Postgres, ReadFrom, Storage, Work,
};
pub use error::{Error, Problem, SettingOrigin};
pub use modules::ModuleSettings;
pub use outbound::Outbound;
pub use rate_limits::{NetworkRate, Proxies, ProxyHeader, RateLimits, RateMount, RedisDown};
pub use secret::Secret;
pub use settings::{ModuleSetting, SETTINGS, Setting, SettingKind, example, reference};
pub use sources::Sources;
