//! `Idempotency-Key`: a create that is sent twice has one effect, and one answer.
//!
//! A layer around a route, here or in another module. Before the handler is called, a row says that the request is being answered; what
//! has succeeded is kept in it for a day. The row and the effect are two transactions: a process that dies between them leaves a
//! request that cannot be sent again before its lease has ended, and that is done again then.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use fhir_app::envelope::{Answered, Failure};
use fhir_app::{App, Caller, Error, JobRun, JobType, Kind, Principal, Result, async_trait};
use fhir_database::failure::classify;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use utoipa_axum::router::UtoipaMethodRouter;
use uuid::Uuid;

/// The request's row, where there is none, the one that there is has ended, or nobody answers it any more.
const CLAIM: &str = "insert into clinic_idempotency as i (tenant, principal, path, key, digest, owner, lease_at, created_at) \
     values ($1::int4, $2::text, $3::text, $4::text, $5::bytea, $6::uuid, $7::int8, $8::int8) \
     on conflict (tenant, principal, path, key) do update set digest = excluded.digest, owner = excluded.owner, \
       lease_at = excluded.lease_at, status = null, headers = null, body = null, created_at = excluded.created_at \
     where i.created_at < $9::int8 or (i.status is null and i.lease_at < $8::int8 and i.digest = excluded.digest)";

const FIND: &str = "select i.digest, i.status, i.headers, i.body from clinic_idempotency i \
     where i.tenant = $1 and i.principal = $2 and i.path = $3 and i.key = $4";

const KEEP: &str = "update clinic_idempotency set status = $6, headers = $7, body = $8 \
     where tenant = $1 and principal = $2 and path = $3 and key = $4 and owner = $5";

const RELEASE: &str = "delete from clinic_idempotency \
     where tenant = $1 and principal = $2 and path = $3 and key = $4 and owner = $5";

const SWEEP_ALL: &str = "delete from clinic_idempotency where created_at < $1";

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Headers that are kept with an answer.
const KEPT: [HeaderName; 2] = [CONTENT_TYPE, LOCATION];

/// How long an answer is kept, in microseconds.
const LIFETIME: i64 = 24 * 3_600_000_000;

/// How long a request may be under way: longer than any is let.
const LEASE: i64 = 300_000_000;

/// Largest request and largest answer.
const BYTES_MAX: usize = 1024 * 1024;

/// The job that removes old answers, and its schedule.
pub(super) const SWEEP: &str = "clinic.sweep";

/// A route of creates that takes an `Idempotency-Key`.
pub(crate) fn idempotent(
    app: &Arc<App>,
    route: UtoipaMethodRouter<Arc<App>>,
) -> UtoipaMethodRouter<Arc<App>> {
    let (schemas, paths, router) = route;
    (schemas, paths, router.layer(from_fn_with_state(app.clone(), layer)))
}

async fn layer(State(app): State<Arc<App>>, caller: Caller, request: Request, next: Next) -> Answered {
    let Some(key) = key(request.headers())? else { return Ok(next.run(request).await) };
    // Answers are kept for those who are known by name: what one stranger got is none of another's.
    if caller.principal == Principal::Anonymous {
        return Ok(next.run(request).await);
    }
    let (head, body) = request.into_parts();
    let too_large = |_| Error::new(Kind::TooLarge, "a body may have at most 1 MiB here");
    let body = axum::body::to_bytes(body, BYTES_MAX).await.map_err(too_large)?;
    let mut digest = Sha256::new();
    digest.update(head.uri.query().unwrap_or(""));
    digest.update([0]);
    digest.update(&body);
    let sent = Sent {
        tenant: i32::from(caller.tenant.number()),
        principal: caller.principal.name().to_owned(),
        path: head.uri.path().to_owned(),
        key,
        digest: digest.finalize().to_vec(),
        owner: Uuid::new_v4(),
    };
    if let Some(answer) = begin(&app, &sent).await? {
        return Ok(answer);
    }
    let answer = next.run(Request::from_parts(head, Body::from(body))).await;
    end(&app, &sent, answer).await
}

/// A request with a key.
struct Sent {
    tenant: i32,
    principal: String,
    path: String,
    key: String,
    digest: Vec<u8>,
    owner: Uuid,
}

/// The header.
///
/// # Errors
///
/// `Rule` for what is no key.
fn key(headers: &HeaderMap) -> Result<Option<String>> {
    let mut values = headers.get_all(KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    let text = value.to_str().unwrap_or("");
    match (4..=128).contains(&text.len()) && text.bytes().all(is_part) && values.next().is_none() {
        true => Ok(Some(text.to_owned())),
        false => {
            let text = "an Idempotency-Key has 4 to 128 letters, digits, `_` and `-`";
            Err(Error::new(Kind::Rule, text).at("Idempotency-Key"))
        }
    }
}

/// Begins to answer; or the answer, where there is one already.
///
/// # Errors
///
/// `Rule` when another request had this key, `Conflict` while it is being answered.
async fn begin(app: &App, sent: &Sent) -> Result<Option<Response>> {
    let now = app.now();
    let client = app.client().await?;
    let Sent { tenant, principal, path, key, digest, owner } = sent;
    let claimed = client
        .execute(
            CLAIM,
            &[tenant, principal, path, key, digest, owner, &(now + LEASE), &now, &(now - LIFETIME)],
        )
        .await
        .map_err(classify)?;
    if claimed == 1 {
        return Ok(None);
    }
    let in_flight = || Error::new(Kind::Conflict, "a request with this Idempotency-Key is being answered");
    let found = client.query_opt(FIND, &[tenant, principal, path, key]).await.map_err(classify)?;
    // It failed, meanwhile.
    let row = found.ok_or_else(in_flight)?;
    if row.get::<_, &[u8]>(0) != digest.as_slice() {
        let text = "another request had this Idempotency-Key";
        return Err(Error::new(Kind::Rule, text).at("Idempotency-Key"));
    }
    let status: Option<i32> = row.get(1);
    let status = status.ok_or_else(in_flight)?;
    let status = u16::try_from(status).ok().and_then(|status| StatusCode::from_u16(status).ok());
    let body: Option<Vec<u8>> = row.get(3);
    let mut answer = (status.unwrap_or(StatusCode::OK), Body::from(body.unwrap_or_default())).into_response();
    let headers: Option<String> = row.get(2);
    let headers: Map<String, Value> =
        serde_json::from_str(headers.as_deref().unwrap_or("{}")).unwrap_or_default();
    for (name, value) in &headers {
        let name = HeaderName::try_from(name.as_str());
        let value = HeaderValue::try_from(value.as_str().unwrap_or(""));
        if let (Ok(name), Ok(value)) = (name, value) {
            answer.headers_mut().insert(name, value);
        }
    }
    answer.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    Ok(Some(answer))
}

/// Keeps an answer that is a success; after any other, the request may be sent again.
async fn end(app: &App, sent: &Sent, answer: Response) -> Answered {
    if !answer.status().is_success() {
        if let Err(error) = release(app, sent).await {
            // The lease ends by itself.
            tracing::warn!("an Idempotency-Key could not be released: {error}");
        }
        return Ok(answer);
    }
    let (head, body) = answer.into_parts();
    let body =
        axum::body::to_bytes(body, BYTES_MAX).await.map_err(|error| Failure::from(Error::internal(error)))?;
    let kept = keep(app, sent, head.status, &head.headers, &body).await;
    if let Err(error) = kept {
        // What was asked for is done, and is said to be.
        tracing::warn!("the answer to an Idempotency-Key could not be kept: {error}");
    }
    Ok(Response::from_parts(head, Body::from(body)))
}

async fn release(app: &App, sent: &Sent) -> Result<()> {
    let Sent { tenant, principal, path, key, owner, .. } = sent;
    let released = app.client().await?.execute(RELEASE, &[tenant, principal, path, key, owner]).await;
    released.map(drop).map_err(classify)
}

async fn keep(app: &App, sent: &Sent, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Result<()> {
    let Sent { tenant, principal, path, key, owner, .. } = sent;
    let of_note = KEPT.iter().filter_map(|name| {
        let value = headers.get(name)?.to_str().ok()?;
        Some((name.as_str().to_owned(), Value::from(value)))
    });
    let headers = Value::Object(of_note.collect()).to_string();
    let status = i32::from(status.as_u16());
    let client = app.client().await?;
    let kept = client.execute(KEEP, &[tenant, principal, path, key, owner, &status, &headers, &body]).await;
    kept.map(drop).map_err(classify)
}

/// Removes answers that are a day old.
pub(super) struct Sweep(pub(super) Arc<App>);

#[async_trait]
impl JobType for Sweep {
    fn name(&self) -> &str {
        SWEEP
    }

    async fn perform(&self, _: &JobRun) -> Result<Value> {
        let removed = self.0.client().await?.execute(SWEEP_ALL, &[&(self.0.now() - LIFETIME)]).await;
        removed.map(|_| Value::Null).map_err(classify)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys() {
        let long = "k".repeat(128);
        let longer = "k".repeat(129);
        let rows: [(&[&str], Option<Option<&str>>); 9] = [
            (&[], Some(None)),
            (&["abcd"], Some(Some("abcd"))),
            (&["a_B-9"], Some(Some("a_B-9"))),
            (&[&long], Some(Some(&long))),
            (&[&longer], None),
            (&["abc"], None),
            (&["ab cd"], None),
            (&[""], None),
            (&["abcd", "abcd"], None),
        ];
        for (values, wanted) in rows {
            let headers: HeaderMap = values.iter().map(|value| (KEY, value.parse().unwrap())).collect();
            assert_eq!(key(&headers).ok(), wanted.map(|key| key.map(str::to_owned)), "{values:?}");
        }
    }
}
