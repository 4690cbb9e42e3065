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
    assert_eq!(app.ask("GET Patient/a/_history").await.body["entry"][0]["request"]["method"], "PATCH");
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
