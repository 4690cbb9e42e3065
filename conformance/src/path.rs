//! The little path language of `expect` blocks: FHIRPath's words over plain JSON, so that the suite knows no types.
//!
//! `Bundle.entry.where(search.mode = "match").resource.id`, `Patient.name[0].given.count()`. A path that begins with
//! an upper-case word finds nothing in a resource of another type; `body` stands for whatever was answered.

mod compare;
mod read;
#[cfg(test)]
mod tests;

use anyhow::Result;
use regex_lite::Regex;
use serde_json::Value;

pub(crate) use compare::Test;

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

impl Path {
    pub(crate) fn parse(text: &str) -> Result<Path> {
        read::path(text)
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
