//! The index entries of one resource.

use crate::prefix_hash;

/// The primary date of a resource that has none.
pub const DATE_MIN: i64 = i64::MIN;
/// The least value there is: that of a range without a beginning. A missing one is told apart from it.
pub const VALUE_MIN: i64 = i64::MIN + 1;

/// An entry ordered by a number: a date, a number, a quantity, a further coding of the primary token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ordered {
    /// Key of the index (and unit, or code).
    pub key: i64,
    /// Microseconds, sortable bits of a number, ...
    pub value: i64,
    /// Dates and ranges: upper end. Numbers: what the float leaves. Quantities: key of the unit. Positions: longitude.
    /// Otherwise 0.
    pub extra: i64,
    /// [`FIRST`] and [`LAST`].
    pub rank: i16,
}

/// An entry ordered by a folded text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Text {
    /// Key of the index.
    pub key: i64,
    /// The folded text, or a window of it.
    pub value: String,
    /// [`FIRST`], [`LAST`], [`CONTINUED`], [`WORD`], and [`ELEMENTS`].
    pub rank: i16,
}

/// A text that many resources have: kept once, so that what begins with something can be found among few. Resources have
/// its key among theirs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Distinct {
    /// Key of the index.
    pub key: i64,
    /// The text, or its beginning.
    pub value: String,
    /// Its own key.
    pub token: i64,
}

/// Rank bit: the least value the resource has under this key; ascending sorts go by it.
pub const FIRST: i16 = 1;
/// Rank bit: the greatest value the resource has under this key; descending sorts go by it.
pub const LAST: i16 = 2;
/// Rank bit: a later window of a long text: found by `:contains` alone.
pub const CONTINUED: i16 = 4;
/// Rank bit: a later word of a text, with what follows it: found, but nothing that is sorted by.
pub const WORD: i16 = 8;
/// Rank bits: which elements of the resource, such as the first and the third of its names, have the text. Those beyond
/// what there are bits for share the last one.
pub const ELEMENTS: i16 = 0x7FF0;

/// The bit of an element.
pub(crate) fn element_bit(ordinal: usize) -> i16 {
    1 << (4 + ordinal.min(10))
}

/// All index entries of one resource.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rows {
    /// Handle of the patient the resource is about, where the type has a single-valued patient or subject.
    pub patient: Option<i64>,
    /// Primary date: lower and upper bound in microseconds.
    pub date: Option<(i64, i64)>,
    /// Key of the first coding of the type's primary token.
    pub primary_code: Option<i64>,
    /// Bit i: the parameter with bit i has a value.
    pub present: i64,
    /// Equality keys: sorted, each once.
    pub keys: Vec<i64>,
    /// Ordered entries: sorted, each once.
    pub ordered: Vec<Ordered>,
    /// Text entries: sorted, each once.
    pub strings: Vec<Text>,
    /// Hashes of what the texts begin with: sorted, each once.
    pub prefix_hashes: Vec<i64>,
    /// Texts to be found by their beginnings: sorted, each once.
    pub distinct: Vec<Distinct>,
    /// Keys of the further codings of the primary token, until the date that orders them is known.
    pub(crate) further_codes: Vec<i64>,
}

impl Rows {
    /// Sorts, drops doubles and ranks: after this, two extractions of the same resource are equal.
    pub(crate) fn finish(&mut self) {
        self.keys.sort_unstable();
        self.keys.dedup();
        self.ordered.sort_unstable();
        self.ordered.dedup();
        self.distinct.sort_unstable();
        self.distinct.dedup();
        self.strings.sort_unstable();
        self.strings.dedup_by(|b, a| {
            let same = (a.key, &a.value) == (b.key, &b.value);
            if same {
                a.rank = both(a.rank, b.rank);
            }
            same
        });
        rank(&mut self.ordered, |e| e.key, |e| &mut e.rank, |_| false);
        rank(&mut self.strings, |e| e.key, |e| &mut e.rank, |e| !e.is_whole());
        let whole = self.strings.iter().filter(|e| e.rank & CONTINUED == 0);
        self.prefix_hashes = whole.flat_map(|e| prefix_hash::every(e.key, &e.value)).collect();
        self.prefix_hashes.sort_unstable();
        self.prefix_hashes.dedup();
    }
}

impl Text {
    /// True for a text, or the beginning of one; not for a later part of one.
    pub(crate) fn is_whole(&self) -> bool {
        self.rank & (CONTINUED | WORD) == 0
    }
}

/// The rank of a text that is there twice, in several elements or as a part of another text: it is what counts for more.
fn both(a: i16, b: i16) -> i16 {
    let part = |rank: i16| rank & (CONTINUED | WORD);
    let kept = match (part(a), part(b)) {
        (0, _) | (_, 0) => 0,
        (CONTINUED, other) | (other, CONTINUED) => other,
        _ => WORD,
    };
    kept | ((a | b) & ELEMENTS)
}

/// Marks the first and the last entry of each key. Entries are sorted by key, then value.
fn rank<E>(
    entries: &mut [E],
    key: impl Fn(&E) -> i64,
    rank: impl Fn(&mut E) -> &mut i16,
    skipped: impl Fn(&E) -> bool,
) {
    let mut before = None;
    for entry in entries.iter_mut().filter(|e| !skipped(e)) {
        if before.replace(key(entry)) != Some(key(entry)) {
            *rank(entry) |= FIRST;
        }
    }
    let mut after = None;
    for entry in entries.iter_mut().rev().filter(|e| !skipped(e)) {
        if after.replace(key(entry)) != Some(key(entry)) {
            *rank(entry) |= LAST;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_windows_of_a_text_are_one_entry() {
        let text = |rank| Text { key: 1, value: "aaa".to_owned(), rank };
        let mut rows = Rows { strings: vec![text(CONTINUED), text(0), text(CONTINUED)], ..Rows::default() };
        rows.finish();
        assert_eq!(rows.strings, [text(FIRST | LAST)]);
    }

    #[test]
    fn a_text_of_several_elements_is_one_entry() {
        let text = |value: &str, rank| Text { key: 1, value: value.to_owned(), rank };
        let (first, third) = (element_bit(0), element_bit(2));
        let strings =
            vec![text("b", WORD | first), text("b", third), text("c", WORD | third), text("a", first)];
        let mut rows = Rows { strings, ..Rows::default() };
        rows.finish();
        let wanted = [text("a", FIRST | first), text("b", LAST | first | third), text("c", WORD | third)];
        assert_eq!(rows.strings, wanted);
        assert_eq!(element_bit(10), element_bit(5000));
        assert!((0..20).all(|n| element_bit(n) & ELEMENTS == element_bit(n)));
    }
}
