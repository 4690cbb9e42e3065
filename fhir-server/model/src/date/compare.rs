//! Comparing what may be written with different precision: <https://hl7.org/fhirpath/N1/#datetime-comparison>

use std::cmp::Ordering;

use super::{DateTime, MICROS_PER_HOUR, Precision, Time};

impl DateTime {
    /// The order of two points, or `None` when one of them is not written finely enough to tell. Seconds and their
    /// fractions are one precision.
    pub fn compare(&self, other: &DateTime) -> Option<Ordering> {
        let both_timed = self.precision >= Precision::Hour && other.precision >= Precision::Hour;
        if both_timed && self.offset.is_some() != other.offset.is_some() {
            return self.compare_unzoned(other);
        }
        // With equal offsets the written fields decide; else both are brought to UTC. The offset is whole
        // minutes, so nothing below an hour's precision changes.
        let shift = |it: &DateTime| {
            let minutes = if both_timed && self.offset != other.offset { it.offset.unwrap_or(0) } else { 0 };
            it.plus_micros(-i64::from(minutes) * super::MICROS_PER_MINUTE).unwrap_or(*it)
        };
        let (left, right) = (shift(self), shift(other));
        let least = left.precision.min(right.precision);
        let mut order = left.year.cmp(&right.year);
        if least >= Precision::Month {
            order = order.then(left.month.cmp(&right.month));
        }
        if least >= Precision::Day {
            order = order.then(left.day.cmp(&right.day));
        }
        if order.is_ne() {
            return Some(order);
        }
        match (both_timed, left.precision == right.precision) {
            (true, _) => left.time.compare(&right.time),
            (false, true) => Some(order),
            (false, false) => None,
        }
    }

    /// One has a time zone and the other has not: decided only when it holds wherever on Earth that may be.
    fn compare_unzoned(&self, other: &DateTime) -> Option<Ordering> {
        let widened = |it: &DateTime| {
            let (low, high) = it.range_micros();
            if it.offset.is_some() {
                (low, high)
            } else {
                (low - 14 * MICROS_PER_HOUR, high + 12 * MICROS_PER_HOUR)
            }
        };
        let (left, right) = (widened(self), widened(other));
        if left.1 < right.0 {
            Some(Ordering::Less)
        } else if left.0 > right.1 {
            Some(Ordering::Greater)
        } else {
            None
        }
    }
}

impl Time {
    /// The order of two times, or `None` when one of them is not written finely enough to tell.
    pub fn compare(&self, other: &Time) -> Option<Ordering> {
        let least = self.precision.min(other.precision);
        let mut order = self.hour.cmp(&other.hour);
        if least >= Precision::Minute {
            order = order.then(self.minute.cmp(&other.minute));
        }
        if least >= Precision::Second {
            order = order.then(self.second.cmp(&other.second)).then(self.nanos.cmp(&other.nanos));
        }
        let same = self.precision.min(Precision::Second) == other.precision.min(Precision::Second);
        (order.is_ne() || same).then_some(order)
    }
}
