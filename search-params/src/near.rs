//! `near`: <https://hl7.org/fhir/R4/location.html#positional>
//!
//! `latitude|longitude|distance|unit`, on a sphere of the earth's mean radius: at most half a percent off. Without a
//! unit the distance is in kilometres; without a distance it is [`KILOMETERS_DEFAULT`].

use fhir_model::json::Ref;
use fhir_model::ucum::CanonicalUnit;
use fhir_model::{Error, Result};

use crate::condition::{Circle, Condition};
use crate::index_hash::{Form, IndexHasher};
use crate::index_writer::IndexWriter;
use crate::param::Param;
use crate::text::split_bar;

/// The parameter of R4.
pub const URL: &str = "http://hl7.org/fhir/SearchParameter/Location-near";

/// What is near when no distance is given.
pub const KILOMETERS_DEFAULT: f64 = 50.0;

const EARTH_RADIUS_METERS: f64 = 6_371_008.771_5;
/// Positions are kept in ten-millionths of a degree.
const PARTS_OF_A_DEGREE: f64 = 1e7;
/// Units that are no UCUM codes, or not among those that are known: what people write.
const UNITS: &[(&str, f64)] =
    &[("mi", 1609.344), ("mile", 1609.344), ("miles", 1609.344), ("kms", 1000.0), ("[mi_us]", 1609.347)];

/// A point and a distance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NearTerm {
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
    /// The distance.
    pub meters: f64,
}

impl NearTerm {
    /// Parses `latitude|longitude[|distance[|unit]]`.
    ///
    /// # Errors
    ///
    /// `Value` when the text has another shape, a coordinate is out of range, or the unit is not one of length.
    pub fn parse(text: &str) -> Result<NearTerm> {
        let parts = split_bar(text);
        let (latitude, longitude, distance, unit) = match parts.as_slice() {
            [latitude, longitude] => (latitude, longitude, "", ""),
            [latitude, longitude, distance] => (latitude, longitude, distance.as_str(), ""),
            [latitude, longitude, distance, unit] => (latitude, longitude, distance.as_str(), unit.as_str()),
            _ => {
                let text =
                    format!("`{text}` is not latitude|longitude|distance|unit, such as -1.29|36.82|11.2|km");
                return Err(Error::value(text));
            }
        };
        let degrees = |text: &str, max: f64| {
            let found = number(text).filter(|n| n.abs() <= max);
            found.ok_or_else(|| Error::value(format!("`{text}` is not in degrees from -{max} to {max}")))
        };
        let meters = match distance {
            "" => KILOMETERS_DEFAULT * 1000.0,
            _ => {
                let unit = meters(unit)?;
                let distance = number(distance).filter(|n| *n >= 0.0);
                distance.ok_or_else(|| Error::value(format!("`{text}`: the distance is a number from 0")))?
                    * unit
            }
        };
        Ok(NearTerm { latitude: degrees(latitude, 90.0)?, longitude: degrees(longitude, 180.0)?, meters })
    }

    fn circle(&self) -> Circle {
        let angle = (self.meters / EARTH_RADIUS_METERS).min(std::f64::consts::PI);
        let spread = angle.to_degrees();
        let (south, north) = (self.latitude - spread, self.latitude + spread);
        let longitudes = if south <= -90.0 || north >= 90.0 {
            // A pole is within: all longitudes meet there.
            vec![(-180.0, 180.0)]
        } else {
            let wide = (angle.sin() / self.latitude.to_radians().cos()).min(1.0).asin().to_degrees();
            let (west, east) = (self.longitude - wide, self.longitude + wide);
            match () {
                () if west < -180.0 => vec![(-180.0, east), (west + 360.0, 180.0)],
                () if east > 180.0 => vec![(west, 180.0), (-180.0, east - 360.0)],
                () => vec![(west, east)],
            }
        };
        // One part of slack: what is rounded must not be lost before the distance is measured.
        let pair = |(from, to): (f64, f64)| (parts(from) - 1, parts(to) + 1);
        Circle {
            latitude: parts(self.latitude),
            longitude: parts(self.longitude),
            millimeters: (self.meters * 1000.0).round() as i64,
            latitudes: pair((south, north)),
            longitudes: longitudes.into_iter().map(pair).collect(),
        }
    }
}

fn number(text: &str) -> Option<f64> {
    fhir_model::decimal::Decimal::parse(text).map(|d| d.to_f64()).filter(|n| n.is_finite())
}

/// How many metres a unit has.
fn meters(unit: &str) -> Result<f64> {
    if unit.is_empty() {
        return Ok(1000.0);
    }
    if let Some((_, meters)) = UNITS.iter().find(|(name, _)| *name == unit) {
        return Ok(*meters);
    }
    let known = CanonicalUnit::parse(unit).filter(|c| c.base() == "m");
    known
        .map(|c| c.factor.to_f64())
        .ok_or_else(|| Error::value(format!("`{unit}` is not a unit of length: km, m, [mi_i] ...")))
}

fn parts(degrees: f64) -> i64 {
    (degrees * PARTS_OF_A_DEGREE).round() as i64
}

pub(crate) fn index(value: Ref<'_>, writer: &mut IndexWriter<'_>) {
    let read = |name| value.get(name).and_then(Ref::number).and_then(number);
    if let (Some(latitude), Some(longitude)) = (read("latitude"), read("longitude")) {
        let key = writer.key(Form::Ordered, &[]);
        writer.ordered(key, parts(latitude), parts(longitude));
    }
}

pub(crate) fn condition(term: &NearTerm, param: &Param, hasher: &IndexHasher) -> Condition {
    let circle = term.circle();
    let key = |index: &str| hasher.key(param.type_number, index, Form::Ordered, &[]);
    Condition::Any(param.indexes.iter().map(|i| Condition::Near(key(&i.name), circle.clone())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_and_units() {
        let rows = [
            ("42.25|-83.69|11.2|km", 11_200.0),
            ("42.25|-83.69|11.2", 11_200.0),
            ("42.25|-83.69", 50_000.0),
            ("42.25|-83.69||km", 50_000.0),
            ("42.25|-83.69|1|[mi_i]", 1609.344),
            ("42.25|-83.69|2|mi", 3218.688),
            ("42.25|-83.69|500|m", 500.0),
            ("42.25|-83.69|500|[ft_i]", 152.4),
            ("42.25|-83.69|0|m", 0.0),
        ];
        for (text, meters) in rows {
            let term = NearTerm::parse(text).unwrap();
            assert!((term.meters - meters).abs() < 1e-6, "{text}: {}", term.meters);
        }
        for bad in
            ["", "1", "a|b", "91|0", "0|181", "0|0|-1", "0|0|x", "0|0|1|kg", "0|0|1|km|x", "NaN|0", "1e999|0"]
        {
            assert!(NearTerm::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn boxes_reach_over_the_meridian_and_the_poles() {
        let circle = |text: &str| NearTerm::parse(text).unwrap().circle();
        assert_eq!(circle("0|0|10").longitudes.len(), 1);
        assert_eq!(circle("0|179.99|10").longitudes.len(), 2);
        assert_eq!(circle("0|-179.99|10").longitudes.len(), 2);
        assert_eq!(circle("89.99|0|10").longitudes, [(-1_800_000_001, 1_800_000_001)]);
        assert_eq!(circle("0|0|30000").longitudes, [(-1_800_000_001, 1_800_000_001)]);
    }
}
