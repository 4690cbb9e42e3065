use std::cmp::Ordering::{Equal, Greater, Less};

use super::*;

fn d(text: &str) -> Decimal {
    Decimal::parse(text).unwrap_or_else(|| panic!("`{text}` is a number"))
}

#[test]
fn texts() {
    for (text, shown) in [
        ("0", "0"),
        ("-0", "-0"),
        ("1.00", "1.00"),
        ("-1.5E-10", "-0.00000000015"),
        ("1e2", "100"),
        ("1.25e1", "12.5"),
        ("0.001", "0.001"),
        (
            "12345678901234567890123456789012345678901234567890.5",
            "12345678901234567890123456789012345678901234567890.5",
        ),
        ("1e1000", "1e1000"),
        ("1e-1000", "1e-1000"),
    ] {
        assert_eq!(d(text).to_string(), shown, "{text}");
        assert_eq!(d(&d(text).to_string()), d(text), "{text} read again");
    }
    for wrong in
        ["", "-", ".5", "5.", "1e", "1e+", "1,5", "0x1", "1.2.3", "NaN", "1e9999999", " 1", "--1", "1e1.5"]
    {
        assert!(Decimal::parse(wrong).is_none(), "{wrong}");
    }
}

#[test]
fn order_is_exact() {
    for (left, right, order) in [
        ("1.00", "1", Equal),
        ("0.1", "0.10000000000000000000000000000000000000000000000001", Less),
        ("12345678901234567890123456789012345678901", "12345678901234567890123456789012345678900", Greater),
        ("100", "1e2", Equal),
        ("-1", "1", Less),
        ("-2", "-1", Less),
        ("0", "-0.0", Equal),
        ("-0.1", "0", Less),
        ("1e-1000", "0", Greater),
        ("1e1000", "9e999", Greater),
        ("9007199254740993", "9007199254740992", Greater),
    ] {
        assert_eq!(d(left).cmp(&d(right)), order, "{left} {right}");
        assert_eq!(d(right).cmp(&d(left)), order.reverse(), "{right} {left}");
    }
}

/// Written digits, and the range they stand for.
#[test]
fn ranges() {
    for (text, low, high) in [
        ("100", "99.5", "100.5"),
        ("100.00", "99.995", "100.005"),
        ("1e2", "95", "105"),
        ("1.0e2", "95", "105"),
        ("5.40e-3", "0.005395", "0.005405"),
        ("0", "-0.5", "0.5"),
        ("-1.5", "-1.55", "-1.45"),
    ] {
        assert_eq!(d(text).range(), Some((d(low), d(high))), "{text}");
    }
}

#[test]
fn arithmetic() {
    let same = |found: Option<Decimal>, text: &str| {
        assert_eq!(found.map(|it| it.to_string()).as_deref(), Some(text))
    };
    same(d("1.2").plus(&d("1.80")), "3.00");
    same(d("0.1").plus(&d("0.2")), "0.3");
    same(d("1").minus(&d("1.5")), "-0.5");
    same(d("1.2").times(&d("1.8")), "2.16");
    same(d("6.0").divided_by(&d("2")), "3");
    same(d("1").divided_by(&d("3")), "0.3333333333333333333333333333");
    same(d("2").divided_by(&d("3")), "0.6666666666666666666666666667");
    same(d("-2").divided_by(&d("3")), "-0.6666666666666666666666666667");
    same(d("1e2").divided_by(&d("4")), "25");
    same(d("2.2").div(&d("1.8")), "1");
    same(d("2.2").modulo(&d("1.8")), "0.4");
    same(d("-1.56").truncated(), "-1");
    same(d("-2.1").floor(), "-3");
    same(d("-2.1").ceiling(), "-2");
    same(d("1.1").ceiling(), "2");
    same(d("3.14159").rounded(3), "3.142");
    same(d("-2.5").rounded(0), "-3");
    same(d("2").power(10), "1024");
    same(d("2").power(-1), "0.5");
    same(d("1.5").cut(3), "1.500");
    same(d("-0.00345").cut(1), "-0.0");
    assert_eq!(d("1").divided_by(&d("0.00")), None);
    assert_eq!(d("1").modulo(&d("0")), None);
    assert_eq!(d("10").power(1000), Some(d("1e1000")));
    assert_eq!(d("10").power(10_001), None);
    let longest = d("99999999999999999999999999999999999999");
    assert_eq!(longest.plus(&d("1")), None);
    assert!(longest.times(&longest).is_some(), "a product is rounded rather than refused");
}

/// Numbers at the ends of what is taken neither fail nor take long.
#[test]
fn extremes() {
    let numbers =
        ["0", "1e1000000", "1e-1000000", "-1e1000000", "99999999999999999999999999999999999999999e-5"];
    for left in numbers {
        for right in numbers {
            let (left, right) = (d(left), d(right));
            let _ = (left.plus(&right), left.times(&right), left.divided_by(&right), left.modulo(&right));
            let _ =
                (left.div(&right), left.cut(8), left.rounded(8), left.floor(), left.range(), left.to_f64());
            let _ = (left.to_i64(), left.to_string().len() < 100, left.power(1000));
        }
    }
}

#[test]
fn floats() {
    assert_eq!(d("0.1").to_f64(), 0.1);
    assert_eq!(d("1e400").to_f64(), f64::INFINITY);
    assert_eq!(Decimal::from_f64(0.1), Some(d("0.1")));
    assert_eq!(Decimal::from_f64(1e21), Some(d("1e21")));
    assert_eq!(Decimal::from_f64(f64::NAN), None);
    assert_eq!(d("5.00").to_i64(), Some(5));
    assert_eq!(d("5.01").to_i64(), None);
    assert_eq!(d("99999999999999999999").to_i64(), None);
}

#[test]
fn sortable_keeps_order() {
    let floats = [f64::NEG_INFINITY, -1e300, -1.0, -1e-300, 0.0, 1e-300, 0.5, 1.0, 1e300, f64::INFINITY];
    for pair in floats.windows(2) {
        assert!(to_sortable(pair[0]) < to_sortable(pair[1]), "{pair:?}");
    }
    for float in floats {
        assert_eq!(from_sortable(to_sortable(float)), float);
    }
    assert_eq!(to_sortable(-0.0), to_sortable(0.0));
}
