//! Searchsets: <https://hl7.org/fhir/R4/http.html#search>. What matches is tested where it is decided, in the search crate.

mod explanations;
mod short_links;

use fhir_interactions::Body;
use serde_json::json;

use crate::app::{App, BASE, ids, link, request};

async fn some() -> App {
    let app = App::new().await;
    for (id, family) in [("a", "Ada"), ("b", "Bea"), ("c", "Cem"), ("d", "Ada"), ("e", "Ada")] {
        let patient = json!({
            "resourceType": "Patient", "id": id, "name": [{"family": family}], "contact": [{"gender": "male"}],
            "managingOrganization": {"reference": "Organization/o"}
        });
        app.send(&format!("PUT Patient/{id}"), &patient).await;
    }
    app.send("PUT Organization/o", &json!({"resourceType": "Organization", "id": "o", "name": "O"})).await;
    let observation = json!({
        "resourceType": "Observation", "id": "x", "status": "final", "code": {"coding": [{"system": "http://l", "code": "c"}]},
        "subject": {"reference": "Patient/a"}
    });
    app.send("PUT Observation/x", &observation).await;
    app
}

#[tokio::test]
async fn a_searchset_says_what_it_is() {
    let app = some().await;
    let found = app.ask("GET Patient?family=bea&_include=Patient:organization&_total=accurate").await.body;
    assert_eq!((found["type"].clone(), found["total"].clone()), (json!("searchset"), json!(1)));
    assert_eq!(ids(&found), "b +o");
    assert_eq!(found["entry"][0]["fullUrl"], format!("{BASE}/Patient/b"));
    assert_eq!(found["entry"][0]["search"]["mode"], "match");
    let own = link(&found, "self").unwrap();
    assert_eq!(ids(&app.ask(&format!("GET {own}")).await.body), "b +o");
    assert_eq!(app.found("Patient?_id=a&_revinclude=Observation:subject").await, "a +x");
}

#[tokio::test]
async fn what_is_not_understood_is_said() {
    let app = some().await;
    let found = app.ask("GET Patient?family=bea&nonsense=1").await.body;
    assert_eq!(ids(&found), "b");
    let outcome = found["entry"].as_array().unwrap().last().unwrap();
    assert_eq!(outcome["search"]["mode"], "outcome");
    assert_eq!(outcome["resource"]["issue"][0]["severity"], "warning");
    assert!(outcome["resource"]["issue"][0]["details"]["text"].as_str().unwrap().contains("nonsense"));
    assert_eq!(link(&found, "self"), Some("Patient?family=bea"));
    assert_eq!(app.ask("GET Patient?nonsense=1 | Prefer: handling=strict").await.status, 400);
}

#[tokio::test]
async fn includes_that_add_nothing_are_said() {
    let app = some().await;
    for include in [
        "_include=Patient:nonsense",
        "_include=Patient:family",
        "_include=Nothing:subject",
        "_include=Observation:subject",
        "_include=Patient:organization:Nothing",
        "_revinclude=Nothing:subject",
        "_revinclude=Observation:nonsense",
        "_revinclude=Observation:encounter",
        "_revinclude=Observation:subject:Group",
        "_include=Patient:organization:Group",
    ] {
        let found = app.ask(&format!("GET Patient?family=bea&{include}")).await;
        assert_eq!(found.status, 200, "{include}: {}", found.body);
        assert_eq!(ids(&found.body), "b", "{include}");
        let outcome = found.body["entry"].as_array().unwrap().last().unwrap();
        assert_eq!(outcome["search"]["mode"], "outcome", "{include}");
        let text = outcome["resource"]["issue"][0]["details"]["text"].as_str().unwrap();
        assert!(text.contains(include), "{text}");
        assert_eq!(link(&found.body, "self"), Some("Patient?family=bea"), "{include}");
        let strict = app.ask(&format!("GET Patient?family=bea&{include} | Prefer: handling=strict")).await;
        assert_eq!(strict.status, 400, "{include}");
    }
    // What cannot be read at all, or asks for more than is done here, is refused either way.
    for include in ["_include=Patient", "_include=a:b:c:d", "_revinclude=*:subject", "_include:nonsense=*"] {
        assert_eq!(app.ask(&format!("GET Patient?{include}")).await.status, 400, "{include}");
    }
}

#[tokio::test]
async fn pages_partition_the_result() {
    let app = some().await;
    let mut url = "Patient?_sort=family,_id&_count=2".to_owned();
    let (mut pages, mut back) = (Vec::new(), String::new());
    loop {
        let page = app.ask(&format!("GET {url}")).await.body;
        pages.push(ids(&page));
        back = link(&page, "previous").map_or(back, str::to_owned);
        match link(&page, "next") {
            Some(next) => url = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(pages, ["a d", "e b", "c"]);
    assert_eq!(app.found(&back).await, "e b");
    let forged = url.replace("family,_id", "_id");
    assert_eq!(app.ask(&format!("GET {forged}")).await.status, 400);
}

#[tokio::test]
async fn parts_and_counts() {
    let app = some().await;
    let count = app.ask("GET Patient?family=ada&_summary=count").await.body;
    assert_eq!((count["total"].clone(), count["entry"].is_null()), (json!(3), true));
    let summary = app.ask("GET Patient?family=bea&_summary=true").await.body;
    assert_eq!(summary["entry"][0]["resource"]["meta"]["tag"][0]["code"], "SUBSETTED");
    assert!(summary["entry"][0]["resource"]["contact"].is_null());
    let elements = app.ask("GET Patient?family=bea&_elements=contact").await.body;
    assert!(elements["entry"][0]["resource"]["name"].is_null());
    assert!(elements["entry"][0]["resource"]["contact"].is_array());
}

/// What of each entry is there, by id, and whether it is tagged as a part.
fn parts(bundle: &serde_json::Value) -> Vec<String> {
    let entries = bundle["entry"].as_array().unwrap().iter().filter(|e| e["search"]["mode"] != "outcome");
    let part = |entry: &serde_json::Value| {
        let resource = entry["resource"].as_object().unwrap();
        let mut keys: Vec<&str> = resource.keys().map(String::as_str).collect();
        keys.retain(|key| !["resourceType", "id", "meta"].contains(key));
        keys.sort_unstable();
        let tagged = if resource["meta"]["tag"].to_string().contains("SUBSETTED") { " (part)" } else { "" };
        format!("{} {}{tagged}", resource["id"].as_str().unwrap(), keys.join(" "))
    };
    entries.map(part).collect()
}

#[tokio::test]
async fn elements_are_of_what_was_searched_alone() {
    let app = some().await;
    let get = async |url: &str| parts(&app.ask(&format!("GET {url}")).await.body);
    let whole = ["o name", "x code status subject"];
    let rows = [
        "Observation?_elements=status&_include=Observation:subject&_include:iterate=Patient:organization",
        "?_type=Observation&_elements=status&_include=Observation:subject&_include:iterate=Patient:organization",
        "Patient/a/Observation?_elements=status&_include=Observation:subject&_include:iterate=Patient:organization",
    ];
    for row in rows {
        let found = get(row).await;
        assert_eq!(found[0], "x code status (part)", "{row}");
        assert!(found[1..].contains(&"a contact managingOrganization name".to_owned()), "{row}: {found:?}");
        assert!(found[1..].contains(&whole[0].to_owned()), "{row}: {found:?}");
    }
    // What refers, and what is of the type that is searched, is included whole as well.
    let found = get("Patient?_id=a&_elements=name&_revinclude=Observation:subject").await;
    assert_eq!(found, ["a name (part)", whole[1]]);
    app.send(
        "PUT Patient/f",
        &json!({"resourceType": "Patient", "id": "f", "active": true,
        "link": [{"other": {"reference": "Patient/a"}, "type": "seealso"}]}),
    )
    .await;
    let found = get("Patient?_id=f&_elements=active&_include=Patient:link").await;
    // A mandatory or modifying element stays, so that nothing was left out here.
    assert_eq!(found, ["f active link", "a contact managingOrganization name"]);
    // A summary is one of all that is answered.
    let found = get("Observation?_summary=true&_include=Observation:subject").await;
    assert_eq!(found, ["x code status subject", "a managingOrganization name (part)"]);
    let found = get("Observation?_summary=data&_include=Observation:subject").await;
    assert_eq!(found, ["x code status subject", "a contact managingOrganization name"]);
    assert_eq!(app.ask("GET Observation?_summary=text&_include=Observation:subject").await.status, 400);
    let count = app.ask("GET Observation?_summary=count&_include=Observation:subject").await.body;
    assert_eq!((&count["total"], &count["entry"]), (&json!(1), &serde_json::Value::Null));
    // In a batch as alone.
    let batch = json!({"resourceType": "Bundle", "type": "batch", "entry": [{"request": {"method": "GET", "url": rows[0]}}]});
    let answered = app.send("POST ", &batch).await.body;
    assert_eq!(parts(&answered["entry"][0]["resource"]), get(rows[0]).await);
}

#[tokio::test]
async fn an_id_of_several_types_is_not_guessed() {
    let app = some().await;
    app.send("PUT Group/g", &json!({"resourceType": "Group", "id": "g", "type": "person", "actual": true}))
        .await;
    app.send("PUT Group/a", &json!({"resourceType": "Group", "id": "a", "type": "person", "actual": true}))
        .await;
    assert_eq!(app.found("Observation?patient=a").await, "x");
    assert_eq!(app.found("Observation?subject=Patient/a").await, "x");
    assert_eq!(app.found("Observation?subject:Patient=a").await, "x");
    assert_eq!(app.found("Observation?subject=b,g,nobody").await, "");
    for query in ["subject=a", "subject=b,a", "subject=b, a"] {
        let refused = app.ask(&format!("GET Observation?{query}")).await;
        assert_eq!(refused.status, 400, "{query}");
        let text = refused.body["issue"][0]["details"]["text"].as_str().unwrap();
        assert!(text.contains("Group/a and Patient/a"), "{text}");
    }
    app.ask("DELETE Group/a").await;
    assert_eq!(app.found("Observation?subject=a").await, "x");
}

#[tokio::test]
async fn slips_of_the_hand_are_found_or_said() {
    let app = App::new().await;
    let telecom =
        json!([{"system": "phone", "value": "+254700111222"}, {"system": "email", "value": "a@b.c"}]);
    app.send(
        "PUT Patient/a",
        &json!({"resourceType": "Patient", "id": "a", "telecom": telecom, "gender": "male"}),
    )
    .await;
    app.send("PUT Patient/b", &json!({"resourceType": "Patient", "id": "b", "gender": "female"})).await;
    let temperature = |id: &str, value: f64, code: &str| {
        json!({"resourceType": "Observation", "id": id, "status": "final", "subject": {"reference": "Patient/a"},
            "code": {"coding": [{"system": "http://loinc.org", "code": "8310-5"}]},
            "valueQuantity": {"value": value, "system": "http://unitsofmeasure.org", "code": code}})
    };
    for (id, value, code) in [
        ("c", 37.0, "Cel"),
        ("f", 98.6, "[degF]"),
        ("k", 310.15, "K"),
        ("low", 35.0, "Cel"),
        ("ph", 37.0, "[pH]"),
    ] {
        app.send(&format!("PUT Observation/{id}"), &temperature(id, value, code)).await;
    }
    let ucum = "http://unitsofmeasure.org";
    for (query, found) in [
        ("Patient?_id=a,+b&_sort=_id".to_owned(), "a b"),
        ("Patient?gender=male,%20female&_sort=_id".to_owned(), "a b"),
        ("Observation?subject=Patient/b,+Patient/a&_id=c".to_owned(), "c"),
        ("Patient?phone=+254700111222".to_owned(), "a"),
        ("Patient?phone=%2B254700111222".to_owned(), "a"),
        ("Patient?telecom=phone|+254700111222".to_owned(), "a"),
        ("Patient?_has:Observation:subject:code=8310-5,+x".to_owned(), "a"),
        (format!("Observation?value-quantity=37.0|{ucum}|Cel&_sort=_id"), "c f k"),
        (format!("Observation?value-quantity=98.6|{ucum}|[degF]&_sort=_id"), "c f k"),
        (format!("Observation?value-quantity=gt310|{ucum}|K&_sort=_id"), "c f k"),
        (format!("Observation?value-quantity=lt96|{ucum}|[degF]&_sort=_id"), "low"),
        (format!("Observation?code-value-quantity=8310-5$gt310|{ucum}|K&_sort=_id"), "c f k"),
        (format!("Observation?value-quantity=37|{ucum}|[pH]&_sort=_id"), "ph"),
        ("Observation?_filter=code eq \"http://loinc.org|8310-5\"&_id=c".replace(' ', "%20"), "c"),
        ("Observation?_filter=code eq \"8310-5\"&_id=c".replace(' ', "%20"), "c"),
        (format!("Observation?_filter=value-quantity eq \"37.0|{ucum}|Cel\"&_id=c").replace(' ', "%20"), "c"),
    ] {
        assert_eq!(app.found(&query).await, found, "{query}");
    }
    let answer = app.ask("GET Patient?gender=Male").await.body;
    assert_eq!(answer["entry"][0]["search"]["mode"], "outcome", "{answer}");
    assert_eq!(answer["total"], 0);
    let answer = app.ask("GET Patient?_list=nothing").await.body;
    assert!(answer.to_string().contains("there is no List/nothing"), "{answer}");
}

#[tokio::test]
async fn what_is_referred_to_is_found_of_all_types() {
    let app = some().await;
    for (query, found) in [
        ("?_has:Observation:subject:code=http://l|c", "a"),
        ("?_has:Observation:patient:code=http://l|c", "a"),
        ("?_has:Observation:subject:code=http://l|d", ""),
        ("?_type=Patient,Organization&_has:Observation:subject:code=http://l|c", "a"),
        ("?_has:Patient:organization:family=Bea", "o"),
        // Nothing is of both types.
        ("?_has:Patient:organization:family=Bea&_has:Observation:subject:status=final", ""),
        ("?_has:Patient:organization:_has:Observation:subject:status=final", "o"),
        ("Organization/o/*?_has:Observation:subject:status=final", ""),
    ] {
        let asked = app.ask(&format!("GET {query}")).await;
        match query.starts_with("Organization") {
            true => assert_eq!(asked.status, 404, "{query}"),
            false => assert_eq!(ids(&asked.body), found, "{query}: {}", asked.body),
        }
    }
    for query in [
        "?_type=Organization,Location&_has:Observation:patient:code=c",
        "?_has:Observation:code:x=c",
        "?_has:X:y:z=1",
    ] {
        let refused = app.ask(&format!("GET {query}")).await;
        assert_eq!(refused.status, 400, "{query}: {}", refused.body);
    }
    // Its pages are those of the one type.
    let first = app.ask("GET ?_has:Observation:subject:status=final&_count=1&_total=accurate").await.body;
    assert_eq!((ids(&first).as_str(), &first["total"]), ("a", &json!(1)));
}

#[tokio::test]
async fn other_ways_to_search() {
    let app = some().await;
    let form = request("POST Patient/_search?_sort=_id", Some(Body::Form("family=ada&_count=2".to_owned())));
    let found = app.run(form).await.body;
    assert_eq!(ids(&found), "a d");
    assert_eq!(app.found(link(&found, "next").unwrap()).await, "e");
    assert_eq!(app.found("Patient/a/Observation").await, "x");
    assert_eq!(app.found("Patient/a/Observation?code=http://l|c").await, "x");
    assert_eq!(app.found("Patient/b/Observation").await, "");
    assert_eq!(app.found("?_type=Patient&family=bea").await, "b");
    for (line, status) in [
        ("GET ?family=bea | Prefer: handling=strict", 400),
        ("GET ?_type=Patient,Nonsense", 400),
        ("GET ?_type=Patient&_type=Observation", 400),
        ("GET Patient/a/*?_type=Location", 400),
        ("GET Patient/a/Location", 404),
        ("GET Patient?family=%FF", 400),
        ("GET Patient?birthdate=half", 400),
    ] {
        assert_eq!(app.ask(line).await.status, status, "{line}");
    }
}

#[tokio::test]
async fn compartments_are_paged() {
    let app = some().await;
    for id in ["p", "q", "r"] {
        let observation = json!({
            "resourceType": "Observation", "id": id, "status": "final", "code": {"text": "c"},
            "subject": {"reference": "Patient/a"}
        });
        app.send(&format!("PUT Observation/{id}"), &observation).await;
    }
    let first = app.ask("GET Patient/a/Observation?_sort=_id&_count=3").await.body;
    assert_eq!(ids(&first), "p q r");
    assert_eq!(app.found(link(&first, "next").unwrap()).await, "x");
}

/// Follows `next` to the end.
async fn walk(app: &App, start: &str) -> Vec<String> {
    let (mut url, mut pages) = (start.to_owned(), Vec::new());
    loop {
        let page = app.ask(&format!("GET {url}")).await;
        assert_eq!(page.status, 200, "{url}: {}", page.body);
        pages.push(ids(&page.body));
        match link(&page.body, "next") {
            Some(next) => url = next.to_owned(),
            None => return pages,
        }
    }
}

#[tokio::test]
async fn several_types_are_one_search() {
    let app = some().await;
    for (query, found) in [
        ("?_type=Patient,Observation&_sort=_id", "a b c d e x"),
        ("?_type=Observation,Organization&_sort=-_id", "x o"),
        ("?_sort=_id", "a b c d e o x"),
        ("?_sort=_lastUpdated", "a b c d e o x"),
        ("?_sort=-_lastUpdated&_count=2", "x o"),
        ("?_id=a,o,x,zz&_sort=_id", "a o x"),
        ("?_type=Patient,Organization&name=ada,o&_sort=_id", "a d e o"),
        ("?_type=Observation,Condition&patient=a", "x"),
        ("?_type=Location,Condition", ""),
        ("?_id=nobody", ""),
        ("?_type=Observation,Organization&_include=Observation:subject&_sort=_id", "o x +a"),
        ("?_type=Patient,Organization&_id=a,o&_sort=_id&_revinclude=Observation:subject", "a o +x"),
    ] {
        assert_eq!(app.found(query).await, found, "{query}");
    }
    // Pages partition them, forwards and back.
    for sort in ["_id", "-_id", "_lastUpdated", "-_lastUpdated,_id"] {
        let url = format!("?_sort={sort}&_count=2");
        let pages = walk(&app, &url).await;
        assert_eq!(pages.len(), 4, "{url}: {pages:?}");
        let whole = app.found(&format!("?_sort={sort}")).await;
        assert_eq!(pages.join(" "), whole, "{url}");
        let (mut back, mut found) =
            (link(&app.ask(&format!("GET {url}")).await.body, "last").map(str::to_owned), Vec::new());
        while let Some(url) = back {
            let page = app.ask(&format!("GET {url}")).await.body;
            found.insert(0, ids(&page));
            back = link(&page, "previous").map(str::to_owned);
        }
        assert_eq!(found.join(" "), whole, "{url}, backwards");
    }
    let posted =
        app.run(request("POST _search?_type=Patient", Some(Body::Form("family=bea".to_owned())))).await.body;
    assert_eq!(ids(&posted), "b");
    assert_eq!(app.ask("GET ?_type=Patient,Organization&_summary=count").await.body["total"], 6);
    // Links say what was searched, and belong to it.
    let page = app.ask("GET ?_type=Patient,Observation&_count=1").await.body;
    assert_eq!(link(&page, "self"), Some("?_type=Patient,Observation&_count=1"));
    let moved = link(&page, "next").unwrap().replace("Observation", "Organization");
    assert_eq!(app.ask(&format!("GET {moved}")).await.status, 400);
    // What one of the types lacks is passed over, and said.
    let page = app.ask("GET ?_type=Patient,Observation&family=bea&_sort=_id").await.body;
    assert_eq!(ids(&page), "a b c d e x");
    let outcome = page["entry"].as_array().unwrap().last().unwrap();
    assert!(outcome["resource"]["issue"][0]["details"]["text"].as_str().unwrap().contains("family"));
    assert_eq!(link(&page, "self"), Some("?_type=Patient,Observation&_sort=_id"));
}

#[tokio::test]
async fn compartments_are_searched_whole() {
    let app = some().await;
    let encounter = json!({"resourceType": "Encounter", "id": "v", "status": "finished", "class": {"code": "AMB"},
        "subject": {"reference": "Patient/a"}});
    app.send("PUT Encounter/v", &encounter).await;
    let condition = json!({"resourceType": "Condition", "id": "k", "subject": {"reference": "Patient/b"},
        "encounter": {"reference": "Encounter/v"}});
    app.send("PUT Condition/k", &condition).await;
    for (query, found) in [
        ("Patient/a/*?_sort=_id", "v x"),
        ("Patient/b/*", "k"),
        ("Patient/a/*?_type=Observation,Encounter&_sort=-_id", "x v"),
        ("Patient/a/*?_type=Condition", ""),
        ("Patient/c/*", ""),
        ("Encounter/v/*?_sort=_id", "k v"),
        ("Encounter/v/Encounter", "v"),
    ] {
        assert_eq!(app.found(query).await, found, "{query}");
    }
    let posted = request("POST Patient/a/*/_search?_sort=_id", Some(Body::Form("_count=1".to_owned())));
    let page = app.run(posted).await.body;
    assert_eq!(ids(&page), "v");
    let next = link(&page, "next").unwrap().to_owned();
    assert_eq!(app.found(&next).await, "x");
    assert_eq!(app.ask(&format!("GET {}", next.replace("Patient/a", "Patient/b"))).await.status, 400);
}

#[tokio::test]
async fn links_say_what_was_done() {
    let app = some().await;
    // asked, self link
    for (asked, own) in [
        ("Patient?_count=5000", "Patient?_count=1000"),
        ("Patient?_count=2&_count=3", "Patient?_count=2"),
        ("Patient?gender=&family=bea", "Patient?family=bea"),
        ("Patient?_contained=false", "Patient?_contained=false"),
    ] {
        assert_eq!(link(&app.ask(&format!("GET {asked}")).await.body, "self"), Some(own), "{asked}");
    }
    let page = app.ask("GET Patient?_count=2&_sort=_id").await.body;
    let relations: Vec<_> =
        page["link"].as_array().unwrap().iter().map(|l| l["relation"].as_str().unwrap()).collect();
    assert_eq!(relations, ["self", "first", "next", "last"]);
    assert_eq!(app.found(link(&page, "last").unwrap()).await, "d e");
}
