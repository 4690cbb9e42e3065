//! patch: <https://hl7.org/fhir/R4/http.html#patch>

use serde_json::json;

use crate::app::App;

#[tokio::test]
async fn resources_are_patched() {
    let app = App::new().await;
    app.send("PUT Patient/a", &json!({"resourceType": "Patient", "id": "a", "gender": "male"})).await;
    let json_patch = json!([{"op": "replace", "path": "/gender", "value": "female"}]);
    let patched = app.send("PATCH Patient/a | If-Match: W/\"1\"", &json_patch).await;
    assert_eq!((patched.status, patched.version), (200, Some(2)), "{}", patched.body);
    assert_eq!(patched.body["gender"], "female");
    let fhirpath_patch = json!({"resourceType": "Parameters", "parameter": [{"name": "operation", "part": [
        {"name": "type", "valueCode": "replace"},
        {"name": "path", "valueString": "Patient.gender"},
        {"name": "value", "valueCode": "other"}
    ]}]});
    let patched = app.send("PATCH Patient/a", &fhirpath_patch).await;
    assert_eq!((patched.status, patched.body["gender"].clone()), (200, json!("other")), "{}", patched.body);
    // The history shows the whole resource, and so what would write it.
    let request = &app.ask("GET Patient/a/_history").await.body["entry"][0]["request"];
    assert_eq!(*request, json!({"method": "PUT", "url": "Patient/a"}));
}

/// A narrative that was generated from what the data were before goes; what somebody wrote stays.
#[tokio::test]
async fn patches_leave_no_narrative_that_is_not_true() {
    let app = App::new().await;
    let div = "<div xmlns=\"http://www.w3.org/1999/xhtml\">male</div>";
    let json_patch = json!([{"op": "replace", "path": "/gender", "value": "female"}]);
    let path_patch = json!({"resourceType": "Parameters", "parameter": [{"name": "operation", "part": [
        {"name": "type", "valueCode": "replace"}, {"name": "path", "valueString": "Patient.gender"},
        {"name": "value", "valueCode": "female"}]}]});
    let touching = json!([{"op": "replace", "path": "/gender", "value": "female"},
        {"op": "replace", "path": "/text/div", "value": div.replace("male", "female")}]);
    let rows = [
        ("generated", &json_patch, false),
        ("generated", &path_patch, false),
        ("generated", &touching, true),
        ("generated", &json!([{"op": "test", "path": "/gender", "value": "male"}]), true),
        ("extensions", &json_patch, true),
        ("additional", &path_patch, true),
    ];
    for (status, patch, kept) in rows {
        for url in ["Patient/n", "Patient?_id=n"] {
            let patient = json!({"resourceType": "Patient", "id": "n", "gender": "male",
                "text": {"status": status, "div": div}});
            app.send("PUT Patient/n", &patient).await;
            let patched = app.send(&format!("PATCH {url}"), patch).await;
            assert_eq!(patched.status, 200, "{}", patched.body);
            assert_eq!(patched.body["text"].is_object(), kept, "{status} {patch}: {}", patched.body);
            assert_eq!(app.ask("GET Patient/n").await.body, patched.body);
        }
    }
}

#[tokio::test]
async fn patches_that_do_not_fit_are_refused() {
    let app = App::new().await;
    app.send("PUT Patient/a", &json!({"resourceType": "Patient", "id": "a", "gender": "male"})).await;
    app.send("PUT Patient/gone", &json!({"resourceType": "Patient", "id": "gone"})).await;
    app.ask("DELETE Patient/gone").await;
    let fine = json!([{"op": "remove", "path": "/gender"}]);
    let rows = [
        ("PATCH Patient/a", json!([{"op": "remove", "path": "/nothing"}]), 422),
        ("PATCH Patient/a", json!([{"op": "replace", "path": "/id", "value": "b"}]), 422),
        ("PATCH Patient/a", json!([{"op": "add", "path": "/name", "value": []}]), 422),
        ("PATCH Patient/a", json!([{"op": "dance"}]), 400),
        ("PATCH Patient/a", json!({"resourceType": "Patient"}), 400),
        ("PATCH Patient/a | If-Match: W/\"9\"", fine.clone(), 412),
        ("PATCH Patient/never", fine.clone(), 404),
        ("PATCH Patient/gone", fine.clone(), 410),
        ("PATCH Patient?_id=never", fine.clone(), 404),
        ("PATCH Patient", fine.clone(), 400),
    ];
    for (line, patch, status) in rows {
        let answer = app.send(line, &patch).await;
        assert_eq!(answer.status, status, "{line} {patch}: {}", answer.body);
    }
    assert_eq!(app.ask("GET Patient/a").await.version, Some(1));
    let patched = app.send("PATCH Patient?_id=a", &fine).await;
    assert_eq!((patched.status, patched.body["gender"].is_null()), (200, true));
}
