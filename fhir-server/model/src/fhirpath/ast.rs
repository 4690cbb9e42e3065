//! What an expression is once parsed: <https://hl7.org/fhirpath/N1/grammar.html>

use std::fmt;

use super::function::Function;
use crate::date::{DateTime, Time};
use crate::decimal::Decimal;

/// An expression.
///
/// A missing left side (`on: None`) means the focus: `name` is `$this.name`, and at the outermost level `Patient`
/// may also name the type of the focus itself. `at` is the byte offset in the text, for errors.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    /// `5`, `'text'`, `@2015`, `{}` ...
    Literal(Literal),
    /// `$this`
    This,
    /// `$index`
    Index,
    /// `$total`
    Total,
    /// `%resource`, `` %`vs-name` ``, `%'ext-name'`: the name without the percent sign.
    Variable {
        /// The name.
        name: Box<str>,
        /// Where it stands.
        at: u32,
    },
    /// `on.name`
    Member {
        /// What is walked; the focus when there is nothing before.
        on: Option<Box<Expr>>,
        /// The element's name, or a type's name at the start of a path.
        name: Box<str>,
        /// Where the name stands.
        at: u32,
    },
    /// `on.function(args)`, except for `is`, `as` and `ofType`, which are [`Expr::Type`].
    Call {
        /// What it is called on; the focus when there is nothing before.
        on: Option<Box<Expr>>,
        /// Which function.
        function: Function,
        /// The arguments; their number has been checked.
        args: Vec<Expr>,
        /// Where the name stands.
        at: u32,
    },
    /// `on is T`, `on.is(T)`, `on as T`, `on.as(T)`, `on.ofType(T)`
    Type {
        /// What is tested; the focus when there is nothing before.
        on: Option<Box<Expr>>,
        /// Which of the three.
        op: TypeOp,
        /// The type.
        name: TypeName,
        /// Where the operator stands.
        at: u32,
    },
    /// `of[index]`
    Indexer {
        /// The collection.
        of: Box<Expr>,
        /// The position, from 0.
        index: Box<Expr>,
        /// Where the bracket stands.
        at: u32,
    },
    /// `-of` or `+of`
    Sign {
        /// True for `-`.
        minus: bool,
        /// The number or quantity.
        of: Box<Expr>,
        /// Where the sign stands.
        at: u32,
    },
    /// `left op right`
    Binary {
        /// The operator.
        op: Op,
        /// The left side.
        left: Box<Expr>,
        /// The right side.
        right: Box<Expr>,
        /// Where the operator stands.
        at: u32,
    },
}

/// A value written in the expression.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the grammar's own words")]
pub enum Literal {
    /// `{}`
    Empty,
    Boolean(bool),
    String(Box<str>),
    Integer(i64),
    Decimal(Decimal),
    /// `@2015`, `@2015-02`, `@2015-02-04`
    Date(DateTime),
    /// `@2015T`, `@2015-02-04T14:34Z`
    DateTime(DateTime),
    /// `@T14:34`
    Time(Time),
    /// `4 'mg'`; `4 days` keeps the word as its unit, see [`Unit`].
    Quantity(Decimal, Unit),
}

/// The unit of a quantity.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Unit {
    /// A UCUM code: `'mg'`.
    Ucum(Box<str>),
    /// A calendar word in the singular: `day` for `4 days`. Not the same as UCUM's definite `'d'` for months and years.
    Calendar(Calendar),
}

/// The calendar words: <https://hl7.org/fhirpath/N1/#time-valued-quantities>
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "plain words")]
pub enum Calendar {
    Millisecond,
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Year,
}

impl Calendar {
    /// The unit of a word, singular or plural.
    pub fn parse(word: &str) -> Option<Calendar> {
        Some(match word.strip_suffix('s').unwrap_or(word) {
            "year" => Calendar::Year,
            "month" => Calendar::Month,
            "week" => Calendar::Week,
            "day" => Calendar::Day,
            "hour" => Calendar::Hour,
            "minute" => Calendar::Minute,
            "second" => Calendar::Second,
            "millisecond" => Calendar::Millisecond,
            _ => return None,
        })
    }

    /// The word in the singular.
    pub fn word(self) -> &'static str {
        match self {
            Calendar::Millisecond => "millisecond",
            Calendar::Second => "second",
            Calendar::Minute => "minute",
            Calendar::Hour => "hour",
            Calendar::Day => "day",
            Calendar::Week => "week",
            Calendar::Month => "month",
            Calendar::Year => "year",
        }
    }
}

/// The three questions about a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "FHIRPath's own words")]
pub enum TypeOp {
    Is,
    As,
    OfType,
}

/// `Patient`, `FHIR.Patient`, `System.String`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeName {
    /// `FHIR` or `System`, when written.
    pub namespace: Option<Box<str>>,
    /// The name; for backbone elements it may hold dots (`Patient.contact`).
    pub name: Box<str>,
}

impl fmt::Display for TypeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}.")?;
        }
        f.write_str(&self.name)
    }
}

/// Operators with two sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "FHIRPath's own words")]
pub enum Op {
    Multiply,
    Divide,
    Div,
    Mod,
    Plus,
    Minus,
    /// `&`: strings joined, nothing counting as the empty string.
    Concat,
    /// `|`
    Union,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    NotEqual,
    /// `~`
    Equivalent,
    /// `!~`
    NotEquivalent,
    In,
    Contains,
    And,
    Or,
    Xor,
    Implies,
}

impl Op {
    /// How it is written.
    pub fn symbol(self) -> &'static str {
        match self {
            Op::Multiply => "*",
            Op::Divide => "/",
            Op::Div => "div",
            Op::Mod => "mod",
            Op::Plus => "+",
            Op::Minus => "-",
            Op::Concat => "&",
            Op::Union => "|",
            Op::Less => "<",
            Op::LessOrEqual => "<=",
            Op::Greater => ">",
            Op::GreaterOrEqual => ">=",
            Op::Equal => "=",
            Op::NotEqual => "!=",
            Op::Equivalent => "~",
            Op::NotEquivalent => "!~",
            Op::In => "in",
            Op::Contains => "contains",
            Op::And => "and",
            Op::Or => "or",
            Op::Xor => "xor",
            Op::Implies => "implies",
        }
    }
}
