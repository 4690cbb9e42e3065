//! Dates, numbers, quantities and positions: <https://hl7.org/fhir/R4/search.html#prefix>

use fhir_model::decimal::Decimal;
use fhir_model::json::Ref;
use fhir_model::ucum::CanonicalUnit;
use fhir_search::prefix::Prefix;
use fhir_search::quantity::Unit;
use fhir_search::{date, near, number};

/// The table of <https://hl7.org/fhir/R4/search.html#prefix>, on ranges.
pub(super) fn date(term: &date::DateTerm, low: i64, high: i64) -> bool {
    let contained = term.low <= low && high <= term.high;
    let (reaches_above, reaches_below) = (high > term.high, low < term.low);
    match term.prefix {
        Prefix::Eq => contained,
        Prefix::Ne => !contained,
        Prefix::Gt => reaches_above,
        Prefix::Lt => reaches_below,
        Prefix::Ge => reaches_above || contained,
        Prefix::Le => reaches_below || contained,
        Prefix::Sa => low > term.high,
        Prefix::Eb => high < term.low,
        Prefix::Ap => low <= term.high && term.low <= high,
    }
}

/// The table of <https://hl7.org/fhir/R4/search.html#prefix>, on all numbers from one to another: mostly one. An end that
/// is missing is open.
pub(super) fn between(term: &number::NumberTerm, (low, high): &Span) -> bool {
    let (low, high) = (low.as_ref(), high.as_ref());
    let within = low.is_some_and(|n| term.low <= *n) && high.is_some_and(|n| *n < term.high);
    match term.prefix {
        Prefix::Eq => within,
        Prefix::Ne => !within,
        Prefix::Gt => high.is_none_or(|n| *n > term.exact),
        Prefix::Lt => low.is_none_or(|n| *n < term.exact),
        Prefix::Ge => high.is_none_or(|n| *n >= term.exact),
        Prefix::Le => low.is_none_or(|n| *n <= term.exact),
        Prefix::Sa => low.is_some_and(|n| *n > term.exact),
        Prefix::Eb => high.is_some_and(|n| *n < term.exact),
        Prefix::Ap => low.is_none_or(|n| *n <= term.high) && high.is_none_or(|n| *n >= term.low),
    }
}

/// From and to, both inclusive.
pub(in super::super) type Span = (Option<Decimal>, Option<Decimal>);

pub(in super::super) fn numbers(kind: &str, node: Ref<'_>) -> Vec<Span> {
    if kind == "Range" {
        return quantities(kind, node).into_iter().map(|q| q.span).collect();
    }
    node.number().and_then(Decimal::parse).map(|n| (Some(n.clone()), Some(n))).into_iter().collect()
}

/// Numbers from one to another with their unit.
pub(in super::super) struct Quantity {
    pub(in super::super) span: Span,
    /// A number that stands there.
    pub(in super::super) number: String,
    pub(in super::super) system: String,
    pub(in super::super) code: String,
    pub(in super::super) unit: String,
}

pub(in super::super) fn quantities(kind: &str, node: Ref<'_>) -> Vec<Quantity> {
    let text = |node: Ref<'_>, name: &str| node.get_str(name).unwrap_or_default().into_owned();
    let value = |node: Ref<'_>| node.get("value")?.number().map(str::to_owned);
    let with_unit = |span: Span, number: String, of: Ref<'_>| Quantity {
        span,
        number,
        system: text(of, "system"),
        code: text(of, "code"),
        unit: text(of, "unit"),
    };
    match kind {
        "Range" => {
            let (low, high) = (node.get("low"), node.get("high"));
            let parse = |end: Option<Ref<'_>>| end.and_then(value).and_then(|n| Decimal::parse(&n));
            let has_unit = |end: &Ref<'_>| end.get("unit").is_some() || end.get("code").is_some();
            // Both ends have the unit, or it is said once.
            let of = high.filter(has_unit).or(low.filter(has_unit)).or(high).or(low);
            let number = low.and_then(value).or(high.and_then(value));
            let (Some(of), Some(number)) = (of, number) else { return Vec::new() };
            vec![with_unit((parse(low), parse(high)), number, of)]
        }
        "SampledData" => {
            let origin = node.get("origin").unwrap();
            let factor =
                node.get("factor").map_or(Decimal::from(1), |f| Decimal::parse(f.number().unwrap()).unwrap());
            let Some(zero) = value(origin).and_then(|n| Decimal::parse(&n)) else { return Vec::new() };
            let data = text(node, "data");
            let points = data.split_whitespace().filter_map(Decimal::parse);
            let all: Vec<Decimal> = points.map(|n| n.times(&factor).unwrap().plus(&zero).unwrap()).collect();
            let (least, greatest) = (all.iter().min().cloned(), all.iter().max().cloned());
            least
                .map(|low| with_unit((Some(low.clone()), greatest), low.to_string(), origin))
                .into_iter()
                .collect()
        }
        _ => {
            let Some(number) = value(node) else { return Vec::new() };
            let n = Decimal::parse(&number).unwrap();
            // So little that no number of the data is in between.
            let little = Decimal::parse("1e-20").unwrap();
            let span = match node.get_str("comparator").as_deref() {
                Some("<") => (None, n.minus(&little)),
                Some("<=") => (None, Some(n)),
                Some(">") => (n.plus(&little), None),
                Some(">=") => (Some(n), None),
                _ => (Some(n.clone()), Some(n)),
            };
            let found = with_unit(span, number, node);
            match kind {
                "Money" => {
                    let code = text(node, "currency");
                    vec![Quantity { system: "urn:iso:std:iso:4217".to_owned(), code, ..found }]
                }
                _ => vec![found],
            }
        }
    }
}

/// Meters between a position and the point asked for, by vectors.
pub(super) fn distance(term: &near::NearTerm, position: Ref<'_>) -> Option<f64> {
    let read = |name: &str| position.get(name)?.number()?.parse::<f64>().ok();
    let vector = |latitude: f64, longitude: f64| {
        let (a, b) = (latitude.to_radians(), longitude.to_radians());
        [a.cos() * b.cos(), a.cos() * b.sin(), a.sin()]
    };
    let here = vector(term.latitude, term.longitude);
    let there = vector(read("latitude")?, read("longitude")?);
    let straight = here.iter().zip(there).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt();
    Some(2.0 * 6_371_008.771_5 * (straight / 2.0).min(1.0).asin())
}

/// In another unit of UCUM.
pub(super) fn converted(term: &fhir_search::quantity::QuantityTerm, found: &Quantity) -> bool {
    const UCUM: &str = "http://unitsofmeasure.org";
    let Unit::Coded(system, code) = &term.unit else { return false };
    if *code == found.code || system != UCUM || found.system != UCUM {
        return false;
    }
    let (Some(asked), Some(unit)) = (CanonicalUnit::parse(code), CanonicalUnit::parse(&found.code)) else {
        return false;
    };
    if asked.base() != unit.base() {
        return false;
    }
    let convert =
        |n: &Option<Decimal>| n.as_ref().map(|n| asked.from_base(&unit.to_base(n).unwrap()).unwrap());
    between(&term.number, &(convert(&found.span.0), convert(&found.span.1)))
}

pub(super) fn unit(term: &Unit, found: &Quantity) -> bool {
    match term {
        Unit::Any => true,
        Unit::Named(name) => found.code == *name || found.unit == *name,
        Unit::Coded(system, code) => found.system == *system && found.code == *code,
    }
}
