//! The one builder of search SQL: text from fixed fragments, every value bound.

pub mod chain;
mod count;
mod distributed;
pub mod everything;
mod include;
pub mod index_scan;
mod plan;
mod rank;
mod residual;
mod sort;
mod step;
mod window;

pub use count::count;
pub use include::{
    one_of_type, referring, referring_rows, rows_by_handle, rows_with_keys, types_with_resources,
};
pub use plan::{first_rows, matching, page, row_keys, texts_beyond, unordered};
pub use rank::{is_selective, is_token};
pub use residual::predicate;
pub use step::{Plan, Step, Then};

/// Where the tables are. It decides how a statement is written where one text cannot be right for both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Placement {
    /// In one PostgreSQL.
    #[default]
    Single,
    /// Over several nodes, by `handle`: each answers for its rows, and a coordinator merges what they give.
    Distributed,
}

/// A value bound to a statement.
#[derive(Debug, Clone, PartialEq, Hash)]
pub enum Bind {
    /// `bigint`
    Long(i64),
    /// `bigint[]`
    Longs(Vec<i64>),
    /// `int`
    Int(i32),
    /// `int[]`
    Ints(Vec<i32>),
    /// `text`
    Text(String),
    /// `text[]`
    Texts(Vec<String>),
}

/// A statement in the making. Its text depends on the shape of the search alone, never on its values, so that prepared
/// statements are shared. The database makes one plan for each (see the store's connections): a shape is written so
/// that its plan is right whatever the values are.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sql {
    text: String,
    binds: Vec<Bind>,
    /// Placeholders of the statement that this is a part of, which come before its own.
    binds_before: usize,
    shape: &'static str,
}

impl Sql {
    /// A part of a statement that has so many placeholders before.
    fn after(placeholders: usize) -> Sql {
        Sql { binds_before: placeholders, ..Sql::default() }
    }

    /// Appends fixed text.
    pub fn push(&mut self, text: &str) -> &mut Sql {
        self.text.push_str(text);
        self
    }

    /// Appends a placeholder for the value, with its type.
    pub fn bind(&mut self, value: Bind) -> &mut Sql {
        let kind = match &value {
            Bind::Long(_) => "int8",
            Bind::Longs(_) => "int8[]",
            Bind::Int(_) => "int4",
            Bind::Ints(_) => "int4[]",
            Bind::Text(_) => "text",
            Bind::Texts(_) => "text[]",
        };
        self.binds.push(value);
        self.text.push_str(&format!("${}::{kind}", self.binds_before + self.binds.len()));
        self
    }

    /// Appends a limit on rows. It is the one number that stands in the text: a plan that is made for all values has to
    /// know it, as one that stops early is another than one that sorts everything.
    pub fn limit(&mut self, rows: usize) -> &mut Sql {
        self.text.push_str(&format!(" limit {rows}"));
        self
    }

    /// The same, said of which shape it is.
    pub fn with_shape(self, shape: &'static str) -> Sql {
        Sql { shape, ..self }
    }

    /// Which way of answering it belongs to, for explanations and tests.
    pub fn shape(&self) -> &'static str {
        if self.shape.is_empty() { "step" } else { self.shape }
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The values, in the order of their placeholders.
    pub fn binds(&self) -> &[Bind] {
        &self.binds
    }
}
