use super::*;

/// What is asked of a handful of resources, and what is found.
pub(crate) async fn searches_find_what_they_should(store: &Arc<Store>) {
    put(store, "Patient", "p1", r#"{"gender":"male","birthDate":"1990-03-15","active":true,
        "identifier":[{"system":"http://id","value":"1"}],
        "name":[{"family":"Müller","given":["Anna","Zoë"]}],"generalPractitioner":[{"reference":"Practitioner/d"}]}"#).await;
    put(store, "Patient", "p2", r#"{"gender":"female","birthDate":"1990","name":[{"family":"Mwangi"}],
        "identifier":[{"system":"http://id","value":"2"}],"managingOrganization":{"identifier":{"system":"s","value":"o"}}}"#).await;
    put(store, "Patient", "p3", r#"{"name":[{"given":["anna_x"]}],"deceasedDateTime":"2020-01-01"}"#).await;
    put(store, "Observation", "o1", r#"{"status":"final","subject":{"reference":"Patient/p1"},
        "code":{"coding":[{"system":"http://l","code":"a"},{"system":"http://l","code":"b"}]},
        "effectiveDateTime":"2015-01-14T10:00:00Z","valueQuantity":{"value":5.4,"system":"http://unitsofmeasure.org","code":"mg","unit":"milligram"}}"#).await;
    put(
        store,
        "Observation",
        "o2",
        r#"{"status":"amended","subject":{"reference":"Patient/p2"},
        "code":{"coding":[{"system":"http://l","code":"b"}]},"effectivePeriod":{"start":"2015-01"},
        "valueQuantity":{"value":5.44,"unit":"g"}}"#,
    )
    .await;
    let rows = [
        ("Patient?_sort=_id", "p1 p2 p3"),
        ("Patient?_sort=-_id", "p3 p2 p1"),
        ("Patient?gender=male", "p1"),
        ("Patient?gender=http://hl7.org/fhir/administrative-gender|male", "p1"),
        ("Patient?gender=http://other|male", ""),
        ("Patient?gender=male,female&_sort=_id", "p1 p2"),
        ("Patient?gender:not=male&_sort=_id", "p2 p3"),
        ("Patient?gender:missing=true", "p3"),
        ("Patient?gender:missing=false&_sort=_id", "p1 p2"),
        ("Patient?family=MULL", "p1"),
        ("Patient?family:exact=Müller", "p1"),
        ("Patient?family:exact=Muller", ""),
        ("Patient?name:contains=NN&_sort=_id", "p1 p3"),
        ("Patient?given:contains=x", "p3"),
        ("Patient?name=zoe", "p1"),
        ("Patient?birthdate=1990&_sort=_id", "p1 p2"),
        ("Patient?birthdate=1990-03-15", "p1"),
        ("Patient?birthdate=gt1990-06&_sort=_id", "p2"),
        ("Patient?birthdate=lt1990-01-02", "p2"),
        ("Patient?birthdate:missing=true", "p3"),
        ("Patient?birthdate=le2030&_sort=_id", "p1 p2"),
        ("Patient?identifier=http://id|1", "p1"),
        ("Patient?identifier=1", "p1"),
        ("Patient?identifier=http://id|&_sort=_id", "p1 p2"),
        ("Patient?identifier=|1", ""),
        ("Patient?active=true", "p1"),
        ("Patient?deceased=true", "p3"),
        ("Patient?deceased=false&_sort=_id", "p1 p2"),
        ("Patient?_id=p1,p3,zz&_sort=_id", "p1 p3"),
        ("Patient?general-practitioner=Practitioner/d", "p1"),
        ("Patient?general-practitioner=d", "p1"),
        ("Patient?general-practitioner:Practitioner=d", "p1"),
        ("Patient?organization:identifier=s|o", "p2"),
        ("Observation?code=http://l|b&_sort=_id", "o1 o2"),
        ("Observation?code=http://l|b", "o1 o2"),
        ("Observation?code=a", "o1"),
        ("Observation?combo-code=http://l|a", "o1"),
        ("Observation?patient=p1", "o1"),
        ("Observation?subject=Patient/p2", "o2"),
        ("Observation?subject:Patient=p2", "o2"),
        ("Observation?patient=Patient/p1&code=http://l|b", "o1"),
        ("Observation?date=2015-01-14", "o1"),
        ("Observation?date=ge2016", "o2"),
        ("Observation?date=sa2015-01-13", "o1"),
        ("Observation?date=ap2015-01-14&_sort=_id", "o1 o2"),
        ("Observation?value-quantity=5.4&_sort=_id", "o1 o2"),
        ("Observation?value-quantity=5.40", "o1"),
        ("Observation?value-quantity=5.4||mg", "o1"),
        ("Observation?value-quantity=5.4||milligram", "o1"),
        ("Observation?value-quantity=5.4||g", "o2"),
        ("Observation?value-quantity=5.4|http://unitsofmeasure.org|mg", "o1"),
        ("Observation?value-quantity=lt5.42&_sort=_id", "o1"),
        ("Observation?_sort=value-quantity", "o1 o2"),
        ("Observation?_sort=-value-quantity", "o2 o1"),
        ("Observation?_sort=status", "o2 o1"),
        ("Observation?_sort=-status,_id", "o1 o2"),
        ("Observation?_sort=code,-date", "o1 o2"),
        ("Observation?_sort=date", "o2 o1"),
        ("Patient?_sort=family", "p1 p2 p3"),
        ("Patient?_sort=-family", "p2 p1 p3"),
        ("Patient?_sort=given", "p1 p3 p2"),
        ("Patient?_sort=_lastUpdated", "p1 p2 p3"),
        ("Patient?_lastUpdated=gt2020&_sort=-_lastUpdated", "p3 p2 p1"),
    ];
    for (text, found) in rows {
        assert_eq!(search(store, text).await, found, "{text}");
        let counted = store.count(&all(), &query(store, text)).await.unwrap().n;
        assert_eq!(counted, found.split_whitespace().count() as u64, "count of {text}");
    }
}

pub(crate) async fn pages_partition_the_result_in_both_directions(store: &Arc<Store>) {
    for (id, body) in [
        ("p0", r#"{"name":[{"family":"B"}],"birthDate":"1990"}"#),
        ("p1", r#"{"name":[{"family":"A"}]}"#),
        ("p2", r#"{"birthDate":"1980"}"#),
    ] {
        put(store, "Patient", id, body).await;
    }
    for i in 0..23 {
        // Some have no date, some no value, some nobody.
        let date = format!(r#""effectiveDateTime":"2020-01-{:02}","#, 1 + i % 5);
        let value = format!(r#""valueQuantity":{{"value":{}}},"#, i % 7);
        let subject = format!(r#""subject":{{"reference":"Patient/p{}"}},"#, i % 4);
        let body = format!(
            r#"{{"status":"{}",{}{}{}"code":{{"coding":[{{"system":"s","code":"c"}}]}},"note":[{{"text":"x"}}]}}"#,
            if i % 4 == 0 { "final" } else { "amended" },
            if i % 6 == 5 { "" } else { &date },
            if i % 5 == 4 { "" } else { &value },
            if i % 9 == 8 { "" } else { &subject },
        );
        put(store, "Observation", &format!("o{i:02}"), &body).await;
    }
    for text in [
        "Observation?_count=4",
        "Observation?code=s|c&_count=5",
        "Observation?status=final,amended&_count=5",
        "Observation?_sort=value-quantity&_count=3",
        "Observation?_sort=-value-quantity,date,status&_count=3",
        "Observation?_sort=status,-_id&_count=4",
        "Observation?_sort=_lastUpdated&_count=7",
        "Observation?_sort=date&_count=4",
        "Observation?_sort=date,value-quantity&_count=3",
        "Observation?status=final,amended&_sort=date&_count=3",
        "Observation?code=s|c&_sort=date&_count=3",
        "Observation?_sort=-value-quantity&_count=3",
        "Observation?_sort=value-quantity,-date&_count=2",
        "Observation?code=s|c&_sort=value-quantity&_count=3",
        "Observation?code=s|c&_sort=-value-quantity,date,status&_count=3",
        "Observation?code=s|c,s|d&_sort=-value-quantity&_count=3",
        "Observation?_sort=subject:Patient.family,_id&_count=4",
        "Observation?_sort=-subject.birthdate&_count=4",
    ] {
        let mut pages = Vec::new();
        let mut at = query(store, text);
        let last = loop {
            let page = store.search(&all(), &at).await.unwrap();
            pages.push(page.matches.iter().map(|v| v.key.id.to_string()).collect::<Vec<_>>());
            match page.next.clone() {
                Some(next) => at.cursor = Some(next),
                None => break page,
            }
        };
        let walked: Vec<_> = pages.concat();
        let mut whole = query(store, text);
        whole.count = 100;
        let whole = store.search(&all(), &whole).await.unwrap();
        let expected: Vec<_> = whole.matches.iter().map(|v| v.key.id.to_string()).collect();
        assert_eq!(walked, expected, "{text}");
        let mut distinct = walked.clone();
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), 23, "{text}");
        // And back again.
        let mut back = last;
        for wanted in pages.iter().rev().skip(1) {
            at.cursor = back.previous.clone();
            back = store.search(&all(), &at).await.unwrap();
            let found: Vec<_> = back.matches.iter().map(|v| v.key.id.to_string()).collect();
            assert_eq!(&found, wanted, "{text}, backwards");
        }
    }
}

pub(crate) async fn includes_follow_references_both_ways(store: &Arc<Store>) {
    put(store, "Patient", "p", "{}").await;
    put(store, "Encounter", "e", r#"{"subject":{"reference":"Patient/p"}}"#).await;
    for id in ["o1", "o2"] {
        put(
            store,
            "Observation",
            id,
            r#"{"subject":{"reference":"Patient/p"},"encounter":{"reference":"Encounter/e"}}"#,
        )
        .await;
    }
    let rows = [
        ("Observation?_include=Observation:encounter", "Encounter/e"),
        ("Observation?_include=Observation:*", "Encounter/e Patient/p"),
        ("Observation?_include=Observation:subject:Group", ""),
        ("Observation?_include=Observation:patient", "Patient/p"),
        ("Patient?_revinclude=Observation:subject", "Observation/o1 Observation/o2"),
        ("Patient?_revinclude=Encounter:patient", "Encounter/e"),
        (
            "Encounter?_revinclude=Observation:encounter&_include=Encounter:subject",
            "Observation/o1 Observation/o2 Patient/p",
        ),
    ];
    for (text, wanted) in rows {
        let page = store.search(&all(), &query(store, text)).await.unwrap();
        let mut found: Vec<_> = page.included.iter().map(|v| v.key.to_string()).collect();
        found.sort();
        assert_eq!(found.join(" "), wanted, "{text}");
    }
}

/// Only the beginning of a text that is stored in pieces, values that pass the parameter's own test, every value of
/// a list, and what `deceased` means, decide the order.
pub(crate) async fn sorting_goes_by_the_values_of_the_parameter(store: &Arc<Store>) {
    let long = format!("{} {}", "m".repeat(1800), "a".repeat(1800));
    let telecom = |first: &str, second: &str| {
        format!(
            r#""telecom":[{{"system":"phone","value":"{first}"}},{{"system":"email","value":"{second}"}}]"#
        )
    };
    put(store, "Patient", "a", &format!(r#"{{"name":[{{"text":"{long}"}}],{}}}"#, telecom("2", "x"))).await;
    put(
        store,
        "Patient",
        "b",
        &format!(r#"{{"name":[{{"text":"k"}}],"deceasedBoolean":false,{}}}"#, telecom("3", "1")),
    )
    .await;
    put(
        store,
        "Patient",
        "c",
        &format!(r#"{{"name":[{{"text":"z"}}],"deceasedDateTime":"2015",{}}}"#, telecom("1", "y")),
    )
    .await;
    put(store, "Observation", "g", r#"{"subject":{"reference":"Group/z"}}"#).await;
    put(store, "Observation", "p", r#"{"subject":{"reference":"Patient/a"}}"#).await;
    put(store, "Consent", "k", r#"{"sourceAttachment":{"title":"no text to sort by"},"dateTime":"2020"}"#)
        .await;
    put(store, "Consent", "l", r#"{"sourceReference":{"reference":"Consent/k"},"dateTime":"2021"}"#).await;
    put(store, "Consent", "m", r#"{"dateTime":"2019"}"#).await;
    put(store, "SearchParameter", "s", r#"{"target":["Account","Zoo"]}"#).await;
    put(store, "SearchParameter", "t", r#"{"target":["Basic","Yak"]}"#).await;
    let rows = [
        ("Patient?_sort=name", "b a c"),
        ("Patient?_sort=-name", "c a b"),
        ("Patient?_sort=phone", "c a b"),
        ("Patient?_sort=email", "b a c"),
        ("Patient?_sort=deceased,_id", "a b c"),
        ("Patient?_sort=-deceased,_id", "c a b"),
        ("Observation?_sort=patient", "p g"),
        ("Observation?_sort=gene-identifier,_id", "g p"),
        ("Consent?_sort=source-reference,date", "l m k"),
        ("SearchParameter?_sort=target", "s t"),
        ("SearchParameter?_sort=-target", "s t"),
    ];
    for (text, found) in rows {
        assert_eq!(search(store, text).await, found, "{text}");
    }
}

/// Missing values are last in either direction, those of a range without a beginning are not missing; a reference leads to
/// the value of what it refers to.
pub(crate) async fn missing_values_are_last(store: &Arc<Store>) {
    put(store, "Patient", "x", r#"{"name":[{"family":"Zoe"}],"birthDate":"1990"}"#).await;
    put(store, "Patient", "y", r#"{"name":[{"family":"Adam"}],"birthDate":"1980","gender":"male"}"#).await;
    put(store, "Patient", "z", r#"{"gender":"female"}"#).await;
    put(store, "Group", "x", r#"{"name":"none of a patient"}"#).await;
    let encounter = |period: &str, subject: &str| {
        let period = if period.is_empty() { String::new() } else { format!(r#""period":{{{period}}},"#) };
        format!(r#"{{"status":"planned",{period}"subject":{{"reference":"{subject}"}}}}"#)
    };
    put(store, "Encounter", "a", &encounter(r#""start":"2020","end":"2021""#, "Patient/x")).await;
    put(store, "Encounter", "b", &encounter(r#""end":"2019""#, "Patient/y")).await;
    put(store, "Encounter", "c", &encounter("", "Patient/z")).await;
    put(store, "Encounter", "d", &encounter(r#""start":"2018""#, "Patient/gone")).await;
    put(store, "Encounter", "e", &encounter(r#""start":"2022""#, "Group/x")).await;
    let rows = [
        ("Encounter?_sort=date,_id", "b d a e c"),
        ("Encounter?_sort=-date,_id", "e a d b c"),
        ("Encounter?status=planned&_sort=date,_id", "b d a e c"),
        ("Encounter?patient=x,y,z&_sort=date", "b a c"),
        ("Encounter?_sort=subject:Patient.family,_id", "b a c d e"),
        ("Encounter?_sort=-subject:Patient.family,_id", "a b c d e"),
        ("Encounter?_sort=patient.family,_id", "b a c d e"),
        ("Encounter?_sort=subject:Patient.birthdate,-_id", "b a e d c"),
        ("Encounter?_sort=subject:Patient.gender,date", "c b d a e"),
        ("Encounter?patient=x,y&_sort=-subject.birthdate", "a b"),
        ("Patient?_sort=birthdate", "y x z"),
        ("Patient?_sort=-birthdate", "x y z"),
        ("Patient?_sort=family,_id", "y x z"),
        ("Patient?_sort=-family,_id", "x y z"),
        ("Patient?_sort=gender,_id", "z y x"),
        ("Patient?_sort=-gender,_id", "y z x"),
    ];
    for (text, found) in rows {
        assert_eq!(search(store, text).await, found, "{text}");
    }
    for (text, why) in [
        ("Encounter?_sort=status.family", "is no reference"),
        ("Encounter?_sort=subject.nothing", "nothing that `subject` refers to has"),
        ("Encounter?_sort=subject:Patient.organization.name", "one step"),
        ("Encounter?_sort=subject:Organization.name", "never refers to"),
    ] {
        let refused = parse(store, text).unwrap_err();
        assert!(refused.kind.status() == 400 && refused.text.contains(why), "{text}: {refused:?}");
    }
}

/// Whatever the length of the texts, pages partition the result and their links stay short: what is beyond 256 code
/// points does not count, and rows settle the tie.
pub(crate) async fn long_texts_are_sorted_by_their_beginning(store: &Arc<Store>) {
    // Written from last to first: rows are not in the order of the texts.
    for (id, end) in [("a", "9"), ("b", "5"), ("c", "7"), ("d", "1"), ("e", "3")] {
        let long = format!("{}{end}", "ü".repeat(100_000));
        let beyond = format!("{}{end}", "ü".repeat(256));
        let within = format!("{}{end}", "ü".repeat(255));
        let body = format!(
            r#"{{"identifier":[{{"value":"{long}"}}],"name":[{{"family":"{beyond}"}}],
            "address":[{{"city":"{within}"}}],"communication":[{{"language":{{"coding":[{{"code":"{within}"}}]}}}}]}}"#
        );
        put(store, "Patient", id, &body).await;
    }
    let tied = search(store, "Patient?_sort=identifier").await;
    let backwards = tied.split(' ').rev().collect::<Vec<_>>().join(" ");
    let rows = [
        ("Patient?_sort=identifier", &*tied),
        ("Patient?_sort=-identifier", &*backwards),
        ("Patient?_sort=family", &*tied),
        ("Patient?_sort=-family,identifier", &*backwards),
        ("Patient?_sort=address-city", "d e b c a"),
        ("Patient?_sort=-address-city", "a c b e d"),
        ("Patient?_sort=language", "d e b c a"),
        ("Patient?_sort=family,-language", "a c b e d"),
        ("Patient?_sort=identifier,-address-city,family", "a c b e d"),
    ];
    for (text, wanted) in rows {
        let mut at = query(store, &format!("{text}&_count=2"));
        let mut walked = Vec::new();
        loop {
            let page = store.search(&all(), &at).await.unwrap();
            walked.extend(page.matches.iter().map(|v| v.key.id.to_string()));
            let Some(next) = page.next else { break };
            assert!(next.seal(store.secret(), "").len() < 3 * 1024, "{text}");
            assert!(walked.len() < 5, "{text}: {walked:?}");
            at.cursor = Some(next);
        }
        assert_eq!(walked.join(" "), wanted, "{text}");
    }
}

/// `patient` is those of `subject` that are patients, on other servers, too; an identifier may be asked for by its
/// system.
pub(crate) async fn references_elsewhere_and_by_identifier(store: &Arc<Store>) {
    put(store, "Observation", "a", r#"{"subject":{"reference":"http://them/Patient/1"}}"#).await;
    put(store, "Observation", "b", r#"{"subject":{"reference":"http://them/Group/1"}}"#).await;
    put(
        store,
        "Observation",
        "c",
        r#"{"subject":{"type":"Patient","identifier":{"system":"s","value":"v"}}}"#,
    )
    .await;
    put(store, "Observation", "e", r#"{"subject":{"reference":"urn:uuid:1","type":"Patient"}}"#).await;
    put(store, "Observation", "f", r#"{"subject":{"reference":"urn:uuid:1"}}"#).await;
    // No type is named in the definition of its `instantiates-canonical`.
    put(store, "RequestGroup", "d", r#"{"instantiatesCanonical":["PlanDefinition/p"]}"#).await;
    let rows = [
        ("RequestGroup?instantiates-canonical=p", "d"),
        ("RequestGroup?instantiates-canonical=d", ""),
        ("Observation?subject=http://them/Group/1", "b"),
        ("Observation?patient=http://them/Group/1", ""),
        ("Observation?patient=http://them/Patient/1", "a"),
        ("Observation?subject=urn:uuid:1&_sort=_id", "e f"),
        ("Observation?patient=urn:uuid:1", "e"),
        ("Observation?patient:missing=false&_sort=_id", "a c e"),
        ("Observation?subject:missing=false&_sort=_id", "a b c e f"),
        ("Observation?subject:identifier=s|", "c"),
        ("Observation?subject:identifier=v", "c"),
        ("Observation?subject:identifier=t|", ""),
        ("Observation?patient:identifier=v", "c"),
    ];
    for (text, found) in rows {
        assert_eq!(search(store, text).await, found, "{text}");
    }
}

/// Whether a body is JSONB or packed is the row's own affair: the setting may change between two versions.
#[tokio::test]
async fn sorting_goes_on_when_the_storage_of_bodies_changes() {
    let url = fhir_store::testing::database().await.unwrap();
    let open = async |packed: bool| {
        let options = fhir_store::Options { packed, connections_max: 4, ..Default::default() };
        Store::open(&url, options, fhir_store::testing::registry().await.unwrap()).await.unwrap()
    };
    let [jsonb, packed] = [open(false).await, open(true).await];
    let gender = |code: &str| format!(r#"{{"gender":"{code}","identifier":[{{"value":"{code}"}}]}}"#);
    put(&packed, "Patient", "a", &gender("female")).await;
    put(&jsonb, "Patient", "b", &gender("male")).await;
    put(&packed, "Patient", "c", &gender("other")).await;
    for (store, a, wanted) in [
        (&packed, "female", "a b c"),
        // The packed row becomes JSONB, and packed again, and stays packed.
        (&jsonb, "unknown", "b c a"),
        (&packed, "unknown", "b c a"),
        (&packed, "female", "a b c"),
        (&jsonb, "female", "a b c"),
    ] {
        put(store, "Patient", "a", &gender(a)).await;
        for by in ["gender", "identifier"] {
            assert_eq!(search(&jsonb, &format!("Patient?_sort={by}")).await, wanted, "{by}: {a}");
        }
    }
}
