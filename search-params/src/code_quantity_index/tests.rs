use fhir_model::json::{Doc, JsonLimits};
use fhir_profiles::Definitions;
use serde_json::json;

use super::Condition::{All, Any, Codes, Not, Present, Tokens};
use super::*;
use crate::condition::{DateTest, Extra};
use crate::custom::{self, Custom, Stage};
use crate::index_hash::Form;
use crate::order::{Order, Present as Tells};
use crate::query::{Query, Sort, SortBy};
use crate::registry::Registry;
use crate::rows::{FIRST, LAST};
use crate::settings::IndexSettings;
use crate::sql;

fn registry() -> Registry {
    Registry::load(Arc::new(Definitions::load().unwrap())).unwrap()
}

fn hasher() -> IndexHasher {
    IndexHasher::new([1; 16])
}

/// The key of a code, of the quantities of an index, and of both.
struct Keys<'k> {
    hasher: &'k IndexHasher,
    number: u16,
}

impl Keys<'_> {
    fn code(&self, code: &str) -> i64 {
        self.hasher.key(self.number, "code", Form::SystemCode, &["s", code])
    }

    fn quantity(&self, index: &str, form: Form) -> i64 {
        self.hasher.key(self.number, index, form, &[])
    }

    fn both(&self, code: &str, index: &str, form: Form) -> i64 {
        self.hasher.combined([self.code(code), self.quantity(index, form)].into_iter())
    }
}

fn extract(registry: &Registry, body: &str) -> Rows {
    let text = format!(r#"{{"resourceType":"Observation","id":"1","status":"final"{body}}}"#);
    let doc = Doc::parse(text, JsonLimits::default()).unwrap();
    registry.extract(&hasher(), "Observation", doc.root(), &IndexSettings::default()).unwrap()
}

const CODES: &str =
    r#","code":{"coding":[{"system":"s","code":"a"},{"system":"s","code":"b"},{"system":"s","code":"b"}]}"#;
const FIVE: &str =
    r#","valueQuantity":{"value":5,"unit":"milligram","system":"http://unitsofmeasure.org","code":"mg"}"#;
const BELOW_FIVE: &str = r#","valueQuantity":{"value":5,"comparator":"<"}"#;

#[test]
fn what_r4_puts_beside_a_code() {
    let registry = registry();
    let types = registry.definitions().resource_types().map(|name| registry.for_type(name).unwrap());
    let found = types.flat_map(|this| {
        let name = |index: &Arc<Index>| format!("{}.{}", this.type_name, index.name);
        this.code_quantities.iter().map(name).collect::<Vec<_>>()
    });
    assert_eq!(
        found.collect::<Vec<_>>(),
        ["Observation.value-quantity", "Observation.value-quantity#1"],
        "quantities, and the samples of SampledData"
    );
}

#[test]
fn what_is_added_puts_nothing_beside_a_code() {
    let registry = registry();
    let part = |definition: &str, expression: &str| json!({ "definition": format!("http://hl7.org/fhir/SearchParameter/{definition}"), "expression": expression });
    let added = json!({
        "resourceType": "SearchParameter", "url": "http://e/p", "name": "p", "status": "active", "description": "d",
        "code": "type-length", "base": ["Encounter"], "type": "composite", "expression": "Encounter",
        "component": [part("clinical-type", "type"), part("Encounter-length", "length")],
    });
    let defined = custom::read(&added.to_string(), &registry).unwrap().unwrap();
    let custom = Custom {
        number: 1,
        definition: Arc::new(defined.parameter),
        types: defined.types,
        stage: Stage::Ready,
        since: 1,
        progress: Arc::default(),
    };
    registry.set_catalog(1, vec![Arc::new(custom)], None).unwrap();
    let this = registry.for_type("Encounter").unwrap();
    let composite = this.param("type-length").unwrap().composite.as_ref().unwrap();
    assert_eq!(composite.quantity_by_code(), Some("length"));
    assert!(this.code_quantities.is_empty());
}

#[test]
fn quantities_are_entries_under_each_code() {
    let (registry, hasher) = (registry(), hasher());
    let keys = Keys { hasher: &hasher, number: registry.number("Observation").unwrap() };
    let sampled = r#","valueSampledData":{"origin":{"value":1},"period":1,"dimensions":1,"data":"2 3"}"#;
    for (value, index, form) in [
        (FIVE, "value-quantity", Form::Ordered),
        (BELOW_FIVE, "value-quantity", Form::Span),
        (sampled, "value-quantity#1", Form::Span),
    ] {
        let rows = extract(&registry, &format!("{CODES}{value}"));
        let entry = |key: i64| {
            let mut found = rows.ordered.iter().filter(|e| e.key == key);
            (found.next().copied().unwrap(), found.count())
        };
        let (own, _) = entry(keys.quantity(index, form));
        for code in ["a", "b"] {
            let key = keys.both(code, index, form);
            assert_eq!(entry(key), (Ordered { key, rank: FIRST | LAST, ..own }, 0), "{value} {code}");
        }
        let without = extract(&registry, value);
        assert_eq!(rows.ordered.len(), without.ordered.len() + 1 + 2, "the second code, and both quantities");
        assert_eq!(extract(&registry, CODES).ordered.len(), 1, "the second code");
    }
}

fn entry(key: i64) -> Condition {
    Condition::QuantityEntry { key, min: 1, max: 9, extra: Extra::Any }
}

fn range(key: i64) -> Condition {
    Condition::DateEntry(key, DateTest::default())
}

#[test]
fn quantities_beside_a_code_are_asked_for_by_both() {
    let (registry, hasher) = (registry(), hasher());
    let this = registry.for_type("Observation").unwrap();
    let code_quantities = this.code_quantity_index(&hasher);
    let keys = Keys { hasher: &hasher, number: this.number };
    let (a, b) = (keys.code("a"), keys.code("b"));
    let own = keys.quantity("value-quantity", Form::Ordered);
    let span = keys.quantity("value-quantity", Form::Span);
    let other = keys.quantity("component-value-quantity", Form::Ordered);
    let under = |code| entry(keys.both(code, "value-quantity", Form::Ordered));
    let ranges = |code| range(keys.both(code, "value-quantity", Form::Span));
    let not = |inner| Not(Box::new(inner));
    let many: Vec<i64> = (0..=CODES_MAX as i64).collect();
    let long = || Any((0..=VALUES_MAX as i64).map(|_| entry(own)).collect());
    let rows = [
        (All(vec![Codes(vec![a]), entry(own)]), All(vec![Codes(vec![a]), under("a")])),
        (
            All(vec![Codes(vec![a]), Any(vec![entry(own), range(span), entry(other)])]),
            All(vec![Codes(vec![a]), Any(vec![under("a"), ranges("a"), entry(other)])]),
        ),
        (
            All(vec![Codes(vec![a, b]), entry(own), not(range(span))]),
            All(vec![
                Codes(vec![a, b]),
                Any(vec![under("a"), under("b")]),
                not(Any(vec![ranges("a"), ranges("b")])),
            ]),
        ),
        (
            Any(vec![All(vec![Codes(vec![a]), entry(own)]), All(vec![Codes(vec![b]), entry(own)])]),
            Any(vec![All(vec![Codes(vec![a]), under("a")]), All(vec![Codes(vec![b]), under("b")])]),
        ),
        (
            All(vec![Codes(vec![a]), Any(vec![All(vec![Codes(vec![b]), entry(own)]), entry(own)])]),
            All(vec![Codes(vec![a]), Any(vec![All(vec![Codes(vec![b]), under("b")]), under("a")])]),
        ),
        (
            All(vec![Codes(many.clone()), Codes(vec![a]), entry(own)]),
            All(vec![Codes(many.clone()), Codes(vec![a]), under("a")]),
        ),
    ];
    for (before, after) in rows {
        assert_eq!(code_quantities.rewritten(before.clone()), after, "{before:?}");
        assert_eq!(code_quantities.rewritten(after.clone()), after, "once is enough");
    }
    for same in [
        entry(own),
        Codes(vec![a]),
        Any(vec![Codes(vec![a]), entry(own)]),
        All(vec![not(Codes(vec![a])), entry(own)]),
        All(vec![Tokens(vec![a]), entry(own)]),
        All(vec![Codes(many), entry(own)]),
        All(vec![Codes(vec![a, b]), long()]),
        All(vec![Codes(vec![a]), entry(other)]),
    ] {
        assert_eq!(code_quantities.rewritten(same.clone()), same.simplify());
    }
}

/// Of every resource the one holds exactly when the other does.
#[test]
fn what_is_asked_by_both_means_the_same() {
    let (registry, hasher) = (registry(), hasher());
    let this = registry.for_type("Observation").unwrap();
    let code_quantities = this.code_quantity_index(&hasher);
    let keys = Keys { hasher: &hasher, number: this.number };
    let codes = |names: &[&str]| Codes(names.iter().map(|code| keys.code(code)).collect());
    let five = crate::number::sortable("5").unwrap();
    let own = keys.quantity("value-quantity", Form::Ordered);
    let is_five = || Condition::QuantityEntry { key: own, min: five, max: five, extra: Extra::Any };
    let below = DateTest { low_max: Some(five - 1), ..DateTest::default() };
    let is_less = || Condition::DateEntry(keys.quantity("value-quantity", Form::Span), below);
    let asked = [
        vec![is_five()],
        vec![Any(vec![is_five(), is_less()])],
        vec![Not(Box::new(is_five()))],
        vec![Any(vec![is_less(), Present(63)]), Not(Box::new(is_five()))],
    ];
    let other_code = r#","code":{"coding":[{"system":"s","code":"c"}]}"#;
    let bodies = [CODES, other_code, ""].into_iter().flat_map(|code| {
        [FIVE, BELOW_FIVE, r#","valueQuantity":{"value":6}"#, ""].map(|value| format!("{code}{value}"))
    });
    let mut held = 0;
    for body in bodies {
        let rows = extract(&registry, &body);
        for rest in &asked {
            for codes in [codes(&["a"]), codes(&["b", "c"]), codes(&["c"]), codes(&["d"])] {
                let condition = All([vec![codes], rest.clone()].concat());
                let narrowed = code_quantities.rewritten(condition.clone());
                assert_ne!(narrowed, condition);
                assert_eq!(narrowed.holds(&rows), condition.holds(&rows), "{body} {condition:?}");
                if let Some(alone) = code_quantities.without_codes(&narrowed) {
                    assert_eq!(alone.holds(&rows), condition.holds(&rows), "{body} {alone:?}");
                }
                held += usize::from(condition.holds(&rows));
            }
        }
    }
    assert!(held > 10, "{held}");
}

#[test]
fn codes_go_without_saying_beside_nothing_but_their_entries() {
    let (registry, hasher) = (registry(), hasher());
    let this = registry.for_type("Observation").unwrap();
    let code_quantities = this.code_quantity_index(&hasher);
    let keys = Keys { hasher: &hasher, number: this.number };
    let (a, b) = (Codes(vec![keys.code("a")]), Codes(vec![keys.code("b")]));
    let under = |code| entry(keys.both(code, "value-quantity", Form::Ordered));
    let both = || Any(vec![under("a"), range(keys.both("a", "value-quantity", Form::Span))]);
    let rows = [
        (vec![a.clone(), under("a")], Some(under("a"))),
        (vec![a.clone(), both(), under("a")], Some(All(vec![both(), under("a")]))),
        (vec![a.clone(), under("b")], None),
        (vec![a.clone(), under("a"), Present(1)], None),
        (vec![a.clone(), b, under("a")], None),
        (vec![a.clone(), Any(vec![under("a"), entry(1)])], None),
        (vec![a.clone()], None),
        (vec![under("a")], None),
    ];
    for (parts, wanted) in rows {
        assert_eq!(code_quantities.without_codes(&All(parts.clone())), wanted, "{parts:?}");
    }
    assert_eq!(code_quantities.without_codes(&a), None);
    let alone = code_quantities.without_codes(&All(vec![a, both(), under("a")])).unwrap();
    let counted = sql::count(1, &alone, None);
    assert!(!counted.text().contains("resource"), "no row is looked at: {}", counted.text());
}

#[test]
fn an_order_of_one_code_goes_along_its_entries() {
    let (registry, hasher) = (registry(), hasher());
    let this = registry.for_type("Observation").unwrap();
    let code_quantities = this.code_quantity_index(&hasher);
    let keys = Keys { hasher: &hasher, number: this.number };
    let key = |code: &str| {
        let by = SortBy::Param(this.param(code).unwrap().clone());
        let query = Query { sort: vec![Sort { by, descending: true }], ..Query::new("Observation") };
        Order::from_query(&query, &hasher).keys().first().cloned().unwrap()
    };
    let (one, two) = (Codes(vec![1]), Codes(vec![1, 2]));
    let asked = All(vec![Present(1), Codes(vec![keys.code("a")])]);
    let (found, rest) = code_quantities.sorted(&key("value-quantity"), &asked).unwrap();
    assert_eq!(rest, Present(1));
    let (_, rest) = code_quantities.sorted(&key("value-quantity"), &one).unwrap();
    assert_eq!(rest, Condition::default());
    let SortSource::Numbers(entries) = &found.by else { panic!("{found:?}") };
    let wanted = ["value-quantity", "value-quantity#1"]
        .iter()
        .flat_map(|index| NUMBERS.map(|form| keys.both("a", index, form)));
    assert_eq!(entries.keys, wanted.collect::<Vec<_>>());
    assert_eq!(entries.present, Tells::Bit(this.param("value-quantity").unwrap().bit.unwrap()));
    assert!(found.descending);
    for (code, condition) in [
        ("value-quantity", &two),
        ("value-quantity", &Tokens(vec![1])),
        ("combo-value-quantity", &one),
        ("value-date", &one),
        ("date", &one),
        ("status", &one),
    ] {
        assert!(code_quantities.sorted(&key(code), condition).is_none(), "{code} {condition:?}");
    }
}
