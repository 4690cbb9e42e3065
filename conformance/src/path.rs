//! The little path language of `expect` blocks: FHIRPath's words over plain JSON, so that the suite knows no types.
//!
//! `Bundle.entry.where(search.mode = "match").resource.id`, `Patient.name[0].given.count()`. A path that begins with
//! an upper-case word finds nothing in a resource of another type; `body` stands for whatever was answered.

use anyhow::{Context, Result, bail};
use regex_lite::Regex;
use serde_json::Value;

/// A parsed path.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Path(Vec<Step>);

#[derive(Debug, Clone, PartialEq)]
enum Step {
    /// The root, when its resource type is this; or every resource of this type.
    Type(String),
    Body,
    Member(String),
    Index(usize),
    Where(Box<Test>),
    Exists(Option<Box<Test>>),
    All(Box<Test>),
    Select(Box<Path>),
    Call(Function, String),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Function {
    Count,
    Empty,
    Not,
    First,
    Last,
    Distinct,
    IsDistinct,
    Length,
    Resolve,
    Extension,
    StartsWith,
    EndsWith,
    Contains,
    Matches,
}

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
        let mut reader = Reader { text, at: 0 };
        let path = reader.path()?;
        let rest = reader.rest().trim();
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

impl Path {
    pub(crate) fn parse(text: &str) -> Result<Path> {
        let mut reader = Reader { text, at: 0 };
        let path = reader.path()?;
        if !reader.rest().trim().is_empty() {
            bail!("`{}` is too much behind the path", reader.rest());
        }
        Ok(path)
    }

    pub(crate) fn evaluate(&self, context: &Value) -> Vec<Value> {
        let mut items = vec![context.clone()];
        for step in &self.0 {
            items = step.apply(items);
        }
        items
    }
}

impl Step {
    fn apply(&self, items: Vec<Value>) -> Vec<Value> {
        match self {
            Step::Body => items,
            Step::Type(name) => items.into_iter().filter(|item| type_of(item) == Some(name)).collect(),
            Step::Member(name) => items.iter().filter_map(|item| item.get(name)).flat_map(spread).collect(),
            Step::Index(index) => items.into_iter().nth(*index).into_iter().collect(),
            Step::Where(test) => items.into_iter().filter(|item| test.holds(item)).collect(),
            Step::Exists(None) => vec![Value::Bool(!items.is_empty())],
            Step::Exists(Some(test)) => vec![Value::Bool(items.iter().any(|item| test.holds(item)))],
            Step::All(test) => vec![Value::Bool(items.iter().all(|item| test.holds(item)))],
            Step::Select(path) => items.iter().flat_map(|item| path.evaluate(item)).collect(),
            Step::Call(function, argument) => function.apply(items, argument),
        }
    }
}

impl Function {
    const ALL: &[(&str, Function)] = &[
        ("count", Function::Count),
        ("empty", Function::Empty),
        ("not", Function::Not),
        ("first", Function::First),
        ("last", Function::Last),
        ("distinct", Function::Distinct),
        ("isDistinct", Function::IsDistinct),
        ("length", Function::Length),
        ("resolve", Function::Resolve),
        ("extension", Function::Extension),
        ("startsWith", Function::StartsWith),
        ("endsWith", Function::EndsWith),
        ("contains", Function::Contains),
        ("matches", Function::Matches),
    ];

    fn apply(self, items: Vec<Value>, argument: &str) -> Vec<Value> {
        let text = |test: &dyn Fn(&str) -> bool| -> Vec<Value> {
            items.iter().filter_map(Value::as_str).map(|text| Value::Bool(test(text))).collect()
        };
        match self {
            Function::Count => vec![Value::from(items.len())],
            Function::Empty => vec![Value::Bool(items.is_empty())],
            Function::Not => vec![Value::Bool(!is_true(&items))],
            Function::First => items.into_iter().take(1).collect(),
            Function::Last => items.into_iter().last().into_iter().collect(),
            Function::Distinct => distinct(&items),
            Function::IsDistinct => vec![Value::Bool(distinct(&items).len() == items.len())],
            Function::Length => {
                items.iter().filter_map(Value::as_str).map(|text| Value::from(text.chars().count())).collect()
            }
            // A reference becomes the last part of it, the id: enough to compare ends of references.
            Function::Resolve => items
                .iter()
                .filter_map(|item| item.get("reference").and_then(Value::as_str))
                .filter_map(|reference| reference.rsplit('/').next())
                .map(Value::from)
                .collect(),
            Function::Extension => items
                .iter()
                .filter_map(|item| item.get("extension"))
                .flat_map(spread)
                .filter(|extension| extension.get("url").and_then(Value::as_str) == Some(argument))
                .collect(),
            Function::StartsWith => text(&|text| text.starts_with(argument)),
            Function::EndsWith => text(&|text| text.ends_with(argument)),
            Function::Contains => text(&|text| text.contains(argument)),
            Function::Matches => text(&|text| Regex::new(argument).is_ok_and(|regex| regex.is_match(text))),
        }
    }
}

/// Walks through the text of a path.
struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn take(&mut self, word: char) -> bool {
        let found = self.rest().starts_with(word);
        if found {
            self.at += word.len_utf8();
        }
        found
    }

    fn name(&mut self) -> Result<&'a str> {
        let rest = self.rest();
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
        let name = rest.get(..end).unwrap_or_default();
        if name.is_empty() {
            bail!("`{}`: a name belongs at `{rest}`", self.text);
        }
        self.at += end;
        Ok(name)
    }

    fn path(&mut self) -> Result<Path> {
        let mut steps = Vec::new();
        loop {
            let first = steps.is_empty();
            let name = self.name()?;
            if self.take('(') {
                steps.push(self.call(name)?);
            } else if first && name == "body" {
                steps.push(Step::Body);
            } else if first && name.starts_with(|c: char| c.is_uppercase()) {
                steps.push(Step::Type(name.to_owned()));
            } else {
                steps.push(Step::Member(name.to_owned()));
            }
            while self.take('[') {
                let rest = self.rest();
                let (digits, _) = rest.split_once(']').context("`[` without `]`")?;
                steps.push(Step::Index(digits.parse().with_context(|| format!("`[{digits}]` is no index"))?));
                self.at += digits.len() + 1;
            }
            if !self.take('.') {
                return Ok(Path(steps));
            }
        }
    }

    fn call(&mut self, name: &str) -> Result<Step> {
        let argument = self.argument()?;
        Ok(match name {
            "where" => Step::Where(Box::new(Test::parse(argument)?)),
            "all" => Step::All(Box::new(Test::parse(argument)?)),
            "select" => Step::Select(Box::new(Path::parse(argument)?)),
            "exists" if argument.is_empty() => Step::Exists(None),
            "exists" => Step::Exists(Some(Box::new(Test::parse(argument)?))),
            "ofType" => Step::Type(argument.to_owned()),
            _ => {
                let known = Function::ALL.iter().find(|(word, _)| *word == name);
                let (_, function) = known.with_context(|| format!("there is no function `{name}()`"))?;
                let argument = match argument {
                    "" => String::new(),
                    text => serde_json::from_str(text).with_context(|| format!("`{text}` is no string"))?,
                };
                Step::Call(*function, argument)
            }
        })
    }

    /// The text up to the parenthesis that closes the call, past nested calls and quoted text.
    fn argument(&mut self) -> Result<&'a str> {
        let rest = self.rest();
        let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
        for (at, c) in rest.char_indices() {
            match c {
                _ if escaped => escaped = false,
                '\\' if quoted => escaped = true,
                '"' => quoted = !quoted,
                '(' if !quoted => depth += 1,
                ')' if !quoted && depth == 0 => {
                    self.at += at + 1;
                    return Ok(rest.get(..at).unwrap_or_default().trim());
                }
                ')' if !quoted => depth -= 1,
                _ => {}
            }
        }
        bail!("`{}`: a call is not closed", self.text)
    }
}

/// The members of a list, or the thing itself. Null is no value: sparse arrays have it as a place holder.
fn spread(value: &Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items.iter().filter(|item| !item.is_null()).cloned().collect(),
        Value::Null => Vec::new(),
        one => vec![one.clone()],
    }
}

fn type_of(value: &Value) -> Option<&String> {
    match value.get("resourceType") {
        Some(Value::String(name)) => Some(name),
        _ => None,
    }
}

fn is_true(found: &[Value]) -> bool {
    matches!(found, [Value::Bool(true)])
}

fn distinct(items: &[Value]) -> Vec<Value> {
    let mut seen: Vec<Value> = Vec::new();
    for item in items {
        if !seen.contains(item) {
            seen.push(item.clone());
        }
    }
    seen
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

#[cfg(test)]
mod tests {
    use super::{Path, Test};

    const BUNDLE: &str = r#"{
      "resourceType": "Bundle", "total": 2,
      "entry": [
        {"search": {"mode": "match"}, "resource": {"resourceType": "Patient", "id": "a", "active": true,
          "name": [{"family": "Ä (x)", "given": ["P", null, "Q"]}],
          "extension": [{"url": "u:1", "valueDecimal": 1.50}]}},
        {"search": {"mode": "include"}, "resource": {"resourceType": "Organization", "id": "b",
          "partOf": {"reference": "Organization/c"}}}
      ]}"#;

    #[test]
    fn tests_on_a_bundle() {
        let bundle = serde_json::from_str(BUNDLE).unwrap();
        let rows: &[(&str, bool)] = &[
            ("Bundle.total = 2", true),
            ("Bundle.total = 2.0", false), // numbers are their text
            ("Bundle.total >= 2", true),
            ("Bundle.total < 2", false),
            ("Bundle.total != 3", true),
            ("Patient.total = 2", false), // another type
            ("body.total = 2", true),
            ("Bundle.entry.count() = 2", true),
            (r#"Bundle.entry.resource.id = ["a","b"]"#, true),
            (r#"Bundle.entry.resource.id = ["b","a"]"#, false),
            (r#"Bundle.entry.resource.id ~= ["b","a"]"#, true),
            (r#"Bundle.entry.resource.id ~= ["a"]"#, false),
            (r#"Bundle.entry.resource.id contains "a""#, true),
            (r#"Bundle.entry.resource.id !contains "c""#, true),
            (r#"Bundle.entry.resource.id !contains ["c","a"]"#, false),
            (r#"Bundle.entry.where(search.mode = "match").resource.id = "a""#, true),
            (r#"Bundle.entry.resource.ofType(Organization).id = "b""#, true),
            (r#"Bundle.entry.resource.partOf.resolve() = "c""#, true),
            (r#"Bundle.entry[1].resource.id = "b""#, true),
            (r#"Bundle.entry[2].resource.id = "b""#, false),
            ("Bundle.entry[2].empty()", true),
            ("Bundle.entry.resource.name.given.count() = 2", true), // null is no value
            ("Bundle.entry.resource.active", true),
            ("Bundle.entry.resource.active.not()", false),
            ("Bundle.entry.exists()", true),
            ("Bundle.link.exists()", false),
            ("Bundle.link.exists().not()", true),
            (r#"Bundle.entry.exists(search.mode = "include")"#, true),
            (r#"Bundle.entry.all(search.mode = "match")"#, false),
            (r#"Bundle.entry.resource.extension("u:1").valueDecimal = 1.50"#, true),
            (r#"Bundle.entry.resource.extension("u:1").valueDecimal = 1.5"#, false),
            (r#"Bundle.entry.resource.where(name.family = "Ä (x)").id = "a""#, true),
            ("Bundle.entry.resource.id ~ ^[ab]$", true),
            ("Bundle.entry.resource.id ~ ^a$", false), // every one must match
            ("Bundle.link.url ~ .", false),            // nothing is no match
            ("Bundle.entry.resource.id !~ ^c$", true),
            (r#"Bundle.entry.resource.name.family.startsWith("Ä")"#, true),
            ("Bundle.entry.resource.id.isDistinct()", true),
            ("Bundle.entry.select(search.mode).count() = 2", true),
        ];
        for (text, expected) in rows {
            assert_eq!(Test::parse(text).unwrap().holds(&bundle), *expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for text in
            ["", "Bundle.", "Bundle.nothing()", "Bundle.where(a", "Bundle[x]", "Bundle.total = ", "a b"]
        {
            assert!(Test::parse(text).is_err(), "{text}");
        }
        assert!(Path::parse("Bundle.total = 1").is_err());
    }
}
