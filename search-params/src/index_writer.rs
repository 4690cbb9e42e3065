//! Receives the index entries of a resource while its values are visited.

use fhir_model::date::Zone;
use fhir_model::json::Ref;

use crate::bases::Bases;
use crate::embedded::Container;
use crate::index_hash::{Form, IndexHasher};
use crate::param::{Index, Role};
use crate::rows::{Distinct, Ordered, Rows, Text, VALUE_MIN};
use crate::windows::WINDOW_BYTES_MAX;

/// The rows of one resource, seen from one of its indexes.
pub(crate) struct IndexWriter<'a> {
    pub(crate) hasher: &'a IndexHasher,
    pub(crate) type_number: u16,
    pub(crate) index: &'a Index,
    /// The server's own base urls: absolute references below them are local ones.
    pub(crate) bases: &'a Bases,
    /// The zone of dates that name none.
    pub(crate) zone: &'a Zone,
    /// Which of the index's values in this resource it is, from 0 on.
    pub(crate) ordinal: usize,
    pub(crate) numbers: &'a dyn Fn(&str) -> Option<u16>,
    /// The resource that is indexed.
    pub(crate) resource: Ref<'a>,
    /// Where its references lead within the document.
    pub(crate) container: &'a Container<'a>,
    pub(crate) rows: &'a mut Rows,
    /// What this value turned out to be.
    pub(crate) indexed: IndexedValue,
}

/// What a value turned out to be, for the presence of the parameters over its index.
#[derive(Debug, Default)]
pub(crate) struct IndexedValue {
    pub(crate) any: bool,
    /// Types of what it refers to.
    pub(crate) targets: Vec<Box<str>>,
    /// An identifier of something that may be of any type.
    pub(crate) of_any_type: bool,
    /// It is a resource within this one, or leads to one.
    pub(crate) embedded: bool,
}

impl IndexWriter<'_> {
    /// The key of a form of a value of this index.
    pub(crate) fn key(&self, form: Form, parts: &[&str]) -> i64 {
        self.hasher.key(self.type_number, &self.index.name, form, parts)
    }

    /// Adds an equality key.
    pub(crate) fn equality(&mut self, form: Form, parts: &[&str]) {
        let key = self.key(form, parts);
        self.rows.keys.push(key);
        self.indexed.any = true;
    }

    /// Adds an ordered entry under a key.
    pub(crate) fn ordered(&mut self, key: i64, value: i64, extra: i64) {
        self.rows.ordered.push(Ordered { key, value: value.max(VALUE_MIN), extra, rank: 0 });
        self.indexed.any = true;
    }

    /// Adds a date range: to the column of the primary date, or as an entry.
    pub(crate) fn date(&mut self, low: i64, high: i64) {
        self.indexed.any = true;
        // What has no beginning begins before all, and yet it has a date.
        let low = low.max(VALUE_MIN);
        if self.index.role == Role::PrimaryDate {
            self.rows.date = Some((low, high));
        } else {
            let key = self.key(Form::Ordered, &[]);
            self.ordered(key, low, high);
        }
    }

    /// Says that a text is among those of an index, under its own key. It is found by its first
    /// [`WINDOW_BYTES_MAX`] bytes.
    pub(crate) fn distinct(&mut self, form: Form, text: &str, token: i64) {
        let cut = text.get(..text.floor_char_boundary(WINDOW_BYTES_MAX)).unwrap_or(text);
        let key = self.key(form, &[]);
        self.rows.distinct.push(Distinct { key, value: cut.to_owned(), token });
    }

    /// Adds a text entry.
    pub(crate) fn text(&mut self, value: &str, rank: i16) {
        let key = self.key(Form::Normalized, &[]);
        self.rows.strings.push(Text { key, value: value.to_owned(), rank });
        self.indexed.any = true;
    }
}
