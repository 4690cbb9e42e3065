//! `string` parameters: <https://hl7.org/fhir/R4/search.html#string>
//!
//! A match begins with the text, whatever the case and the accents; `:contains` finds it anywhere; `:exact` is
//! exact. Names and addresses are searched by each of their parts.

use fhir_model::json::Ref;
use fhir_model::{Error, Result};

use crate::condition::Condition;
use crate::fold::{CONTAINS_BYTES_MAX, fold, windows};
use crate::keyer::{Form, Keyer};
use crate::query::Modifier;
use crate::registry::Param;
use crate::rows::CONTINUED;
use crate::sink::Sink;

/// Parts of a HumanName that are searched.
const NAME_PARTS: &[&str] = &["text", "family", "given", "prefix", "suffix"];
/// Parts of an Address that are searched.
const ADDRESS_PARTS: &[&str] = &["text", "line", "city", "district", "state", "postalCode", "country"];

pub(crate) fn index(value: Ref<'_>, type_name: &str, sink: &mut Sink<'_>) {
    let parts: &[&str] = match type_name {
        "HumanName" => NAME_PARTS,
        "Address" => ADDRESS_PARTS,
        _ => return part(value, sink),
    };
    for item in parts.iter().filter_map(|name| value.get(name)).flat_map(Ref::items) {
        part(item, sink);
    }
}

fn part(value: Ref<'_>, sink: &mut Sink<'_>) {
    let Some(text) = value.str() else { return };
    sink.equality(Form::Exact, &[&text]);
    let folded = fold(&text);
    // Nothing but marks: a text that nobody finds, but not a missing one when it is sorted.
    let folded = if folded.is_empty() { " ".into() } else { folded };
    for (i, window) in windows(&folded).enumerate() {
        sink.text(window, if i == 0 { 0 } else { CONTINUED });
    }
}

/// A text of a query, refused when it is longer than what can be found.
pub(crate) fn parse(text: String, modifier: &Modifier) -> Result<String> {
    if *modifier == Modifier::Exact {
        return Ok(text);
    }
    let folded = fold(&text);
    // Everything begins with nothing: what is asked for is a text.
    if folded.is_empty() {
        return Err(Error::value(
            "there is nothing to search for in this text: it needs a letter, a digit or a sign",
        ));
    }
    if folded.len() > CONTAINS_BYTES_MAX {
        let text = format!(
            "a search text has at most {CONTAINS_BYTES_MAX} bytes, this one {}; with `:exact` it may be longer",
            folded.len()
        );
        return Err(Error::value(text));
    }
    Ok(text)
}

pub(crate) fn condition(text: &str, modifier: &Modifier, param: &Param, keyer: &Keyer) -> Condition {
    let each = param.indexes.iter().map(|index| {
        let key = |form, parts: &[&str]| keyer.key(param.type_number, &index.name, form, parts);
        match modifier {
            Modifier::Exact => Condition::Keys(vec![key(Form::Exact, &[text])]),
            Modifier::Contains => Condition::TextContains(key(Form::Folded, &[]), fold(text).into_owned()),
            _ => Condition::TextPrefix(key(Form::Folded, &[]), fold(text).into_owned()),
        }
    });
    Condition::Any(each.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_text_has_something_to_find() {
        for blank in ["", " ", "\t \u{a0}", "\u{301}", " \u{301} \u{3000}"] {
            for modifier in [Modifier::None, Modifier::Contains] {
                let refused = parse(blank.to_owned(), &modifier).unwrap_err();
                assert_eq!(refused.kind.status(), 400, "{blank:?}, {modifier:?}");
            }
            assert!(parse(blank.to_owned(), &Modifier::Exact).is_ok(), "{blank:?} as it is written");
        }
        assert!(parse(" a ".to_owned(), &Modifier::None).is_ok());
    }
}
