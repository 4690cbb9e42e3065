//! What a path finds, against what it should find.

use anyhow::{Context, Result, bail};
use regex_lite::Regex;
use serde_json::Value;

use super::{Path, is_true, read};

/// A path and what it must compare to; alone, it must be true.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Test {
    pub(crate) path: Path,
    pub(crate) comparison: Option<(Operator, Value)>,
}

/// How two collections are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Equal,
    NotEqual,
    SameInAnyOrder,
    Matches,
    MatchesNot,
    Contains,
    ContainsNot,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Longest first, so that `<=` is not read as `<`.
const OPERATORS: &[(&str, Operator)] = &[
    ("!contains", Operator::ContainsNot),
    ("contains", Operator::Contains),
    ("!=", Operator::NotEqual),
    ("!~", Operator::MatchesNot),
    ("~=", Operator::SameInAnyOrder),
    ("<=", Operator::LessOrEqual),
    (">=", Operator::GreaterOrEqual),
    ("=", Operator::Equal),
    ("~", Operator::Matches),
    ("<", Operator::Less),
    (">", Operator::Greater),
];

impl Test {
    /// Reads `path`, or `path operator value`. The value is JSON, but for `~` and `!~`, where it is a regular
    /// expression up to the end.
    pub(crate) fn parse(text: &str) -> Result<Test> {
        let (path, rest) = read::path_and_rest(text)?;
        if rest.is_empty() {
            return Ok(Test { path, comparison: None });
        }
        let (operator, value) = Operator::split(rest)?;
        let value = match operator {
            Operator::Matches | Operator::MatchesNot => {
                Regex::new(value).with_context(|| format!("`{value}` is no regular expression"))?;
                Value::String(value.to_owned())
            }
            _ => serde_json::from_str(value).with_context(|| format!("`{value}` is not JSON"))?,
        };
        Ok(Test { path, comparison: Some((operator, value)) })
    }

    pub(crate) fn holds(&self, context: &Value) -> bool {
        let found = self.path.evaluate(context);
        match &self.comparison {
            None => is_true(&found),
            Some((operator, value)) => operator.holds(&found, value),
        }
    }
}

impl Operator {
    /// Splits `= 1` into the operator and the text behind it.
    pub(crate) fn split(text: &str) -> Result<(Operator, &str)> {
        for (word, operator) in OPERATORS {
            if let Some(rest) = text.strip_prefix(word) {
                return Ok((*operator, rest.trim()));
            }
        }
        bail!("`{text}` does not begin with an operator")
    }

    fn holds(self, found: &[Value], expected: &Value) -> bool {
        let wanted = match expected {
            Value::Array(items) => items.clone(),
            one => vec![one.clone()],
        };
        match self {
            Operator::Equal => found == wanted || matches!(found, [one] if one == expected),
            Operator::NotEqual => !Operator::Equal.holds(found, expected),
            Operator::SameInAnyOrder => sorted(found) == sorted(&wanted),
            Operator::Contains => wanted.iter().all(|value| holds_value(found, value)),
            Operator::ContainsNot => !wanted.iter().any(|value| holds_value(found, value)),
            Operator::Matches => {
                !found.is_empty() && found.iter().all(|value| matches_regex(value, expected))
            }
            Operator::MatchesNot => !found.iter().any(|value| matches_regex(value, expected)),
            Operator::Less => ordered(found, expected, |o| o.is_lt()),
            Operator::LessOrEqual => ordered(found, expected, |o| o.is_le()),
            Operator::Greater => ordered(found, expected, |o| o.is_gt()),
            Operator::GreaterOrEqual => ordered(found, expected, |o| o.is_ge()),
        }
    }
}

fn sorted(items: &[Value]) -> Vec<String> {
    let mut texts: Vec<String> = items.iter().map(Value::to_string).collect();
    texts.sort();
    texts
}

/// Whether a collection has the value; in a single text, whether the text has it as a part.
fn holds_value(found: &[Value], value: &Value) -> bool {
    match (found, value) {
        ([Value::String(text)], Value::String(part)) => text.contains(part.as_str()),
        _ => found.contains(value),
    }
}

fn matches_regex(value: &Value, regex: &Value) -> bool {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    regex.as_str().and_then(|regex| Regex::new(regex).ok()).is_some_and(|regex| regex.is_match(&text))
}

/// Numbers by value, texts (instants) by their characters.
fn ordered(found: &[Value], expected: &Value, test: impl Fn(std::cmp::Ordering) -> bool) -> bool {
    let [found] = found else { return false };
    let ordering = match (found, expected) {
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        _ => found.as_f64().zip(expected.as_f64()).and_then(|(a, b)| a.partial_cmp(&b)),
    };
    ordering.is_some_and(test)
}
