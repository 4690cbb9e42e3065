//! The list of settings as documentation: a page, and the packaged file.

use fhir_config::{Config, ModuleSetting, SETTINGS, Setting, Sources, example, reference};

fn modules() -> Vec<ModuleSetting> {
    fhir_server::modules::list().unwrap().settings()
}

fn all() -> impl Iterator<Item = Setting> {
    SETTINGS.iter().copied().chain(modules().into_iter().map(|module| module.setting))
}

/// The page is committed, so that it can be read; `UPDATE=1` writes it.
#[test]
fn the_reference_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/config/settings.md");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, reference(&modules())).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), reference(&modules()), "run this test with UPDATE=1");
    for setting in all() {
        assert!(
            reference(&modules()).contains(&format!("| `{}` | `{}`", setting.key, setting.variable())),
            "{}",
            setting.key
        );
    }
}

/// What the Debian package brings to `/etc/cari/config.toml`.
const PACKAGED: &[(&str, &str)] = &[("data_dir", "/var/lib/cari")];

/// The file is committed, as the package takes it as it is; `UPDATE=1` writes it.
#[test]
fn the_packaged_file_is_up_to_date_and_says_every_default() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/debian/config.toml");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, example(PACKAGED, &modules())).unwrap();
    }
    let text = std::fs::read_to_string(path).unwrap();
    assert_eq!(text, example(PACKAGED, &modules()), "run this test with UPDATE=1");

    let packaged = Config::load(Sources::default().modules(modules()).file(path)).unwrap();
    assert_eq!(packaged.data_dir.to_str(), Some("/var/lib/cari"));

    // Taken out of their comments, all of them together are what is in effect without a file.
    let active = |line: &str| {
        let setting = line.strip_prefix("# ").filter(|rest| is_assignment(rest));
        setting.unwrap_or(line).to_owned()
    };
    let unset: Vec<&str> = all().filter(|s| s.default.is_empty()).map(|s| s.key).collect();
    let lines = example(&[], &modules()).lines().map(active).collect::<Vec<_>>();
    for setting in all() {
        let name = setting.key.rsplit('.').next().unwrap();
        assert!(lines.iter().any(|line| line.starts_with(&format!("{name} = "))), "{}", setting.key);
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    let said = lines.iter().filter(|line| !line.ends_with(" = \"\"")).map(|line| format!("{line}\n"));
    std::fs::write(file.path(), said.collect::<String>()).unwrap();
    let given = Config::load(Sources::default().modules(modules()).file(file.path())).unwrap();
    let default = Config::load(Sources::default().modules(modules())).unwrap();
    assert_eq!(format!("{given:?}"), format!("{default:?}"), "but for {unset:?}");
}

fn is_assignment(line: &str) -> bool {
    line.split_once(" = ").is_some_and(|(name, _)| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
}
