//! The order of matches: what a row is sorted by, as values that statements, page links and this process agree on.
//!
//! Missing values are last in either direction: they have a sort value of their own beyond all others. Where an index has the
//! values in order, statements say the order (`sql/sort.rs`); where none has, the values are taken from the bodies.
//! <https://hl7.org/fhir/R4/search.html#sort>

use std::cmp::Ordering;
use std::sync::Arc;

use crate::condition::Condition;
use crate::cursor::SortValue;
use crate::index_hash::{Form, IndexHasher};
use crate::param::{Param, Role};
use crate::parameters::ParameterKind;
use crate::query::{Query, Sort, SortBy};
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

/// The keys of an order. The handle breaks ties, in the direction of the first key.
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
    pub by: SortSource,
}

/// What a key is made of.
#[derive(Debug, Clone)]
pub enum SortSource {
    /// The primary date: indexed with type, code and patient.
    Date,
    /// The time of the last change: indexed with the type.
    Updated,
    /// The id.
    Id,
    /// Whether this equality key is there.
    Boolean(i64),
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
    /// How a row says that it has any.
    pub present: Present,
}

/// How a row says that a parameter has a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Present {
    /// A bit in the row.
    Bit(u8),
    /// An equality key.
    Key(i64),
}

/// What is known of a row.
#[derive(Clone, Copy)]
pub struct RowFacts<'a> {
    /// Its id.
    pub id: &'a str,
    /// When it was last changed.
    pub updated_at: i64,
    /// What its body leaves in the indexes.
    pub rows: &'a Rows,
    /// The least and the greatest text of a parameter in its body.
    pub texts: &'a dyn Fn(&Param) -> Option<(String, String)>,
}

impl std::fmt::Debug for RowFacts<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RowFacts of {}", self.id)
    }
}

impl Order {
    /// The order of a query's matches. Without `_sort`: newest primary date first.
    pub fn from_query(query: &Query, hasher: &IndexHasher) -> Order {
        let keys: Vec<Key> = query.sort.iter().map(|sort| Key::from_sort(sort, hasher)).collect();
        if keys.is_empty() { Order::newest() } else { Order { keys } }
    }

    /// The server's own order.
    pub fn newest() -> Order {
        Order { keys: vec![Key { descending: true, by: SortSource::Date }] }
    }

    /// No order: rows as they come.
    pub fn none() -> Order {
        Order { keys: Vec::new() }
    }

    /// The order of those rows that have no value of the first key.
    pub fn for_missing(&self) -> Order {
        let mut keys = self.keys.clone();
        if let Some(first) = keys.first_mut() {
            first.by = SortSource::Missing(first.is_number());
        }
        Order { keys }
    }

    /// The same keys for the ends of references: what those of a type are sorted by.
    pub fn for_targets(&self, type_name: &str) -> Order {
        let end = |key: &Key| match &key.by {
            SortSource::Chain(_, targets) => {
                let own = targets.iter().find(|(target, _)| **target == *type_name);
                own.map_or(Key { by: SortSource::Missing(key.is_number()), ..key.clone() }, |(_, inner)| {
                    inner.clone()
                })
            }
            _ => Key { by: SortSource::Missing(key.is_number()), ..key.clone() },
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

    /// True when an index has the rows in the order of the first key, so that a scan can begin at the cursor.
    pub fn is_indexed(&self) -> bool {
        let by = self.keys.first().map(|key| &key.by);
        matches!(
            by,
            None | Some(
                SortSource::Date | SortSource::Updated | SortSource::Numbers(_) | SortSource::Texts(_)
            )
        )
    }

    /// True when the handle, which breaks ties, descends.
    pub fn handle_descends(&self) -> bool {
        self.keys.first().is_some_and(|key| key.descending)
    }

    /// Which of two rows comes first: by their sort values, then by their handles.
    pub fn compare(&self, a: (&[SortValue], i64), b: (&[SortValue], i64)) -> Ordering {
        let turned = |order: Ordering, descending: bool| if descending { order.reverse() } else { order };
        let each = self.keys.iter().zip(a.0.iter().zip(b.0));
        let order = each.map(|(key, (a, b))| turned(a.cmp(b), key.descending)).find(|order| order.is_ne());
        order.unwrap_or_else(|| turned(a.1.cmp(&b.1), self.handle_descends()))
    }
}

impl Key {
    fn from_sort(sort: &Sort, hasher: &IndexHasher) -> Key {
        let descending = sort.descending;
        let by = match &sort.by {
            SortBy::Id => SortSource::Id,
            SortBy::LastUpdated => SortSource::Updated,
            SortBy::Param(param) => by_param(param, hasher),
            SortBy::Chain { param, targets } => {
                let of = |inner: &Arc<Param>| Key { descending, by: by_param(inner, hasher) };
                let each = targets.iter().map(|(target, inner)| (target.clone(), of(inner)));
                SortSource::Chain(param.clone(), each.collect())
            }
        };
        Key { descending, by }
    }

    /// True when the value is a column of the row.
    pub fn is_column(&self) -> bool {
        matches!(
            self.by,
            SortSource::Date
                | SortSource::Updated
                | SortSource::Id
                | SortSource::Boolean(_)
                | SortSource::Missing(_)
        )
    }

    /// True when its values are numbers, false when they are texts.
    pub fn is_number(&self) -> bool {
        match &self.by {
            SortSource::Date | SortSource::Updated | SortSource::Boolean(_) | SortSource::Numbers(_) => true,
            SortSource::Id | SortSource::Texts(_) | SortSource::Body(_) => false,
            SortSource::Missing(number) => *number,
            SortSource::Chain(_, targets) => targets.first().is_some_and(|(_, key)| key.is_number()),
        }
    }

    /// The sort value of a row that has no value.
    pub fn missing(&self) -> SortValue {
        match (self.is_number(), self.descending) {
            (true, true) => SortValue::Number(i64::MIN),
            (true, false) => SortValue::Number(i64::MAX),
            (false, true) => SortValue::Text(String::new()),
            (false, false) => SortValue::Text(TEXT_LAST.to_owned()),
        }
    }

    /// The sort value of a row. A key that follows a reference is missing here: the store adds the target's values.
    pub fn sort_value(&self, facts: &RowFacts<'_>) -> SortValue {
        let found = match &self.by {
            SortSource::Date => facts.rows.date.map(|d| SortValue::Number(d.0)),
            SortSource::Updated => Some(SortValue::Number(facts.updated_at)),
            SortSource::Id => Some(SortValue::Text(facts.id.to_owned())),
            SortSource::Boolean(key) => {
                Some(SortValue::Number(facts.rows.keys.binary_search(key).is_ok().into()))
            }
            SortSource::Numbers(entries) => self.edge(entries.numbers(facts.rows)).map(SortValue::Number),
            SortSource::Texts(entries) => {
                self.edge(entries.texts(facts.rows)).map(|t| SortValue::Text(sorted_part(t).to_owned()))
            }
            SortSource::Body(param) => (facts.texts)(param)
                .map(|(least, greatest)| SortValue::Text(if self.descending { greatest } else { least })),
            SortSource::Chain(..) | SortSource::Missing(_) => None,
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

fn by_param(param: &Arc<Param>, hasher: &IndexHasher) -> SortSource {
    if param.indexes.iter().any(|i| i.role == Role::PrimaryDate) {
        return SortSource::Date;
    }
    let under = |forms: &[Form]| Entries {
        keys: param
            .indexes
            .iter()
            .flat_map(|i| forms.iter().map(|form| hasher.key(param.type_number, &i.name, *form, &[])))
            .collect(),
        present: match param.bit {
            Some(bit) => Present::Bit(bit),
            None => Present::Key(hasher.key(param.type_number, &param.name, Form::Present, &[])),
        },
    };
    if let [index] = param.indexes.as_slice()
        && index.truth
    {
        return SortSource::Boolean(hasher.key(param.type_number, &index.name, Form::Code, &["true"]));
    }
    match param.kind {
        ParameterKind::Date => SortSource::Numbers(under(&[Form::Ordered])),
        ParameterKind::Number | ParameterKind::Quantity => SortSource::Numbers(under(&NUMBERS)),
        ParameterKind::String => SortSource::Texts(under(&[Form::Normalized])),
        _ => SortSource::Body(param.clone()),
    }
}
