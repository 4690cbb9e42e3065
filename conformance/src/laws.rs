//! What is true of every answer, whatever a page asks: no page has to say it again.

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::client::{Answer, Request, Subject};

/// FHIR's media types are used below the base, an error is an OperationOutcome whose issues are complete, and what
/// was stored names its version.
pub(crate) fn check(subject: &Subject, request: &Request, answer: &Answer) -> Result<()> {
    let below_base = subject.url(&request.target).starts_with(&subject.base);
    if !below_base || answer.body.is_empty() {
        return Ok(());
    }
    // A Binary is given as what it holds: <https://hl7.org/fhir/R4/binary.html#rest>
    if request.target.starts_with("/Binary/") && answer.status < 300 {
        return Ok(());
    }
    let media = answer.header("content-type").context("expected a Content-Type: the answer has a body")?;
    let is_json = media.starts_with("application/fhir+json") || media.starts_with("application/json");
    let is_xml = media.starts_with("application/fhir+xml") || media.starts_with("application/xml");
    if !is_json && !is_xml {
        bail!("expected a Content-Type of FHIR\n     found {media}");
    }
    if is_json && answer.status >= 400 {
        check_outcome(&answer.json().context("expected JSON, as the Content-Type says")?)?;
    }
    Ok(())
}

/// <https://hl7.org/fhir/R4/operationoutcome.html>: at least one issue, each with severity and code.
fn check_outcome(body: &Value) -> Result<()> {
    let issues = body.get("issue").and_then(Value::as_array).filter(|issues| !issues.is_empty());
    let is_outcome = body.get("resourceType").and_then(Value::as_str) == Some("OperationOutcome");
    let (true, Some(issues)) = (is_outcome, issues) else {
        bail!("expected an error to be an OperationOutcome with an issue\n     found {body}");
    };
    for issue in issues {
        let has = |name: &str| issue.get(name).is_some_and(Value::is_string);
        if !has("severity") || !has("code") {
            bail!("expected every issue to have severity and code\n     found {issue}");
        }
    }
    Ok(())
}

/// <https://hl7.org/fhir/R4/search.html>: a searchset says what it answers (`self`), and of every entry why it is
/// there and where it lives.
pub(crate) fn check_search_bundle(bundle: &Value) -> Result<()> {
    let kind = bundle.get("type").and_then(Value::as_str);
    let links = bundle.get("link").and_then(Value::as_array);
    let is_self = |link: &Value| link.get("relation").and_then(Value::as_str) == Some("self");
    if !links.is_some_and(|links| links.iter().any(is_self)) {
        bail!("expected a link `self` in the Bundle");
    }
    if kind != Some("searchset") {
        // A history is walked too; its entries have no search mode.
        return Ok(());
    }
    for entry in bundle.get("entry").and_then(Value::as_array).into_iter().flatten() {
        let mode = entry.pointer("/search/mode").and_then(Value::as_str);
        if !matches!(mode, Some("match" | "include" | "outcome")) {
            bail!("expected search.mode of every entry\n     found {mode:?}");
        }
        if mode != Some("outcome") {
            check_full_url(entry)?;
        }
    }
    Ok(())
}

/// The fullUrl of a stored resource ends with its type and id.
fn check_full_url(entry: &Value) -> Result<()> {
    let text = |pointer: &str| entry.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let end = format!("/{}/{}", text("/resource/resourceType"), text("/resource/id"));
    if !text("/fullUrl").ends_with(&end) {
        bail!("expected a fullUrl that ends with {end}\n     found `{}`", text("/fullUrl"));
    }
    Ok(())
}

/// Pages partition the matches: none is seen twice, in one page or in two.
pub(crate) fn check_distinct(entries: &[Value]) -> Result<()> {
    let mut seen: Vec<String> = entries
        .iter()
        .filter(|entry| entry.pointer("/search/mode").and_then(Value::as_str) == Some("match"))
        .filter_map(|entry| entry.get("fullUrl").and_then(Value::as_str).map(str::to_owned))
        .collect();
    seen.sort();
    for pair in seen.windows(2) {
        if let [a, b] = pair
            && a == b
        {
            bail!("expected every match once\n     found {a} twice");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{check, check_distinct, check_search_bundle};
    use crate::client::{Answer, Request, Subject};

    fn answer(status: u16, media: &str, body: &str) -> Answer {
        Answer { status, headers: vec![("content-type".into(), media.into())], body: body.into() }
    }

    #[test]
    fn answers() {
        let outcome =
            r#"{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"invalid"}]}"#;
        let rows = [
            (answer(400, "application/fhir+json", outcome), true),
            (
                answer(400, "application/fhir+json", r#"{"resourceType":"OperationOutcome","issue":[]}"#),
                false,
            ),
            (answer(400, "application/fhir+json", r#"{"error":"x"}"#), false),
            (answer(400, "text/plain", "no"), false),
            (answer(200, "application/fhir+xml; charset=utf-8", "<Patient/>"), true),
            (answer(404, "application/fhir+json", ""), true),
        ];
        let subject = Subject::new("http://localhost:1/fhir");
        for (answer, expected) in rows {
            let found = check(&subject, &Request::new("GET", "/Patient/1"), &answer);
            assert_eq!(found.is_ok(), expected, "{answer:?}");
        }
        let elsewhere = Request::new("GET", "http://localhost:1/health");
        assert!(check(&subject, &elsewhere, &answer(200, "text/plain", "ok")).is_ok());
    }

    #[test]
    fn bundles() {
        let entry = json!({"fullUrl": "http://x/Patient/1", "search": {"mode": "match"},
            "resource": {"resourceType": "Patient", "id": "1"}});
        let mut bundle =
            json!({"type": "searchset", "link": [{"relation": "self", "url": "x"}], "entry": [entry]});
        assert!(check_search_bundle(&bundle).is_ok());
        assert!(check_distinct(std::slice::from_ref(&entry)).is_ok());
        assert!(check_distinct(&[entry.clone(), entry]).is_err());
        bundle["entry"][0]["fullUrl"] = json!("http://x/Patient/2");
        assert!(check_search_bundle(&bundle).is_err());
        bundle["entry"] = json!([]);
        bundle["link"] = json!([]);
        assert!(check_search_bundle(&bundle).is_err());
    }
}
