//! Quantities of one code: found and sorted by the entries they have under the code.

use fhir_model::Kind;
use fhir_store::{Options, testing};

use super::*;

const UCUM: &str = "http://unitsofmeasure.org";

/// An Observation of these codes, with a value.
fn body(codes: &str, value: &str) -> String {
    let coding = |code: &str| format!(r#"{{"system":"s","code":"{code}"}}"#);
    let codings: Vec<String> = codes.split_whitespace().map(coding).collect();
    format!(r#"{{"status":"final","code":{{"coding":[{}]}}{value}}}"#, codings.join(","))
}

fn quantity(value: &str, unit: &str) -> String {
    format!(r#","valueQuantity":{{"value":{value},"system":"{UCUM}","code":"{unit}","unit":"in {unit}"}}"#)
}

async fn fill(store: &Arc<Store>) {
    let below = r#","valueQuantity":{"value":3,"comparator":"<"}"#;
    let samples = r#","valueSampledData":{"origin":{"value":0},"period":1,"dimensions":1,"data":"2 9"}"#;
    for (id, codes, value) in [
        ("six", "x y", quantity("6", "g")),
        ("seven", "x", quantity("7", "mg")),
        ("none", "x", String::new()),
        ("five", "y x x", quantity("5000", "mg")),
        ("below", "x", below.to_owned()),
        ("samples", "x", samples.to_owned()),
        ("text", "y", r#","valueString":"5""#.to_owned()),
        ("one", "y", quantity("1", "g")),
        ("other", "z", quantity("6", "g")),
        ("uncoded", "", quantity("6", "g")),
    ] {
        put(store, "Observation", id, &body(codes, &value)).await;
    }
}

/// The ids on the pages of a search, forwards, and then on those that lead back.
async fn there_and_back(store: &Arc<Store>, text: &str) -> (String, String) {
    let mut at = query(store, text);
    let (mut there, mut back) = (Vec::new(), Vec::new());
    loop {
        let page = store.search(&all(), &at).await.unwrap();
        there.extend(page.matches.iter().map(|v| v.key.id.to_string()));
        let Some(next) = page.next else { break };
        at.cursor = Some(next);
    }
    at.cursor = Some(fhir_search::cursor::Cursor::end());
    loop {
        let page = store.search(&all(), &at).await.unwrap();
        back.splice(0..0, page.matches.iter().map(|v| v.key.id.to_string()));
        let Some(previous) = page.previous else { break };
        at.cursor = Some(previous);
    }
    (there.join(" "), back.join(" "))
}

pub(crate) async fn quantities_of_a_code_are_in_order(store: &Arc<Store>) {
    fill(store).await;
    let rows = [
        ("code=s|x&_sort=value-quantity", "below samples six seven five none"),
        ("code=s|x&_sort=-value-quantity", "five seven six samples below none"),
        ("code=s|y&_sort=value-quantity", "one six five text"),
        ("code=s|x&_sort=value-quantity,_id", "below samples six seven five none"),
        ("code=s|x&_sort=-value-quantity,-_id", "five seven six samples below none"),
        ("code=s|x&value-quantity=gt5&_sort=value-quantity", "samples six seven five"),
        ("code=s|x&value-quantity:missing=false&_sort=-value-quantity", "five seven six samples below"),
        ("code=s|x&code=s|y&_sort=-value-quantity", "five six"),
        ("code-value-quantity=s|x$lt10&_sort=-value-quantity", "seven six below"),
        ("_filter=code eq s|y&_sort=value-quantity", "one six five text"),
        // Not of one code: along all quantities.
        ("code=s|x,s|z&_sort=value-quantity,_id", "below samples other six seven five none"),
        ("code=x&_sort=-value-quantity", "five seven six samples below none"),
        ("code=s|x&_sort=combo-value-quantity", "below samples six seven five none"),
        ("code=s|none&_sort=value-quantity", ""),
    ];
    for (text, wanted) in rows {
        for count in [1, 2, 3, 100] {
            let (there, back) = there_and_back(store, &format!("Observation?{text}&_count={count}")).await;
            assert_eq!(there, wanted, "{text}, {count} a page");
            assert_eq!(back, wanted, "{text}, {count} a page, backwards");
        }
    }
}

/// A page that begins in the walk of one code goes on in the walk of all, and the other way round.
#[tokio::test]
async fn a_place_is_one_of_either_walk() {
    let store = testing::fresh().await.unwrap();
    fill(&store).await;
    let [one, any] =
        ["s|x", "s|x,s|none"].map(|code| format!("Observation?code={code}&_sort=value-quantity"));
    for (first, then) in [(&one, &any), (&any, &one)] {
        let page = store.search(&all(), &query(&store, &format!("{first}&_count=2"))).await.unwrap();
        let mut at = query(&store, then);
        at.cursor = page.next;
        let rest = store.search(&all(), &at).await.unwrap();
        let found: Vec<_> = rest.matches.iter().map(|v| &*v.key.id).collect();
        assert_eq!(found, ["six", "seven", "five", "none"], "{first}, {then}");
    }
}

pub(crate) async fn quantities_of_a_code_are_found(store: &Arc<Store>) {
    fill(store).await;
    put(store, "Patient", "p", "{}").await;
    put(store, "Patient", "q", "{}").await;
    for (id, patient, value) in [("p9", "p", "9"), ("q4", "q", "4")] {
        let subject = format!(r#","subject":{{"reference":"Patient/{patient}"}}"#);
        put(store, "Observation", id, &body("v", &format!("{}{subject}", quantity(value, "g")))).await;
    }
    let rows = [
        ("Observation?code=s|x&value-quantity=gt5", "five samples seven six"),
        ("Observation?code=s|x&value-quantity=lt5", "below samples"),
        ("Observation?code=s|x,s|z&value-quantity=6", "other six"),
        ("Observation?code=s|x,s|none&value-quantity=6", "six"),
        ("Observation?code=s|x&value-quantity=gt5&value-quantity=lt7", "samples six"),
        ("Observation?code-value-quantity=s|y$lt5", "one"),
        ("Observation?code-value-quantity=s|y$lt5,s|x$7", "one seven"),
        ("Observation?combo-code-value-quantity=s|z$6", "other"),
        ("Observation?code=s|x&combo-value-quantity=6", "six"),
        ("Observation?_filter=code eq s|y and (value-quantity gt 5 or status ne final)", "five six"),
        ("Observation?_filter=code eq s|y and not (value-quantity gt 5)", "one text"),
        ("Observation?value-quantity=6", "other six uncoded"),
        ("Observation?code:not=s|x&value-quantity=6", "other uncoded"),
        // In a unit, in what converts to it, and by its name.
        ("Observation?code=s|x&value-quantity=6|http://unitsofmeasure.org|g", "six"),
        ("Observation?code=s|x&value-quantity=ge5|http://unitsofmeasure.org|g", "five six"),
        ("Observation?code=s|x,s|z&value-quantity=6000|http://unitsofmeasure.org|mg", "other six"),
        ("Observation?code=s|x&value-quantity=gt1||mg", "five seven"),
        ("Observation?code=s|x&value-quantity=6||in g", "six"),
        ("Observation?code-value-quantity=s|y$5|http://unitsofmeasure.org|g", "five"),
        ("Patient?_has:Observation:patient:code-value-quantity=s|v$gt5", "p"),
        ("Patient?_has:Observation:patient:code-value-quantity=s|v$gt5|http://unitsofmeasure.org|g", "p"),
    ];
    for (text, wanted) in rows {
        assert_eq!(search(store, &format!("{text}&_sort=_id")).await, wanted, "{text}");
        let counted = store.count(&all(), &query(store, text)).await.unwrap().n;
        assert_eq!(counted, wanted.split_whitespace().count() as u64, "count of {text}");
        let estimated = query(store, &format!("{text}&_total=estimate&_count=1"));
        let total = store.search(&all(), &estimated).await.unwrap().total.unwrap();
        assert_eq!((total.n, total.exact), (counted, true), "estimate of {text}");
    }
}

/// What is common is asked of bodies, and counted by its entries.
#[tokio::test]
async fn common_quantities_of_a_code_are_found() {
    let options = Options { entries_few: 1, chain_rare: 1, connections_max: 4, ..Options::default() };
    quantities_of_a_code_are_found(&testing::fresh_with(options.clone()).await.unwrap()).await;
    quantities_of_a_code_are_in_order(&testing::fresh_with(options).await.unwrap()).await;
}

pub(crate) async fn what_is_changed_moves(store: &Arc<Store>) {
    let sorted = async || {
        let of = async |code: &str| {
            search(store, &format!("Observation?code=s|{code}&_sort=value-quantity")).await
        };
        (of("x").await, of("y").await)
    };
    for (id, value) in [("a", "1"), ("b", "2"), ("c", "3")] {
        put(store, "Observation", id, &body("x", &quantity(value, "g"))).await;
    }
    assert_eq!(sorted().await, ("a b c".to_owned(), String::new()));
    let rows = [
        ("a", body("x", &quantity("4", "g")), "b c a", ""),
        ("b", body("y", &quantity("2", "g")), "c a", "b"),
        ("c", body("x y", &quantity("3", "g")), "c a", "b c"),
        ("c", body("y x", &quantity("1", "g")), "c a", "c b"),
        ("b", body("y", ""), "c a", "c b"),
        ("a", body("", &quantity("4", "g")), "c", "c b"),
        ("b", body("x", &quantity("2", "kg")), "c b", "c"),
    ];
    for (id, body, x, y) in rows {
        put(store, "Observation", id, &body).await;
        assert_eq!(sorted().await, (x.to_owned(), y.to_owned()), "{id} {body}");
    }
    let key = Key::new("Observation", "c");
    let gone = next(store, &key, None, None).await;
    assert_eq!(
        store.commit(&all(), &store.commit_timestamp().unwrap(), &[gone]).await.unwrap(),
        Commit::Done
    );
    assert_eq!(sorted().await, ("b".to_owned(), String::new()));
    assert_eq!(
        store.count(&all(), &query(store, "Observation?code-value-quantity=s|x$gt0")).await.unwrap().n,
        1
    );
}

/// More quantities than are looked at for a page, before those of the code.
#[tokio::test]
async fn quantities_of_one_code_are_not_too_many_to_sort() {
    const OTHERS: usize = 2_500;
    let options = Options { sorted_max: 3, connections_max: 4, ..Options::default() };
    let store = testing::fresh_with(options).await.unwrap();
    let write = |(n, code): (usize, &str)| {
        let key = Key::new("Observation", format!("o{n}"));
        let doc = doc(&body(code, &quantity(&n.to_string(), "g")), &key, 1);
        Write {
            key,
            before: ResourceState::Absent,
            version: 1,
            method: Method::Put,
            doc: Some(doc),
            preconditions: Vec::new(),
        }
    };
    let last = (OTHERS..OTHERS + 5).map(|n| (n, "x"));
    let writes: Vec<Write> = (0..OTHERS).map(|n| (n, "y")).chain(last).map(write).collect();
    for batch in writes.chunks(1_000) {
        assert_eq!(
            store.commit(&all(), &store.commit_timestamp().unwrap(), batch).await.unwrap(),
            Commit::Done
        );
    }
    let wanted = "o2500 o2501 o2502 o2503 o2504";
    assert_eq!(search(&store, "Observation?code=s|x&_sort=value-quantity&_count=800").await, wanted);
    let refused = query(&store, "Observation?code=s|x,s|z&_sort=value-quantity&_count=800");
    let refused = store.search(&all(), &refused).await.unwrap_err();
    assert_eq!((refused.kind, &*refused.expression), (Kind::TooCostly, &["_sort".to_owned()][..]));
}
