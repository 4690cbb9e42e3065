//! Where matches can be in the order of primary dates, as the conditions on it say. Without it a page of an old month would
//! be looked for from the newest resource on.
//!
//! An index has the lower ends of ranges in order. Of a range that ends late enough it only says that it does not begin
//! much earlier, unless it is a long one: these are few, and have an index of their own by their upper ends.

use super::{Bind, Sql};
use crate::condition::{Condition, DateTest};
use crate::rows::DATE_MIN;

/// Ranges beyond this many microseconds, 32 days, are long. `resource_long` in `migrations/` says the same.
const LONG: i64 = 2_764_800_000_000;

/// Bounds on the primary dates of matches, inclusive; absent ones are open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Window {
    /// No match begins earlier.
    least: Option<i64>,
    /// No match begins earlier but a long one.
    from: Option<i64>,
    /// No match begins later.
    to: Option<i64>,
    /// No match ends earlier.
    ends: Option<i64>,
}

/// A part of the order by primary date: bounds on lower ends, inclusive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) from: Option<i64>,
    pub(super) to: Option<i64>,
    /// Only long ranges that do not end before this.
    pub(super) long: Option<i64>,
}

impl Window {
    /// Of conditions that hold together.
    pub(super) fn from_conditions(parts: &[Condition]) -> Window {
        parts.iter().filter_map(Window::from_condition).fold(Window::default(), |all, one| Window {
            least: all.least.max(one.least),
            from: all.from.max(one.from),
            to: least(all.to, one.to),
            ends: all.ends.max(one.ends),
        })
    }

    /// Returns `None` when the condition is not on the primary date.
    fn from_condition(part: &Condition) -> Option<Window> {
        match part {
            Condition::PrimaryDate(test) => Some(Window::from_test(test)),
            Condition::Any(each) => {
                let windows: Option<Vec<Window>> = each.iter().map(Window::from_condition).collect();
                // One that is open is open for all.
                let both = |a: Option<i64>, b: Option<i64>| Some((a?, b?));
                windows?.into_iter().reduce(|a, b| Window {
                    least: both(a.least, b.least).map(|(a, b)| a.min(b)),
                    from: both(a.from, b.from).map(|(a, b)| a.min(b)),
                    to: both(a.to, b.to).map(|(a, b)| a.max(b)),
                    ends: both(a.ends, b.ends).map(|(a, b)| a.min(b)),
                })
            }
            _ => None,
        }
    }

    fn from_test(test: &DateTest) -> Window {
        Window {
            least: test.low_min,
            from: test.low_min.max(test.high_min.map(|high| high.saturating_sub(LONG))),
            to: least(test.low_max, test.high_max),
            ends: test.low_min.max(test.high_min),
        }
    }

    /// True when it says nothing.
    pub(super) fn is_open(&self) -> bool {
        self.from.is_none() && self.to.is_none()
    }

    /// The parts in which matches can be, latest first.
    pub(super) fn spans(&self) -> Vec<Span> {
        let main = Span { from: self.from, to: self.to, long: None };
        let Some((from, ends)) = self.from.zip(self.ends).filter(|(from, _)| self.least < Some(*from)) else {
            return vec![main];
        };
        let to = least(self.to, Some(from.saturating_sub(1)));
        vec![main, Span { from: self.least, to, long: Some(ends) }]
    }

    /// The same, those without a date apart; none of them passes a test.
    pub(super) fn dated_and_undated(&self) -> (Vec<Span>, Vec<Span>) {
        let dated = |span: Span| Span { from: span.from.max(Some(DATE_MIN + 1)), ..span };
        let undated = Span { from: Some(DATE_MIN), to: Some(DATE_MIN), long: None };
        let undated = self.is_open().then_some(undated).into_iter().collect();
        (self.spans().into_iter().map(dated).collect(), undated)
    }
}

impl Span {
    /// True when all of it has a lower end.
    pub(super) fn is_dated(&self) -> bool {
        self.from.is_some_and(|from| from > DATE_MIN)
    }

    /// What is left of it from a date on, downwards or upwards.
    pub(super) fn onwards(self, date: i64, down: bool) -> Option<Span> {
        match down {
            true => self
                .from
                .is_none_or(|from| from <= date)
                .then(|| Span { to: least(self.to, Some(date)), ..self }),
            false => {
                self.to.is_none_or(|to| to >= date).then(|| Span { from: self.from.max(Some(date)), ..self })
            }
        }
    }

    /// ` and <the date in the column is within>`.
    pub(super) fn push(&self, column: &str, sql: &mut Sql) {
        if let Some(ends) = self.long {
            sql.push(" and r.date_high > r.date + ").push(&LONG.to_string());
            sql.push(" and r.date_high >= ").bind(Bind::Long(ends));
        }
        if self.from.is_some() && self.from == self.to {
            sql.push(" and ").push(column).push(" = ").bind(Bind::Long(self.from.unwrap_or(DATE_MIN)));
            return;
        }
        for (operator, bound) in [(" >= ", self.from), (" <= ", self.to)] {
            let Some(bound) = bound else { continue };
            // `is true` hides the predicate from the planner, so that it uses the partial index of long ranges, not that of all dates.
            let (open, close) = if self.long.is_some() { ("(", ") is true") } else { ("", "") };
            sql.push(" and ").push(open).push(column).push(operator).bind(Bind::Long(bound)).push(close);
        }
    }
}

/// The lesser bound, an absent one being open.
fn least(a: Option<i64>, b: Option<i64>) -> Option<i64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, None) | (None, one) => one,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::date::{DateTerm, tests as tests_of};

    /// A query of dates, and where its matches can be: least, from, to, ends; in days of 2020.
    #[test]
    fn windows_of_conditions() {
        let day = |n: i64| 1_577_836_800_000_000 + n * 86_400_000_000;
        let end = |n: i64| day(n + 1) - 1;
        let rows: [(&[&str], _); 9] = [
            (&["2020-01-05"], (Some(day(4)), Some(day(4)), Some(end(4)), Some(day(4)))),
            (&["ge2020-02-10"], (None, Some(day(41) - LONG), None, Some(day(40)))),
            (&["gt2020-02-10"], (None, Some(day(41) - LONG), None, Some(day(41)))),
            (&["sa2020-01-05"], (Some(day(5)), Some(day(5)), None, Some(day(5)))),
            (&["lt2020-01-05"], (None, None, Some(end(3)), None)),
            (&["le2020-01-05"], (None, None, Some(end(4)), None)),
            (&["ne2020-01-05"], (None, None, None, None)),
            (&["ge2020-02-10", "lt2020-02-20"], (None, Some(day(41) - LONG), Some(end(49)), Some(day(40)))),
            (&["2020-01-05,2020-01-07"], (Some(day(4)), Some(day(4)), Some(end(6)), Some(day(4)))),
        ];
        for (queries, (least, from, to, ends)) in rows {
            let part = |query: &&str| {
                let terms = query
                    .split(',')
                    .map(|text| DateTerm::parse(text, 0, &fhir_model::date::Zone::UTC).unwrap());
                let tests = terms.flat_map(|term| tests_of(&term));
                Condition::Any(tests.map(Condition::PrimaryDate).collect())
            };
            let parts: Vec<Condition> = queries.iter().map(part).collect();
            assert_eq!(Window::from_conditions(&parts), Window { least, from, to, ends }, "{queries:?}");
        }
    }

    /// What passes is in exactly one of the parts.
    #[test]
    fn what_passes_is_in_one_part() {
        let day = 86_400_000_000;
        let numbers = [None, Some(-50 * day), Some(0), Some(day), Some(40 * day)];
        for low_min in numbers {
            for high_min in numbers {
                for (low_max, high_max) in [(None, None), (Some(20 * day), None), (None, Some(50 * day))] {
                    let test = DateTest { low_min, low_max, high_min, high_max };
                    let spans = Window::from_conditions(&[Condition::PrimaryDate(test)]).spans();
                    for low in (-100..100).map(|n| n * day) {
                        for length in [0, 1, 31, 32, 33, 200] {
                            let high = low + length * day;
                            let within = |span: &&Span| {
                                span.from.is_none_or(|from| low >= from)
                                    && span.to.is_none_or(|to| low <= to)
                                    && span.long.is_none_or(|ends| high > low + LONG && high >= ends)
                            };
                            let parts = spans.iter().filter(within).count();
                            assert!(
                                parts <= 1 && (parts == 1 || !test.passes(low, high)),
                                "{test:?} {low} {high}"
                            );
                        }
                    }
                }
            }
        }
    }
}
