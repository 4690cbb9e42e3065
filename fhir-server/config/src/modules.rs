//! The values of settings that modules bring.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::reader::Reader;
use crate::secret::Secret;
use crate::settings::{ModuleSetting, Setting, SettingKind};

/// The values of all modules' settings, checked.
#[derive(Debug, Clone, Default)]
pub struct ModuleSettings(BTreeMap<&'static str, ModuleValue>);

#[derive(Debug, Clone)]
enum ModuleValue {
    Text(Option<String>),
    Secret(Option<Secret>),
    Boolean(bool),
    Number(u64),
}

impl ModuleSettings {
    pub(crate) fn read(reader: &mut Reader, settings: &[ModuleSetting]) -> ModuleSettings {
        let mut values = BTreeMap::new();
        for ModuleSetting { setting: Setting { key, .. }, kind } in settings {
            let value = match *kind {
                SettingKind::Text => ModuleValue::Text(reader.text(key).map(|(text, _)| text)),
                SettingKind::Secret => {
                    ModuleValue::Secret(reader.secret(key, |_| Ok(())).map(|(text, _)| Secret::new(text)))
                }
                SettingKind::Boolean => ModuleValue::Boolean(reader.boolean(key)),
                SettingKind::Number(min, max) | SettingKind::Milliseconds(min, max) => {
                    ModuleValue::Number(reader.number(key, min..=max))
                }
                SettingKind::Word(words) => {
                    let words: Vec<(&str, &str)> = words.iter().map(|word| (*word, *word)).collect();
                    ModuleValue::Text(Some(reader.word(key, &words, "").to_owned()))
                }
            };
            values.insert(*key, value);
        }
        ModuleSettings(values)
    }

    /// The text or word of a setting; `None` where it is unset.
    pub fn text(&self, key: &str) -> Option<&str> {
        match self.0.get(key) {
            Some(ModuleValue::Text(text)) => text.as_deref(),
            _ => None,
        }
    }

    /// The secret of a setting; `None` where it is unset.
    pub fn secret(&self, key: &str) -> Option<&Secret> {
        match self.0.get(key) {
            Some(ModuleValue::Secret(secret)) => secret.as_ref(),
            _ => None,
        }
    }

    /// Whether a setting is `true`.
    pub fn is_true(&self, key: &str) -> bool {
        matches!(self.0.get(key), Some(ModuleValue::Boolean(true)))
    }

    /// The number of a setting; 0 for one that is no number.
    pub fn number(&self, key: &str) -> u64 {
        match self.0.get(key) {
            Some(ModuleValue::Number(number)) => *number,
            _ => 0,
        }
    }

    /// The time of a setting.
    pub fn milliseconds(&self, key: &str) -> Duration {
        Duration::from_millis(self.number(key))
    }
}
