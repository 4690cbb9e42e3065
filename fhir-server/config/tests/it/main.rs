//! What can be said, where, and what comes of nonsense.

use std::time::Duration;

use fhir_config::{
    Auth, Body, ConditionalDelete, Config, Exposure, LogFormat, ModuleSetting, SettingKind, Sources,
};

/// Every mistake, with the whole text it is answered with. `FILE` stands for the file's path.
const MISTAKES: &[(&str, &str)] = &[
    ("listn = '127.0.0.1:1'", "FILE:1: `listn` is not a setting; did you mean `listen`?"),
    (
        "\n# Limits\n[limits]\ncount_mx = 3",
        "FILE:4: `limits.count_mx` is not a setting; did you mean `limits.count_max`?",
    ),
    ("count_max = 3", "FILE:1: `count_max` is not a setting; did you mean `limits.count_max`?"),
    ("[colours]\nsky = 'blue'", "FILE:1: `colours` is not a setting"),
    ("limits = 3", "FILE:1: `limits` is a section: write `[limits]` and its settings below"),
    ("[listen]\nport = 3", "FILE:1: listen: a section is not text"),
    ("listen = 8080", "FILE:1: listen: `8080` is not text"),
    (
        "listen = 'here'",
        "FILE:1: listen: `here` is not an address and port like `127.0.0.1:8080` or `[::]:8080`",
    ),
    (
        "listen = 'localhost:99999'",
        "FILE:1: listen: `localhost:99999` is not an address and port like `127.0.0.1:8080` or `[::]:8080`",
    ),
    ("auth = 'open'", "FILE:1: auth: `open` is not one of `accounts`, `none`, `deny`"),
    ("auth = ''", "FILE:1: auth: `` is not text"),
    (
        "base_url = 'example.org'",
        "FILE:1: base_url: `example.org` is not a URL that starts with `https://` or `http://`",
    ),
    (
        "base_url = 'https://example.org/fhir/R4/'",
        "FILE:1: base_url: `https://example.org/fhir/R4/` is not a base: leave out the path `/fhir/R4`, a query and a fragment",
    ),
    (
        "outbound.networks = '10.0.0.0/33'",
        "FILE:1: outbound.networks: `10.0.0.0/33` is no network like `10.20.0.0/16`, nor an address",
    ),
    ("hosts = 3", "FILE:1: hosts: `3` is not a list of texts"),
    ("\nhosts = ['a', 3]", "FILE:2: hosts: a list is not a list of texts"),
    (
        "hosts = ['ehr:8080', 'http://ehr']",
        "FILE:1: hosts: `http://ehr` is not a name, with a port or without, like `ehr.example.org` or `ehr:8080`",
    ),
    (
        "allow_origins = 'https://a.org, app.example.org,https://a.org/path,https://'",
        "FILE:1: allow_origins: `app.example.org` is not an origin like `https://app.example.org`, nor `*`\n\
         FILE:1: allow_origins: `https://a.org/path` is not an origin like `https://app.example.org`, nor `*`\n\
         FILE:1: allow_origins: `https://` is not an origin like `https://app.example.org`, nor `*`",
    ),
    ("listen = ['127.0.0.1:1']", "FILE:1: listen: a list is not text"),
    ("[limits]\n\ncount_max = 'many'", "FILE:3: limits.count_max: `many` is not a whole number"),
    ("[limits]\ncount_max = 1.5", "FILE:2: limits.count_max: a fraction is not a whole number"),
    ("[limits]\ncount_max = -1", "FILE:2: limits.count_max: `-1` is not a whole number"),
    ("[limits]\ncount_max = 0", "FILE:2: limits.count_max: 0 is not between 1 and 10000"),
    (
        "[limits]\nbody_bytes_max = '10 MB'",
        "FILE:2: limits.body_bytes_max: `10 MB` is not a size like `10MiB`",
    ),
    ("[limits]\nbody_bytes_max = true", "FILE:2: limits.body_bytes_max: `true` is not a size like `10MiB`"),
    (
        "[limits]\nbody_bytes_max = '9GiB'",
        "FILE:2: limits.body_bytes_max: 9663676416 is not between 1024 and 4294967296",
    ),
    ("[postgres]\ndownload = 'yes'", "FILE:2: postgres.download: `yes` is not `true` or `false`"),
    ("[storage]\nbody = 'xml'", "FILE:2: storage.body: `xml` is not one of `jsonb`, `packed`"),
    (
        "conditional_delete = 'all'",
        "FILE:1: conditional_delete: `all` is not one of `single`, `multiple`, `off`",
    ),
    (
        "[log]\nlevel = 'loud'",
        "FILE:2: log.level: `loud` is not a level (`error`, `warn`, `info`, `debug`, `trace`) or a list like `info,fhir_store=debug`",
    ),
    // A password is not repeated.
    (
        "[database]\nurl = 'mysql://root:geheim@localhost'",
        "FILE:2: database.url: the value is not a URL that starts with `postgres://`",
    ),
    // All at once.
    (
        "auth = 'open'\nlisten = 'here'\n[log]\nformat = 'xml'",
        "FILE:2: listen: `here` is not an address and port like `127.0.0.1:8080` or `[::]:8080`\n\
         FILE:1: auth: `open` is not one of `accounts`, `none`, `deny`\n\
         FILE:4: log.format: `xml` is not one of `text`, `json`",
    ),
];

#[test]
fn mistakes_are_told_with_file_and_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cari.toml");
    for (text, said) in MISTAKES {
        std::fs::write(&path, text).unwrap();
        let error = Config::load(Sources::default().file(&path)).unwrap_err().to_string();
        assert_eq!(error, said.replace("FILE", &path.display().to_string()), "{text}");
    }
}

#[test]
fn broken_toml_is_told_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cari.toml");
    for (text, line) in
        [("auth = 'none'\nlisten = ", 2), ("auth = 'none'\nauth = 'deny'", 2), ("[limits\n", 1)]
    {
        std::fs::write(&path, text).unwrap();
        let error = Config::load(Sources::default().file(&path)).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{}:{line}: not TOML: ", path.display())), "{error}");
    }
}

#[test]
fn a_named_file_must_be_there() {
    let error = Config::load(Sources::default().file("/nowhere/cari.toml")).unwrap_err().to_string();
    assert!(error.starts_with("/nowhere/cari.toml:1: the settings cannot be read: "), "{error}");
}

#[test]
fn mistakes_outside_the_file_name_their_place() {
    for (sources, said) in [
        (
            Sources::default().variable("CARI_LISTN", "x"),
            "environment variable CARI_LISTN: `listn` is not a setting; did you mean `listen`?",
        ),
        (
            Sources::default().variable("CARI_LIMITS__COUNT_MAX", "many"),
            "environment variable CARI_LIMITS__COUNT_MAX: limits.count_max: `many` is not a whole number",
        ),
        (
            Sources::default().variable("DATABASE_URL", "geheim"),
            "environment variable DATABASE_URL: database.url: the value is not a URL that starts with `postgres://`",
        ),
        (
            Sources::default().variable("CARI_POSTGRES__DOWNLOAD", "1"),
            "environment variable CARI_POSTGRES__DOWNLOAD: postgres.download: `1` is not `true` or `false`",
        ),
        (
            Sources::default().flag("--auth", "auth", Some("open")),
            "option --auth: auth: `open` is not one of `accounts`, `none`, `deny`",
        ),
    ] {
        assert_eq!(Config::load(sources).unwrap_err().to_string(), said);
    }
}

#[test]
fn the_later_source_wins() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cari.toml");
    std::fs::write(&path, "listen = '127.0.0.1:1'\n[limits]\ncount_max = 11\ncount_default = 7\n").unwrap();
    let sources = Sources::default().file(&path);
    let listen = |sources: &Sources| Config::load(sources.clone()).unwrap().listen.port();
    assert_eq!(listen(&sources), 1);
    let sources = sources.variable("CARI_LISTEN", "127.0.0.1:2");
    assert_eq!(listen(&sources), 2);
    let sources = sources.flag("--listen", "listen", None::<String>);
    assert_eq!(listen(&sources), 2);
    let sources = sources.flag("--listen", "listen", Some("localhost:3"));
    assert_eq!(listen(&sources), 3);
    let limits = Config::load(sources).unwrap().limits;
    assert_eq!((limits.count_max, limits.count_default), (11, 7));
}

#[test]
fn the_defaults() {
    let config = Config::load(Sources::default()).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.base_url, None);
    assert!(config.hosts.is_empty() && config.allow_origins.is_empty());
    assert_eq!(config.data_dir.to_str(), Some(".data"));
    assert_eq!(config.auth, Auth::Accounts);
    assert_eq!(config.conditional_delete, ConditionalDelete::Single);
    assert!(config.database.url.is_none());
    assert_eq!(config.storage.body, Body::Jsonb);
    assert_eq!(config.log.format, LogFormat::Text);
    assert!(config.postgres.download);
    let limits = config.limits;
    assert_eq!(limits.body_bytes_max, 104_857_600);
    assert_eq!(limits.url_bytes_max, 16_384);
    assert_eq!(
        (limits.depth_max, limits.include_max, limits.count_max, limits.count_default),
        (100, 1000, 1000, 20)
    );
    assert_eq!(limits.statement_timeout, Duration::from_secs(30));
    assert_eq!(limits.total_timeout, Duration::from_secs(2));
    let busy = config.concurrency;
    assert_eq!((busy.requests_max, busy.queue_max, busy.queue_wait), (256, 1024, Duration::from_secs(5)));
}

#[test]
fn everything_can_be_said_in_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cari.toml");
    let text = "listen = '[::1]:9'\nbase_url = 'https://example.org/ehr/'\nhosts = ['EHR.local', 'ehr:8080']\n\
                allow_origins = 'https://app.org, https://other.org'\ndata_dir = '/d'\nauth = 'none'\n\
                conditional_delete = 'multiple'\n[database]\nurl = 'postgres://u:geheim@h/d'\nconnections_max = 0x10\n\
                [postgres]\nbin_dir = '/pg/bin'\ndownload = false\n[storage]\nbody = 'packed'\n\
                [limits]\nbody_bytes_max = '2 MiB'\nurl_bytes_max = 8192\ncount_max = 10\n[log]\nformat = 'json'\n\
                level = 'info,fhir_store=debug'\n";
    std::fs::write(&path, text).unwrap();
    let config = Config::load(Sources::default().file(&path)).unwrap();
    assert_eq!(config.listen.to_string(), "[::1]:9");
    assert_eq!(config.base_url.as_deref(), Some("https://example.org/ehr"));
    assert_eq!(config.hosts, ["ehr.local", "ehr:8080"]);
    assert_eq!(config.allow_origins, ["https://app.org", "https://other.org"]);
    assert_eq!(config.database.url.as_ref().unwrap().expose(), "postgres://u:geheim@h/d");
    assert!(!format!("{config:?}").contains("geheim"));
    assert_eq!(config.database.connections_max, 16);
    assert_eq!(config.postgres.bin_dir.as_ref().unwrap().to_str(), Some("/pg/bin"));
    assert!(!config.postgres.download);
    assert_eq!(config.limits.body_bytes_max, 2 << 20);
    assert_eq!(config.limits.count_default, 10, "never above the maximum");
}

#[test]
fn an_open_server_beyond_this_machine_is_known_as_such() {
    for (auth, listen, exposure) in [
        ("deny", "0.0.0.0:80", Exposure::Guarded),
        ("accounts", "0.0.0.0:80", Exposure::Guarded),
        ("none", "127.0.0.1:80", Exposure::Machine),
        ("none", "[::1]:80", Exposure::Machine),
        ("none", "0.0.0.0:80", Exposure::Network),
        ("none", "192.168.1.7:80", Exposure::Network),
    ] {
        let sources =
            Sources::default().flag("--auth", "auth", Some(auth)).flag("--listen", "listen", Some(listen));
        let config = Config::load(sources).unwrap();
        assert_eq!(config.exposure(), exposure, "{auth} {listen}");
    }
}

#[test]
fn plain_variables_are_understood_and_prefixed_ones_win() {
    let sources = Sources::default()
        .variable("CARI_DATABASE__URL", "postgres://ours")
        .variable("DATABASE_URL", "postgres://plain")
        .variable("CARI_PG_BIN", "/pg/bin")
        .variable("CARI_SHARED_DATA", "/somewhere")
        .variable("CARI_BASE_URL", "")
        .variable("HOME", "/home");
    let config = Config::load(sources).unwrap();
    assert_eq!(config.database.url.unwrap().expose(), "postgres://ours");
    assert_eq!(config.postgres.bin_dir.unwrap().to_str(), Some("/pg/bin"));
    assert_eq!(config.base_url, None);
}

const OF_MODULES: [ModuleSetting; 5] = [
    ModuleSetting::new("tally.open", SettingKind::Boolean, "true", "A truth."),
    ModuleSetting::new("tally.depth", SettingKind::Number(1, 9), "5", "A number."),
    ModuleSetting::new("tally.rest_ms", SettingKind::Milliseconds(0, 5000), "250", "A time."),
    ModuleSetting::new("tally.mode", SettingKind::Word(&["fast", "slow"]), "slow", "A word."),
    ModuleSetting::new("tally.key", SettingKind::Secret, "", "A secret."),
];

#[test]
fn modules_bring_settings() {
    let sources = || Sources::default().modules(OF_MODULES.to_vec());
    let modules = Config::load(sources()).unwrap().modules;
    assert_eq!((modules.number("tally.depth"), modules.text("tally.mode")), (5, Some("slow")));
    assert_eq!(modules.milliseconds("tally.rest_ms"), Duration::from_millis(250));
    assert!(modules.is_true("tally.open") && !modules.is_true("tally.mode"));
    assert_eq!(modules.secret("tally.key"), None);

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cari.toml");
    std::fs::write(&path, "[tally]\ndepth = 7\nkey = 'geheim'\n").unwrap();
    let config = Config::load(sources().file(&path).variable("CARI_TALLY__MODE", "fast")).unwrap();
    assert_eq!((config.modules.number("tally.depth"), config.modules.text("tally.mode")), (7, Some("fast")));
    assert_eq!(config.modules.secret("tally.key").unwrap().expose(), "geheim");
    assert!(!format!("{config:?}").contains("geheim"));

    std::fs::write(&path, "[tally]\ndepth = 10\nmode = 'idle'\ndepht = 3\n").unwrap();
    let error =
        Config::load(sources().file(&path)).unwrap_err().to_string().replace(path.to_str().unwrap(), "FILE");
    assert_eq!(
        error,
        "FILE:4: `tally.depht` is not a setting; did you mean `tally.depth`?\n\
         FILE:2: tally.depth: 10 is not between 1 and 9\n\
         FILE:3: tally.mode: `idle` is not one of `fast`, `slow`"
    );
    // Nobody else knows them.
    assert!(
        Config::load(Sources::default().file(&path))
            .unwrap_err()
            .to_string()
            .contains("`tally` is not a setting")
    );
}
