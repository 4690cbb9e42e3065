//! What is asked: words, "phrases", `and`, `or`, `not`, parentheses.
//!
//! Words beside each other must all be there, as with `and`. Operators may be written in capitals or not, as in the
//! specification's own example: `(bone OR liver) and metastases`.

use fhir_model::{Error, Result};
use tantivy::Term;
use tantivy::query::{AllQuery, BooleanQuery, Occur, PhraseQuery, Query, TermQuery};
use tantivy::schema::{Field, IndexRecordOption};

use crate::words::words;

/// Bytes of a question.
const BYTES_MAX: usize = 2000;
/// Parentheses and `not`s within each other.
const DEPTH_MAX: usize = 20;

/// A question, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TextExpression {
    /// These words, at these distances from each other.
    Words(Vec<(usize, String)>),
    /// All of them.
    All(Vec<TextExpression>),
    /// Any of them.
    Any(Vec<TextExpression>),
    /// What it does not find.
    Not(Box<TextExpression>),
}

impl TextExpression {
    /// Reads a question.
    pub(crate) fn parse(text: &str) -> Result<TextExpression> {
        if text.len() > BYTES_MAX {
            return Err(Error::value(format!("a full text search takes {BYTES_MAX} bytes")));
        }
        let mut reader = Reader { tokens: tokens(text)?, at: 0 };
        let ask = reader.any(0)?;
        match reader.peek() {
            None => Ok(ask),
            Some(_) => Err(Error::value("a closing parenthesis without an opening one")),
        }
    }

    /// As a query of the index.
    pub(crate) fn query(&self, field: Field) -> Box<dyn Query> {
        match self {
            TextExpression::Words(words) => match words.as_slice() {
                [(_, word)] => {
                    Box::new(TermQuery::new(Term::from_field_text(field, word), IndexRecordOption::WithFreqs))
                }
                many => {
                    let terms = many.iter().map(|(at, w)| (*at, Term::from_field_text(field, w)));
                    Box::new(PhraseQuery::new_with_offset(terms.collect()))
                }
            },
            TextExpression::All(each) => {
                Box::new(BooleanQuery::new(each.iter().map(|a| (Occur::Must, a.query(field))).collect()))
            }
            TextExpression::Any(each) => {
                Box::new(BooleanQuery::new(each.iter().map(|a| (Occur::Should, a.query(field))).collect()))
            }
            TextExpression::Not(inner) => Box::new(BooleanQuery::new(vec![
                (Occur::Must, Box::new(AllQuery)),
                (Occur::MustNot, inner.query(field)),
            ])),
        }
    }

    /// Whether a text answers it: what the index would say, were the text in it.
    pub(crate) fn matches(&self, text: &[(usize, String)]) -> bool {
        match self {
            TextExpression::Words(asked) => {
                let Some((first_at, first)) = asked.first() else { return false };
                text.iter().filter(|(_, word)| word == first).any(|(start, _)| {
                    asked.iter().all(|(at, word)| {
                        let place = start + at - first_at;
                        text.iter().any(|(at, there)| *at == place && there == word)
                    })
                })
            }
            TextExpression::All(each) => each.iter().all(|a| a.matches(text)),
            TextExpression::Any(each) => each.iter().any(|a| a.matches(text)),
            TextExpression::Not(inner) => !inner.matches(text),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Open,
    Close,
    And,
    Or,
    Not,
    Text(String),
}

fn tokens(text: &str) -> Result<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, after) = match first {
            '(' => (Token::Open, rest.get(1..)),
            ')' => (Token::Close, rest.get(1..)),
            '"' => {
                let phrase = rest.get(1..).and_then(|r| r.split_once('"'));
                let (phrase, after) = phrase.ok_or_else(|| Error::value("a quote that is not closed"))?;
                (Token::Text(phrase.to_owned()), Some(after))
            }
            _ => {
                let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | '"'));
                let (word, after) = rest.split_at(end.unwrap_or(rest.len()));
                let token = match word.to_ascii_lowercase().as_str() {
                    "and" => Token::And,
                    "or" => Token::Or,
                    "not" => Token::Not,
                    _ => Token::Text(word.to_owned()),
                };
                (token, Some(after))
            }
        };
        tokens.push(token);
        rest = after.unwrap_or_default().trim_start();
    }
    Ok(tokens)
}

struct Reader {
    tokens: Vec<Token>,
    at: usize,
}

impl Reader {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn any(&mut self, depth: usize) -> Result<TextExpression> {
        let mut each = vec![self.all(depth)?];
        while self.peek() == Some(&Token::Or) {
            self.at += 1;
            each.push(self.all(depth)?);
        }
        Ok(one_or(each, TextExpression::Any))
    }

    fn all(&mut self, depth: usize) -> Result<TextExpression> {
        let mut each = vec![self.one(depth)?];
        loop {
            match self.peek() {
                None | Some(Token::Or | Token::Close) => return Ok(one_or(each, TextExpression::All)),
                Some(Token::And) => self.at += 1,
                Some(_) => {}
            }
            each.push(self.one(depth)?);
        }
    }

    fn one(&mut self, depth: usize) -> Result<TextExpression> {
        if depth > DEPTH_MAX {
            return Err(Error::value(format!("a full text search is {DEPTH_MAX} levels deep at most")));
        }
        let token = self.peek().cloned();
        self.at += 1;
        match token {
            Some(Token::Text(text)) => match words(&text) {
                words if words.is_empty() => Err(Error::value(format!("`{text}` has no word in it"))),
                words => Ok(TextExpression::Words(words)),
            },
            Some(Token::Not) => Ok(TextExpression::Not(Box::new(self.one(depth + 1)?))),
            Some(Token::Open) => {
                let inner = self.any(depth + 1)?;
                match self.peek() {
                    Some(Token::Close) => self.at += 1,
                    _ => return Err(Error::value("a parenthesis that is not closed")),
                }
                Ok(inner)
            }
            _ => Err(Error::value("a word is missing in a full text search")),
        }
    }
}

fn one_or(
    mut each: Vec<TextExpression>,
    list: impl Fn(Vec<TextExpression>) -> TextExpression,
) -> TextExpression {
    match (each.len(), each.pop()) {
        (1, Some(one)) => one,
        (_, last) => {
            each.extend(last);
            list(each)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_and_what_answers_them() {
        let text = words("Chronic kidney disease, stage 2; no diabetes. Père");
        for (ask, answered) in [
            ("kidney", true),
            ("KIDNEY pere", true),
            ("liver", false),
            ("liver OR kidney", true),
            ("liver or kidney and diabetes", true),
            ("(liver or kidney) and stage", true),
            ("kidney liver", false),
            ("\"kidney disease\"", true),
            ("\"disease kidney\"", false),
            ("\"chronic disease\"", false),
            ("disease-stage", true),
            ("not liver", true),
            ("kidney not diabetes", false),
            ("not (liver or spleen)", true),
        ] {
            assert_eq!(TextExpression::parse(ask).unwrap().matches(&text), answered, "{ask}");
        }
    }

    #[test]
    fn what_is_no_question() {
        let deep = |n: usize| format!("{}a{}", "(".repeat(n), ")".repeat(n));
        let long = |n: usize| "a".repeat(n);
        for bad in ["", " ", "and", "a and", "or a", "(a", "a)", "()", "\"a", "...", "not"] {
            assert!(TextExpression::parse(bad).is_err(), "{bad}");
        }
        assert!(TextExpression::parse(&deep(DEPTH_MAX)).is_ok());
        assert!(TextExpression::parse(&deep(DEPTH_MAX + 1)).is_err());
        assert!(
            TextExpression::parse(&format!("b {}", long(BYTES_MAX - 2)))
                .is_err_and(|e| e.text.contains("no word"))
        );
        assert!(TextExpression::parse(&long(BYTES_MAX + 1)).is_err_and(|e| e.text.contains("bytes")));
    }
}
