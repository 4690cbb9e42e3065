//! What is read, refused and passed over.

mod chain;
mod hints;

use std::sync::Arc;

use super::include::INCLUDES_MAX;
use super::sort::SORTS_MAX;
use super::*;

/// What a search says, of these types: `include Observation:subject`, `ignored: ..`, `400 ..`.
fn said(types: &[&str], text: &str, strict: bool) -> Vec<String> {
    let registry = Registry::load(Arc::new(fhir_profiles::Definitions::load().unwrap())).unwrap();
    said_by(&registry, types, text, strict)
}

pub(crate) fn said_by(registry: &Registry, types: &[&str], text: &str, strict: bool) -> Vec<String> {
    let secret = Secret([0; 16]);
    let cx = ParseCx {
        strict,
        bases: &Bases::default(),
        zone: &fhir_model::date::Zone::UTC,
        now: 0,
        count_default: 10,
        count_max: 50,
        values_max: 3,
        secret: &secret,
        bound_to: "",
    };
    let pairs: Vec<_> = text
        .split('&')
        .map(|pair| pair.split_once('=').unwrap())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let queries = match Query::parse_types(registry, types, &pairs, &cx) {
        Ok(queries) => queries,
        Err(error) => return vec![format!("{} {}", error.kind.status(), error.text)],
    };
    let query = &queries[0];
    let includes = query.includes.iter().map(|i| {
        let part = |part: &Option<Box<str>>| part.as_deref().unwrap_or("*").to_owned();
        let words =
            [(i.reverse, "rev"), (i.iterate, "iterate ")].map(|(is, word)| if is { word } else { "" });
        format!("{}{}include {}:{}:{}", words[1], words[0], part(&i.source), part(&i.code), part(&i.target))
    });
    let filters = queries.iter().map(|query| format!("{} {}", query.type_name, query.filters.len()));
    let applied = query.applied.iter().map(|(name, value)| format!("{name}={value}"));
    includes
        .chain(filters)
        .chain(applied)
        .chain(query.warnings.clone())
        .chain(query.guesses.clone())
        .collect()
}

#[test]
fn includes_are_read_refused_or_passed_over() {
    let registry = Registry::load(Arc::new(fhir_profiles::Definitions::load().unwrap())).unwrap();
    // parameters, the include as read, or a word of why not
    let rows = [
        ("_include=Observation:subject", "include Observation:subject:*"),
        ("_include=Observation:subject:Patient", "include Observation:subject:Patient"),
        ("_include=Observation:*", "include Observation:*:*"),
        ("_include=*", "include *:*:*"),
        ("_include:iterate=Patient:organization", "iterate include Patient:organization:*"),
        ("_include:recurse=Patient:organization", "iterate include Patient:organization:*"),
        ("_revinclude=Provenance:target", "revinclude Provenance:target:*"),
        ("_revinclude:iterate=Provenance:target", "iterate revinclude Provenance:target:*"),
        ("_revinclude=*", "revinclude *:*:*"),
        ("_revinclude=Observation:has-member:Observation", "revinclude Observation:has-member:Observation"),
    ];
    for (text, read) in rows {
        let said = said_by(&registry, &["Observation"], text, true);
        assert_eq!(said[0], read, "{text}");
    }
    let passed_over = [
        ("_include=Patient:organization", "the search is for Observation"),
        ("_include=Nothing:subject", "`Nothing` is not a resource type"),
        ("_include=Observation:code", "no reference parameter `code`"),
        ("_include=Observation:subject:Nothing", "`Nothing` is not a resource type"),
        ("_include=Observation:subject:Organization", "never refers to a Organization"),
        ("_include=Observation:patient:Group", "never refers to a Group"),
        ("_revinclude=Patient:organization", "never refers to a Observation"),
        ("_revinclude=Provenance:target:Patient", "the search is for Observation"),
    ];
    for (text, why) in passed_over {
        let lenient = said_by(&registry, &["Observation"], text, false);
        assert!(lenient.iter().any(|said| said.contains(why) && said.contains("ignored")), "{lenient:?}");
        assert!(!lenient.contains(&text.to_owned()), "{text} is said to have taken effect");
        let strict = said_by(&registry, &["Observation"], text, true);
        assert!(strict[0].starts_with("400") && strict[0].contains(why), "{strict:?}");
    }
    for text in ["_include=Observation", "_include=*:subject", "_include:exact=*", "_revinclude=a:b:c:d"] {
        for strict in [false, true] {
            let said = said_by(&registry, &["Observation"], text, strict);
            assert!(said[0].starts_with("400"), "{text}: {said:?}");
        }
    }
    let many = |n: usize| vec!["_include=Observation:subject"; n].join("&");
    assert_eq!(
        said_by(&registry, &["Observation"], &many(INCLUDES_MAX), true)[0],
        "include Observation:subject:*"
    );
    assert!(said_by(&registry, &["Observation"], &many(INCLUDES_MAX + 1), true)[0].contains("at most"));
}

#[test]
fn only_what_all_types_have_takes_effect() {
    let both = ["Patient", "Observation"];
    let one_each = ["Patient 1", "Observation 1"];
    assert_eq!(said(&both, "identifier=x", true), [&one_each[..], &["identifier=x"]].concat());
    assert_eq!(said(&both, "_id=x", true), [&one_each[..], &["_id=x"]].concat());
    for (text, lacking) in
        [("gender=male", "Observation"), ("status=final", "Patient"), ("subject.name=x", "Patient")]
    {
        let said_lenient = said(&both, text, false);
        assert_eq!(said_lenient[..2], ["Patient 0", "Observation 0"], "{text}");
        assert!(said_lenient[2].contains(&format!("as of {lacking} it is none")), "{said_lenient:?}");
        assert!(said(&both, text, true)[0].starts_with("400"), "{text}");
    }
    assert!(said(&both, "_sort=gender", false)[0].contains("as of Observation it is none"));
    assert!(said(&both, "_include=Observation:subject", true)[0].starts_with("include"));
}

#[test]
fn limits_hold_at_the_limit_and_past_it() {
    let registry = Registry::load(Arc::new(fhir_profiles::Definitions::load().unwrap())).unwrap();
    let secret = Secret([0; 16]);
    let cx = ParseCx {
        strict: true,
        bases: &Bases::default(),
        zone: &fhir_model::date::Zone::UTC,
        now: 0,
        count_default: 10,
        count_max: 50,
        values_max: 3,
        secret: &secret,
        bound_to: "",
    };
    let parse = |pairs: &[(&str, &str)]| {
        let pairs: Vec<_> = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Query::parse(&registry, "Patient", &pairs, &cx)
    };
    let most = parse(&vec![("gender", "male"); PARAMETERS_MAX]).unwrap();
    assert_eq!(most.filters.len(), PARAMETERS_MAX);
    let refused = parse(&vec![("gender", "male"); PARAMETERS_MAX + 1]).unwrap_err();
    assert_eq!(refused.kind, Kind::TooCostly);
    assert!(refused.text.contains("101"), "{refused}");
    let contains = |bytes| "x".repeat(bytes);
    let expression = |bytes| format!("gender eq {}", "x".repeat(bytes - "gender eq ".len()));
    let (contains_max, filter_max) = (crate::windows::CONTAINS_BYTES_MAX, filter_expression::BYTES_MAX);
    // A parameter, as much as it takes, and one more.
    let rows = [
        ("gender", "male,female,other".to_owned(), "male,female,other,unknown".to_owned()),
        ("gender:not", "a,b,c".to_owned(), "a,b,c,d".to_owned()),
        ("gender:in", "a,b,c".to_owned(), "a,b,c,d".to_owned()),
        ("birthdate", "2000,2001,2002".to_owned(), "2000,2001,2002,2003".to_owned()),
        ("_id", "a,b,c".to_owned(), "a,b,c,d".to_owned()),
        ("_lastUpdated", "2000,2001,2002".to_owned(), "2000,2001,2002,2003".to_owned()),
        ("_list", "a,b,c".to_owned(), "a,b,c,d".to_owned()),
        ("_has:Observation:patient:code", "a,b,c".to_owned(), "a,b,c,d".to_owned()),
        ("organization.name", "a,b,c".to_owned(), "a,b,c,d".to_owned()),
        ("_sort", ["gender"; SORTS_MAX].join(","), ["gender"; SORTS_MAX + 1].join(",")),
        ("name:contains", contains(contains_max), contains(contains_max + 1)),
        ("_filter", expression(filter_max), expression(filter_max + 1)),
    ];
    for (name, at, past) in rows {
        assert!(parse(&[(name, &at)]).is_ok(), "{name} at its bound");
        let refused = parse(&[(name, &past)]).unwrap_err();
        let code = name.split([':', '.']).next().unwrap();
        let is_named = |text: &String| text.contains(code) || name.ends_with(text.as_str());
        assert!(refused.expression.iter().any(is_named), "{name}: {:?}", refused.expression);
        assert!(matches!(refused.kind, Kind::TooCostly | Kind::Value), "{name}: {refused}");
        assert!(refused.text.bytes().any(|b| b.is_ascii_digit()), "{name} says how much it takes: {refused}");
    }
    // A larger page is not refused: it is as large as may be.
    assert_eq!(parse(&[("_count", "50")]).unwrap().count, 50);
    assert_eq!(parse(&[("_count", "51")]).unwrap().count, 50);
    assert_eq!(parse(&[("_count", "99999999999999999999")]).unwrap_err().kind, Kind::Value);
}
