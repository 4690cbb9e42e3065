//! The settings, read and checked. What each means stands in [`crate::SETTINGS`].

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use fhir_model::date::Zone;

use crate::backup::Backup;
use crate::error::{Error, SettingOrigin};
use crate::modules::ModuleSettings;
use crate::outbound::Outbound;
use crate::rate_limits::{Proxies, RateLimits};
use crate::reader::Reader;
use crate::secret::Secret;
use crate::settings::ModuleSetting;
use crate::sources::Sources;

/// All settings.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the meaning of each stands once, in SETTINGS")]
pub struct Config {
    pub listen: SocketAddr,
    /// Without a slash at its end.
    pub base_url: Option<String>,
    pub hosts: Vec<String>,
    /// Organisations beside the default one, by their names in urls.
    pub organizations: Vec<String>,
    pub allow_origins: Vec<String>,
    pub time_zone: Zone,
    pub fold_codes: bool,
    pub data_dir: PathBuf,
    pub auth: Auth,
    pub conditional_delete: ConditionalDelete,
    pub referential_integrity: Integrity,
    pub database: Database,
    pub postgres: Postgres,
    pub backup: Backup,
    pub storage: Storage,
    pub work: Work,
    pub full_text: bool,
    pub limits: Limits,
    pub outbound: Outbound,
    pub proxies: Proxies,
    pub rate_limits: RateLimits,
    pub concurrency: Concurrency,
    pub log: Log,
    pub modules: ModuleSettings,
}

/// Who may do what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// Whoever signs in, what its roles allow.
    Accounts,
    /// Everybody everything.
    None,
    /// Nobody anything but metadata and health.
    Deny,
}

/// What a conditional delete may delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConditionalDelete {
    /// The one match.
    Single,
    /// All matches.
    Multiple,
    /// Nothing.
    Off,
}

/// What becomes of references that lead nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Integrity {
    /// They are stored.
    Off,
    /// They are refused.
    Enforce,
}

/// Where reads are answered of callers who do not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadFrom {
    /// By the primary alone.
    Primary,
    /// By the standby of `database.read_url`, too.
    Standby,
}

/// How bodies are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// As PostgreSQL's JSONB.
    Jsonb,
    /// Compressed.
    Packed,
}

/// The shape of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// `database.*`
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the meaning of each stands once, in SETTINGS")]
pub struct Database {
    pub url: Option<Secret>,
    /// Where the url was said.
    pub url_origin: SettingOrigin,
    pub connections_max: usize,
    pub read_url: Option<Secret>,
    pub read_from: ReadFrom,
    pub read_lag_max: Duration,
}

/// `postgres.*`
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the meaning of each stands once, in SETTINGS")]
pub struct Postgres {
    pub bin_dir: Option<PathBuf>,
    pub download: bool,
    pub download_url: String,
}

/// `storage.*`
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the meaning of each stands once, in SETTINGS")]
pub struct Storage {
    pub body: Body,
}

/// `work.*`
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the meaning of each stands once, in SETTINGS")]
pub struct Work {
    pub jobs_max: usize,
}

/// `limits.*`
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the meaning of each stands once, in SETTINGS")]
pub struct Limits {
    pub body_bytes_max: usize,
    pub bodies_bytes_max: usize,
    pub depth_max: usize,
    pub entries_max: usize,
    pub url_bytes_max: usize,
    pub long_search_lifetime: Duration,
    pub long_searches_max: usize,
    pub long_searches_bytes_max: usize,
    pub count_default: usize,
    pub count_max: usize,
    pub include_max: usize,
    pub page_bytes_max: usize,
    pub total_timeout: Duration,
    pub statement_timeout: Duration,
    pub head_timeout: Duration,
    pub idle_timeout: Duration,
    pub bytes_per_second_min: u64,
}

/// `concurrency.*`
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the meaning of each stands once, in SETTINGS")]
pub struct Concurrency {
    pub requests_max: usize,
    pub queue_max: usize,
    pub queue_wait: Duration,
    pub drain: Duration,
}

/// `log.*`
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the meaning of each stands once, in SETTINGS")]
pub struct Log {
    pub format: LogFormat,
    pub level: String,
}

/// Who can reach a server that asks nobody who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exposure {
    /// It does ask.
    Guarded,
    /// Everybody on this machine.
    Machine,
    /// Everybody who reaches the address: to be said loudly.
    Network,
}

impl Config {
    /// Reads and checks everything.
    ///
    /// # Errors
    ///
    /// With all problems at once, each with its file and line, variable or option: unknown settings, values out of
    /// range, settings that contradict each other.
    pub fn load(sources: Sources) -> Result<Config, Error> {
        let mut problems = Vec::new();
        let values = sources.values(&mut problems);
        let mut reader = Reader::new(values, problems);
        let config = Config::read(&mut reader, sources.module_settings());
        match config {
            Some(config) if reader.problems.is_empty() => Ok(config),
            _ => Err(Error { problems: reader.problems }),
        }
    }

    /// Who can reach the server without being asked. An open server listens beyond this machine only where an operator
    /// wrote the address ([`Config::load`] refuses anything else).
    pub fn exposure(&self) -> Exposure {
        match self.auth {
            Auth::Accounts | Auth::Deny => Exposure::Guarded,
            Auth::None if self.listen.ip().is_loopback() => Exposure::Machine,
            Auth::None => Exposure::Network,
        }
    }

    /// Reads every setting, whatever was wrong before, so that all problems are reported at once.
    fn read(reader: &mut Reader, modules: &[ModuleSetting]) -> Option<Config> {
        let listen = reader.parsed("listen", address);
        let base_url = reader.parsed("base_url", base_url).map(|(url, _)| url);
        let hosts = reader.list("hosts", host);
        let organizations = reader.list("organizations", slug);
        let allow_origins = reader.list("allow_origins", web_origin);
        let time_zone = reader.parsed("time_zone", time_zone).map(|(zone, _)| zone).unwrap_or_default();
        let fold_codes = reader.boolean("fold_codes");
        let data_dir = reader.text("data_dir");
        let policies = [("accounts", Auth::Accounts), ("none", Auth::None), ("deny", Auth::Deny)];
        let auth = reader.word("auth", &policies, Auth::Deny);
        let conditional_delete = reader.word(
            "conditional_delete",
            &[
                ("single", ConditionalDelete::Single),
                ("multiple", ConditionalDelete::Multiple),
                ("off", ConditionalDelete::Off),
            ],
            ConditionalDelete::Off,
        );
        let integrity = [("off", Integrity::Off), ("enforce", Integrity::Enforce)];
        let referential_integrity = reader.word("referential_integrity", &integrity, Integrity::Off);
        let database = Database::read(reader);
        let postgres = Postgres {
            bin_dir: reader.text("postgres.bin_dir").map(|(dir, _)| PathBuf::from(dir)),
            download: reader.boolean("postgres.download"),
            download_url: reader
                .parsed("postgres.download_url", base_url_of)
                .map(|(url, _)| url)
                .unwrap_or_default(),
        };
        let backup = Backup::read(reader, database.url.is_some());
        let bodies = [("jsonb", Body::Jsonb), ("packed", Body::Packed)];
        let storage = Storage { body: reader.word("storage.body", &bodies, Body::Jsonb) };
        let work = Work { jobs_max: size(reader.number("work.jobs_max", 1..=256)) };
        let full_text = reader.boolean("full_text");
        let limits = Limits::read(reader);
        let outbound = Outbound::read(reader);
        let proxies = Proxies::read(reader);
        let rate_limits = RateLimits::read(reader);
        let concurrency = Concurrency {
            requests_max: size(reader.number("concurrency.requests_max", 1..=65_536)),
            queue_max: size(reader.number("concurrency.queue_max", 0..=1_000_000)),
            queue_wait: millis(reader, "concurrency.queue_wait_ms", 0),
            drain: millis(reader, "concurrency.drain_ms", 0),
        };
        let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
        let log = Log {
            format: reader.word("log.format", &formats, LogFormat::Text),
            level: reader.parsed("log.level", log_level).map(|(level, _)| level).unwrap_or_default(),
        };
        let modules = ModuleSettings::read(reader, modules);
        let (listen, origin) = listen?;
        if auth == Auth::None && !listen.ip().is_loopback() && origin == SettingOrigin::Default {
            reader.problem(
                "listen",
                &origin,
                "with `auth = none` an address beyond this machine must be said",
            );
        }
        Some(Config {
            listen,
            base_url,
            hosts,
            organizations,
            allow_origins,
            time_zone,
            fold_codes,
            data_dir: PathBuf::from(data_dir?.0),
            auth,
            conditional_delete,
            referential_integrity,
            database,
            postgres,
            backup,
            storage,
            work,
            full_text,
            limits,
            outbound,
            proxies,
            rate_limits,
            concurrency,
            log,
            modules,
        })
    }
}

impl Database {
    fn read(reader: &mut Reader) -> Database {
        let (url, url_origin) = match reader.secret("database.url", database_url) {
            Some((url, origin)) => (Some(Secret::new(url)), origin),
            None => (None, SettingOrigin::Default),
        };
        let read_url = reader.secret("database.read_url", database_url);
        if let (Some((_, origin)), None) = (&read_url, &url) {
            let why = "is a standby of the database of `database.url`, which is not set";
            reader.problem("database.read_url", origin, why);
        }
        let read_from = [("primary", ReadFrom::Primary), ("standby", ReadFrom::Standby)];
        Database {
            url,
            url_origin,
            connections_max: size(reader.number("database.connections_max", 1..=1000)),
            read_url: read_url.map(|(url, _)| Secret::new(url)),
            read_from: reader.word("database.read_from", &read_from, ReadFrom::Primary),
            read_lag_max: millis(reader, "database.read_lag_max_ms", 1000),
        }
    }
}

impl Limits {
    fn read(reader: &mut Reader) -> Limits {
        let count_max = size(reader.number("limits.count_max", 1..=10_000));
        let count_default = size(reader.number("limits.count_default", 1..=10_000));
        Limits {
            body_bytes_max: size(reader.bytes("limits.body_bytes_max", 1 << 10..=4 << 30)),
            bodies_bytes_max: size(reader.bytes("limits.bodies_bytes_max", 1 << 20..=1 << 40)),
            depth_max: size(reader.number("limits.depth_max", 10..=1000)),
            entries_max: size(reader.number("limits.entries_max", 1..=10_000_000)),
            // No HTTP library here reads a longer one than 65,534 bytes, the scheme and the host among them.
            url_bytes_max: size(reader.bytes("limits.url_bytes_max", 256..=64_000)),
            long_search_lifetime: Duration::from_secs(
                reader.number("limits.long_search_lifetime_seconds", 1..=31_536_000),
            ),
            long_searches_max: size(reader.number("limits.long_searches_max", 1..=1_000_000)),
            long_searches_bytes_max: size(reader.bytes("limits.long_searches_bytes_max", 1 << 20..=1 << 34)),
            // A page is never longer than the longest allowed.
            count_default: count_default.min(count_max),
            count_max,
            include_max: size(reader.number("limits.include_max", 1..=100_000)),
            page_bytes_max: size(reader.bytes("limits.page_bytes_max", 1 << 10..=1 << 30)),
            total_timeout: millis(reader, "limits.total_timeout_ms", 1),
            statement_timeout: millis(reader, "limits.statement_timeout_ms", 1),
            head_timeout: millis(reader, "limits.head_timeout_ms", 100),
            idle_timeout: millis(reader, "limits.idle_timeout_ms", 100),
            bytes_per_second_min: reader.number("limits.bytes_per_second_min", 0..=1_000_000),
        }
    }
}

fn millis(reader: &mut Reader, key: &'static str, min: u64) -> Duration {
    Duration::from_millis(reader.number(key, min..=3_600_000))
}

fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn address(text: &str) -> Result<SocketAddr, &'static str> {
    let why = "is not an address and port like `127.0.0.1:8080` or `[::]:8080`";
    if let Some(port) = text.strip_prefix("localhost:") {
        let port = port.parse().map_err(|_| why)?;
        return Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    }
    text.parse().map_err(|_| why)
}

fn base_url(text: &str) -> Result<String, &'static str> {
    if text.contains(['?', '#']) || text.trim_end_matches('/').ends_with("/fhir/R4") {
        return Err("is not a base: leave out the path `/fhir/R4`, a query and a fragment");
    }
    base_url_of(text)
}

fn base_url_of(text: &str) -> Result<String, &'static str> {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    match host {
        Some(host) if !host.trim_matches('/').is_empty() && !text.contains(char::is_whitespace) => {
            Ok(text.trim_end_matches('/').to_owned())
        }
        _ => Err("is not a URL that starts with `https://` or `http://`"),
    }
}

fn host(text: &str) -> Result<String, &'static str> {
    match text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b)) {
        true => Ok(text.to_ascii_lowercase()),
        false => Err("is not a name, with a port or without, like `ehr.example.org` or `ehr:8080`"),
    }
}

/// What stands in a url, in a log and in a page without being encoded.
fn slug(text: &str) -> Result<String, &'static str> {
    let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    match (1..=64).contains(&text.len()) && text.bytes().all(is_plain) && !text.starts_with('-') {
        true => Ok(text.to_owned()),
        false => {
            Err("is not a name of at most 64 lower case letters, digits and hyphens, like `north-clinic`")
        }
    }
}

/// Browsers send exactly this: a scheme, a name, and a port where it is not the scheme's own.
fn web_origin(text: &str) -> Result<String, &'static str> {
    let name = text.split_once("://").map(|(_, name)| name);
    let is_name = |name: &str| !name.is_empty() && !name.contains(['/', '?', '#', '@']);
    match text == "*" || (name.is_some_and(is_name) && text.bytes().all(|b| b.is_ascii_graphic())) {
        true => Ok(text.to_owned()),
        false => Err("is not an origin like `https://app.example.org`, nor `*`"),
    }
}

fn time_zone(text: &str) -> Result<Zone, &'static str> {
    Zone::parse(text).ok_or("is not a time zone of the IANA database, like `Africa/Nairobi`")
}

fn database_url(text: &str) -> Result<(), &'static str> {
    let is = text.starts_with("postgres://") || text.starts_with("postgresql://");
    is.then_some(()).ok_or("the value is not a URL that starts with `postgres://`")
}

fn log_level(text: &str) -> Result<String, &'static str> {
    let known = |part: &str| {
        let level = part.rsplit('=').next().unwrap_or(part);
        ["off", "error", "warn", "info", "debug", "trace"].contains(&level)
    };
    if text.split(',').all(known) {
        Ok(text.to_owned())
    } else {
        Err(
            "is not a level (`error`, `warn`, `info`, `debug`, `trace`) or a list like `info,fhir_store=debug`",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_read() {
        let mut reader = Reader::new(Sources::default().values(&mut Vec::new()), Vec::new());
        Config::read(&mut reader, &[]).unwrap();
        assert_eq!(reader.left(), Vec::<&str>::new());
    }
}
