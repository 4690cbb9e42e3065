//! delete: <https://hl7.org/fhir/R4/http.html#delete>

use serde_json::json;

use crate::app::App;

#[tokio::test]
async fn deleted_resources_are_gone() {
    let app = App::new().await;
    app.send("PUT Patient/a", &json!({"resourceType": "Patient", "id": "a"})).await;
    assert_eq!(app.ask("DELETE Patient/a | If-Match: W/\"7\"").await.status, 412);
    let deleted = app.ask("DELETE Patient/a | If-Match: W/\"1\"").await;
    assert_eq!((deleted.status, deleted.version, deleted.body.is_null()), (204, Some(2), true));
    assert_eq!(app.ask("GET Patient/a").await.status, 410);
    assert_eq!(app.found("Patient").await, "");
    // Again, and what never was: the outcome is what was asked for, and no version is added.
    let again = app.ask("DELETE Patient/a").await;
    assert_eq!((again.status, again.version), (204, Some(2)));
    assert_eq!(app.ask("DELETE Patient/never").await.status, 204);
    assert_eq!(app.ask("DELETE Patient/never | If-Match: W/\"1\"").await.status, 412);
    let told = app.ask("DELETE Patient/never | Prefer: return=OperationOutcome").await;
    assert_eq!((told.status, told.body["resourceType"].clone()), (200, json!("OperationOutcome")));
    assert_eq!(app.ask("GET Patient/a/_history").await.body["total"], 2);
}
