//! The order of matches: what a row is sorted by, as values that statements, page links and this process agree on.
//!
//! Missing values are last in either direction: they have a place of their own beyond all others. Where an index has the
//! values in order, statements say the order (`sql/sort.rs`); where none has, the values are taken from the bodies.
//! <https://hl7.org/fhir/R4/search.html#sort>

use std::cmp::Ordering;
use std::sync::Arc;

use crate::condition::Condition;
use crate::cursor::Place;
use crate::keyer::{Form, Keyer};
use crate::parameters::ParameterKind;
use crate::query::{Query, Sort, SortBy};
use crate::registry::{Param, Role};
use crate::rows::{FIRST, LAST, Rows};

/// Texts are sorted by this much of their beginning, in code points, so that a page link, which holds the texts a page
/// ends with, stays a link. Those that begin alike are in the order of their rows, as equal ones are.
pub const TEXT_CHARS_MAX: usize = 256;

/// Forms of the entries that numbers and quantities are sorted by. A range is sorted by its lower end.
pub(crate) const NUMBERS: [Form; 2] = [Form::Ordered, Form::Span];

/// A missing text of an ascending order: no text begins with what is no character.
const TEXT_LAST: &str = "\u{10FFFF}";

/// What a text is sorted by.
pub fn sorted_part(text: &str) -> &str {
    let end = text.char_indices().nth(TEXT_CHARS_MAX).map(|(at, _)| at);
    end.and_then(|end| text.get(..end)).unwrap_or(text)
}

/// The keys of an order. Ties are settled by the handle, in the direction of the first key.
#[derive(Debug, Clone)]
pub struct Order {
    keys: Vec<Key>,
}

/// One key of an order.
#[derive(Debug, Clone)]
pub struct Key {
    /// Greatest first.
    pub descending: bool,
    /// What it is made of.
    pub by: By,
}

/// What a key is made of.
#[derive(Debug, Clone)]
pub enum By {
    /// The primary date: indexed with type, code and patient.
    Date,
    /// The time of the last change: indexed with the type.
    Updated,
    /// The id.
    Id,
    /// Whether this equality key is there.
    Truth(i64),
    /// The least or greatest ordered entry under these keys.
    Numbers(Entries),
    /// The least or greatest text entry under these keys.
    Texts(Entries),
    /// The least or greatest text in the body.
    Body(Arc<Param>),
    /// What resources have that a reference leads to: for each type what it is sorted by.
    Chain(Arc<Param>, Vec<(Box<str>, Key)>),
    /// Nothing any more: only rows without a value are left. True where values are numbers.
    Missing(bool),
}

/// Entries that hold the values of a parameter.
#[derive(Debug, Clone)]
pub struct Entries {
    /// The keys they are under.
    pub keys: Vec<i64>,
    /// What tells that a resource has any.
    pub present: Present,
}

/// What tells that a parameter has a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Present {
    /// A bit in the row.
    Bit(u8),
    /// An equality key.
    Key(i64),
}

/// What is known of a row.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// Its id.
    pub id: &'a str,
    /// When it was last changed.
    pub updated_at: i64,
    /// What its body leaves in the indexes.
    pub rows: &'a Rows,
    /// The least and the greatest text of a parameter in its body.
    pub texts: &'a dyn Fn(&Param) -> Option<(String, String)>,
}

impl std::fmt::Debug for Facts<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Facts of {}", self.id)
    }
}

impl Order {
    /// The order of a query's matches. Without `_sort`: newest primary date first.
    pub fn of(query: &Query, keyer: &Keyer) -> Order {
        let keys: Vec<Key> = query.sort.iter().map(|sort| Key::of(sort, keyer)).collect();
        if keys.is_empty() { Order::newest() } else { Order { keys } }
    }

    /// The server's own order.
    pub fn newest() -> Order {
        Order { keys: vec![Key { descending: true, by: By::Date }] }
    }

    /// No order: rows as they come.
    pub fn none() -> Order {
        Order { keys: Vec::new() }
    }

    /// The order of those rows that have no value of the first key.
    pub fn of_missing(&self) -> Order {
        let mut keys = self.keys.clone();
        if let Some(first) = keys.first_mut() {
            first.by = By::Missing(first.is_number());
        }
        Order { keys }
    }

    /// The same keys for the ends of references: what those of a type are sorted by.
    pub fn of_ends(&self, type_name: &str) -> Order {
        let end = |key: &Key| match &key.by {
            By::Chain(_, targets) => {
                let own = targets.iter().find(|(target, _)| **target == *type_name);
                own.map_or(Key { by: By::Missing(key.is_number()), ..key.clone() }, |(_, inner)| {
                    inner.clone()
                })
            }
            _ => Key { by: By::Missing(key.is_number()), ..key.clone() },
        };
        Order { keys: self.keys.iter().map(end).collect() }
    }

    /// The keys.
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// True when all values are columns of the row.
    pub fn is_columns(&self) -> bool {
        self.keys.iter().all(Key::is_column)
    }

    /// True when an index has the rows in the order of the first key: it can be walked from where a page begins.
    pub fn is_walked(&self) -> bool {
        let by = self.keys.first().map(|key| &key.by);
        matches!(by, None | Some(By::Date | By::Updated | By::Numbers(_) | By::Texts(_)))
    }

    /// True when the handle, which settles ties, descends.
    pub fn handle_descends(&self) -> bool {
        self.keys.first().is_some_and(|key| key.descending)
    }

    /// Which of two rows comes first: their places, then their handles.
    pub fn compare(&self, a: (&[Place], i64), b: (&[Place], i64)) -> Ordering {
        let turned = |order: Ordering, descending: bool| if descending { order.reverse() } else { order };
        let each = self.keys.iter().zip(a.0.iter().zip(b.0));
        let order = each.map(|(key, (a, b))| turned(a.cmp(b), key.descending)).find(|order| order.is_ne());
        order.unwrap_or_else(|| turned(a.1.cmp(&b.1), self.handle_descends()))
    }
}

impl Key {
    fn of(sort: &Sort, keyer: &Keyer) -> Key {
        let descending = sort.descending;
        let by = match &sort.by {
            SortBy::Id => By::Id,
            SortBy::LastUpdated => By::Updated,
            SortBy::Param(param) => by_param(param, keyer),
            SortBy::Chain { param, targets } => {
                let of = |inner: &Arc<Param>| Key { descending, by: by_param(inner, keyer) };
                let each = targets.iter().map(|(target, inner)| (target.clone(), of(inner)));
                By::Chain(param.clone(), each.collect())
            }
        };
        Key { descending, by }
    }

    /// True when the value is a column of the row.
    pub fn is_column(&self) -> bool {
        matches!(self.by, By::Date | By::Updated | By::Id | By::Truth(_) | By::Missing(_))
    }

    /// True when its values are numbers, false when they are texts.
    pub fn is_number(&self) -> bool {
        match &self.by {
            By::Date | By::Updated | By::Truth(_) | By::Numbers(_) => true,
            By::Id | By::Texts(_) | By::Body(_) => false,
            By::Missing(number) => *number,
            By::Chain(_, targets) => targets.first().is_some_and(|(_, key)| key.is_number()),
        }
    }

    /// The place of a row that has no value.
    pub fn missing(&self) -> Place {
        match (self.is_number(), self.descending) {
            (true, true) => Place::Number(i64::MIN),
            (true, false) => Place::Number(i64::MAX),
            (false, true) => Place::Text(String::new()),
            (false, false) => Place::Text(TEXT_LAST.to_owned()),
        }
    }

    /// The place of a row. What other resources have is none of its own: missing.
    pub fn place(&self, facts: &Facts<'_>) -> Place {
        let found = match &self.by {
            By::Date => facts.rows.date.map(|d| Place::Number(d.0)),
            By::Updated => Some(Place::Number(facts.updated_at)),
            By::Id => Some(Place::Text(facts.id.to_owned())),
            By::Truth(key) => Some(Place::Number(facts.rows.keys.binary_search(key).is_ok().into())),
            By::Numbers(entries) => self.edge(entries.numbers(facts.rows)).map(Place::Number),
            By::Texts(entries) => {
                self.edge(entries.texts(facts.rows)).map(|t| Place::Text(sorted_part(t).to_owned()))
            }
            By::Body(param) => (facts.texts)(param)
                .map(|(least, greatest)| Place::Text(if self.descending { greatest } else { least })),
            By::Chain(..) | By::Missing(_) => None,
        };
        found.unwrap_or_else(|| self.missing())
    }

    /// Of several values the first in the direction of the key.
    pub fn edge<T: Ord>(&self, values: impl Iterator<Item = T>) -> Option<T> {
        if self.descending { values.max() } else { values.min() }
    }

    /// The bit of [`rank`](crate::rows::Ordered::rank) that marks the entry a row is sorted by.
    pub(crate) fn rank(&self) -> i16 {
        if self.descending { LAST } else { FIRST }
    }
}

impl Entries {
    /// A row has an entry exactly when it has a value.
    pub(crate) fn present(&self) -> Condition {
        match self.present {
            Present::Bit(bit) => Condition::Present(bit),
            Present::Key(key) => Condition::Keys(vec![key]),
        }
    }

    fn numbers<'r>(&self, rows: &'r Rows) -> impl Iterator<Item = i64> + use<'r, '_> {
        let own = rows.ordered.iter().filter(|e| self.keys.contains(&e.key));
        own.map(|e| e.value)
    }

    fn texts<'r>(&self, rows: &'r Rows) -> impl Iterator<Item = &'r str> + use<'r, '_> {
        let own = rows.strings.iter().filter(|e| self.keys.contains(&e.key) && e.is_whole());
        own.map(|e| e.value.as_str())
    }
}

fn by_param(param: &Arc<Param>, keyer: &Keyer) -> By {
    if param.indexes.iter().any(|i| i.role == Role::PrimaryDate) {
        return By::Date;
    }
    let under = |forms: &[Form]| Entries {
        keys: param
            .indexes
            .iter()
            .flat_map(|i| forms.iter().map(|form| keyer.key(param.type_number, &i.name, *form, &[])))
            .collect(),
        present: match param.bit {
            Some(bit) => Present::Bit(bit),
            None => Present::Key(keyer.key(param.type_number, &param.name, Form::Present, &[])),
        },
    };
    if let [index] = param.indexes.as_slice()
        && index.truth
    {
        return By::Truth(keyer.key(param.type_number, &index.name, Form::Code, &["true"]));
    }
    match param.kind {
        ParameterKind::Date => By::Numbers(under(&[Form::Ordered])),
        ParameterKind::Number | ParameterKind::Quantity => By::Numbers(under(&NUMBERS)),
        ParameterKind::String => By::Texts(under(&[Form::Folded])),
        _ => By::Body(param.clone()),
    }
}
