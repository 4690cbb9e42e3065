//! What a search says of a statement that took too long: what it was doing, and for which parameter.

use fhir_model::{Error, Kind};

/// What took too long, in words.
pub(super) fn costly(e: Error, shape: &str) -> Error {
    if e.kind != Kind::Timeout {
        return e;
    }
    let what = match shape {
        "index-order scan" | "budgeted scan" => {
            "going through the resources of the type one by one, of which few match"
        }
        "filter-then-sort" => "sorting all that match by what no index has in order",
        "entries" => "going through the values it is sorted by, of which few belong to a match",
        "values" | "few" => "looking at all resources that have such a value",
        "gin" | "handles" => "looking at all resources that have a value which many have",
        "code" | "codes" | "budgeted code" => "going through all resources of the code, of which few match",
        "dates" | "long" | "updated" => "looking at all resources of that time",
        "patient" | "patients" => "going through all resources of the patients",
        "count" => "counting all that match",
        "referring" => "looking for all that refers to the matches",
        "referred" => "reading what the matches refer to",
        "canonical" => "looking for what canonical urls name",
        "referred patients" => "gathering the patients of all resources that match",
        "referrers" => "looking at what refers to each match in turn",
        _ => return e,
    };
    let text = format!("the search took longer than this server allows: it was {what}; narrow it");
    Error { text, ..e }
}

/// The same of what was done for one parameter.
pub(super) fn costly_for(e: Error, name: &str) -> Error {
    match e.kind {
        Kind::Timeout => Error { text: format!("`{name}`: {}", e.text), ..e }.at(name),
        _ => e,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_took_too_long_is_named() {
        let told = |kind, shape| costly(Error::new(kind, "too long"), shape).text;
        assert!(told(Kind::Timeout, "count").contains("counting all that match"));
        assert!(told(Kind::Timeout, "referring").contains("refers to the matches"));
        // Another trouble is none of the search's making, and what is not known is not guessed.
        assert_eq!(told(Kind::Unavailable, "count"), "too long");
        assert_eq!(told(Kind::Timeout, "step"), "too long");
        let named = costly_for(costly(Error::new(Kind::Timeout, ""), "index-order scan"), "subject");
        assert!(named.text.starts_with("`subject`: the search took longer"), "{named}");
        assert_eq!(named.expression, ["subject"]);
        assert!(costly_for(Error::new(Kind::Unavailable, ""), "subject").expression.is_empty());
    }
}
