//! Statements as far as the rules need them: what they read from and how that is joined, what they limit, lock and set.

use std::collections::BTreeSet;
use std::fmt::{self, Display, Formatter};
use std::rc::Rc;

use super::token::Token;

/// The tables that are distributed by their column `handle`. All others are copied to every node.
const DISTRIBUTED: [&str; 4] = ["resource", "ordered_entry", "string_entry", "resource_history"];

/// A statement, or a query within one.
#[derive(Debug, Default)]
pub(crate) struct Query {
    /// `with name as (..)`
    pub(crate) ctes: Vec<Rc<Cte>>,
    /// One, or several for `union` and its like.
    pub(crate) blocks: Vec<Block>,
    /// `limit` or `offset` of all of it.
    pub(crate) has_limit: bool,
}

/// `name as materialized (..)`
#[derive(Debug)]
pub(crate) struct Cte {
    pub(crate) name: String,
    /// Its rows are computed once, and joined as those of a small table are.
    pub(crate) is_materialized: bool,
    pub(crate) query: Query,
}

/// One `select`, `insert`, `update` or `delete`.
#[derive(Debug, Default)]
pub(crate) struct Block {
    /// The table that is written.
    pub(crate) target: Option<Relation>,
    /// What it reads from, `using` included.
    pub(crate) from: Vec<Relation>,
    /// What is inserted.
    pub(crate) source: Option<Box<Query>>,
    /// `where`, and the conditions of joins.
    pub(crate) conditions: Vec<Vec<Token>>,
    /// Of these, those of joins to what is not lateral.
    pub(crate) join_conditions: Vec<Vec<Token>>,
    /// What follows `set`.
    pub(crate) assignments: Vec<Vec<Token>>,
    /// `where` after `on conflict`, of the index and of the update.
    pub(crate) conflict_conditions: Vec<Vec<Token>>,
    /// All expressions there are, those above included.
    pub(crate) expressions: Vec<Vec<Token>>,
    /// Queries in its expressions.
    pub(crate) nested: Vec<Query>,
    /// `limit` or `offset`.
    pub(crate) has_limit: bool,
    /// `for update of a, b` and its like: the aliases; none means all that is read.
    pub(crate) locks: Vec<Vec<String>>,
}

/// A table, a function or a query that is read.
#[derive(Debug)]
pub(crate) struct Relation {
    pub(crate) source: Source,
    pub(crate) alias: String,
    pub(crate) is_lateral: bool,
}

/// What a relation is.
#[derive(Debug)]
pub(crate) enum Source {
    /// A table of the database.
    Table(String),
    /// A function that returns rows.
    Function(String),
    /// `(select ..)`
    Query(Box<Query>),
    /// A name of `with`.
    Cte(Rc<Cte>),
}

impl Query {
    /// True when it reads or writes rows of a distributed table.
    pub(crate) fn is_distributed(&self) -> bool {
        let has_blocks = self.blocks.iter().any(|block| {
            block.target.iter().chain(&block.from).any(Relation::is_distributed)
                || block.source.iter().any(|query| query.is_distributed())
                || block.nested.iter().any(Query::is_distributed)
        });
        has_blocks || self.ctes.iter().any(|cte| cte.query.is_distributed())
    }

    /// True when it has a limit: of its own, of an arm, or of what it reads.
    pub(crate) fn is_limited(&self) -> bool {
        self.has_limit
            || self.blocks.iter().any(|block| block.has_limit || block.from.iter().any(Relation::is_limited))
    }

    /// Aliases of outer queries that it refers to.
    pub(crate) fn free(&self) -> BTreeSet<&str> {
        let ctes = self.ctes.iter().flat_map(|cte| cte.query.free());
        self.blocks.iter().flat_map(Block::free).chain(ctes).collect()
    }
}

impl Block {
    /// The queries that it is made of, but for those of `with`.
    pub(crate) fn queries(&self) -> impl Iterator<Item = &Query> {
        let from = self.from.iter().filter_map(|relation| match &relation.source {
            Source::Query(query) => Some(&**query),
            _ => None,
        });
        from.chain(self.source.as_deref()).chain(&self.nested)
    }

    /// What it reads and what it writes.
    pub(crate) fn relations(&self) -> impl Iterator<Item = &Relation> {
        self.from.iter().chain(&self.target)
    }

    /// Aliases of outer queries that it refers to.
    fn free(&self) -> BTreeSet<&str> {
        let mut free: BTreeSet<&str> = self.queries().flat_map(Query::free).collect();
        self.expressions.iter().for_each(|expression| qualifiers(expression, &mut free));
        for relation in self.relations() {
            free.remove(&*relation.alias);
        }
        free
    }
}

impl Relation {
    /// True when it has rows of a distributed table.
    pub(crate) fn is_distributed(&self) -> bool {
        match &self.source {
            Source::Table(name) => DISTRIBUTED.contains(&&**name),
            Source::Function(_) => false,
            Source::Query(query) => query.is_distributed(),
            Source::Cte(cte) => cte.query.is_distributed(),
        }
    }

    /// True when its rows are where those of a distributed table are, and not computed before they are joined.
    pub(crate) fn is_in_place(&self) -> bool {
        let is_first = match &self.source {
            Source::Query(query) => query.is_limited(),
            Source::Cte(cte) => cte.is_materialized || cte.query.is_limited(),
            _ => false,
        };
        self.is_distributed() && !is_first
    }

    /// True when it is a query with a limit.
    pub(crate) fn is_limited(&self) -> bool {
        match &self.source {
            Source::Query(query) => query.is_limited(),
            Source::Cte(cte) => cte.query.is_limited(),
            _ => false,
        }
    }
}

/// True for what a query in parentheses begins with.
pub(super) fn is_query(tokens: &[Token]) -> bool {
    const FIRST: [&str; 6] = ["select", "with", "values", "insert", "update", "delete"];
    match tokens {
        [Token::Word(word), ..] => FIRST.contains(&&**word),
        [Token::Group(inner), rest @ ..] => {
            let goes_on = |token: &Token| matches!(token.word(), Some("union" | "intersect" | "except"));
            is_query(inner) && rest.first().is_none_or(goes_on)
        }
        _ => false,
    }
}

/// The names before dots, but for those in queries.
fn qualifiers<'t>(tokens: &'t [Token], found: &mut BTreeSet<&'t str>) {
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Word(word) if tokens.get(at + 1).is_some_and(|next| next.is_sign(".")) => {
                found.insert(word);
            }
            Token::Group(inner) | Token::Brackets(inner) if !is_query(inner) => qualifiers(inner, found),
            _ => {}
        }
    }
}

impl Display for Query {
    /// What is read from where, without the conditions: `unnest p, lateral (resource r limit)`.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut arms: Vec<String> = self.blocks.iter().map(Block::to_string).collect();
        // How many there are depends on what is asked.
        arms.dedup();
        f.write_str(&arms.join(" union "))?;
        f.write_str(if arms.len() < self.blocks.len() { " union .." } else { "" })?;
        // A single block says so itself.
        let is_said = self.blocks.len() == 1 && self.blocks.iter().all(|block| block.has_limit);
        f.write_str(if self.has_limit && !is_said { " limit" } else { "" })
    }
}

impl Display for Block {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(target) = &self.target {
            let what = match (&self.source, self.assignments.is_empty()) {
                (Some(_), _) => "insert ",
                (None, false) => "update ",
                (None, true) => "delete ",
            };
            write!(f, "{what}{target}")?;
        }
        if let Some(source) = &self.source {
            let source = source.to_string();
            write!(f, " from ({})", if source.is_empty() { "values" } else { &source })?;
        }
        for (at, relation) in self.from.iter().enumerate() {
            let before = match (at, &self.target) {
                (0, None) => "",
                (0, Some(_)) => " from ",
                _ => ", ",
            };
            write!(f, "{before}{relation}")?;
        }
        f.write_str(if self.has_limit { " limit" } else { "" })?;
        f.write_str(if self.locks.is_empty() { "" } else { " lock" })
    }
}

impl Display for Relation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let name = match &self.source {
            Source::Table(name) | Source::Function(name) => name,
            Source::Cte(cte) if cte.query.is_limited() => return write!(f, "({}: {})", cte.name, cte.query),
            Source::Cte(cte) => &cte.name,
            Source::Query(query) => {
                let lateral = if self.is_lateral { "lateral " } else { "" };
                return write!(f, "{lateral}({query}) {}", self.alias);
            }
        };
        match *name == self.alias {
            true => f.write_str(name),
            false => write!(f, "{name} {}", self.alias),
        }
    }
}
