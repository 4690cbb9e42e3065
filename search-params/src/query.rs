//! A search as it was asked: pure data.

mod compartment;

use std::sync::Arc;

pub use crate::condition::{TextQuery, TextSource};
use crate::cursor::Cursor;
use crate::param::Param;

/// A parsed search of one type.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// The type that is searched.
    pub type_name: Box<str>,
    /// All of these must hold.
    pub filters: Vec<Filter>,
    /// Order of the matches; empty: the server's own (newest primary date first).
    pub sort: Vec<Sort>,
    /// `_include` and `_revinclude`.
    pub includes: Vec<Include>,
    /// Matches on a page; 0: only the count.
    pub count: usize,
    /// `_total`.
    pub total: Total,
    /// `_summary`.
    pub summary: Summary,
    /// `_elements`.
    pub elements: Vec<Box<str>>,
    /// `_explain`: the answer also says how it was found.
    pub explain: bool,
    /// Where the page begins, from a page link.
    pub cursor: Option<Cursor>,
    /// What was ignored, a sentence each (lenient handling).
    pub warnings: Vec<String>,
    /// Hints why the search may match nothing; given when it does.
    pub guesses: Vec<String>,
    /// The parameters that took effect, as sent and in order: the self link.
    pub applied: Vec<(String, String)>,
}

/// What page links of a search are bound to: everything that decides which resources match and their order, and who
/// asks. The queries are those of its types.
pub fn identity(queries: &[Query], bound_to: &str) -> String {
    let mut text = format!("{}:{bound_to}", bound_to.len());
    for query in queries {
        text.push_str(&format!("&{}", query.type_name));
    }
    for (name, value) in queries.first().map_or(&[][..], |query| &query.applied) {
        let shapes_only = matches!(
            name.split(':').next().unwrap_or(""),
            "_count"
                | "_summary"
                | "_elements"
                | "_total"
                | "_include"
                | "_revinclude"
                | "_format"
                | "_pretty"
                | "_contained"
                | "_containedType"
                | "_explain"
        );
        if !shapes_only {
            text.push_str(&format!("&{}:{name}={}:{value}", name.len(), value.len()));
        }
    }
    text
}

impl Query {
    /// All resources of a type, none of them on a page yet.
    pub fn new(type_name: &str) -> Query {
        Query { type_name: type_name.into(), ..Query::default() }
    }
}

/// One condition of a search: `code:modifier=term,term`.
#[derive(Debug, Clone)]
pub struct Filter {
    /// What is compared.
    pub subject: Subject,
    /// How.
    pub modifier: Modifier,
    /// Values, any of which may match.
    pub terms: Vec<SearchTerm>,
}

/// What a condition is about.
#[derive(Debug, Clone)]
pub enum Subject {
    /// `_id`.
    Id,
    /// `_lastUpdated`.
    LastUpdated,
    /// A search parameter of the type.
    Param(Arc<Param>),
    /// `_text` or `_content`.
    Words(TextSource),
    /// `_filter`
    Expression(Expression),
    /// `_list`: entries of one of these Lists.
    List,
    /// What the reference leads to: by type, all of these hold of it.
    Chain {
        /// The reference.
        param: Arc<Param>,
        /// By type it may lead to.
        targets: Vec<(Box<str>, Vec<Filter>)>,
    },
    /// `_has`: something refers to the resource, and all of these hold of it.
    Has {
        /// The type that refers.
        source: Box<str>,
        /// By this reference.
        param: Arc<Param>,
        /// What holds of it.
        filters: Vec<Filter>,
    },
    /// Membership in a compartment: any of these reference parameters.
    Compartment(Vec<Arc<Param>>),
}

/// An expression of `_filter`: <https://hl7.org/fhir/R4/search_filter.html>
#[derive(Debug, Clone)]
pub enum Expression {
    /// All of these hold.
    One(Vec<Filter>),
    /// All of them.
    All(Vec<Expression>),
    /// Any of them.
    Any(Vec<Expression>),
    /// It does not hold.
    Not(Box<Expression>),
}

/// Modifiers: <https://hl7.org/fhir/R4/search.html#modifiers>
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Modifier {
    /// None.
    None,
    /// `:exact`
    Exact,
    /// `:contains`
    Contains,
    /// `:missing`
    Missing,
    /// `:not`
    Not,
    /// `:identifier`
    Identifier,
    /// `:[type]`
    Type(Box<str>),
    /// `:of-type`
    OfType,
    /// `:text`
    Text,
    /// `:in`
    In,
    /// `:not-in`
    NotIn,
    /// `:above`
    Above,
    /// `:below`
    Below,
}

/// One value of a condition.
#[derive(Debug, Clone, PartialEq)]
pub enum SearchTerm {
    /// `:missing`, `_id` and other plain values.
    Flag(bool),
    /// An id of `_id`.
    Id(String),
    /// String or uri.
    Text(String),
    /// Token, or the identifier of a reference.
    Token(crate::token::TokenTerm),
    /// Reference.
    Reference(crate::reference::ReferenceTerm),
    /// Date.
    Date(crate::date::DateTerm),
    /// Number.
    Number(crate::number::NumberTerm),
    /// Quantity.
    Quantity(crate::quantity::QuantityTerm),
    /// An identifier with its type.
    OfType(crate::token::OfType),
    /// The parts of a composite.
    Composite(Vec<SearchTerm>),
    /// A position and a distance (`near`).
    Near(crate::near::NearTerm),
}

/// One key of `_sort`.
#[derive(Debug, Clone)]
pub struct Sort {
    /// What is sorted by.
    pub by: SortBy,
    /// `-`: greatest first.
    pub descending: bool,
}

/// What is sorted by.
#[derive(Debug, Clone)]
pub enum SortBy {
    /// `_id`.
    Id,
    /// `_lastUpdated`.
    LastUpdated,
    /// A search parameter of the type.
    Param(Arc<Param>),
    /// `subject.family`: a search parameter of what a reference leads to.
    Chain {
        /// The reference.
        param: Arc<Param>,
        /// By type it may lead to.
        targets: Vec<(Box<str>, Arc<Param>)>,
    },
}

/// `_include=Observation:subject:Patient` or `_revinclude=Condition:subject`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Include {
    /// True for `_revinclude`.
    pub reverse: bool,
    /// True for `:iterate`: what is included is followed, too.
    pub iterate: bool,
    /// The type that holds the reference; `None` means any (`*`).
    pub source: Option<Box<str>>,
    /// The reference parameter; `None` means every one (`*`).
    pub code: Option<Box<str>>,
    /// Only targets of this type.
    pub target: Option<Box<str>>,
}

impl Include {
    /// True when resources of the type are looked at for references to follow.
    pub fn is_from(&self, type_name: &str) -> bool {
        self.source.as_deref().is_none_or(|source| source == type_name)
    }

    /// True when resources of the type are taken as targets.
    pub fn is_to(&self, type_name: &str) -> bool {
        self.target.as_deref().is_none_or(|target| target == type_name)
    }
}

/// `_total`: <https://hl7.org/fhir/R4/search.html#total>
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the specification's own words")]
pub enum Total {
    #[default]
    None,
    Estimate,
    Accurate,
}

/// `_summary`: <https://hl7.org/fhir/R4/search.html#summary>
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the specification's own words")]
pub enum Summary {
    #[default]
    False,
    True,
    Text,
    Data,
    Count,
}
