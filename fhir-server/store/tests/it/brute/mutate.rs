//! Resources that nobody wrote: those there are, changed at random in a few places.

use serde_json::{Map, Number, Value};

use fhir_store::testing::Random;

/// Most changes of one resource.
const CHANGES_MAX: usize = 8;
/// Members that say what a resource is, or are no data.
const KEPT: &[&str] = &["resourceType", "id", "div", "data", "contained"];

/// A changed copy under another id.
pub(super) fn mutated(random: &mut Random, text: &str, id: &str) -> String {
    let mut body: Value = serde_json::from_str(text).unwrap();
    for _ in 0..1 + random.below(CHANGES_MAX) {
        change(random, &mut body);
    }
    body["id"] = Value::from(id);
    body.to_string()
}

/// Changes something within a value.
fn change(random: &mut Random, value: &mut Value) {
    match value {
        Value::Object(members) => member(random, members),
        // Their extensions stand in an array beside them, item by item.
        Value::Array(items) if items.contains(&Value::Null) => {}
        Value::Array(items) => item(random, items),
        Value::String(text) => *text = string(random, text),
        Value::Number(number) => *number = changed_number(random, number),
        Value::Bool(truth) => *truth = !*truth,
        Value::Null => {}
    }
}

fn member(random: &mut Random, members: &mut Map<String, Value>) {
    let is_free = |name: &&String| !KEPT.contains(&name.as_str()) && !name.starts_with('_');
    let names: Vec<String> = members.keys().filter(is_free).cloned().collect();
    let Some(name) = random.pick(&names) else { return };
    // An object is never empty.
    if members.len() > 1 && random.chance(8) {
        members.remove(name);
        members.remove(&format!("_{name}"));
    } else if let Some(within) = members.get_mut(name) {
        change(random, within);
    }
}

fn item(random: &mut Random, items: &mut Vec<Value>) {
    let at = random.below(items.len());
    match random.below(12) {
        0 => items.reverse(),
        1 => items.push(items[at].clone()),
        2 if items.len() > 1 => drop(items.remove(at)),
        _ => change(random, &mut items[at]),
    }
}

fn changed_number(random: &mut Random, number: &Number) -> Number {
    let text = number.to_string();
    // What differs beyond the digits of a float is not told apart.
    let is_decimal = text.contains('.') && !text.contains(['e', 'E']) && text.len() < 15;
    let changed = match random.below(5) {
        0 if is_decimal => format!("{text}0"),
        1 if is_decimal => text.trim_end_matches(|c| c != '.').trim_end_matches('.').to_owned(),
        2 if is_decimal => format!("{text}5"),
        3 => text.strip_prefix('-').map_or(format!("-{text}"), str::to_owned),
        _ => match text.as_bytes().last() {
            Some(b'9') => format!("{}8", &text[..text.len() - 1]),
            _ => format!("{}9", &text[..text.len() - 1]),
        },
    };
    let changed = if changed.parse::<f64>() == Ok(0.0) { "0".to_owned() } else { changed };
    serde_json::from_str(&changed).unwrap_or_else(|_| number.clone())
}

fn string(random: &mut Random, text: &str) -> String {
    if is_date(text) {
        return date(random, text);
    }
    if text.contains("://") {
        return match random.below(4) {
            0 if !text.contains("/fhir/") => format!("{text}/x"),
            1 => format!("{text}|{}", random.pick(&["1", "1.2", "4.0.1"]).unwrap()),
            _ => text.to_owned(),
        };
    }
    // No urn, and above no url that names no type: what cannot be known of a reference, the store takes for any.
    if text.contains('/') && !text.contains(char::is_whitespace) {
        return match random.below(3) {
            0 => format!("{text}/_history/2"),
            1 => format!("http://example.org/fhir/{text}"),
            _ => text.to_owned(),
        };
    }
    match random.below(7) {
        0 => text.to_uppercase(),
        1 => text.to_lowercase(),
        2 => text.replace('e', "é").replace('o', "ö"),
        3 => text.replace(' ', "  "),
        4 => format!("{text} ß ﬁ"),
        5 => text.chars().take(text.chars().count().div_ceil(2)).collect(),
        _ => text.chars().rev().collect(),
    }
    .trim()
    .to_owned()
}

fn is_date(text: &str) -> bool {
    let form = |(i, c): (usize, char)| match i {
        4 | 7 => c == '-',
        0..10 => c.is_ascii_digit(),
        10 => c == 'T',
        _ => true,
    };
    matches!(text.len(), 4 | 7 | 10 | 20..) && text.is_ascii() && text.chars().enumerate().all(form)
}

fn date(random: &mut Random, text: &str) -> String {
    let (day, time) = text.split_once('T').map_or((text, None), |(day, time)| (day, Some(time)));
    match (random.below(5), time) {
        (0, _) => day[..4].to_owned(),
        (1, _) => day[..day.len().min(7)].to_owned(),
        (2, _) => day.to_owned(),
        (3, Some(time)) if time.len() >= 8 => {
            let zone = random.pick(&["Z", "+05:30", "-11:00", ".5Z", ".123456+02:00"]).unwrap();
            format!("{day}T{}{zone}", &time[..8])
        }
        // No leap day moves.
        _ if !day.ends_with("02-29") => format!("{}{}", 1900 + random.below(200), &text[4..]),
        _ => text.to_owned(),
    }
}
