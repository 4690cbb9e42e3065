//! Conditions as SQL on one row `r` of `resource`.

use super::{Bind, Sql};
use crate::condition::{Circle, Condition, DateTest, Extra};
use crate::prefix_hash;
use crate::rows::{CONTINUED, DATE_MIN, ELEMENTS};
use crate::string::ASKED_WORDS_MAX;

/// The id of a row: stored when a client chose it, else its handle.
pub(super) const ID: &str = "coalesce(r.id, lpad(to_hex(r.handle), 16, '0'))";

/// Upper end of the primary date: not stored when it is the second that begins at the lower end.
const DATE_HIGH: &str = "coalesce(r.date_high, r.date + 999999)";

/// Millimeters.
const EARTH_DIAMETER: &str = "12742017543";

/// Whether the equality keys of a condition may be looked up in their GIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gin {
    /// The condition drives the search.
    Asked,
    /// Something else does: a bitmap of a common key would cost more than the rows it spares.
    Kept,
}

/// A condition that filters rows another condition finds.
pub(super) fn push(condition: &Condition, sql: &mut Sql) {
    write(condition, Gin::Kept, sql);
}

/// A condition that finds rows.
pub(super) fn push_driver(condition: &Condition, sql: &mut Sql) {
    write(condition, Gin::Asked, sql);
}

/// A condition on the row `r` of a statement that is not built here: its text, and its values with the first placeholder
/// numbered `first`.
pub fn predicate(condition: &Condition, first: usize) -> Sql {
    let mut sql = Sql::after(first.saturating_sub(1));
    push(condition, &mut sql);
    sql
}

fn write(condition: &Condition, gin: Gin, sql: &mut Sql) {
    match condition {
        Condition::All(parts) => list(parts, " and ", "true", gin, sql),
        Condition::Any(parts) => list(parts, " or ", "false", gin, sql),
        Condition::Not(inner) => {
            // Of a column without a value nothing is true, nor is its negation.
            sql.push("(");
            write(inner, Gin::Kept, sql);
            sql.push(") is not true");
        }
        Condition::Keys(keys) | Condition::Tokens(keys) | Condition::Codes(keys) => {
            match (keys.as_slice(), gin) {
                ([_], Gin::Asked) => {
                    sql.push("r.keys @> ").bind(Bind::Longs(keys.clone()));
                }
                (_, Gin::Asked) => {
                    sql.push("r.keys && ").bind(Bind::Longs(keys.clone()));
                }
                ([key], Gin::Kept) => {
                    sql.bind(Bind::Long(*key)).push(" = any(r.keys)");
                }
                // No index serves a test of truth.
                (_, Gin::Kept) => {
                    sql.push("(r.keys && ").bind(Bind::Longs(keys.clone())).push(") is true");
                }
            }
        }
        Condition::Patient(handles) => one_of("r.patient", handles, sql),
        Condition::Ids(handles, ids) => {
            sql.push("r.handle = any(").bind(Bind::Longs(handles.clone()));
            sql.push(") and ").push(ID).push(" = any(").bind(Bind::Texts(ids.clone())).push(")");
        }
        Condition::Visible(scope) => write(scope, gin, sql),
        Condition::Handles(handles) => one_of("r.handle", handles, sql),
        // `is true` hides the predicate from the planner: it filters the rows that another condition finds.
        Condition::TypeIds(type_ids) => {
            sql.push("(r.type_id = any(").bind(Bind::Ints(type_ids.clone())).push(")) is true");
        }
        Condition::Tenant(tenant) => {
            sql.push("(r.type_id between ").bind(Bind::Int(tenant.type_id(0)));
            sql.push(" and ").bind(Bind::Int(tenant.type_id(u16::MAX))).push(") is true");
        }
        // The store resolves these first; were one left, it would find nothing rather than too much.
        Condition::FullText(_)
        | Condition::Distinct(..)
        | Condition::ConvertedUnits(_)
        | Condition::CodedToken(_)
        | Condition::List(_)
        | Condition::Chain(_)
        | Condition::Embedded(_)
        | Condition::Has(_) => {
            sql.push("false");
        }
        Condition::Present(bit) => {
            sql.push("(r.present & ").bind(Bind::Long(1 << bit)).push(") <> 0");
        }
        Condition::PrimaryDate(test) => primary_date(test, sql),
        Condition::Updated(test) => range("r.updated_at", "r.updated_at", test, sql),
        Condition::MayStartWith(key, text) => {
            sql.bind(Bind::Long(prefix_hash::longest(*key, text))).push(" = any(r.beginnings)");
        }
        Condition::DateEntry(..)
        | Condition::NumberEntry { .. }
        | Condition::QuantityEntry { .. }
        | Condition::Near(..)
        | Condition::TextPrefix(..)
        | Condition::TextWords(..)
        | Condition::TextContains(..)
        | Condition::TextScan(..) => {
            sql.push("r.handle in (");
            handles(condition, sql);
            sql.push(")");
        }
    }
}

/// `select e.handle ..` of a condition that is answered by entries.
pub(super) fn handles(condition: &Condition, sql: &mut Sql) {
    match condition {
        Condition::DateEntry(key, test) => {
            sql.push("select e.handle from ordered_entry e where e.key = ").bind(Bind::Long(*key));
            sql.push(" and ");
            range("e.value", "e.extra", test, sql);
        }
        Condition::NumberEntry { key, from, to } => {
            sql.push("select e.handle from ordered_entry e where e.key = ").bind(Bind::Long(*key));
            sql.push(" and e.value >= ").bind(Bind::Long(from.value));
            sql.push(" and e.value <= ").bind(Bind::Long(to.value));
            sql.push(" and (e.value > ").bind(Bind::Long(from.value));
            sql.push(" or e.extra >= ").bind(Bind::Long(from.rest)).push(")");
            sql.push(" and (e.value < ").bind(Bind::Long(to.value));
            sql.push(" or e.extra <= ").bind(Bind::Long(to.rest)).push(")");
        }
        Condition::QuantityEntry { key, min, max, extra } => {
            sql.push("select e.handle from ordered_entry e where e.key = ").bind(Bind::Long(*key));
            sql.push(" and e.value >= ").bind(Bind::Long(*min));
            sql.push(" and e.value <= ").bind(Bind::Long(*max));
            self::extra(extra, sql);
        }
        Condition::Near(key, circle) => near(*key, circle, sql),
        Condition::TextPrefix(key, text) | Condition::MayStartWith(key, text) => {
            sql.push("select e.handle");
            text_prefix(*key, text, sql);
        }
        Condition::TextWords(key, words) => each_word_starts(*key, words, sql),
        Condition::TextContains(key, text) if has_trigrams(text) => {
            // The key would be looked up, too, and all it has intersected with what is found. A test of truth is not.
            sql.push("select e.handle from string_entry e where (e.key = ").bind(Bind::Long(*key));
            sql.push(") is true and e.value like ").bind(Bind::Text(anywhere(text)));
        }
        Condition::TextContains(key, text) | Condition::TextScan(key, text) => {
            sql.push("select e.handle from string_entry e where e.key = ").bind(Bind::Long(*key));
            sql.push(" and (e.value like ").bind(Bind::Text(anywhere(text))).push(") is true");
        }
        other => {
            sql.push("select r.handle from resource r where ");
            push_driver(other, sql);
        }
    }
}

/// ` from string_entry ..`: the entries that begin with a text.
fn text_prefix(key: i64, text: &str, sql: &mut Sql) {
    sql.push(" from string_entry e where e.key = ").bind(Bind::Long(key));
    sql.push(" and e.value >= ").bind(Bind::Text(text.to_owned()));
    // In code point order nothing that begins with the text comes after it and the last code point.
    sql.push(" and e.value < ").bind(Bind::Text(format!("{text}\u{10FFFF}")));
    sql.push(" and (e.rank & ").bind(Bind::Int(CONTINUED.into())).push(") = 0");
}

/// The entries of each word; more words are not asked for one by one.
const EACH: [&str; ASKED_WORDS_MAX] = ["e", "e1", "e2", "e3", "e4", "e5"];

/// Rows of which one element has an entry for each word. The elements that have one for a word are the bits of their ranks
/// together.
fn each_word_starts(key: i64, words: &[String], sql: &mut Sql) {
    sql.push("select e.handle from ");
    for (at, (word, name)) in words.iter().zip(EACH).enumerate() {
        sql.push(if at == 0 { "" } else { " join " });
        sql.push("(select e.handle, bit_or(e.rank) as elements");
        text_prefix(key, word, sql);
        sql.push(" group by e.handle) ").push(name);
        if at > 0 {
            sql.push(" on ").push(name).push(".handle = e.handle");
        }
    }
    sql.push(" where (").bind(Bind::Int(ELEMENTS.into()));
    for (_, name) in words.iter().zip(EACH) {
        sql.push(" & ").push(name).push(".elements");
    }
    sql.push(") <> 0");
}

/// The pattern of what contains a text.
fn anywhere(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    format!("%{escaped}%")
}

/// True when the index of trigrams can find what contains a text: it has three letters or digits in a row.
fn has_trigrams(text: &str) -> bool {
    text.split(|c: char| !c.is_alphanumeric()).any(|word| word.chars().nth(2).is_some())
}

/// The same of one condition or of several of which one must hold; each row once.
pub(super) fn entries(condition: &Condition, sql: &mut Sql) {
    match condition {
        Condition::Any(each) => {
            for (i, one) in each.iter().enumerate() {
                sql.push(if i == 0 { "" } else { " union " });
                handles(one, sql);
            }
        }
        // A row can have several: the parts of one name.
        one => {
            handles(one, sql);
            sql.push(" group by e.handle");
        }
    }
}

/// The first matches in no order, `limit` for each of several conditions; some rows more than once.
pub(super) fn first_entries(condition: &Condition, limit: usize, sql: &mut Sql) {
    let each = match condition {
        Condition::Any(each) => each.as_slice(),
        one => std::slice::from_ref(one),
    };
    for (i, one) in each.iter().enumerate() {
        sql.push(if i == 0 { "(" } else { " union all (" });
        handles(one, sql);
        sql.limit(limit).push(")");
    }
}

fn extra(extra: &Extra, sql: &mut Sql) {
    match extra {
        Extra::Any => {}
        Extra::OneOf(these) => {
            sql.push(" and ");
            one_of("e.extra", these, sql);
        }
        Extra::Between(min, max) => {
            sql.push(" and e.extra >= ").bind(Bind::Long(*min));
            sql.push(" and e.extra <= ").bind(Bind::Long(*max));
        }
    }
}

/// A box that the index finds, and within it the distance along a great circle.
fn near(key: i64, circle: &Circle, sql: &mut Sql) {
    sql.push("select e.handle from ordered_entry e where e.key = ").bind(Bind::Long(key));
    sql.push(" and e.value >= ").bind(Bind::Long(circle.latitudes.0));
    sql.push(" and e.value <= ").bind(Bind::Long(circle.latitudes.1)).push(" and (");
    for (i, (west, east)) in circle.longitudes.iter().enumerate() {
        sql.push(if i == 0 { "" } else { " or " });
        sql.push("(e.extra >= ").bind(Bind::Long(*west));
        sql.push(" and e.extra <= ").bind(Bind::Long(*east)).push(")");
    }
    // Haversines. Half of ten-millionths of a degree: times 5e-8.
    sql.push(") and ").push(EARTH_DIAMETER).push(" * asin(least(1, sqrt(power(sin(radians((e.value - ");
    sql.bind(Bind::Long(circle.latitude));
    sql.push(") * 5e-8::float8)), 2) + cos(radians(e.value * 1e-7::float8)) * cos(radians(");
    sql.bind(Bind::Long(circle.latitude)).push(" * 1e-7::float8)) * power(sin(radians((e.extra - ");
    sql.bind(Bind::Long(circle.longitude)).push(") * 5e-8::float8)), 2)))) <= ");
    sql.bind(Bind::Long(circle.millimeters));
}

fn list(parts: &[Condition], between: &str, empty: &str, gin: Gin, sql: &mut Sql) {
    if parts.is_empty() {
        sql.push(empty);
        return;
    }
    for (i, part) in parts.iter().enumerate() {
        sql.push(if i == 0 { "(" } else { between });
        write(part, gin, sql);
    }
    sql.push(")");
}

pub(super) fn one_of(column: &str, values: &[i64], sql: &mut Sql) {
    match values {
        [one] => sql.push(column).push(" = ").bind(Bind::Long(*one)),
        many => sql.push(column).push(" = any(").bind(Bind::Longs(many.to_vec())).push(")"),
    };
}

fn primary_date(test: &DateTest, sql: &mut Sql) {
    sql.push("(");
    range("r.date", DATE_HIGH, test, sql);
    if test.low_min.is_none() {
        // A resource without the date has the least lower bound and no upper one.
        sql.push(" and (r.date > ").bind(Bind::Long(DATE_MIN)).push(" or r.date_high is not null)");
    }
    sql.push(")");
}

fn range(low: &str, high: &str, test: &DateTest, sql: &mut Sql) {
    let tests = [
        (low, " >= ", test.low_min),
        (low, " <= ", test.low_max),
        (high, " >= ", test.high_min),
        (high, " <= ", test.high_max),
    ];
    let mut first = true;
    for (column, operator, bound) in tests {
        if let Some(bound) = bound {
            if !std::mem::take(&mut first) {
                sql.push(" and ");
            }
            sql.push(column).push(operator).bind(Bind::Long(bound));
        }
    }
    if first {
        sql.push("true");
    }
}

#[cfg(test)]
mod tests {
    use super::has_trigrams;

    #[test]
    fn three_letters_or_digits_in_a_row_are_a_trigram() {
        for found in ["abc", "12a", "a-b abc", "ñandú", "日本語"] {
            assert!(has_trigrams(found), "{found}");
        }
        for not in ["ab", "ab-cd", "a b c", "%_\\", "日本"] {
            assert!(!has_trigrams(not), "{not}");
        }
    }
}
