//! Tokens to [`Expr`], by operator precedence.
//!
//! Expressions come from clients too (FHIRPath Patch, subscriptions, view definitions), so length and height are
//! bounded: a tree never higher than [`HEIGHT_MAX`] can be evaluated and dropped by recursion.

use super::ast::{Calendar, Expr, Literal, Op, TypeName, TypeOp, Unit};
use super::function::Function;
use super::lex::{Kind, Token, tokens};
use super::{HEIGHT_MAX, LENGTH_MAX, SyntaxError};
use crate::date::{DateTime, Time};
use crate::decimal::Decimal;

/// Parses a whole expression.
///
/// # Errors
///
/// With the offset in bytes, when the text is not an expression of FHIRPath, is too long, or nests too deep.
pub fn parse(text: &str) -> Result<Expr, SyntaxError> {
    if text.len() > LENGTH_MAX {
        return Err(SyntaxError { at: LENGTH_MAX, text: format!("longer than {LENGTH_MAX} bytes") });
    }
    let mut parser = Parser { tokens: tokens(text)?, next: 0 };
    let (expr, _) = parser.expression(0, 0)?;
    match parser.peek() {
        Kind::End => Ok(expr),
        _ => parser.error("an operator or the end was expected here"),
    }
}

/// A tree and its height.
type Tree = (Expr, usize);

struct Parser<'t> {
    tokens: Vec<Token<'t>>,
    next: usize,
}

const END: Kind<'static> = Kind::End;

impl<'t> Parser<'t> {
    fn peek(&self) -> &Kind<'t> {
        self.tokens.get(self.next).map_or(&END, |token| &token.kind)
    }

    fn at(&self) -> usize {
        self.tokens.get(self.next).or(self.tokens.last()).map_or(0, |token| token.at)
    }

    fn take(&mut self) -> Kind<'t> {
        let kind = self.peek().clone();
        self.next += 1;
        kind
    }

    fn error<T>(&self, text: impl Into<String>) -> Result<T, SyntaxError> {
        Err(SyntaxError { at: self.at(), text: text.into() })
    }

    fn is_sign(&self, sign: &str) -> bool {
        matches!(self.peek(), Kind::Sign(found) if *found == sign)
    }

    fn expect(&mut self, sign: &str) -> Result<(), SyntaxError> {
        if !self.is_sign(sign) {
            return self.error(format!("`{sign}` was expected here"));
        }
        self.next += 1;
        Ok(())
    }

    /// Refuses a tree that grew too high.
    fn grown(&self, expr: Expr, below: usize) -> Result<Tree, SyntaxError> {
        if below >= HEIGHT_MAX {
            return self.error(format!("nested deeper than {HEIGHT_MAX}"));
        }
        Ok((expr, below + 1))
    }

    /// An expression whose operators all bind stronger than `least`.
    fn expression(&mut self, least: u8, depth: usize) -> Result<Tree, SyntaxError> {
        if depth >= HEIGHT_MAX {
            return self.error(format!("nested deeper than {HEIGHT_MAX}"));
        }
        let (mut left, mut height) = self.signed(depth)?;
        loop {
            let Some((operator, power)) = operator(self.peek()) else { return Ok((left, height)) };
            if power <= least {
                return Ok((left, height));
            }
            let at = self.at() as u32;
            self.next += 1;
            (left, height) = match operator {
                Operator::Type(op) => {
                    let name = self.type_name()?;
                    self.grown(Expr::Type { on: Some(Box::new(left)), op, name, at }, height)?
                }
                Operator::Binary(op) => {
                    let (right, right_height) = self.expression(power, depth + 1)?;
                    let expr = Expr::Binary { op, left: Box::new(left), right: Box::new(right), at };
                    self.grown(expr, height.max(right_height))?
                }
            };
        }
    }

    /// `-x`, `+x`, `x`: a sign binds weaker than `.` and `[]`, stronger than all else.
    fn signed(&mut self, depth: usize) -> Result<Tree, SyntaxError> {
        let minus = self.is_sign("-");
        if !minus && !self.is_sign("+") {
            return self.postfix(depth);
        }
        if depth >= HEIGHT_MAX {
            return self.error(format!("nested deeper than {HEIGHT_MAX}"));
        }
        let at = self.at() as u32;
        self.next += 1;
        let (of, height) = self.signed(depth + 1)?;
        self.grown(Expr::Sign { minus, of: Box::new(of), at }, height)
    }

    /// A term and the `.name`, `.call()` and `[index]` after it.
    fn postfix(&mut self, depth: usize) -> Result<Tree, SyntaxError> {
        let (mut expr, mut height) = self.term(depth)?;
        loop {
            let at = self.at() as u32;
            if self.is_sign(".") {
                self.next += 1;
                (expr, height) = self.invocation(Some((expr, height)), depth)?;
            } else if self.is_sign("[") {
                self.next += 1;
                let (index, index_height) = self.expression(0, depth + 1)?;
                self.expect("]")?;
                let indexer = Expr::Indexer { of: Box::new(expr), index: Box::new(index), at };
                (expr, height) = self.grown(indexer, height.max(index_height))?;
            } else {
                return Ok((expr, height));
            }
        }
    }

    fn term(&mut self, depth: usize) -> Result<Tree, SyntaxError> {
        let at = self.at();
        let literal = |literal| Ok((Expr::Literal(literal), 1));
        match self.peek().clone() {
            Kind::Word("true") => {
                self.next += 1;
                literal(Literal::Boolean(true))
            }
            Kind::Word("false") => {
                self.next += 1;
                literal(Literal::Boolean(false))
            }
            Kind::Word(_) | Kind::Delimited(_) => self.invocation(None, depth),
            Kind::String(text) => {
                self.next += 1;
                literal(Literal::String(text.into()))
            }
            Kind::Number(digits) => {
                self.next += 1;
                Ok((Expr::Literal(self.number(digits, at)?), 1))
            }
            Kind::Date(text) => {
                self.next += 1;
                Ok((Expr::Literal(date(text, at)?), 1))
            }
            Kind::Dollar(name) => {
                self.next += 1;
                match name {
                    "this" => Ok((Expr::This, 1)),
                    "index" => Ok((Expr::Index, 1)),
                    "total" => Ok((Expr::Total, 1)),
                    _ => Err(SyntaxError {
                        at,
                        text: format!("`${name}` is not `$this`, `$index` or `$total`"),
                    }),
                }
            }
            Kind::Sign("%") => {
                self.next += 1;
                let name = match self.take() {
                    Kind::Word(name) => name.into(),
                    Kind::Delimited(name) | Kind::String(name) => name.into(),
                    _ => return Err(SyntaxError { at, text: "`%` needs a name".to_owned() }),
                };
                Ok((Expr::Variable { name, at: at as u32 }, 1))
            }
            Kind::Sign("(") => {
                self.next += 1;
                let inner = self.expression(0, depth + 1)?;
                self.expect(")")?;
                Ok(inner)
            }
            Kind::Sign("{") => {
                self.next += 1;
                self.expect("}")?;
                literal(Literal::Empty)
            }
            Kind::End => self.error("the expression ends too early"),
            Kind::Sign(sign) => self.error(format!("`{sign}` cannot start a value")),
        }
    }

    /// A number, or a quantity when a unit follows.
    fn number(&mut self, digits: &str, at: usize) -> Result<Literal, SyntaxError> {
        let decimal = || {
            Decimal::parse(digits)
                .ok_or_else(|| SyntaxError { at, text: format!("`{digits}` is not a number") })
        };
        let unit = match self.peek() {
            Kind::String(unit) => Some(Unit::Ucum(unit.as_str().into())),
            Kind::Word(word) => Calendar::parse(word).map(Unit::Calendar),
            _ => None,
        };
        if let Some(unit) = unit {
            self.next += 1;
            return Ok(Literal::Quantity(decimal()?, unit));
        }
        match digits.parse() {
            Ok(integer) => Ok(Literal::Integer(integer)),
            Err(_) => Ok(Literal::Decimal(decimal()?)),
        }
    }

    /// `name` or `function(args)`, after a `.` or at the start of a path.
    fn invocation(&mut self, on: Option<Tree>, depth: usize) -> Result<Tree, SyntaxError> {
        let at = self.at();
        let name: Box<str> = match self.peek().clone() {
            Kind::Word(name) => name.into(),
            Kind::Delimited(name) => name.into(),
            Kind::Dollar(_) => return self.error("`$this`, `$index` and `$total` cannot follow a `.`"),
            _ => return self.error("a name was expected here"),
        };
        self.next += 1;
        let (on, height) = match on {
            Some((on, height)) => (Some(Box::new(on)), height),
            None => (None, 0),
        };
        if !self.is_sign("(") {
            return self.grown(Expr::Member { on, name, at: at as u32 }, height);
        }
        self.next += 1;
        let op = match &*name {
            "is" => Some(TypeOp::Is),
            "as" => Some(TypeOp::As),
            "ofType" => Some(TypeOp::OfType),
            _ => None,
        };
        if let Some(op) = op {
            let name = self.type_name()?;
            self.expect(")")?;
            return self.grown(Expr::Type { on, op, name, at: at as u32 }, height);
        }
        let Some(function) = Function::parse(&name) else {
            return Err(SyntaxError { at, text: format!("there is no function `{name}`") });
        };
        let (args, args_height) = self.arguments(depth)?;
        let (least, most) = function.arity();
        if args.len() < least || args.len() > most {
            let text = format!("`{name}` takes {least} to {most} arguments, not {}", args.len());
            return Err(SyntaxError { at, text });
        }
        self.grown(Expr::Call { on, function, args, at: at as u32 }, height.max(args_height))
    }

    /// The arguments up to and with `)`.
    fn arguments(&mut self, depth: usize) -> Result<(Vec<Expr>, usize), SyntaxError> {
        let (mut args, mut height) = (Vec::new(), 0);
        if self.is_sign(")") {
            self.next += 1;
            return Ok((args, height));
        }
        loop {
            let (arg, arg_height) = self.expression(0, depth + 1)?;
            args.push(arg);
            height = height.max(arg_height);
            if self.is_sign(",") {
                self.next += 1;
            } else {
                self.expect(")")?;
                return Ok((args, height));
            }
        }
    }

    /// `Patient`, `FHIR.Patient`, `` FHIR.`Patient` ``
    fn type_name(&mut self) -> Result<TypeName, SyntaxError> {
        let mut parts: Vec<Box<str>> = Vec::new();
        loop {
            match self.peek().clone() {
                Kind::Word(part) => parts.push(part.into()),
                Kind::Delimited(part) => parts.push(part.into()),
                _ => return self.error("the name of a type was expected here"),
            }
            self.next += 1;
            if !self.is_sign(".") {
                break;
            }
            self.next += 1;
        }
        let namespace = match parts.first().map(|part| &**part) {
            Some("FHIR" | "System") if parts.len() > 1 => Some(parts.remove(0)),
            _ => None,
        };
        Ok(TypeName { namespace, name: parts.join(".").into() })
    }
}

fn date(text: &str, at: usize) -> Result<Literal, SyntaxError> {
    let literal = if let Some(time) = text.strip_prefix('T') {
        Time::partial(time).map(Literal::Time)
    } else if text.contains('T') {
        DateTime::partial(text.strip_suffix('T').unwrap_or(text)).map(Literal::DateTime)
    } else {
        DateTime::date(text).map(Literal::Date)
    };
    literal.ok_or_else(|| SyntaxError { at, text: format!("`@{text}` is not a date or time") })
}

enum Operator {
    Binary(Op),
    Type(TypeOp),
}

/// The operator a token is after a value, with its binding power.
fn operator(token: &Kind<'_>) -> Option<(Operator, u8)> {
    let (op, power) = match token {
        Kind::Word("is") => return Some((Operator::Type(TypeOp::Is), 8)),
        Kind::Word("as") => return Some((Operator::Type(TypeOp::As), 8)),
        Kind::Sign("*") => (Op::Multiply, 10),
        Kind::Sign("/") => (Op::Divide, 10),
        Kind::Word("div") => (Op::Div, 10),
        Kind::Word("mod") => (Op::Mod, 10),
        Kind::Sign("+") => (Op::Plus, 9),
        Kind::Sign("-") => (Op::Minus, 9),
        Kind::Sign("&") => (Op::Concat, 9),
        Kind::Sign("|") => (Op::Union, 7),
        Kind::Sign("<") => (Op::Less, 6),
        Kind::Sign("<=") => (Op::LessOrEqual, 6),
        Kind::Sign(">") => (Op::Greater, 6),
        Kind::Sign(">=") => (Op::GreaterOrEqual, 6),
        Kind::Sign("=") => (Op::Equal, 5),
        Kind::Sign("!=") => (Op::NotEqual, 5),
        Kind::Sign("~") => (Op::Equivalent, 5),
        Kind::Sign("!~") => (Op::NotEquivalent, 5),
        Kind::Word("in") => (Op::In, 4),
        Kind::Word("contains") => (Op::Contains, 4),
        Kind::Word("and") => (Op::And, 3),
        Kind::Word("or") => (Op::Or, 2),
        Kind::Word("xor") => (Op::Xor, 2),
        Kind::Word("implies") => (Op::Implies, 1),
        _ => return None,
    };
    Some((Operator::Binary(op), power))
}
