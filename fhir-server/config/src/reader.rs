//! Values as what they are meant to be. A value that is not becomes a problem, and the reading goes on.

use std::fmt::Display;
use std::ops::RangeInclusive;

use crate::error::{Problem, SettingOrigin};
use crate::sources::{Given, Value, Values};

pub(crate) struct Reader {
    values: Values,
    pub(crate) problems: Vec<Problem>,
}

impl Reader {
    pub(crate) fn new(values: Values, problems: Vec<Problem>) -> Reader {
        Reader { values, problems }
    }

    /// The names that nobody asked for: a setting without an effect.
    #[cfg(test)]
    pub(crate) fn left(&self) -> Vec<&'static str> {
        self.values.keys().copied().collect()
    }

    /// Text; `None` where it is unset.
    pub(crate) fn text(&mut self, key: &'static str) -> Option<(String, SettingOrigin)> {
        let Given { value, origin } = self.take(key)?;
        match value {
            Value::Text(text) if text.is_empty() => None,
            Value::Text(text) | Value::String(text) if !text.is_empty() => Some((text, origin)),
            other => self.wrong(key, &origin, &other, "text"),
        }
    }

    /// Text that `parse` understands, or says why not.
    pub(crate) fn parsed<T, E: Display>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<(T, SettingOrigin)> {
        let (text, origin) = self.text(key)?;
        match parse(&text) {
            Ok(value) => Some((value, origin)),
            Err(why) => {
                self.problem(key, &origin, &format!("`{text}` {why}"));
                None
            }
        }
    }

    /// Several of what `parse` understands: text with commas, or an array.
    pub(crate) fn list<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, &'static str>,
    ) -> Vec<T> {
        let Some(Given { value, origin }) = self.take(key) else { return Vec::new() };
        let said: Vec<String> = match value {
            Value::Text(text) | Value::String(text) => text.split(',').map(str::to_owned).collect(),
            Value::List(list) => list,
            other => return self.wrong(key, &origin, &other, "a list of texts").unwrap_or_default(),
        };
        let mut list = Vec::new();
        for one in said.iter().map(|one| one.trim()).filter(|one| !one.is_empty()) {
            match parse(one) {
                Ok(value) => list.push(value),
                Err(why) => self.problem(key, &origin, &format!("`{one}` {why}")),
            }
        }
        list
    }

    /// The same for what must not be repeated in a message.
    pub(crate) fn secret(
        &mut self,
        key: &'static str,
        check: impl FnOnce(&str) -> Result<(), &'static str>,
    ) -> Option<(String, SettingOrigin)> {
        let (text, origin) = self.text(key)?;
        match check(&text) {
            Ok(()) => Some((text, origin)),
            Err(why) => {
                self.problem(key, &origin, why);
                None
            }
        }
    }

    /// One of a few words.
    pub(crate) fn word<T: Copy>(&mut self, key: &'static str, words: &[(&str, T)], or: T) -> T {
        let parse = |text: &str| {
            let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
            found.ok_or_else(|| {
                let words: Vec<String> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
                format!("is not one of {}", words.join(", "))
            })
        };
        self.parsed(key, parse).map_or(or, |(value, _)| value)
    }

    /// A whole number.
    pub(crate) fn number(&mut self, key: &'static str, range: RangeInclusive<u64>) -> u64 {
        self.size_or_number(key, range, "a whole number", |text| text.parse().ok())
    }

    /// A number of bytes: `1048576` or `1MiB`.
    pub(crate) fn bytes(&mut self, key: &'static str, range: RangeInclusive<u64>) -> u64 {
        self.size_or_number(key, range, "a size like `10MiB`", |text| {
            let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
            let (digits, unit) = text.split_at_checked(split)?;
            let factor = match unit.trim() {
                "" => 1,
                "KiB" => 1 << 10,
                "MiB" => 1 << 20,
                "GiB" => 1 << 30,
                _ => return None,
            };
            digits.parse::<u64>().ok()?.checked_mul(factor)
        })
    }

    /// Yes or no.
    pub(crate) fn boolean(&mut self, key: &'static str) -> bool {
        let Some(Given { value, origin }) = self.take(key) else { return false };
        match value {
            Value::Boolean(is) => is,
            Value::Text(text) if text == "true" => true,
            Value::Text(text) if text == "false" => false,
            other => self.wrong(key, &origin, &other, "`true` or `false`").unwrap_or(false),
        }
    }

    pub(crate) fn problem(&mut self, key: &str, origin: &SettingOrigin, why: &str) {
        self.problems.push(Problem { origin: origin.clone(), text: format!("{key}: {why}") });
    }

    fn size_or_number(
        &mut self,
        key: &'static str,
        range: RangeInclusive<u64>,
        what: &str,
        parse: impl FnOnce(&str) -> Option<u64>,
    ) -> u64 {
        let smallest = *range.start();
        let Some(Given { value, origin }) = self.take(key) else { return smallest };
        let number = match &value {
            Value::Integer(number) => u64::try_from(*number).ok(),
            Value::Text(text) | Value::String(text) => parse(text),
            Value::Boolean(_) | Value::List(_) | Value::Other(_) => None,
        };
        match number {
            Some(number) if range.contains(&number) => number,
            Some(number) => {
                self.problem(
                    key,
                    &origin,
                    &format!("{number} is not between {} and {}", range.start(), range.end()),
                );
                smallest
            }
            None => self.wrong(key, &origin, &value, what).unwrap_or(smallest),
        }
    }

    fn take(&mut self, key: &'static str) -> Option<Given> {
        self.values.remove(key)
    }

    fn wrong<T>(&mut self, key: &str, origin: &SettingOrigin, value: &Value, wanted: &str) -> Option<T> {
        let is = match value {
            Value::Text(text) | Value::String(text) => format!("`{text}`"),
            Value::Integer(number) => format!("`{number}`"),
            Value::Boolean(is) => format!("`{is}`"),
            Value::List(_) => "a list".to_owned(),
            Value::Other(kind) => (*kind).to_owned(),
        };
        self.problem(key, origin, &format!("{is} is not {wanted}"));
        None
    }
}
