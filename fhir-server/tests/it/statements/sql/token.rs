//! SQL text as tokens; what stands between parentheses or brackets is one of them.

use std::iter::Peekable;
use std::str::CharIndices;

/// A piece of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    /// A keyword or a name, in small letters; a quoted name as it is.
    Word(String),
    /// A text constant.
    Text,
    /// A number.
    Number,
    /// `$1`
    Parameter(String),
    /// An operator, a comma, a semicolon, a dot, `::`.
    Sign(String),
    /// `( .. )`
    Group(Vec<Token>),
    /// `[ .. ]`
    Brackets(Vec<Token>),
}

impl Token {
    /// True for the keyword or name.
    pub(crate) fn is(&self, word: &str) -> bool {
        matches!(self, Token::Word(own) if own == word)
    }

    /// True for the sign.
    pub(crate) fn is_sign(&self, sign: &str) -> bool {
        matches!(self, Token::Sign(own) if own == sign)
    }

    /// The keyword or name.
    pub(crate) fn word(&self) -> Option<&str> {
        match self {
            Token::Word(word) => Some(word),
            _ => None,
        }
    }

    /// What is within, or nothing.
    pub(crate) fn inner(&self) -> &[Token] {
        match self {
            Token::Group(inner) | Token::Brackets(inner) => inner,
            _ => &[],
        }
    }
}

/// The tokens of a statement. A parenthesis that is not closed ends with the text.
pub(crate) fn tokens(sql: &str) -> Vec<Token> {
    let mut rest = Rest { sql, letters: sql.char_indices().peekable() };
    let mut all = rest.until(None);
    // A closing parenthesis too many.
    while rest.letters.peek().is_some() {
        all.extend(rest.until(None));
    }
    all
}

struct Rest<'s> {
    sql: &'s str,
    letters: Peekable<CharIndices<'s>>,
}

impl Rest<'_> {
    /// The tokens up to a closing sign, which is taken, too.
    fn until(&mut self, end: Option<char>) -> Vec<Token> {
        let mut found = Vec::new();
        while let Some((at, c)) = self.letters.next() {
            let next = self.letters.peek().map(|(_, c)| *c);
            match c {
                ')' | ']' if end.is_none_or(|end| end == c) => break,
                _ if c.is_whitespace() => {}
                '(' => found.push(Token::Group(self.until(Some(')')))),
                '[' => found.push(Token::Brackets(self.until(Some(']')))),
                '-' if next == Some('-') => while self.letters.next_if(|(_, c)| *c != '\n').is_some() {},
                '/' if next == Some('*') => self.comment(),
                '\'' => found.push(self.text(false)),
                'e' | 'E' if next == Some('\'') => {
                    self.letters.next();
                    found.push(self.text(true));
                }
                '"' => found.push(Token::Word(self.quoted_name())),
                '$' if next.is_some_and(|c| c.is_ascii_digit()) => {
                    found.push(Token::Parameter(self.run(at, |c| c.is_ascii_digit())));
                }
                '$' => found.push(self.dollar_quoted(at)),
                _ if c.is_ascii_digit() => {
                    self.run(at, |c| c.is_ascii_alphanumeric() || c == '.');
                    found.push(Token::Number);
                }
                _ if is_name(c) => found.push(Token::Word(self.run(at, is_name).to_lowercase())),
                _ if is_operator(c) => found.push(Token::Sign(self.operator(c))),
                _ => found.push(Token::Sign(c.to_string())),
            }
        }
        found
    }

    /// The text from `at` on, as long as the letters are such.
    fn run(&mut self, at: usize, is_part: impl Fn(char) -> bool) -> String {
        while self.letters.next_if(|(_, c)| is_part(*c)).is_some() {}
        let end = self.letters.peek().map_or(self.sql.len(), |(end, _)| *end);
        self.sql[at..end].to_owned()
    }

    /// An operator is as long as it can be, but does not run into a comment.
    fn operator(&mut self, first: char) -> String {
        let mut operator = String::from(first);
        while let Some((at, c)) = self.letters.peek().copied().filter(|(_, c)| is_operator(*c)) {
            if self.sql[at..].starts_with("--") || self.sql[at..].starts_with("/*") {
                break;
            }
            // A cast ends what stands before it.
            if c == ':' && !operator.ends_with(':') {
                break;
            }
            operator.push(c);
            self.letters.next();
        }
        operator
    }

    fn comment(&mut self) {
        let mut depth = 0;
        let mut before = '/';
        for (_, c) in self.letters.by_ref() {
            match (before, c) {
                ('/', '*') => depth += 1,
                ('*', '/') => depth -= 1,
                _ => {
                    before = c;
                    continue;
                }
            }
            if depth == 0 {
                return;
            }
            before = ' ';
        }
    }

    fn text(&mut self, has_escapes: bool) -> Token {
        while let Some((_, c)) = self.letters.next() {
            match c {
                '\\' if has_escapes => drop(self.letters.next()),
                // Two of them are one in the text.
                '\'' if self.letters.next_if(|(_, c)| *c == '\'').is_none() => break,
                _ => {}
            }
        }
        Token::Text
    }

    fn quoted_name(&mut self) -> String {
        let mut name = String::new();
        while let Some((_, c)) = self.letters.next() {
            if c == '"' && self.letters.next_if(|(_, c)| *c == '"').is_none() {
                break;
            }
            name.push(c);
        }
        name
    }

    /// `$$ .. $$`, `$tag$ .. $tag$`
    fn dollar_quoted(&mut self, at: usize) -> Token {
        self.run(at, is_name);
        let Some((end, '$')) = self.letters.next() else { return Token::Sign("$".to_owned()) };
        let tag = &self.sql[at..=end];
        let last =
            self.sql[end + 1..].find(tag).map_or(self.sql.len(), |length| end + 1 + length + tag.len());
        while self.letters.next_if(|(at, _)| *at < last).is_some() {}
        Token::Text
    }
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn is_operator(c: char) -> bool {
    "+-*/<>=~!@#%^&|`?:".contains(c)
}

#[test]
fn texts_comments_and_names_are_told_apart() {
    let shown = |sql: &str| {
        fn show(tokens: &[Token]) -> String {
            let each = tokens.iter().map(|token| match token {
                Token::Word(word) => word.clone(),
                Token::Text => "TEXT".to_owned(),
                Token::Number => "NUMBER".to_owned(),
                Token::Parameter(name) | Token::Sign(name) => name.clone(),
                Token::Group(inner) => format!("({})", show(inner)),
                Token::Brackets(inner) => format!("[{}]", show(inner)),
            });
            each.collect::<Vec<_>>().join(" ")
        }
        show(&tokens(sql))
    };
    for (sql, wanted) in [
        ("select 'it''s (', E'a\\'b' , $1::int8", "select TEXT , TEXT , $1 :: int8"),
        ("SELECT \"a \"\"b\"\" (\" -- ) no\n from t", "select a \"b\" ( from t"),
        ("a /* ( /* ' */ ) */ b", "a b"),
        ("f(a[1:$2], (b))", "f (a [NUMBER : $2] , (b))"),
        ("a @> b and a&&b or a<>-1.5e3", "a @> b and a && b or a <>- NUMBER"),
        ("a=$1-- b", "a = $1"),
        ("$$ it's ( $$ $q$ $$ $q$ x", "TEXT TEXT x"),
        ("date e'\\\\' x", "date TEXT x"),
        ("(a", "(a)"),
        ("a) b", "a b"),
        ("größe ≥ 'é'", "größe ≥ TEXT"),
    ] {
        assert_eq!(shown(sql), wanted, "{sql}");
    }
}
