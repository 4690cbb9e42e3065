//! Where settings come from, brought into one shape: name, value, origin.

use fhir_model::suggest;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::de::{DeArray, DeTable, DeValue};

use crate::error::{Problem, SettingOrigin};
use crate::settings::{ModuleSetting, SETTINGS, Setting};

/// What the caller gives: the file's name, the environment, the command line.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    file: Option<PathBuf>,
    file_if_there: Option<PathBuf>,
    environment: Vec<(String, String)>,
    flags: Vec<(String, &'static str, String)>,
    modules: Vec<ModuleSetting>,
}

/// A value as it was said.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// From where there is only text: it is read as what the setting asks for.
    Text(String),
    /// From the file, with the type it has there.
    String(String),
    Integer(i64),
    Boolean(bool),
    List(Vec<String>),
    Other(&'static str),
}

#[derive(Debug, Clone)]
pub(crate) struct Given {
    pub(crate) value: Value,
    pub(crate) origin: SettingOrigin,
}

pub(crate) type Values = BTreeMap<&'static str, Given>;

/// Variables with our prefix that are no settings.
const NOT_SETTINGS: [&str; 4] =
    ["CARI_CONFIG", "CARI_LOAD_TOKEN", "CARI_SHARED_DATA", "CARI_TEST_DATABASE_URL"];

impl Sources {
    /// What a server in its working directory reads: `file` or `CARI_CONFIG` or `cari.toml` if it is there, and the
    /// environment.
    pub fn from_process(file: Option<PathBuf>) -> Sources {
        let environment: Vec<(String, String)> = std::env::vars_os()
            .filter_map(|(name, value)| {
                Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
            })
            .collect();
        let named = environment.iter().find(|(name, value)| name == "CARI_CONFIG" && !value.is_empty());
        let file = file.or_else(|| named.map(|(_, value)| PathBuf::from(value)));
        Sources { file, file_if_there: Some(PathBuf::from("cari.toml")), environment, ..Sources::default() }
    }

    /// Settings that modules bring.
    pub fn modules(mut self, settings: Vec<ModuleSetting>) -> Sources {
        self.modules = settings;
        self
    }

    pub(crate) fn module_settings(&self) -> &[ModuleSetting] {
        &self.modules
    }

    /// All settings that there are.
    fn all(&self) -> impl Iterator<Item = &Setting> {
        SETTINGS.iter().chain(self.modules.iter().map(|module| &module.setting))
    }

    fn find(&self, key: &str) -> Option<&Setting> {
        self.all().find(|setting| setting.key == key)
    }

    /// A file that must be there.
    pub fn file(mut self, path: impl Into<PathBuf>) -> Sources {
        self.file = Some(path.into());
        self
    }

    /// An environment variable.
    pub fn variable(mut self, name: &str, value: &str) -> Sources {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// An option of the command line, by its own name and the setting's; nothing happens when it was not given.
    pub fn flag(mut self, name: &str, key: &'static str, value: Option<impl ToString>) -> Sources {
        self.flags.extend(value.map(|value| (name.to_owned(), key, value.to_string())));
        self
    }

    /// All values, the later over the earlier; what has no meaning goes to `problems`.
    pub(crate) fn values(&self, problems: &mut Vec<Problem>) -> Values {
        let mut values: Values = self
            .all()
            .map(|setting| {
                let value = Value::Text(setting.default.to_owned());
                (setting.key, Given { value, origin: SettingOrigin::Default })
            })
            .collect();
        match (&self.file, &self.file_if_there) {
            (Some(path), _) => self.read_file(path, &mut values, problems),
            (None, Some(path)) if path.exists() => self.read_file(path, &mut values, problems),
            _ => {}
        }
        self.read_environment(&mut values, problems);
        for (name, key, value) in &self.flags {
            let origin = SettingOrigin::Flag(name.clone());
            match self.find(key) {
                Some(setting) => {
                    values.insert(setting.key, Given { value: Value::Text(value.clone()), origin });
                }
                None => problems.push(self.unknown(key, origin)),
            }
        }
        values
    }

    fn read_environment(&self, values: &mut Values, problems: &mut Vec<Problem>) {
        let given = |value: &String, name: &String| Given {
            value: Value::Text(value.clone()),
            origin: SettingOrigin::Environment(name.clone()),
        };
        // An empty variable is how shells and containers say "not set".
        let said = || self.environment.iter().filter(|(_, value)| !value.is_empty());
        for (name, value) in said() {
            if let Some(setting) = self.all().find(|setting| setting.alias == Some(name.as_str())) {
                values.insert(setting.key, given(value, name));
            }
        }
        for (name, value) in said() {
            let Some(rest) = name.strip_prefix("CARI_") else { continue };
            let is_alias = self.all().any(|setting| setting.alias == Some(name.as_str()));
            if is_alias || NOT_SETTINGS.contains(&name.as_str()) {
                continue;
            }
            let key = rest.to_lowercase().replace("__", ".");
            match self.find(&key) {
                Some(setting) => {
                    values.insert(setting.key, given(value, name));
                }
                None => problems.push(self.unknown(&key, SettingOrigin::Environment(name.clone()))),
            }
        }
    }

    fn read_file(&self, path: &Path, values: &mut Values, problems: &mut Vec<Problem>) {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                let text = format!("the settings cannot be read: {error}");
                return problems.push(Problem { origin: SettingOrigin::File(path.to_path_buf(), 1), text });
            }
        };
        let origin = |offset: usize| {
            let before = text.as_bytes().iter().take(offset);
            SettingOrigin::File(path.to_path_buf(), 1 + before.filter(|byte| **byte == b'\n').count())
        };
        match DeTable::parse(&text) {
            Ok(table) => self.flatten("", table.get_ref(), &origin, values, problems),
            Err(error) => {
                let at = error.span().map(|span| span.start).unwrap_or_default();
                problems.push(Problem { origin: origin(at), text: format!("not TOML: {}", error.message()) });
            }
        }
    }

    fn flatten(
        &self,
        prefix: &str,
        table: &DeTable<'_>,
        origin: &impl Fn(usize) -> SettingOrigin,
        values: &mut Values,
        problems: &mut Vec<Problem>,
    ) {
        for (name, item) in table {
            let key = format!("{prefix}{}", name.get_ref());
            let is_section = self.all().any(|setting| setting.key.starts_with(&format!("{key}.")));
            match (item.get_ref(), self.find(&key)) {
                (DeValue::Table(inner), None) if is_section => {
                    self.flatten(&format!("{key}."), inner, origin, values, problems);
                }
                (_, None) if is_section => {
                    let text = format!("`{key}` is a section: write `[{key}]` and its settings below");
                    problems.push(Problem { origin: origin(name.span().start), text });
                }
                (_, None) => problems.push(self.unknown(&key, origin(name.span().start))),
                (said, Some(setting)) => {
                    let value = match said {
                        DeValue::String(text) => Value::String(text.to_string()),
                        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                            .map_or(Value::Other("a number out of range"), Value::Integer),
                        DeValue::Boolean(is) => Value::Boolean(*is),
                        DeValue::Float(_) => Value::Other("a fraction"),
                        DeValue::Datetime(_) => Value::Other("a date"),
                        DeValue::Array(items) => texts(items).map_or(Value::Other("a list"), Value::List),
                        DeValue::Table(_) => Value::Other("a section"),
                    };
                    values.insert(setting.key, Given { value, origin: origin(item.span().start) });
                }
            }
        }
    }

    fn unknown(&self, key: &str, origin: SettingOrigin) -> Problem {
        let keys = || self.all().map(|setting| setting.key);
        // A setting that is named without its section is meant by its whole name.
        let ending = keys().find(|candidate| candidate.ends_with(&format!(".{key}")));
        let hint = match ending {
            Some(whole) => suggest::hint(whole, [whole]),
            None => suggest::hint(key, keys()),
        };
        Problem { origin, text: format!("`{key}` is not a setting{hint}") }
    }
}

/// An array of texts alone.
fn texts(items: &DeArray<'_>) -> Option<Vec<String>> {
    items.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect()
}
