//! history: <https://hl7.org/fhir/R4/http.html#history>

use fhir_model::date::format_instant;
use serde_json::{Value, json};

use crate::app::{App, BASE, link};

async fn some() -> App {
    let app = App::new().await;
    app.send(
        "POST Observation",
        &json!({"resourceType": "Observation", "status": "final", "code": {"text": "c"}}),
    )
    .await;
    for gender in ["male", "female"] {
        app.send("PUT Patient/a", &json!({"resourceType": "Patient", "id": "a", "gender": gender})).await;
    }
    app.send("PUT Patient/b", &json!({"resourceType": "Patient", "id": "b"})).await;
    app.ask("DELETE Patient/a").await;
    app
}

/// `DELETE Patient/a 204` per entry, newest first.
fn lines(bundle: &Value) -> Vec<String> {
    let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
    let line = |e: &Value| {
        let (request, response) = (&e["request"], &e["response"]);
        let status = response["status"].as_str().unwrap().split(' ').next().unwrap();
        format!("{} {} {status}", request["method"].as_str().unwrap(), request["url"].as_str().unwrap())
    };
    entries.iter().map(line).collect()
}

#[tokio::test]
async fn versions_are_listed_newest_first() {
    let app = some().await;
    let of_a = app.ask("GET Patient/a/_history").await.body;
    assert_eq!(lines(&of_a), ["DELETE Patient/a 204", "PUT Patient/a 200", "PUT Patient/a 201"]);
    assert_eq!((of_a["type"].clone(), of_a["total"].clone()), (json!("history"), json!(3)));
    assert!(of_a["entry"][0]["resource"].is_null());
    assert_eq!(of_a["entry"][0]["fullUrl"], format!("{BASE}/Patient/a"));
    assert_eq!(of_a["entry"][1]["resource"]["gender"], "female");
    assert_eq!(of_a["entry"][1]["response"]["etag"], "W/\"2\"");
    let of_type = app.ask("GET Patient/_history").await.body;
    assert_eq!(lines(&of_type).len(), 4);
    assert_eq!(lines(&of_type)[1], "PUT Patient/b 201");
    let of_all = app.ask("GET _history").await.body;
    assert_eq!(lines(&of_all)[4], "POST Observation 201");
    assert_eq!(app.ask("GET Patient/never/_history").await.status, 404);
}

#[tokio::test]
async fn what_brought_a_deleted_resource_back_was_a_create() {
    let app = some().await;
    let patient = json!({"resourceType": "Patient", "id": "a", "gender": "male"});
    assert_eq!(app.send("PUT Patient/a", &patient).await.status, 201);
    assert_eq!(app.send("PUT Patient/a", &patient).await.status, 200);
    let list = json!({"resourceType": "List", "id": "l", "status": "current", "mode": "working",
        "entry": [{"item": {"reference": "Patient/a"}}]});
    app.send("PUT List/l", &list).await;
    let wanted = [
        "PUT Patient/a 200",
        "PUT Patient/a 201",
        "DELETE Patient/a 204",
        "PUT Patient/a 200",
        "PUT Patient/a 201",
    ];
    for path in ["Patient/a/_history", "Patient/_history", "_history", "Patient/_history?_list=l"] {
        let of_a: Vec<String> = lines(&app.ask(&format!("GET {path}")).await.body);
        let of_a: Vec<&String> = of_a.iter().filter(|line| line.contains("Patient/a ")).collect();
        assert_eq!(of_a, wanted, "{path}");
        // The version before stands on the next page.
        let mut next = Some(format!("{path}{}_count=1", if path.contains('?') { "&" } else { "?" }));
        let mut seen = Vec::new();
        while let Some(url) = next {
            let page = app.ask(&format!("GET {url}")).await.body;
            seen.extend(lines(&page));
            next = link(&page, "next").map(str::to_owned);
        }
        seen.retain(|line| line.contains("Patient/a "));
        assert_eq!(seen, wanted, "{path}");
    }
}

#[tokio::test]
async fn the_history_of_a_list_is_that_of_what_is_in_it() {
    let app = some().await;
    let list = json!({"resourceType": "List", "id": "l", "status": "current", "mode": "working", "entry": [
        {"item": {"reference": "Patient/a"}}, {"item": {"reference": format!("{BASE}/Patient/never")}},
        {"item": {"reference": "List/l"}}, {"item": {"reference": "Patient/b"}, "deleted": true}, {"item": {"display": "x"}},
    ]});
    app.send("PUT List/l", &list).await;
    let of_a = lines(&app.ask("GET Patient/a/_history").await.body);
    for (path, total, newest) in [
        ("Patient/_history?_list=l", 3, "DELETE Patient/a 204"),
        ("Patient/_history?_list=List/l", 3, "DELETE Patient/a 204"),
        ("Patient/a/_history?_list=l", 3, "DELETE Patient/a 204"),
        ("_history?_list=l", 4, "PUT List/l 201"),
        ("List/_history?_list=l", 1, "PUT List/l 201"),
    ] {
        let found = app.ask(&format!("GET {path}")).await.body;
        assert_eq!((&found["total"], lines(&found)[0].as_str()), (&json!(total), newest), "{path}");
        let mut of_a_here = lines(&found);
        of_a_here.retain(|line| line.contains("Patient/a"));
        assert!(of_a_here.is_empty() || of_a_here == of_a, "{path}: {of_a_here:?}");
        let count = app.ask(&format!("GET {path}&_count=0")).await.body;
        assert_eq!((&count["total"], &count["entry"]), (&json!(total), &Value::Null), "{path}");
    }
    for path in [
        "Patient/b/_history?_list=l",
        "Observation/_history?_list=l",
        "_history?_list=l&_since=2200-01-01T00:00:00Z",
    ] {
        assert_eq!(app.ask(&format!("GET {path}")).await.body["total"], 0, "{path}");
    }
    // What was current at a time, as without a List.
    for at in ["2200", "2000"] {
        let at = format!("_at={at}&_count=1000");
        let listed = lines(&app.ask(&format!("GET Patient/a/_history?_list=l&{at}")).await.body);
        assert_eq!(listed, lines(&app.ask(&format!("GET Patient/a/_history?{at}")).await.body), "{at}");
    }
    let nothing = app.ask("GET Patient/_history?_list=nothing").await.body;
    assert_eq!(nothing["total"], 0);
    assert!(nothing.to_string().contains("there is no List/nothing"), "{nothing}");
    assert_eq!(app.ask("GET Patient/_history?_list=$current-problems").await.status, 400);
}

#[tokio::test]
async fn what_a_history_does_not_know_is_said() {
    let app = some().await;
    for path in ["_history", "Patient/_history", "Patient/a/_history"] {
        for (query, named) in [
            ("gender=male", "gender"),
            ("_sort=_id", "_sort"),
            ("_since=", "_since"),
            ("_elements=nonsense", "nonsense"),
        ] {
            let url = format!("{path}?{query}");
            let strict = app.ask(&format!("GET {url} | Prefer: handling=strict")).await;
            assert_eq!(strict.status, 400, "{url}");
            let lenient = app.ask(&format!("GET {url}")).await.body;
            let last = lenient["entry"].as_array().unwrap().last().unwrap();
            let text = last["response"]["outcome"]["issue"][0]["details"]["text"].as_str();
            assert!(text.is_some_and(|text| text.contains(named)), "{url}: {last}");
        }
        let silent = app.ask(&format!("GET {path}?_format=json&_pretty=true")).await.body;
        assert!(!silent.to_string().contains("outcome"), "{path}: {silent}");
    }
}

#[tokio::test]
async fn pages_partition_the_history() {
    let app = some().await;
    for (path, all) in [("_history", 5), ("Patient/_history", 4), ("Patient/a/_history", 3)] {
        let mut url = format!("{path}?_count=2");
        let mut seen = Vec::new();
        loop {
            let page = app.ask(&format!("GET {url}")).await.body;
            seen.extend(lines(&page));
            match link(&page, "next") {
                Some(next) => url = next.to_owned(),
                None => break,
            }
        }
        assert_eq!(seen, lines(&app.ask(&format!("GET {path}")).await.body), "{path}");
        assert_eq!(seen.len(), all);
        let stolen = url.replace(path, "Observation/_history");
        assert_eq!(app.ask(&format!("GET {stolen}")).await.status, 400, "a link belongs to its history");
    }
}

#[tokio::test]
async fn time_narrows_the_history() {
    let app = some().await;
    let last = app.ask("GET Patient/a/_history").await.body["entry"][0]["response"]["lastModified"].clone();
    let last = last.as_str().unwrap();
    let since = app.ask(&format!("GET Patient/a/_history?_since={last}")).await.body;
    assert_eq!(lines(&since).last().unwrap(), lines(&since).first().unwrap());
    assert!(!lines(&since).is_empty());
    let future = format_instant(app.cx.store.now() + 3_600_000_000);
    assert!(lines(&app.ask(&format!("GET Patient/a/_history?_since={future}")).await.body).is_empty());
    assert!(lines(&app.ask("GET Patient/a/_history?_at=2000").await.body).is_empty());
    let this_year = &last[..4];
    assert_eq!(lines(&app.ask(&format!("GET Patient/a/_history?_at={this_year}")).await.body).len(), 3);
    for bad in ["_since=yesterday", "_at=x", "_count=x", "_cursor=x"] {
        assert_eq!(app.ask(&format!("GET Patient/_history?{bad}")).await.status, 400, "{bad}");
    }
    assert_eq!(app.ask("GET Patient/_history?x=1").await.status, 200);
    assert_eq!(app.ask("GET Patient/_history?x=1 | Prefer: handling=strict").await.status, 400);
}

#[tokio::test]
async fn at_gives_what_was_current_then() {
    let app = App::new().await;
    let mut times = Vec::new();
    let observation = json!({"resourceType": "Observation", "status": "final", "code": {"text": "c"}});
    times.push(app.send("POST Observation", &observation).await.last_modified.unwrap());
    for (id, gender) in [("a", "male"), ("a", "female"), ("b", "male")] {
        let patient = json!({"resourceType": "Patient", "id": id, "gender": gender});
        times.push(app.send(&format!("PUT Patient/{id}"), &patient).await.last_modified.unwrap());
    }
    app.ask("DELETE Patient/a").await;
    // Texts of instants have milliseconds; versions may lie closer together.
    let instant = |micros: i64| {
        let text = format_instant(micros);
        format!("{}{:03}Z", text.strip_suffix('Z').unwrap(), micros.rem_euclid(1000))
    };
    let (post, first, second) = ("POST Observation 201", "PUT Patient/a 201", "PUT Patient/a 200");
    let (other, gone) = ("PUT Patient/b 201", "DELETE Patient/a 204");
    let this_year = &format_instant(times[0])[..4];
    let rows = [
        (instant(times[0] - 1), vec![]),
        (instant(times[0]), vec![post]),
        (instant(times[1]), vec![first, post]),
        (instant(times[2] - 1), vec![first, post]),
        (instant(times[2]), vec![second, post]),
        (instant(times[3]), vec![other, second, post]),
        ("2200".to_owned(), vec![gone, other, post]),
        (this_year.to_owned(), vec![gone, other, second, first, post]),
    ];
    for (at, wanted) in rows {
        let of = |types: &str| -> Vec<&str> {
            wanted.iter().copied().filter(|line| line.contains(types)).collect()
        };
        for (path, wanted) in [("", of("")), ("Patient/", of("Patient")), ("Patient/a/", of("Patient/a"))] {
            let answer = app.ask(&format!("GET {path}_history?_at={at}")).await;
            // Before it is there, a resource has no history.
            assert_eq!(lines(&answer.body), wanted, "{path} at {at}");
            let count = app.ask(&format!("GET {path}_history?_at={at}&_count=0")).await.body;
            assert_eq!(count["total"], wanted.len(), "{path} at {at}");
        }
    }
}

#[tokio::test]
async fn a_count_of_zero_asks_for_the_total() {
    let app = some().await;
    for (path, total) in [("_history", 5), ("Patient/_history", 4), ("Patient/a/_history", 3)] {
        let answer = app.ask(&format!("GET {path}?_count=0")).await.body;
        assert_eq!((&answer["total"], &answer["type"]), (&json!(total), &json!("history")), "{path}");
        assert!(answer["entry"].is_null(), "{answer}");
        let relations: Vec<&Value> =
            answer["link"].as_array().unwrap().iter().map(|l| &l["relation"]).collect();
        assert_eq!(relations, ["self"]);
        let none = app.ask(&format!("GET {path}?_count=0&_since=2200-01-01T00:00:00Z")).await.body;
        assert_eq!(none["total"], 0, "{path}");
    }
    assert_eq!(app.ask("GET Patient/never/_history?_count=0").await.status, 404);
}

#[tokio::test]
async fn what_has_one_value_is_given_once() {
    let app = some().await;
    let (old, new) = ("2000-01-01T00:00:00Z", "2200-01-01T00:00:00Z");
    for (first, second) in [
        ("_count=2".to_owned(), "_count=1".to_owned()),
        (format!("_since={old}"), format!("_since={new}")),
        ("_at=2200".to_owned(), "_at=2000".to_owned()),
    ] {
        let name = first.split('=').next().unwrap();
        let url = format!("Patient/_history?{first}&{second}");
        let strict = app.ask(&format!("GET {url} | Prefer: handling=strict")).await;
        assert_eq!(strict.status, 400, "{url}");
        assert_eq!(strict.body["issue"][0]["expression"], json!([name]));
        let lenient = app.ask(&format!("GET {url}")).await.body;
        let once = app.ask(&format!("GET Patient/_history?{first}")).await.body;
        let mut entries = lenient["entry"].as_array().unwrap().clone();
        let last = entries.pop().unwrap();
        assert_eq!(json!(entries), once["entry"], "{url}");
        let issue = &last["response"]["outcome"]["issue"][0];
        assert_eq!(issue["severity"], "warning", "{last}");
        assert!(issue["details"]["text"].as_str().unwrap().contains(name), "{last}");
        assert_eq!(last["request"]["method"], "GET", "{last}");
        assert_eq!(link(&lenient, "self"), link(&once, "self"), "{url}");
    }
}
