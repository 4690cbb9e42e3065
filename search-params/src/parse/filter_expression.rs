//! `_filter`: <https://hl7.org/fhir/R4/search_filter.html>
//!
//! An expression of comparisons with `and`, `or`, `not` and parentheses; each comparison is an ordinary condition of the
//! search: `given eq "Peter" and birthdate ge 2014-10-10`, `subject.name co "pet" or not (status eq final)`.

use std::collections::BTreeSet;

use fhir_model::{Error, Kind, Result};

use super::{Parser, chain};
use crate::parameters::ParameterKind;
use crate::query::{Expression, Filter, Modifier, Query, Subject};

/// Bytes of an expression.
pub(super) const BYTES_MAX: usize = 4000;
/// Parentheses within each other.
pub(super) const DEPTH_MAX: usize = 20;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Open,
    Close,
    Word(String),
    Quoted(String),
}

impl Parser<'_> {
    /// `_filter=expression`
    pub(super) fn filter_expression(&mut self, modifier: Option<&str>, value: &str) -> Result<()> {
        if let Some(modifier) = modifier {
            return Err(Error::invalid(format!("`_filter` does not take the modifier `:{modifier}`")));
        }
        let expression = self.expression(value).map_err(|e| e.at("_filter"))?;
        let subject = Subject::Expression(expression);
        self.query.filters.push(Filter { subject, modifier: Modifier::None, terms: Vec::new() });
        Ok(())
    }

    fn expression(&mut self, text: &str) -> Result<Expression> {
        if text.len() > BYTES_MAX {
            return Err(Error::new(Kind::TooCostly, format!("`_filter` takes {BYTES_MAX} bytes at most")));
        }
        let tokens = tokens(text)?;
        let mut reader = Reader { parser: self, tokens, at: 0 };
        let expression = reader.any(0)?;
        match reader.next() {
            None => Ok(expression),
            Some(token) => Err(Error::value(format!("{} is not expected there", said(&token)))),
        }
    }

    /// One comparison as the parameter and value that mean the same; and whether it must not hold.
    fn comparison(&mut self, path: &str, operator: &str, value: &Token) -> Result<Expression> {
        if path.contains(['[', ']', ':']) {
            return Err(Error::not_supported(format!(
                "`{path}`: a path of `_filter` is names of search parameters with points between them here, such as \
                 subject.name"
            )));
        }
        let kind = self.kind_at_end(path)?;
        let text = match value {
            Token::Word(text) => text.replace('\\', "\\\\").replace(',', "\\,").replace('$', "\\$"),
            Token::Quoted(text) if kind == ParameterKind::String => {
                ['\\', ',', '$', '|'].iter().fold(text.clone(), |t, c| t.replace(*c, &format!("\\{c}")))
            }
            // A bar keeps its meaning: `"system|code"`.
            Token::Quoted(text) => one_value(text),
            _ => return Err(Error::value(format!("a value is missing after `{path} {operator}`"))),
        };
        use ParameterKind::{Date, Number, Quantity, Reference, String, Token as Code, Uri};
        let (modifier, value, negated) = match (operator, kind) {
            ("pr", _) => {
                let missing = match text.as_str() {
                    "true" => "false",
                    "false" => "true",
                    _ => return Err(Error::value(format!("`{path} pr` is true or false, not `{text}`"))),
                };
                (":missing", missing.to_owned(), false)
            }
            ("eq" | "ne", String) => (":exact", text, operator == "ne"),
            ("co", String) => (":contains", text, false),
            ("sw", String) => ("", text, false),
            ("eq" | "ne", Code | Uri | Reference) => ("", text, operator == "ne"),
            ("re", Reference) => ("", text, false),
            ("ss", Code | Uri) => (":below", text, false),
            ("sb", Code | Uri) => (":above", text, false),
            ("in", Code) => (":in", text, false),
            ("eq" | "ne" | "gt" | "lt" | "ge" | "le" | "ap" | "sa" | "eb", Date | Number | Quantity) => {
                ("", format!("{operator}{text}"), false)
            }
            _ => {
                let text = format!(
                    "`{operator}` does not go with `{path}`, a {} parameter: {} do",
                    kind.as_str(),
                    operators(kind)
                );
                return Err(Error::not_supported(text));
            }
        };
        let filters = self.filters_of(&format!("{path}{modifier}"), &value)?.ok_or_else(|| unknown(path))?;
        let one = Expression::One(filters);
        Ok(if negated { Expression::Not(Box::new(one)) } else { one })
    }

    /// The kind of the parameter at the end of a path.
    fn kind_at_end(&self, path: &str) -> Result<ParameterKind> {
        let (head, last) = path.rsplit_once('.').unwrap_or(("", path));
        match last {
            "_id" => return Ok(ParameterKind::Token),
            "_lastUpdated" => return Ok(ParameterKind::Date),
            _ => {}
        }
        let mut types = BTreeSet::from([self.this.type_name.clone()]);
        for (i, code) in head.split('.').filter(|code| !code.is_empty()).enumerate() {
            chain::check_depth(path, self.depth + i + 1)?;
            let mut beyond = BTreeSet::new();
            for type_name in &types {
                if let Some(param) = self.registry.for_type(type_name)?.param(code) {
                    beyond.extend(self.types_beyond(path, param, None)?);
                }
            }
            types = beyond;
        }
        let kind = types.iter().find_map(|t| Some(self.registry.for_type(t).ok()?.param(last)?.kind));
        kind.ok_or_else(|| unknown(path))
    }

    /// The conditions of one parameter, apart from those of the search.
    fn filters_of(&mut self, name: &str, value: &str) -> Result<Option<Vec<Filter>>> {
        let mut parser = Parser {
            registry: self.registry,
            this: self.this,
            all: self.all,
            cx: self.cx,
            holder: self.holder,
            depth: self.depth,
            links: self.links,
            finds: true,
            query: Query::new(&self.this.type_name),
        };
        let known = parser.condition(name, value)?;
        self.hear(&mut parser.query);
        Ok(known.then_some(parser.query.filters))
    }
}

fn unknown(path: &str) -> Error {
    Error::invalid(format!("`{path}` is not a search parameter of what is searched"))
}

/// The operators that a kind of parameter takes.
fn operators(kind: ParameterKind) -> &'static str {
    match kind {
        ParameterKind::String => "eq, ne, co, sw and pr",
        ParameterKind::Token => "eq, ne, ss, sb, in and pr",
        ParameterKind::Uri => "eq, ne, ss, sb and pr",
        ParameterKind::Reference => "eq, ne, re and pr",
        ParameterKind::Date | ParameterKind::Number | ParameterKind::Quantity => {
            "eq, ne, gt, lt, ge, le, ap, sa, eb and pr"
        }
        ParameterKind::Composite | ParameterKind::Special => "pr",
    }
}

/// What stands in quotes as one value of a search: what would end it is escaped, where it is not already.
fn one_value(text: &str) -> String {
    let (mut value, mut escaped) = (String::with_capacity(text.len()), false);
    for c in text.chars() {
        if !escaped && matches!(c, ',' | '$') {
            value.push('\\');
        }
        escaped = c == '\\' && !escaped;
        value.push(c);
    }
    value
}

fn said(token: &Token) -> String {
    match token {
        Token::Open => "`(`".to_owned(),
        Token::Close => "`)`".to_owned(),
        Token::Word(text) | Token::Quoted(text) => format!("`{text}`"),
    }
}

fn tokens(text: &str) -> Result<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let after = match first {
            '(' | ')' => {
                tokens.push(if first == '(' { Token::Open } else { Token::Close });
                rest.get(1..)
            }
            '"' => {
                let (quoted, after) = quoted(rest)?;
                tokens.push(Token::Quoted(quoted));
                Some(after)
            }
            _ => {
                let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | '"'));
                let (word, after) = rest.split_at(end.unwrap_or(rest.len()));
                tokens.push(Token::Word(word.to_owned()));
                Some(after)
            }
        };
        rest = after.unwrap_or_default().trim_start();
    }
    Ok(tokens)
}

/// A string in quotes, with JSON's escapes, and what follows it.
fn quoted(text: &str) -> Result<(String, &str)> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<String>();
    match values.next() {
        Some(Ok(string)) => Ok((string, text.get(values.byte_offset()..).unwrap_or_default())),
        _ => Err(Error::value("a string in quotes that is not closed, or not JSON's: such as \"O'Neil\"")),
    }
}

struct Reader<'r, 'a> {
    parser: &'r mut Parser<'a>,
    tokens: Vec<Token>,
    at: usize,
}

impl Reader<'_, '_> {
    fn next(&mut self) -> Option<Token> {
        self.at += 1;
        self.tokens.get(self.at - 1).cloned()
    }

    fn takes(&mut self, word: &str) -> bool {
        let here = matches!(self.tokens.get(self.at), Some(Token::Word(text)) if text == word);
        self.at += usize::from(here);
        here
    }

    fn any(&mut self, depth: usize) -> Result<Expression> {
        let mut each = vec![self.all(depth)?];
        while self.takes("or") {
            each.push(self.all(depth)?);
        }
        Ok(Expression::Any(each))
    }

    fn all(&mut self, depth: usize) -> Result<Expression> {
        let mut each = vec![self.one(depth)?];
        while self.takes("and") {
            each.push(self.one(depth)?);
        }
        Ok(Expression::All(each))
    }

    fn one(&mut self, depth: usize) -> Result<Expression> {
        if depth > DEPTH_MAX {
            return Err(Error::new(Kind::TooCostly, format!("`_filter` is {DEPTH_MAX} levels deep at most")));
        }
        if self.takes("not") {
            return match self.tokens.get(self.at) {
                Some(Token::Open) => Ok(Expression::Not(Box::new(self.one(depth + 1)?))),
                _ => Err(Error::value("`not` is followed by a parenthesis")),
            };
        }
        match self.next() {
            Some(Token::Open) => {
                let inner = self.any(depth + 1)?;
                match self.next() {
                    Some(Token::Close) => Ok(inner),
                    _ => Err(Error::value("a parenthesis that is not closed")),
                }
            }
            Some(Token::Word(path)) => {
                let Some(Token::Word(operator)) = self.next() else {
                    return Err(Error::value(format!("an operator is missing after `{path}`")));
                };
                let value = self.next();
                let value = value
                    .ok_or_else(|| Error::value(format!("a value is missing after `{path} {operator}`")))?;
                self.parser.comparison(&path, &operator, &value)
            }
            _ => Err(Error::value("a comparison is missing, such as: family eq \"Okafor\"")),
        }
    }
}
