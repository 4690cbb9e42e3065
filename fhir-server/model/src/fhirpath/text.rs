//! Functions on texts: <https://hl7.org/fhirpath/N1/#string-manipulation>
//!
//! Positions count characters. Regular expressions run in time linear in the text, whoever wrote them.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use regex::{Regex, RegexBuilder};

use super::call::Call;
use super::evaluate::{EvalError, Evaluation, Items, error};
use super::function::Function as F;
use super::item::{Item, Value};

/// Largest compiled form of a regular expression, in bytes.
const REGEX_BYTES_MAX: usize = 1024 * 1024;

/// Longest text a function may make, in bytes: replacing can multiply.
const TEXT_BYTES_MAX: usize = 10 * 1024 * 1024;

impl<'a> Evaluation<'_, 'a> {
    pub(super) fn text(&self, input: &[Item<'a>], call: &Call<'_, '_, 'a>) -> Result<Items<'a>, EvalError> {
        let at = call.at;
        let Some(text) = self.string(input, at)? else { return Ok(Vec::new()) };
        self.spend(text.len() / 64, at)?;
        let number = |found: Option<usize>| Value::Integer(found.map_or(-1, |found| found as i64));
        let value = match call.function {
            F::Upper => Value::String(text.to_uppercase().into()),
            F::Lower => Value::String(text.to_lowercase().into()),
            F::Trim => Value::String(text.trim().to_owned().into()),
            F::Length => number(Some(text.chars().count())),
            F::ToChars => return Ok(text.chars().map(|c| Item::text(c.to_string())).collect()),
            F::Substring => return self.substring(&text, call),
            F::Replace | F::ReplaceMatches => return self.replaced(&text, call),
            _ => {
                let Some(other) = self.string(&self.first_argument(call)?, at)? else {
                    return Ok(Vec::new());
                };
                match call.function {
                    F::IndexOf => number(text.find(&*other).map(|found| characters(&text, found))),
                    F::LastIndexOf => number(text.rfind(&*other).map(|found| characters(&text, found))),
                    F::StartsWith => Value::Boolean(text.starts_with(&*other)),
                    F::EndsWith => Value::Boolean(text.ends_with(&*other)),
                    F::Contains => Value::Boolean(text.contains(&*other)),
                    F::Matches | F::MatchesFull => {
                        let whole = call.function == F::MatchesFull;
                        let flags = self.flags(call, 1)?;
                        Value::Boolean(
                            regex(&other, &flags, whole).map_err(|text| error(at, text))?.is_match(&text),
                        )
                    }
                    F::Split if other.is_empty() => {
                        return Ok(text.chars().map(|c| Item::text(c.to_string())).collect());
                    }
                    F::Split => {
                        return Ok(text.split(&*other).map(|part| Item::text(part.to_owned())).collect());
                    }
                    function => match recoded(function, &text, &other).map_err(|text| error(at, text))? {
                        Some(text) => Value::String(text.into()),
                        None => return Ok(Vec::new()),
                    },
                }
            }
        };
        Ok(vec![Item::Value(value)])
    }

    pub(super) fn join(&self, input: &[Item<'a>], call: &Call<'_, '_, 'a>) -> Result<Items<'a>, EvalError> {
        let separator = self.string(&self.first_argument(call)?, call.at)?.unwrap_or_default();
        let mut joined = String::new();
        let mut first = true;
        for item in input {
            let Some(text) = self.string(std::slice::from_ref(item), call.at)? else { continue };
            if !first {
                joined.push_str(&separator);
            }
            first = false;
            joined.push_str(&text);
            limited(&joined, call.at)?;
        }
        Ok(if input.is_empty() { Vec::new() } else { vec![Item::text(joined)] })
    }

    /// The only item as a text; numbers and dates count as they are written.
    pub(super) fn string(
        &self,
        items: &[Item<'a>],
        at: u32,
    ) -> Result<Option<std::borrow::Cow<'a, str>>, EvalError> {
        match self.single_value(items, at)? {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            // FHIR's dates and numbers are texts in JSON, and implicitly become Strings.
            Some(value) if items.first().is_some_and(|item| item.as_node().is_some()) => {
                Ok(Some(value.to_string().into()))
            }
            Some(other) => Err(error(at, format!("a String is needed here, not a {}", other.type_name()))),
        }
    }

    fn substring(&self, text: &str, call: &Call<'_, '_, 'a>) -> Result<Items<'a>, EvalError> {
        let Some(start) = self.integer(&self.first_argument(call)?, call.at)? else { return Ok(Vec::new()) };
        let length = match call.args.get(1) {
            Some(length) => self.integer(&self.argument(length, call.scope)?, call.at)?,
            None => None,
        };
        let Ok(start) = usize::try_from(start) else { return Ok(Vec::new()) };
        if start >= text.chars().count() {
            return Ok(Vec::new());
        }
        let length = length.map_or(usize::MAX, |length| usize::try_from(length.max(0)).unwrap_or(usize::MAX));
        Ok(vec![Item::text(text.chars().skip(start).take(length).collect::<String>())])
    }

    fn replaced(&self, text: &str, call: &Call<'_, '_, 'a>) -> Result<Items<'a>, EvalError> {
        let at = call.at;
        let pattern = self.string(&self.first_argument(call)?, at)?;
        let by = match call.args.get(1) {
            Some(by) => self.string(&self.argument(by, call.scope)?, at)?,
            None => None,
        };
        let (Some(pattern), Some(by)) = (pattern, by) else { return Ok(Vec::new()) };
        // Worst case: something is put before every character and at the end.
        if by.len().saturating_mul(text.len() + 1) > TEXT_BYTES_MAX {
            return Err(error(at, "the text would become too long"));
        }
        let replaced = if call.function == F::Replace {
            text.replace(&*pattern, &by)
        } else if pattern.is_empty() {
            text.to_owned()
        } else {
            let flags = self.flags(call, 2)?;
            let regex = regex(&pattern, &flags, false).map_err(|text| error(at, text))?;
            regex.replace_all(text, &*by).into_owned()
        };
        limited(&replaced, at)?;
        Ok(vec![Item::text(replaced)])
    }

    fn flags(&self, call: &Call<'_, '_, 'a>, argument: usize) -> Result<String, EvalError> {
        match call.args.get(argument) {
            Some(flags) => {
                let flags = self.argument(flags, call.scope)?;
                Ok(self.string(&flags, call.at)?.unwrap_or_default().into_owned())
            }
            None => Ok(String::new()),
        }
    }
}

/// The dot matches line ends too: FHIRPath's expressions are in single line mode.
fn regex(pattern: &str, flags: &str, whole: bool) -> Result<Regex, String> {
    let anchored = if whole { format!("^(?:{pattern})$") } else { pattern.to_owned() };
    RegexBuilder::new(&anchored)
        .dot_matches_new_line(true)
        .case_insensitive(flags.contains('i'))
        .multi_line(flags.contains('m'))
        .size_limit(REGEX_BYTES_MAX)
        .build()
        .map_err(|_| format!("`{pattern}` is not a regular expression that is understood here"))
}

fn limited(text: &str, at: u32) -> Result<(), EvalError> {
    if text.len() > TEXT_BYTES_MAX { Err(error(at, "the text would become too long")) } else { Ok(()) }
}

/// How many characters stand before a byte.
fn characters(text: &str, byte: usize) -> usize {
    text.char_indices().take_while(|(at, _)| *at < byte).count()
}

/// `encode`, `decode`, `escape`, `unescape`. Nothing when the text is not in the format it is decoded from.
fn recoded(function: F, text: &str, format: &str) -> Result<Option<String>, String> {
    let decoded = |bytes: Option<Vec<u8>>| bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    Ok(match (function, format) {
        (F::Encode, "base64") => Some(STANDARD.encode(text)),
        (F::Encode, "urlbase64") => Some(URL_SAFE.encode(text)),
        (F::Encode, "hex") => Some(text.bytes().map(|b| format!("{b:02x}")).collect()),
        (F::Decode, "base64") => decoded(STANDARD.decode(text).ok()),
        (F::Decode, "urlbase64") => decoded(URL_SAFE.decode(text).ok()),
        (F::Decode, "hex") => decoded(hex(text)),
        (F::Escape, "html") => Some(replaced_each(text, &HTML)),
        (F::Escape, "json") => {
            let quoted = serde_json::Value::String(text.to_owned()).to_string();
            quoted.get(1..quoted.len() - 1).map(str::to_owned)
        }
        (F::Unescape, "html") => {
            Some(HTML.iter().rev().fold(text.to_owned(), |text, (c, name)| text.replace(name, c)))
        }
        (F::Unescape, "json") => serde_json::from_str(&format!("\"{text}\"")).ok(),
        (function, _) => return Err(format!("`{}` does not know `{format}`", function.name())),
    })
}

/// The ampersand first: what the others put in must stay.
const HTML: [(&str, &str); 5] =
    [("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("\"", "&quot;"), ("'", "&#39;")];

fn replaced_each(text: &str, pairs: &[(&str, &str)]) -> String {
    pairs.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text.chars().map(|c| c.to_digit(16).map(|digit| digit as u8)).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    Some(digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte * 16 + digit)).collect())
}
