//! Operations that answer what is no resource: bytes of a media type, streams, headers.

use std::sync::Arc;

use bytes::Bytes;
use fhir_app::{Call, Module, Operation, Reply, Result, async_trait};
use fhir_interactions::{Content, ContentBody, ContentStream, Cx};
use fhir_model::Error;
use futures_util::StreamExt;
use serde_json::json;
use tokio::sync::Notify;

use crate::app::{TestApp, issue, json};

/// Streams of lines that end when they are told to.
#[derive(Clone, Default)]
struct Lines {
    end: Arc<Notify>,
}

impl Module for Lines {
    fn name(&self) -> &'static str {
        "lines"
    }

    fn operations(&self) -> Vec<Box<dyn Operation>> {
        vec![Box::new(self.clone())]
    }
}

#[async_trait]
impl Operation for Lines {
    fn definition(&self) -> &'static str {
        r#"{"resourceType":"OperationDefinition","name":"Lines","code":"lines","url":"urn:x:lines","kind":"operation",
            "status":"active","system":true,"type":true,"instance":false,"affectsState":false,"resource":["Patient"]}"#
    }

    /// Of the whole server a stream of lines, which fails at its end for a POST; of Patients a text.
    async fn run(&self, _: &Cx, call: Call) -> Result<Reply> {
        let media_type = "application/fhir+ndjson".to_owned();
        let body = match (&call.level, call.request.method) {
            (fhir_interactions::Level::Type(_), _) => ContentBody::Whole(Bytes::from_static(b"all")),
            (_, method) => {
                let mut parts: Vec<Result<Bytes>> =
                    (0..1000).map(|n| Ok(Bytes::from(format!("{{\"n\":{n}}}\n")))).collect();
                if method == fhir_interactions::Method::Post {
                    parts.push(Err(Error::internal("the disk is away")));
                }
                let (all, end) = (futures_util::stream::iter(parts), self.end.clone());
                // Asked to wait, it holds back what is left of nothing.
                let waits = call.request.query.contains("_format=json");
                let last = futures_util::stream::once(async move {
                    if waits {
                        end.notified().await;
                    }
                    Ok(Bytes::new())
                });
                ContentBody::Stream(ContentStream::new(all.chain(last)))
            }
        };
        Ok(Reply::content(Content { media_type, body }).header("x-lines", "1000"))
    }
}

#[tokio::test]
async fn bytes_and_streams_are_answers() {
    let lines = Lines::default();
    let app = TestApp::with_modules(vec![Box::new(lines.clone())]).await;
    let whole = app.ask("GET", "Patient/$lines").send().await.unwrap();
    assert_eq!(whole.status().as_u16(), 200);
    assert_eq!(whole.headers()["content-type"], "application/fhir+ndjson");
    assert_eq!(whole.headers()["x-lines"], "1000");
    assert_eq!(whole.headers()["cache-control"], "private, no-cache");
    assert_eq!(whole.text().await.unwrap(), "all");
    // By its own media type, which FHIR does not know.
    let asked =
        app.ask("GET", "Patient/$lines").header("accept", "application/fhir+ndjson").send().await.unwrap();
    assert_eq!((asked.status().as_u16(), asked.text().await.unwrap().as_str()), (200, "all"));
    let other = app.ask("GET", "Patient").header("accept", "application/fhir+ndjson").send().await.unwrap();
    assert_eq!(other.status().as_u16(), 406);
    let head = app.ask("HEAD", "Patient/$lines").send().await.unwrap();
    assert_eq!(head.headers()["content-length"], "3");

    let stream = app.ask("GET", "$lines").send().await.unwrap();
    assert_eq!((stream.status().as_u16(), stream.content_length()), (200, None));
    let text = stream.text().await.unwrap();
    assert_eq!((text.lines().count(), text.lines().last()), (1000, Some("{\"n\":999}")));

    // A stream keeps its place among the requests until it ends.
    let open = app.ask("GET", "$lines?_format=json").send().await.unwrap();
    let running = async || app.metric("fhir_requests_in_flight").await;
    assert_eq!(running().await, "1");
    lines.end.notify_one();
    assert_eq!(open.text().await.unwrap().lines().count(), 1000);
    assert_eq!(running().await, "0");

    // What fails in its middle is not taken for complete.
    let broken = app.ask("POST", "$lines").send().await.unwrap();
    assert_eq!(broken.status().as_u16(), 200);
    assert!(broken.text().await.is_err());

    // A Bundle holds resources alone.
    let batch = json!({"resourceType": "Bundle", "type": "batch", "entry": [
        {"request": {"method": "GET", "url": "Patient/$lines"}},
        {"request": {"method": "GET", "url": "Patient?_summary=count"}}]});
    let (status, answer) = json(app.send("POST", "", &batch.to_string()).send().await.unwrap()).await;
    assert_eq!(
        (status, &answer["entry"][0]["response"]["status"]),
        (200, &json!("400 Bad Request")),
        "{answer}"
    );
    let (code, text) = issue(&answer["entry"][0]["response"]["outcome"]);
    assert!(code == "not-supported" && text.contains("no resource"), "{text}");
    assert_eq!(answer["entry"][1]["resource"]["total"], 0);
}
