//! What values and modifiers mean, type by type: tables of searches over a handful of resources.

use super::*;

async fn finds(store: &Arc<Store>, rows: &[(&str, &str)]) {
    for (text, found) in rows {
        let ordered = if text.contains("_sort=") { (*text).to_owned() } else { format!("{text}&_sort=_id") };
        assert_eq!(search(store, &ordered).await, *found, "{text}");
        let counted = store.count(&all(), &query(store, text)).await.unwrap().n;
        assert_eq!(counted, found.split_whitespace().count() as u64, "count of {text}");
    }
}

/// Comparators, Ranges and samples are all numbers between two.
pub(crate) async fn ranges_of_numbers(store: &Arc<Store>) {
    let mg = r#""unit":"mg","system":"http://unitsofmeasure.org","code":"mg""#;
    for (id, value) in [
        ("at", format!(r#""valueQuantity":{{"value":5,{mg}}}"#)),
        ("below", format!(r#""valueQuantity":{{"comparator":"<","value":5,{mg}}}"#)),
        ("from", format!(r#""valueQuantity":{{"comparator":">=","value":5,{mg}}}"#)),
        (
            "samples",
            r#""valueSampledData":{"origin":{"value":10,"unit":"mV"},"period":1,"factor":0.5,"dimensions":1,
                "data":"-4 E 2 U 0"}"#
                .to_owned(),
        ),
    ] {
        put(store, "Observation", id, &format!("{{{value}}}")).await;
    }
    put(
        store,
        "Condition",
        "range",
        r#"{"onsetRange":{"low":{"value":40,"unit":"a"},"high":{"value":50,"unit":"a"}}}"#,
    )
    .await;
    put(store, "Condition", "open", r#"{"onsetRange":{"low":{"value":60,"unit":"a"}}}"#).await;
    put(store, "RiskAssessment", "exact", r#"{"prediction":[{"probabilityDecimal":0.5}]}"#).await;
    put(
        store,
        "RiskAssessment",
        "range",
        r#"{"prediction":[{"probabilityRange":{"low":{"value":0.2},"high":{"value":0.6}}}]}"#,
    )
    .await;
    finds(
        store,
        &[
            ("Observation?value-quantity=5||mg", "at"),
            ("Observation?value-quantity=lt5||mg", "below"),
            ("Observation?value-quantity=le5||mg", "at below from"),
            ("Observation?value-quantity=lt4|http://unitsofmeasure.org|mg", "below"),
            ("Observation?value-quantity=gt5||mg", "from"),
            ("Observation?value-quantity=gt4.9||mg", "at below from"),
            ("Observation?value-quantity=ge5||mg", "at from"),
            ("Observation?value-quantity=sa4.9||mg", "at from"),
            ("Observation?value-quantity=eb5||mg", "below"),
            ("Observation?value-quantity=ne5||mg", "below from"),
            ("Observation?value-quantity=ap4.6||mg", "at below from"),
            // From 8 to 11.
            ("Observation?value-quantity=sa7.9||mV", "samples"),
            ("Observation?value-quantity=gt10.9||mV", "samples"),
            ("Observation?value-quantity=gt11||mV", ""),
            ("Observation?value-quantity=10||mV", ""),
            ("Observation?value-quantity:missing=false", "at below from samples"),
            ("Observation?value-quantity=ge0&_sort=value-quantity,_id", "below at from samples"),
            ("Condition?onset-age=45||a", ""),
            ("Condition?onset-age=gt45||a", "open range"),
            ("Condition?onset-age=lt45||a", "range"),
            ("Condition?onset-age=sa39", "open range"),
            ("Condition?onset-age=eb51", "range"),
            ("Condition?onset-age=ap47||a", "range"),
            ("RiskAssessment?probability=0.5", "exact"),
            ("RiskAssessment?probability=gt0.55", "range"),
            ("RiskAssessment?probability=lt0.3", "range"),
            ("RiskAssessment?probability=sa0.1", "exact range"),
            ("RiskAssessment?probability=4e-1", ""),
            ("RiskAssessment?probability:missing=false", "exact range"),
        ],
    )
    .await;
}

pub(crate) async fn identifiers_by_type(store: &Arc<Store>) {
    let identifier = |kind: &str, value: &str| {
        format!(
            r#"{{"identifier":[{{"type":{{"coding":[{{"system":"http://v2","code":"{kind}"}}]}},"system":"s",
            "value":"{value}"}}]}}"#
        )
    };
    put(store, "Patient", "a", &identifier("MR", "1")).await;
    put(store, "Patient", "b", &identifier("SS", "1")).await;
    put(store, "Patient", "c", &identifier("MR", "2")).await;
    finds(
        store,
        &[
            ("Patient?identifier:of-type=http://v2|MR|1", "a"),
            ("Patient?identifier:of-type=http://v2|MR|1,http://v2|MR|2", "a c"),
            ("Patient?identifier:of-type=http://v2|SS|2", ""),
            ("Patient?identifier=1", "a b"),
        ],
    )
    .await;
    for bad in ["Patient?identifier:of-type=http://v2|MR", "Patient?identifier:of-type=|MR|1"] {
        assert!(refused(store, bad), "{bad}");
    }
    assert!(refused(store, "Patient?gender:of-type=a|b|c"));
}

pub(crate) async fn versions_and_paths(store: &Arc<Store>) {
    for (id, derived) in [
        ("a", "http://x/q|1.2.3"),
        ("b", "http://x/q|1.2"),
        ("c", "http://x/q|1.20"),
        ("d", "http://x/q"),
        ("e", "Questionnaire/a|2"),
    ] {
        put(store, "QuestionnaireResponse", id, &format!(r#"{{"questionnaire":"{derived}"}}"#)).await;
    }
    put(store, "Questionnaire", "a", r#"{"url":"http://x/own/a"}"#).await;
    put(store, "Questionnaire", "f", r#"{"url":"http://x/own"}"#).await;
    put(store, "Questionnaire", "g", r#"{"url":"http://x/"}"#).await;
    put(store, "Questionnaire", "h", r#"{"url":"urn:oid:1.2"}"#).await;
    let plan = r#"{"instantiatesCanonical":["PlanDefinition/p"]}"#;
    put(store, "RequestGroup", "r", plan).await;
    put(store, "Encounter", "nobody", r#"{"status":"planned"}"#).await;
    put(store, "Encounter", "p", r#"{"status":"planned","subject":{"reference":"Patient/p"}}"#).await;
    finds(
        store,
        &[
            // What is about nobody is not about this patient either.
            ("Encounter?_filter=not (patient eq Patient/p)", "nobody"),
            // The definition of this one names no targets.
            ("RequestGroup?instantiates-canonical=p", "r"),
            ("RequestGroup?instantiates-canonical=PlanDefinition/p,q", "r"),
            ("QuestionnaireResponse?questionnaire=http://x/q", "a b c d"),
            ("QuestionnaireResponse?questionnaire=http://x/q|1.2", "b"),
            ("QuestionnaireResponse?questionnaire:below=http://x/q|1.2", "a b"),
            ("QuestionnaireResponse?questionnaire:below=http://x/q|1", "a b c"),
            ("QuestionnaireResponse?questionnaire:below=http://x/q", "a b c d"),
            ("QuestionnaireResponse?questionnaire:above=http://x/q|1.2.3", "a b"),
            ("QuestionnaireResponse?questionnaire:above=http://x/q|1.2", "b"),
            ("QuestionnaireResponse?questionnaire=Questionnaire/a", "e"),
            ("QuestionnaireResponse?questionnaire=Questionnaire/a|2", "e"),
            ("Questionnaire?url:above=http://x/own/a/_history/1", "a f g"),
            ("Questionnaire?url:above=http://x/own", "f g"),
            ("Questionnaire?url:below=http://x/own", "a f"),
            ("Questionnaire?url:below=http://x/own/", "a"),
            ("Questionnaire?url:below=http://x/%", ""),
            ("Questionnaire?url:below=http://x", "a f g"),
        ],
    )
    .await;
    assert!(refused(store, "Questionnaire?url:above=urn:oid:1.2"));
    assert!(refused(store, "Questionnaire?url:below=urn:oid:1"));
    assert!(refused(store, "Questionnaire?title:above=x"));
    assert!(refused(store, "Patient?organization:above=x"));
}

pub(crate) async fn places(store: &Arc<Store>) {
    for (id, latitude, longitude) in [
        ("equator", "0", "0"),
        ("nairobi", "-1.286389", "36.817223"),
        ("thika", "-1.03326", "37.06933"),
        ("fiji-east", "-16.5", "179.9"),
        ("fiji-west", "-16.5", "-179.9"),
        ("pole", "89.99", "100"),
    ] {
        let body = format!(r#"{{"position":{{"latitude":{latitude},"longitude":{longitude}}}}}"#);
        put(store, "Location", id, &body).await;
    }
    put(store, "Location", "nowhere", "{}").await;
    // From Nairobi to Thika it is 39.7 km.
    finds(
        store,
        &[
            ("Location?near=-1.286389|36.817223|39.8|km", "nairobi thika"),
            ("Location?near=-1.286389|36.817223|39.6|km", "nairobi"),
            ("Location?near=-1.286389|36.817223|24.8|[mi_i]", "nairobi thika"),
            ("Location?near=-1.286389|36.817223|24.5|mi", "nairobi"),
            ("Location?near=-1.286389|36.817223|39800|m", "nairobi thika"),
            ("Location?near=-1.286389|36.817223|0|m", "nairobi"),
            ("Location?near=-1.286389|36.817223", "nairobi thika"),
            ("Location?near=-16.5|180|20", "fiji-east fiji-west"),
            ("Location?near=-16.5|-179.95|10", "fiji-west"),
            ("Location?near=-16.5|-179.95|20", "fiji-east fiji-west"),
            ("Location?near=89.99|-80|5", "pole"),
            ("Location?near=0|0|1,-1|37|100", "equator nairobi thika"),
            ("Location?near=0|0|20100", "equator fiji-east fiji-west nairobi pole thika"),
            ("Location?near:missing=true", "nowhere"),
        ],
    )
    .await;
    for bad in ["near=1", "near=91|0", "near=0|0|1|kg", "_sort=near", "near:exact=0|0"] {
        assert!(refused(store, &format!("Location?{bad}")), "{bad}");
    }
}

pub(crate) async fn values_of_one_element(store: &Arc<Store>) {
    let component = |code: &str, value: u32| {
        format!(
            r#"{{"code":{{"coding":[{{"system":"http://l","code":"{code}"}}]}},"valueQuantity":{{"value":{value},
            "unit":"mmHg","system":"http://unitsofmeasure.org","code":"mm[Hg]"}}}}"#
        )
    };
    let concept = r#"{"code":{"coding":[{"system":"http://l","code":"c"}]},
        "valueCodeableConcept":{"coding":[{"system":"http://s","code":"x"},{"code":"y"}]}}"#;
    for (id, components) in [
        ("a", [component("sys", 140), component("dia", 90)].join(",")),
        ("b", [component("sys", 90), component("dia", 140)].join(",")),
        ("c", concept.to_owned()),
    ] {
        put(store, "Observation", id, &format!(r#"{{"component":[{components}]}}"#)).await;
    }
    let own = component("sys", 140).replacen('{', r#"{"effectiveDateTime":"2020","#, 1);
    put(store, "Observation", "d", &own).await;
    put(
        store,
        "Observation",
        "e",
        r#"{"code":{"coding":[{"system":"http://l","code":"s"}]},"valueString":"Höher"}"#,
    )
    .await;
    put(
        store,
        "DocumentReference",
        "r",
        r#"{"relatesTo":[{"code":"replaces","target":{"reference":"DocumentReference/1"}},
        {"code":"signs","target":{"reference":"DocumentReference/2"}}]}"#,
    )
    .await;
    put(
        store,
        "MolecularSequence",
        "m",
        r#"{"referenceSeq":{"chromosome":{"coding":[{"code":"7"}]},"windowStart":10,"windowEnd":20},
        "variant":[{"start":11,"end":12},{"start":15,"end":18}]}"#,
    )
    .await;
    put(
        store,
        "Group",
        "g",
        r#"{"characteristic":[{"code":{"coding":[{"code":"smoker"}]},"valueBoolean":false},
        {"code":{"coding":[{"code":"gender"}]},"valueCodeableConcept":{"coding":[{"code":"mixed"}]}}]}"#,
    )
    .await;
    finds(
        store,
        &[
            ("Observation?component-code-value-quantity=http://l|sys$gt120", "a"),
            ("Observation?component-code-value-quantity=sys$gt120", "a"),
            ("Observation?component-code-value-quantity=sys$gt120||mm[Hg]", "a"),
            ("Observation?component-code-value-quantity=sys$gt120||mmHg", "a"),
            ("Observation?component-code-value-quantity=sys$gt120|http://unitsofmeasure.org|kPa", ""),
            ("Observation?component-code-value-quantity=dia$140,sys$140", "a b"),
            ("Observation?component-code-value-quantity=|sys$140", ""),
            ("Observation?component-code=sys&component-value-quantity=gt120", "a b"),
            ("Observation?component-code-value-concept=http://l|c$http://s|x", "c"),
            ("Observation?component-code-value-concept=c$y", "c"),
            ("Observation?component-code-value-concept=http://l|$http://s|", "c"),
            ("Observation?component-code-value-concept=c$z", ""),
            ("Observation?component-code-value-concept:missing=false", "c"),
            ("Observation?code-value-quantity=sys$140", "d"),
            ("Observation?combo-code-value-quantity=sys$140", "a d"),
            ("Observation?combo-code-value-quantity:missing=false", "a b d"),
            ("Observation?code-value-string=s$hoh", "e"),
            ("Observation?code-value-string=s$x", ""),
            ("DocumentReference?relationship=DocumentReference/1$replaces", "r"),
            ("DocumentReference?relationship=DocumentReference/2$replaces", ""),
            ("MolecularSequence?chromosome-window-coordinate=7$10$20", "m"),
            ("MolecularSequence?chromosome-window-coordinate=7$lt12$ge20", "m"),
            ("MolecularSequence?chromosome-window-coordinate=8$10$20", ""),
            ("MolecularSequence?chromosome-variant-coordinate=7$11$18", ""),
            ("MolecularSequence?chromosome-variant-coordinate=7$11$12", "m"),
            ("Group?characteristic-value=smoker$false", "g"),
            ("Group?characteristic-value=gender$mixed", "g"),
            ("Group?characteristic-value=smoker$mixed", ""),
        ],
    )
    .await;
    for bad in [
        "component-code-value-quantity=sys",
        "component-code-value-quantity=sys$1$2",
        "component-code-value-quantity=sys$much",
        "component-code-value-quantity=http://l|$1",
        "component-code-value-quantity:exact=sys$1",
        "_sort=component-code-value-quantity",
    ] {
        assert!(refused(store, &format!("Observation?{bad}")), "{bad}");
    }
}

pub(crate) async fn texts_of_codes(store: &Arc<Store>) {
    put(store, "Observation", "a", r#"{"code":{"text":"Körpergröße, stehend"}}"#).await;
    put(
        store,
        "Observation",
        "b",
        r#"{"code":{"coding":[{"system":"s","code":"c","display":"Body height"}],"text":"Körpergewicht"}}"#,
    )
    .await;
    put(
        store,
        "Observation",
        "c",
        r#"{"code":{"coding":[{"code":"Body"}]},"valueCodeableConcept":{"text":"Body"}}"#,
    )
    .await;
    // Written again, and in another body: the text is known by then.
    put(store, "Observation", "a", r#"{"code":{"text":"Body weight"}}"#).await;
    put(store, "Observation", "a", r#"{"code":{"text":"KÖRPERGRÖßE"}}"#).await;
    put(store, "Patient", "p", r#"{"identifier":[{"type":{"text":"Passport"},"value":"1"}]}"#).await;
    finds(
        store,
        &[
            ("Observation?code:text=körper", "a b"),
            ("Observation?code:text=KORPERGROSSE", "a"),
            ("Observation?code:text=body", "b"),
            ("Observation?code:text=height", ""),
            ("Observation?code:text=body weight", ""),
            ("Observation?code:text=bo%y", ""),
            ("Observation?code:text=BO-DY", "b"),
            ("Observation?code:text=body,körperg", "a b"),
            ("Observation?combo-code:text=body", "b"),
            ("Observation?value-concept:text=body", "c"),
            ("Patient?identifier:text=pass", "p"),
            ("Observation?code:missing=true", ""),
        ],
    )
    .await;
    for bad in ["Observation?code:text= ", "Observation?status:text=final", "Patient?name:text=x"] {
        assert!(refused(store, bad), "{bad}");
    }
}

pub(crate) async fn units_that_convert(store: &Arc<Store>) {
    let quantity = |value: &str, code: &str, rest: &str| {
        format!(r#"{{"value":{value},"system":"http://unitsofmeasure.org","code":"{code}"{rest}}}"#)
    };
    for (id, value) in [
        ("g", quantity("1", "g", "")),
        ("mg", quantity("1000", "mg", "")),
        ("kg", quantity("0.001", "kg", "")),
        ("ug", quantity("1.6e6", "ug", "")),
        ("less", quantity("900", "mg", r#","comparator":"<""#)),
        ("mL", quantity("1", "mL", "")),
        ("none", quantity("1", "unheard-of", "")),
    ] {
        put(store, "Observation", id, &format!(r#"{{"valueQuantity":{value}}}"#)).await;
        let component =
            format!(r#"{{"component":[{{"code":{{"coding":[{{"code":"x"}}]}},"valueQuantity":{value}}}]}}"#);
        put(store, "Observation", &format!("c-{id}"), &component).await;
    }
    let ucum = |number: &str, code: &str| {
        format!("Observation?value-quantity={number}|http://unitsofmeasure.org|{code}")
    };
    let rows = [
        (ucum("1", "g"), "g kg mg"),
        (ucum("1.0", "g"), "g kg mg"),
        (ucum("2", "g"), "ug"),
        (ucum("1000", "mg"), "g kg mg"),
        (ucum("1600", "mg"), "ug"),
        (ucum("gt1", "g"), "ug"),
        (ucum("ge1", "g"), "g kg mg ug"),
        (ucum("lt1", "g"), "less"),
        (ucum("eb0.9", "g"), "less"),
        (ucum("1", "unheard-of"), "none"),
        (ucum("1", "cm3"), "mL"),
        ("Observation?value-quantity=1||g".to_owned(), "g"),
        (
            "Observation?component-code-value-quantity=x$1|http://unitsofmeasure.org|g".to_owned(),
            "c-g c-kg c-mg",
        ),
        ("Observation?combo-value-quantity=2|http://unitsofmeasure.org|g".to_owned(), "c-ug ug"),
    ];
    let rows: Vec<(&str, &str)> = rows.iter().map(|(text, found)| (text.as_str(), *found)).collect();
    finds(store, &rows).await;
}

pub(crate) async fn codes_that_terminology_knows(store: &Arc<Store>) {
    put(
        store,
        "CodeSystem",
        "animals",
        r#"{"url":"http://a","version":"1","status":"active","content":"complete",
        "property":[{"code":"legs","type":"integer"}],"concept":[{"code":"animal","concept":[
        {"code":"bird","property":[{"code":"legs","valueInteger":2}],"concept":[{"code":"owl"}]},
        {"code":"dog","property":[{"code":"legs","valueInteger":4}]}]},{"code":"plant"}]}"#,
    )
    .await;
    let sets = [
        (
            "birds",
            r#"{"system":"http://a","filter":[{"property":"concept","op":"is-a","value":"bird"}]}"#,
            "",
        ),
        ("legs", r#"{"system":"http://a","filter":[{"property":"legs","op":"=","value":"4"}]}"#, ""),
        ("all", r#"{"system":"http://a"}"#, r#"{"system":"http://a","concept":[{"code":"plant"}]}"#),
        ("named", r#"{"system":"http://b","concept":[{"code":"x"}]}"#, ""),
        ("of", r#"{"valueSet":["http://vs/birds"]},{"valueSet":["http://vs/all","http://vs/legs"]}"#, ""),
        ("circle", r#"{"valueSet":["http://vs/circle"]}"#, ""),
        ("unknown", r#"{"system":"http://unknown"}"#, ""),
    ];
    for (id, include, exclude) in sets {
        let body = format!(
            r#"{{"url":"http://vs/{id}","version":"1","status":"active",
            "compose":{{"include":[{include}],"exclude":[{exclude}]}}}}"#
        );
        put(store, "ValueSet", id, &body).await;
    }
    for code in ["animal", "bird", "owl", "dog", "plant"] {
        let body =
            format!(r#"{{"code":{{"coding":[{{"system":"http://a","code":"{code}"}}]}},"status":"final"}}"#);
        put(store, "Observation", code, &body).await;
    }
    put(store, "Observation", "x", r#"{"code":{"coding":[{"system":"http://b","code":"x"}]}}"#).await;
    put(store, "Patient", "m", r#"{"gender":"male"}"#).await;
    finds(
        store,
        &[
            ("Observation?code:in=http://vs/birds", "bird owl"),
            ("Observation?code:in=ValueSet/birds", "bird owl"),
            ("Observation?code:in=http://vs/birds|1", "bird owl"),
            ("Observation?code:in=http://vs/legs", "dog"),
            ("Observation?code:in=http://vs/all", "animal bird dog owl"),
            ("Observation?code:in=http://vs/named", "x"),
            ("Observation?code:in=http://vs/of", "bird dog owl"),
            ("Observation?code:in=http://vs/named,http://vs/legs", "dog x"),
            ("Observation?code:not-in=http://vs/all", "plant x"),
            ("Observation?code:below=http://a|bird", "bird owl"),
            ("Observation?code:below=http://a|animal", "animal bird dog owl"),
            ("Observation?code:above=http://a|owl", "animal bird owl"),
            ("Observation?code:below=http://a|plant,http://a|dog", "dog plant"),
            ("Observation?code:below=http://a|unheard-of", ""),
            (
                "Observation?status:in=http://hl7.org/fhir/ValueSet/observation-status",
                "animal bird dog owl plant",
            ),
            ("Observation?status:below=final", "animal bird dog owl plant"),
            ("Patient?gender:in=http://hl7.org/fhir/ValueSet/administrative-gender", "m"),
            ("Patient?gender:not-in=http://hl7.org/fhir/ValueSet/administrative-gender", ""),
        ],
    )
    .await;
    for bad in [
        "code:in=http://vs/nowhere",
        "code:in=ValueSet/nowhere",
        "code:in=http://vs/birds|2",
        "code:in=http://vs/circle",
        "code:in=http://vs/unknown",
        "code:below=http://nowhere|x",
    ] {
        let asked = query(store, &format!("Observation?{bad}"));
        let refused = store.search(&all(), &asked).await.unwrap_err();
        assert_eq!(refused.kind.status(), 400, "{bad}");
    }
    for bad in ["Observation?code:below=bird", "Patient?identifier:in=http://vs/birds", "Patient?name:in=x"] {
        assert!(refused(store, bad), "{bad}");
    }
}

/// True when the search is a client's mistake.
fn refused(store: &Arc<Store>, text: &str) -> bool {
    parse(store, text).is_err_and(|e| e.kind.status() == 400)
}
