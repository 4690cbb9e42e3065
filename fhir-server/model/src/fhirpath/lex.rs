//! Text to tokens: <https://hl7.org/fhirpath/N1/grammar.html>

use super::SyntaxError;

/// A token and where it starts.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token<'t> {
    pub(super) kind: Kind<'t>,
    pub(super) at: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind<'t> {
    /// A plain identifier or keyword.
    Word(&'t str),
    /// `` `delimited` ``, decoded.
    Delimited(String),
    /// `'text'`, decoded.
    String(String),
    Number(&'t str),
    /// The text after `@`: a date, date and time, or (with a leading `T`) time.
    Date(&'t str),
    /// `$this`, `$index`, `$total` without the dollar sign.
    Dollar(&'t str),
    /// Operators and brackets.
    Sign(&'static str),
    End,
}

const SIGNS: [&str; 22] = [
    "<=", ">=", "!=", "!~", "<", ">", "=", "~", "(", ")", "[", "]", "{", "}", ".", ",", "+", "-", "*", "/",
    "|", "&",
];

/// All tokens of a text, with [`Kind::End`] as the last.
pub(super) fn tokens(text: &str) -> Result<Vec<Token<'_>>, SyntaxError> {
    let mut lexer = Lexer { text, at: 0 };
    let mut tokens = Vec::with_capacity(text.len() / 4 + 1);
    loop {
        lexer.skip_blank()?;
        let at = lexer.at;
        let kind = lexer.token()?;
        let end = kind == Kind::End;
        tokens.push(Token { kind, at });
        if end {
            return Ok(tokens);
        }
    }
}

struct Lexer<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Lexer<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn error<T>(&self, at: usize, text: impl Into<String>) -> Result<T, SyntaxError> {
        Err(SyntaxError { at, text: text.into() })
    }

    /// White space and comments.
    fn skip_blank(&mut self) -> Result<(), SyntaxError> {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
            self.at += rest.len() - trimmed.len();
            if trimmed.starts_with("//") {
                self.at += trimmed.find(['\n', '\r']).unwrap_or(trimmed.len());
            } else if let Some(comment) = trimmed.strip_prefix("/*") {
                match comment.find("*/") {
                    Some(length) => self.at += length + 4,
                    None => return self.error(self.at, "the comment is not closed"),
                }
            } else {
                return Ok(());
            }
        }
    }

    fn token(&mut self) -> Result<Kind<'t>, SyntaxError> {
        let at = self.at;
        let Some(first) = self.peek() else { return Ok(Kind::End) };
        match first {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => Ok(Kind::Word(self.word())),
            b'0'..=b'9' => Ok(Kind::Number(self.number())),
            b'\'' => Ok(Kind::String(self.quoted(b'\'')?)),
            b'`' => Ok(Kind::Delimited(self.quoted(b'`')?)),
            b'@' => {
                self.at += 1;
                Ok(Kind::Date(self.date(at)?))
            }
            b'$' => {
                self.at += 1;
                Ok(Kind::Dollar(self.word()))
            }
            b'%' => {
                self.at += 1;
                Ok(Kind::Sign("%"))
            }
            _ => {
                let rest = self.rest();
                match SIGNS.into_iter().find(|sign| rest.starts_with(sign)) {
                    Some(sign) => {
                        self.at += sign.len();
                        Ok(Kind::Sign(sign))
                    }
                    None => {
                        let odd = rest.chars().next().unwrap_or(' ');
                        self.error(at, format!("`{}` has no meaning here", odd.escape_debug()))
                    }
                }
            }
        }
    }

    fn word(&mut self) -> &'t str {
        let rest = self.rest();
        let length = rest.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
        self.at += length;
        rest.get(..length).unwrap_or("")
    }

    /// Digits, with a fraction only when digits follow the point: `1.abs()` is a call on `1`.
    fn number(&mut self) -> &'t str {
        let rest = self.rest();
        let whole = digits(rest);
        let fraction = rest.get(whole..).and_then(|r| r.strip_prefix('.')).map_or(0, digits);
        let length = if fraction > 0 { whole + 1 + fraction } else { whole };
        self.at += length;
        rest.get(..length).unwrap_or("")
    }

    /// The longest text after `@` that has the shape of a date, date and time, or time.
    fn date(&mut self, start: usize) -> Result<&'t str, SyntaxError> {
        let bytes = self.rest().as_bytes();
        let mut length = 0;
        if bytes.first() == Some(&b'T') {
            length = time_shape(bytes, 1);
            if length == 1 {
                return self.error(start, "a time needs at least its hour: `@T14:30`");
            }
        } else {
            length = shape(bytes, length, b"dddd");
            if length == 0 {
                return self.error(start, "a date starts with a year of four digits: `@2015-02-04`");
            }
            for _ in 0..2 {
                length = shape(bytes, length, b"-dd");
            }
            if bytes.get(length) == Some(&b'T') {
                let time = length + 1;
                length = time_shape(bytes, time);
                if length > time {
                    length = if bytes.get(length) == Some(&b'Z') {
                        length + 1
                    } else {
                        shape(bytes, length, b"sdd:dd")
                    };
                }
            }
        }
        let found = self.rest().get(..length).unwrap_or("");
        self.at += length;
        Ok(found)
    }

    /// A quoted text, decoded; the opening quote is at the current place.
    fn quoted(&mut self, quote: u8) -> Result<String, SyntaxError> {
        let start = self.at;
        self.at += 1;
        let mut text = String::new();
        let mut chars = self.rest().char_indices();
        let from = self.at;
        while let Some((offset, c)) = chars.next() {
            if c == char::from(quote) {
                self.at = from + offset + 1;
                return Ok(text);
            }
            if c != '\\' {
                text.push(c);
                continue;
            }
            match chars.next() {
                Some((_, 'n')) => text.push('\n'),
                Some((_, 'r')) => text.push('\r'),
                Some((_, 't')) => text.push('\t'),
                Some((_, 'f')) => text.push('\u{c}'),
                Some((_, same @ ('\'' | '"' | '`' | '\\' | '/'))) => text.push(same),
                Some((_, 'u')) => {
                    let code: String = chars.by_ref().take(4).map(|(_, c)| c).collect();
                    match u32::from_str_radix(&code, 16).ok().filter(|_| code.len() == 4) {
                        Some(code) => text.push(char::from_u32(code).unwrap_or('\u{fffd}')),
                        None => return self.error(from + offset, "`\\u` needs four hexadecimal digits"),
                    }
                }
                // FHIR's own invariants hold regular expressions with escapes the grammar does not know (`\.`):
                // they are kept as they are written.
                Some((_, other)) => {
                    text.push('\\');
                    text.push(other);
                }
                None => break,
            }
        }
        self.error(start, "the text is not closed")
    }
}

fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

/// The end of `pattern` when it stands at `from`, else `from`. `d` is a digit, `s` a sign.
fn shape(bytes: &[u8], from: usize, pattern: &[u8]) -> usize {
    let fits = pattern.iter().enumerate().all(|(i, expected)| match (expected, bytes.get(from + i)) {
        (b'd', Some(found)) => found.is_ascii_digit(),
        (b's', Some(found)) => matches!(found, b'+' | b'-'),
        (expected, Some(found)) => expected == found,
        (_, None) => false,
    });
    if fits { from + pattern.len() } else { from }
}

/// The end of `hh(:mm(:ss(.f+)?)?)?` at `from`.
fn time_shape(bytes: &[u8], from: usize) -> usize {
    let hour = shape(bytes, from, b"dd");
    if hour == from {
        return from;
    }
    let minute = shape(bytes, hour, b":dd");
    if minute == hour {
        return hour;
    }
    let second = shape(bytes, minute, b":dd");
    if second == minute || shape(bytes, second, b".d") == second {
        return second;
    }
    second + 1 + bytes.iter().skip(second + 1).take_while(|b| b.is_ascii_digit()).count()
}
