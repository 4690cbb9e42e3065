//! A quantity that is asked for in other units, too.

use crate::index_hash::{Form, IndexHasher};
use crate::number::NumberTerm;

/// A quantity in UCUM, asked for in all the units of an index that convert: 1 g is 1000 mg.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConvertedUnits {
    pub(super) number: NumberTerm,
    pub(super) code: String,
    pub(super) type_number: u16,
    pub(super) index: Box<str>,
    /// In a composite: the keys of the parts before and after.
    pub(super) within: Option<(Vec<i64>, Vec<i64>)>,
}

impl ConvertedUnits {
    /// The same as a part of a composite.
    pub(crate) fn within(&self, before: Vec<i64>, after: Vec<i64>) -> ConvertedUnits {
        ConvertedUnits { within: Some((before, after)), ..self.clone() }
    }

    /// Key of the distinct units of the index.
    pub fn units(&self, hasher: &IndexHasher) -> i64 {
        hasher.key(self.type_number, &self.index, Form::Units, &[])
    }
}
