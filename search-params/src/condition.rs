//! Conditions on resources: what a query means, before it is SQL.

use crate::number::SortableNumber;
use crate::quantity::ConvertedUnits;
use crate::tenant::TenantId;
use crate::token::CodedToken;

const EARTH_DIAMETER_MILLIMETERS: f64 = 12_742_017_543.0;

/// A condition on one resource of a known type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// All of them hold; empty: always true.
    All(Vec<Condition>),
    /// At least one holds; empty: never true.
    Any(Vec<Condition>),
    /// It does not hold.
    Not(Box<Condition>),
    /// At least one of these equality keys is there; each is expected to be rare (identifiers, references, uris).
    Keys(Vec<i64>),
    /// The same for tokens, which can be as common as `status=final`.
    Tokens(Vec<i64>),
    /// The same for tokens of the type's primary code: first codings are also a column that is ordered by date.
    Codes(Vec<i64>),
    /// The patient column is one of these handles.
    Patient(Vec<i64>),
    /// The resource has one of these ids: their possible handles, and the ids themselves.
    Ids(Vec<i64>, Vec<String>),
    /// The row is one of these.
    Handles(Vec<i64>),
    /// The row's `type_id` is one of these: what a scope says of rows of any type.
    TypeIds(Vec<i32>),
    /// The row is one of this tenant's, of whatever type.
    Tenant(TenantId),
    /// What a caller may see of the server's own resources at the other end of a reference. What stands within a resource is
    /// seen with it.
    Visible(Box<Condition>),
    /// The resource has these words. To be resolved: the index of words is none of the database's.
    FullText(TextQuery),
    /// An entry of the List with this id. To be resolved: it is another row.
    List(String),
    /// A reference leads to a resource of which a condition holds. To be resolved: it is another row.
    Chain(Chain),
    /// A chain of a resource that may itself stand within another one.
    Embedded(Box<Embedded>),
    /// A resource refers here of which a condition holds. To be resolved: it is another row.
    Has(Box<Has>),
    /// The resource has one of the texts of an index that begin so. To be resolved: their keys are looked up.
    Distinct(i64, String),
    /// The resource has a quantity in another unit of the same dimension. To be resolved: in the units there are.
    ConvertedUnits(Box<ConvertedUnits>),
    /// The resource has one of the codes that terminology knows. To be resolved.
    CodedToken(Box<CodedToken>),
    /// The parameter with this bit has a value.
    Present(u8),
    /// The primary date passes.
    PrimaryDate(DateTest),
    /// `lastUpdated` passes.
    Updated(DateTest),
    /// There is an entry of a range (a date, a range of numbers) under the key that passes.
    DateEntry(i64, DateTest),
    /// There is a number entry under the key within the bounds, both inclusive.
    NumberEntry {
        /// Key of the index.
        key: i64,
        /// Least number.
        from: SortableNumber,
        /// Greatest number.
        to: SortableNumber,
    },
    /// There is a quantity entry under the key within the bounds.
    QuantityEntry {
        /// Key of the index.
        key: i64,
        /// Least sortable value.
        min: i64,
        /// Greatest sortable value.
        max: i64,
        /// What is asked of the entry's `extra`.
        extra: Extra,
    },
    /// There is a position under the key, near enough.
    Near(i64, Circle),
    /// There is a text entry under the key that begins with the text.
    TextPrefix(i64, String),
    /// There are text entries under the key of which one begins with each of these words, in the same element.
    TextWords(i64, Vec<String>),
    /// A prefilter by prefix hashes: the row has such an entry, or, when the text is longer than a hashed prefix, may have one.
    MayStartWith(i64, String),
    /// There is a text entry under the key that contains the text.
    TextContains(i64, String),
    /// The same of a key with few entries: all of them are looked at.
    TextScan(i64, String),
}

/// What is asked of the second value of a number entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extra {
    /// Nothing.
    Any,
    /// It is one of these: keys of units.
    OneOf(Vec<i64>),
    /// It is within these bounds.
    Between(i64, i64),
}

/// Everything within a distance of a point on the earth. Degrees are in ten-millionths: about a centimetre.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Circle {
    /// Latitude of the point.
    pub latitude: i64,
    /// Longitude of the point.
    pub longitude: i64,
    /// The distance.
    pub millimeters: i64,
    /// Least and greatest latitude there can be.
    pub latitudes: (i64, i64),
    /// Least and greatest longitudes there can be: twice where the 180th meridian is crossed.
    pub longitudes: Vec<(i64, i64)>,
}

impl Circle {
    /// True for a place within it, along great circles of a sphere.
    pub(crate) fn contains(&self, latitude: i64, longitude: i64) -> bool {
        let radians = |ten_millionths: i64| (ten_millionths as f64 * 1e-7).to_radians();
        let half_sine = |from: i64, to: i64| (radians(to - from) / 2.0).sin().powi(2);
        let across = radians(latitude).cos() * radians(self.latitude).cos();
        let haversine = half_sine(self.latitude, latitude) + across * half_sine(self.longitude, longitude);
        EARTH_DIAMETER_MILLIMETERS * haversine.sqrt().min(1.0).asin() <= self.millimeters as f64
    }
}

/// Which text is searched for words: <https://hl7.org/fhir/R4/search.html#content>
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TextSource {
    /// `_text`: the narrative.
    Narrative,
    /// `_content`: the whole resource.
    Content,
}

impl TextSource {
    /// The parameter that asks for it.
    pub fn parameter(self) -> &'static str {
        match self {
            TextSource::Narrative => "_text",
            TextSource::Content => "_content",
        }
    }
}

/// A search for words.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TextQuery {
    /// Which text.
    pub source: TextSource,
    /// The words, as they were sent.
    pub text: String,
}

/// `subject:Patient.name=x`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// The reference parameter of the resource.
    pub code: Box<str>,
    /// The condition for each type it may lead to.
    pub targets: Vec<(Box<str>, Condition)>,
    /// Some of these ask for parameters that were added at runtime: what stood within resources before has left no keys of
    /// them.
    pub by_added: bool,
}

/// A chain at the end of another chain, which is asked of resources here and of those that stand within others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Embedded {
    /// What is asked of the resources that stand within the same document.
    pub chain: Chain,
    /// What it comes to for those of the server, resolved.
    pub others: Condition,
}

/// `_has:Observation:patient:code=x`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Has {
    /// The type that refers.
    pub source: Box<str>,
    /// Its reference parameter.
    pub code: Box<str>,
    /// What holds of it.
    pub condition: Condition,
}

impl Has {
    /// What it is called in a search, up to the condition.
    pub fn name(&self) -> String {
        format!("_has:{}:{}", self.source, self.code)
    }
}

/// Bounds, all inclusive, on the lower and the upper end of a stored date range. An absent bound is open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DateTest {
    /// The range must not begin before this.
    pub low_min: Option<i64>,
    /// The range must begin by this.
    pub low_max: Option<i64>,
    /// The range must not end before this.
    pub high_min: Option<i64>,
    /// The range must end by this.
    pub high_max: Option<i64>,
}

impl DateTest {
    /// True for a stored range that passes.
    pub fn passes(&self, low: i64, high: i64) -> bool {
        self.low_min.is_none_or(|b| low >= b)
            && self.low_max.is_none_or(|b| low <= b)
            && self.high_min.is_none_or(|b| high >= b)
            && self.high_max.is_none_or(|b| high <= b)
    }
}

impl Default for Condition {
    /// Always true.
    fn default() -> Condition {
        Condition::All(Vec::new())
    }
}

impl Condition {
    /// A condition that no resource meets.
    pub fn never() -> Condition {
        Condition::Any(Vec::new())
    }

    /// The conditions that must all hold.
    pub fn parts(self) -> Vec<Condition> {
        match self {
            Condition::All(parts) => parts,
            one => vec![one],
        }
    }

    /// True when there is something that only the store can resolve, before it is SQL.
    pub fn is_pending(&self) -> bool {
        match self {
            Condition::All(parts) | Condition::Any(parts) => parts.iter().any(Condition::is_pending),
            Condition::Not(inner) => inner.is_pending(),
            Condition::Distinct(..) | Condition::ConvertedUnits(_) | Condition::CodedToken(_) => true,
            Condition::FullText(_) | Condition::List(_) | Condition::Chain(_) | Condition::Has(_) => true,
            _ => false,
        }
    }

    /// How many values it holds: what it takes in memory, but for what is still pending.
    pub fn values(&self) -> usize {
        match self {
            Condition::All(parts) | Condition::Any(parts) => parts.iter().map(Condition::values).sum(),
            Condition::Not(inner) => inner.values(),
            Condition::Embedded(embedded) => embedded.others.values(),
            Condition::Keys(values) | Condition::Tokens(values) | Condition::Codes(values) => values.len(),
            Condition::Patient(values) | Condition::Handles(values) => values.len(),
            Condition::Ids(handles, ids) => handles.len() + ids.len(),
            Condition::QuantityEntry { extra: Extra::OneOf(units), .. } => 1 + units.len(),
            Condition::TextWords(_, words) => words.len(),
            _ => 1,
        }
    }

    /// The condition with each of its parts changed. What is of other resources is no part of it.
    pub fn with_parts(self, change: &dyn Fn(Condition) -> Condition) -> Condition {
        let each = |parts: Vec<Condition>| parts.into_iter().map(change).collect();
        match self {
            Condition::All(parts) => Condition::All(each(parts)),
            Condition::Any(parts) => Condition::Any(each(parts)),
            Condition::Not(inner) => Condition::Not(Box::new(change(*inner))),
            Condition::Visible(inner) => Condition::Visible(Box::new(change(*inner))),
            one => one,
        }
    }

    /// The condition as rows can be asked for it.
    #[must_use]
    pub fn on_rows(self) -> Condition {
        fn replace(part: Condition) -> Condition {
            match part {
                Condition::Embedded(embedded) => replace(embedded.others),
                Condition::Visible(scope) => replace(*scope),
                other => other.with_parts(&replace),
            }
        }
        replace(self).simplify()
    }

    /// The keys that have texts which must contain something.
    pub fn containing(&self) -> Vec<i64> {
        match self {
            Condition::All(parts) | Condition::Any(parts) => {
                parts.iter().flat_map(Condition::containing).collect()
            }
            Condition::Not(inner) => inner.containing(),
            Condition::TextContains(key, _) => vec![*key],
            _ => Vec::new(),
        }
    }

    /// The same condition where these keys have few texts.
    pub fn scanning_texts(self, few: &[i64]) -> Condition {
        match self {
            Condition::TextContains(key, text) if few.contains(&key) => Condition::TextScan(key, text),
            other => other.with_parts(&|part| part.scanning_texts(few)),
        }
    }

    /// The same condition with nested lists flattened and the equality keys of one `Any` merged.
    pub fn simplify(self) -> Condition {
        match self {
            Condition::All(parts) => {
                let mut flat = Vec::with_capacity(parts.len());
                for part in parts.into_iter().map(Condition::simplify) {
                    match part {
                        Condition::All(inner) => flat.extend(inner),
                        Condition::Any(inner) if inner.is_empty() => return Condition::never(),
                        other => flat.push(other),
                    }
                }
                only(flat, Condition::All)
            }
            Condition::Any(parts) => {
                let mut flat = Vec::with_capacity(parts.len());
                let (mut keys, mut tokens, mut codes) = (Vec::new(), Vec::new(), Vec::new());
                for part in parts.into_iter().map(Condition::simplify) {
                    match part {
                        Condition::Any(inner) => flat.extend(inner),
                        Condition::Keys(more) => keys.extend(more),
                        Condition::Tokens(more) => tokens.extend(more),
                        Condition::Codes(more) => codes.extend(more),
                        other => flat.push(other),
                    }
                }
                // One list of one kind: a mixed `or` is as common as its most common part.
                let kind = match (codes.is_empty(), tokens.is_empty()) {
                    (false, true) if keys.is_empty() => Condition::Codes,
                    (true, true) => Condition::Keys,
                    _ => Condition::Tokens,
                };
                keys.extend(tokens);
                keys.extend(codes);
                if !keys.is_empty() {
                    keys.sort_unstable();
                    keys.dedup();
                    flat.push(kind(keys));
                }
                only(flat, Condition::Any)
            }
            Condition::Not(inner) => match inner.simplify() {
                Condition::Not(twice) => *twice,
                inner => Condition::Not(Box::new(inner)),
            },
            other => other,
        }
    }
}

/// The single part itself, or the list.
fn only(mut parts: Vec<Condition>, list: impl Fn(Vec<Condition>) -> Condition) -> Condition {
    match (parts.len(), parts.pop()) {
        (1, Some(part)) => part,
        (_, Some(last)) => {
            parts.push(last);
            list(parts)
        }
        (_, None) => list(parts),
    }
}

#[cfg(test)]
mod tests {
    use super::Condition::{self, *};

    #[test]
    fn simplification_keeps_the_meaning_and_gathers_keys() {
        let rows = [
            (Any(vec![Keys(vec![2]), Any(vec![Keys(vec![1])])]), Keys(vec![1, 2])),
            (All(vec![All(vec![]), Present(3)]), Present(3)),
            (All(vec![Condition::never(), Present(3)]), Condition::never()),
            (Not(Box::new(Not(Box::new(Present(1))))), Present(1)),
            (Any(vec![Patient(vec![1]), Keys(vec![5])]), Any(vec![Patient(vec![1]), Keys(vec![5])])),
        ];
        for (before, after) in rows {
            assert_eq!(before.simplify(), after);
        }
    }

    #[test]
    fn values_are_counted_wherever_they_stand() {
        let ids = Ids(vec![1, 2], vec!["a".to_owned()]);
        let all = All(vec![Not(Box::new(ids)), Any(vec![Keys(vec![1, 2, 3]), Present(1)]), Handles(vec![7])]);
        assert_eq!(all.values(), 3 + 3 + 1 + 1);
    }
}
