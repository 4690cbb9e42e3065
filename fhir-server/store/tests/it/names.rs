//! Names by their words and sounds, and tokens that are texts.

use super::*;

/// A search of patients and who is found: each in every plan there is for it.
const NAMES: &[(&str, &str)] = &[
    ("family=nganga", "a b c d"),
    ("family=Ng’ang’a", "a b c d"),
    ("family=Ngʼangʼa", "a b c d"),
    ("family:exact=Ng'ang'a", "a"),
    ("family:contains=gang", "a b c d"),
    ("family=Merwe", "e"),
    ("family=der m", "e"),
    ("family=erwe", ""),
    ("family=vandermerwe", "e"),
    ("family=merwe van", "e"),
    ("given=Jane", "e"),
    ("given=mary njeri", "e"),
    ("given:exact=Jane", ""),
    ("given:contains=yja", "e"),
    ("name=Wanjiku Nganga", "a b c d"),
    ("name=NGANG wanj", "a b c d"),
    ("name=Wanjiku Merwe", ""),
    // Words of two names of one patient are of none.
    ("name=Njeri Kamau", ""),
    ("name=Njeri Merwe", "e"),
    ("name=John Kamau", "e"),
    ("name=mary-jane der merwe njeri", "e"),
    ("name:exact=Mary-Jane", "e"),
    ("name=bala", "f"),
    ("name=Rahman Muhammad", "g"),
    ("name=one two three four five six seven", "h"),
    ("name=seven six five four three two one", ""),
    ("address=nairobi 12 kenyatta", ""),
    ("address=nairobi 12kenyatta", "a"),
    ("address=avenue", ""),
    ("address:contains=avenue", "a"),
    ("address=Kenyatta 13", ""),
    ("address=thika nairobi", ""),
    ("address-city=thika", "a"),
    ("phonetic=Nganga", "a b c d"),
    ("phonetic=Wanjikoo Ngangah", "a b c d"),
    ("phonetic=Mohamed", "g"),
    ("phonetic=Mamadou Abdurahman", "g"),
    ("phonetic=Wanj", ""),
    ("family:missing=true", "g h i"),
];

pub(crate) async fn names_are_found_as_people_have_them(store: &Arc<Store>) {
    let given = r#""given":["Wanjiku"]"#;
    let name = |family: &str| format!(r#"{{"family":"{family}",{given}}}"#);
    let address = r#""address":[{"line":["12 Kenyatta Avenue"],"city":"Nairobi"},{"city":"Thika"}]"#;
    let many =
        r#"{"family":"van der Merwe","given":["Mary-Jane","Njeri"]},{"family":"Kamau","given":["John"]}"#;
    let bodies = [
        ("a", format!(r#"{{"name":[{}],{address}}}"#, name("Ng'ang'a"))),
        ("b", format!(r#"{{"name":[{}]}}"#, name("Ng’ang’a"))),
        ("c", format!(r#"{{"name":[{}]}}"#, name("Ngʼangʼa"))),
        ("d", format!(r#"{{"name":[{}]}}"#, name("NGANGA"))),
        ("e", format!(r#"{{"name":[{many}]}}"#)),
        ("f", r#"{"name":[{"family":"Ɓala"}]}"#.to_owned()),
        ("g", r#"{"name":[{"text":"Dr. Muhammad Abdul Rahman"}]}"#.to_owned()),
        ("h", r#"{"name":[{"text":"one two three four five six seven"}]}"#.to_owned()),
        ("i", r#"{}"#.to_owned()),
        ("j", r#"{"name":[{"family":"---"}]}"#.to_owned()),
    ];
    for (id, body) in &bodies {
        put(store, "Patient", id, body).await;
    }
    let sorted = |found: String| {
        let mut ids: Vec<&str> = found.split(' ').collect();
        ids.sort_unstable();
        ids.join(" ")
    };
    for (search, wanted) in NAMES {
        let found = super::search(store, &format!("Patient?{search}")).await;
        assert_eq!(sorted(found), *wanted, "{search}");
        let counted = store.count(&all(), &query(store, &format!("Patient?{search}"))).await.unwrap();
        assert_eq!(counted.n as usize, wanted.split_whitespace().count(), "{search}");
    }
    // By texts as a whole, the one that is nothing but signs first; words of them are nothing that is sorted by.
    for (sort, wanted) in [("family", "jfeaaaa"), ("-family", "eaaaafj")] {
        let found = super::search(store, &format!("Patient?family:missing=false&_sort={sort}")).await;
        assert_eq!(found.replace(' ', "").replace(['b', 'c', 'd'], "a"), wanted, "{sort}");
    }
    // A name that goes leaves nothing.
    put(store, "Patient", "e", r#"{"name":[{"family":"Merwe"}]}"#).await;
    for (search, wanted) in
        [("family=merwe", "e"), ("family=der", ""), ("name=njeri merwe", ""), ("phonetic=Njeri", "")]
    {
        assert_eq!(super::search(store, &format!("Patient?{search}")).await, wanted, "{search}");
    }
    for refused in
        ["family='", "name=-", "family:contains=%E2%80%8B".replace("%E2%80%8B", "\u{200b}").as_str()]
    {
        let error = parse(store, &format!("Patient?{refused}")).unwrap_err();
        assert_eq!(error.kind.status(), 400, "{refused}");
    }
    for modifier in ["exact", "contains"] {
        assert!(parse(store, &format!("Patient?phonetic:{modifier}=x")).is_err(), "{modifier}");
    }
}

pub(crate) async fn texts_are_tokens_whatever_their_case(store: &Arc<Store>) {
    put(
        store,
        "Patient",
        "p",
        r#"{"gender":"male","identifier":[{"system":"http://Id","value":"Ab1","type":{"coding":[{"system":"t","code":"MR"}]}}],
        "telecom":[{"system":"email","value":"Myname@Example.ORG"},{"system":"phone","value":"+254 700 X"}],
        "managingOrganization":{"identifier":{"system":"s","value":"Org"}}}"#,
    )
    .await;
    put(store, "Questionnaire", "q", r#"{"version":"1.0-Beta","status":"active","item":[{"linkId":"1","type":"group","code":[{"system":"http://c","code":"Mg"}]}]}"#).await;
    for (search, wanted) in [
        ("Questionnaire?version=1.0-beta", "q"),
        ("Questionnaire?version=1.0-BETA", "q"),
        ("Questionnaire?version=|1.0-Beta", "q"),
        ("Questionnaire?version=1.0", ""),
        ("Questionnaire?version=10Beta", ""),
        ("Questionnaire?version:not=1.0-bETA", ""),
        ("Questionnaire?code=Mg", "q"),
        ("Questionnaire?code=mg", ""),
        ("Questionnaire?code=http://c|mG", ""),
        ("Questionnaire?status=ACTIVE", ""),
        ("Patient?email=myname@example.org", "p"),
        ("Patient?email=MYNAME@EXAMPLE.ORG", "p"),
        ("Patient?telecom=email|MyName@example.org", "p"),
        ("Patient?telecom=phone|MyName@example.org", ""),
        ("Patient?phone=+254 700 x", "p"),
        ("Patient?identifier=Ab1", "p"),
        ("Patient?identifier=ab1", ""),
        ("Patient?identifier=http://Id|AB1", ""),
        ("Patient?identifier:of-type=t|MR|Ab1", "p"),
        ("Patient?identifier:of-type=t|MR|ab1", ""),
        ("Patient?organization:identifier=s|Org", "p"),
        ("Patient?organization:identifier=s|org", ""),
        ("Patient?gender=Male", ""),
    ] {
        assert_eq!(super::search(store, search).await, wanted, "{search}");
    }
}

/// With the setting no code and no identifier has a case; what is exact besides stays so.
#[tokio::test]
async fn codes_whatever_their_case() {
    let settings = fhir_search::IndexSettings { fold_codes: true, ..Default::default() };
    let options = fhir_store::Options { settings, connections_max: 4, ..Default::default() };
    let store = fhir_store::testing::fresh_with(options).await.unwrap();
    put(
        &store,
        "Patient",
        "p",
        r#"{"gender":"male","deceasedBoolean":true,"identifier":[{"system":"http://Id","value":"Ab1",
        "type":{"coding":[{"system":"t","code":"MR"}]}}],"managingOrganization":{"identifier":{"system":"s","value":"Org"}}}"#,
    )
    .await;
    put(
        &store,
        "Observation",
        "o",
        r#"{"status":"final","code":{"coding":[{"system":"http://c","code":"Mg"},{"system":"http://c","code":"Kg"}]},
        "subject":{"reference":"Patient/p"},"valueQuantity":{"value":5,"system":"http://unitsofmeasure.org","code":"mg"}}"#,
    )
    .await;
    for (search, wanted) in [
        ("Patient?identifier=AB1", "p"),
        ("Patient?identifier=http://Id|ab1", "p"),
        ("Patient?identifier=http://id|ab1", ""),
        ("Patient?identifier:of-type=t|mr|ab1", "p"),
        ("Patient?organization:identifier=s|ORG", "p"),
        ("Patient?organization:identifier=org", "p"),
        ("Patient?gender=MALE", "p"),
        ("Patient?gender:not=Male", ""),
        ("Patient?deceased=true", "p"),
        ("Observation?code=mg", "o"),
        ("Observation?code=http://c|MG", "o"),
        ("Observation?code=http://c|kG", "o"),
        ("Observation?combo-code=http://c|KG", "o"),
        ("Observation?code-value-quantity=http://c|mG$5", "o"),
        ("Observation?patient.identifier=http://Id|aB1", "o"),
        ("Observation?value-quantity=5|http://unitsofmeasure.org|Mg", ""),
    ] {
        assert_eq!(super::search(&store, search).await, wanted, "{search}");
    }
}
