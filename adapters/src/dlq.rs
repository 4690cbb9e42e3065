//! `/admin/dlq`: the dead letters, for administrators to look at, have tried again, or discard.
//!
//! In Cari's envelope, as all of `/admin`. A letter names what failed and why; payloads are not shown.

use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use fhir_interactions::{Cx, Principal};
use fhir_model::date::format_instant;
use fhir_model::{Error, Kind, Result};
use fhir_work::{DeadLetter, DeadLetters};
use serde_json::{Value, json};

use crate::Adapter;

/// Letters on a page when nothing else is asked for, and at most.
const LIMIT: u64 = 20;
const LIMIT_MAX: u64 = 100;

/// The dead letters.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DeadLetterQueue {
    /// So many letters are an alert.
    pub(crate) alert_at: u64,
}

/// What a request works with.
#[derive(Clone)]
struct Admin {
    cx: Arc<Cx>,
    alert_at: u64,
}

#[async_trait]
impl Adapter for DeadLetterQueue {
    fn name(&self) -> &'static str {
        "dlq"
    }

    fn paths(&self) -> &'static [&'static str] {
        &["/admin/dlq"]
    }

    fn routes(&self, cx: Arc<Cx>) -> Router {
        Router::new()
            .route("/admin/dlq", get(list))
            .route("/admin/dlq/depth", get(depth))
            .route("/admin/dlq/{id}/retry", post(retry))
            .route("/admin/dlq/{id}", delete(discard))
            .method_not_allowed_fallback(async || {
                refused(&Error::new(Kind::MethodNotAllowed, "this method means nothing here"))
            })
            .with_state(Admin { cx, alert_at: self.alert_at })
    }

    async fn serve(&self, _: Arc<Cx>) -> Result<()> {
        Ok(())
    }
}

impl Admin {
    /// The dead letters, for those who may administer the server.
    fn letters(&self) -> Result<DeadLetters<'_>> {
        match self.cx.guard.may_administer(&Principal::Anonymous) {
            true => Ok(DeadLetters(self.cx.store.connections())),
            false => Err(Error::new(Kind::Unauthorized, "Invalid or expired token")),
        }
    }
}

#[derive(Debug, serde::Deserialize)]
struct Page {
    page: Option<u64>,
    limit: Option<u64>,
}

async fn list(State(admin): State<Admin>, Query(asked): Query<Page>) -> Response {
    let listed = async {
        let letters = admin.letters()?;
        let limit = asked.limit.unwrap_or(LIMIT).clamp(1, LIMIT_MAX);
        let page = asked.page.unwrap_or(1).max(1);
        let (found, total) = letters.list((page - 1).saturating_mul(limit), limit).await?;
        let data: Vec<Value> = found.iter().map(letter).collect();
        Ok(json!({ "success": true, "data": data, "meta": { "page": page, "limit": limit, "total": total } }))
    };
    answer(StatusCode::OK, listed.await)
}

async fn depth(State(admin): State<Admin>) -> Response {
    let counted = async {
        let depth = admin.letters()?.depth().await?;
        let is_alert = depth.letters >= admin.alert_at;
        Ok(json!({ "success": true, "data": {
            "depth": depth.letters,
            "alert": is_alert,
            "alert_at": admin.alert_at,
            "oldest_at": depth.oldest_at.map(format_instant),
        }}))
    };
    answer(StatusCode::OK, counted.await)
}

async fn retry(State(admin): State<Admin>, Path(id): Path<String>) -> Response {
    let retried = async {
        let letters = admin.letters()?;
        match number(&id) {
            Some(number) if letters.retry(number).await? => Ok(done(&id, "retrying")),
            _ => Err(unknown(&id)),
        }
    };
    answer(StatusCode::ACCEPTED, retried.await)
}

async fn discard(State(admin): State<Admin>, Path(id): Path<String>) -> Response {
    let discarded = async {
        let letters = admin.letters()?;
        match number(&id) {
            Some(number) if letters.discard(number).await? => Ok(done(&id, "discarded")),
            _ => Err(unknown(&id)),
        }
    };
    answer(StatusCode::OK, discarded.await)
}

fn letter(letter: &DeadLetter) -> Value {
    json!({
        "id": format!("{:016x}", letter.id),
        "kind": letter.kind.as_str(),
        "name": letter.name,
        "key": letter.key,
        "payload": "masked",
        "attempts": letter.attempts,
        "reason": letter.reason,
        "failed_at": format_instant(letter.failed_at),
        "status": if letter.is_retried { "retrying" } else { "dead" },
    })
}

fn done(id: &str, status: &str) -> Value {
    json!({ "success": true, "data": { "id": id, "status": status } })
}

/// The number that the id of a letter writes; `None` when it is no id.
fn number(id: &str) -> Option<i64> {
    i64::from_str_radix(id, 16).ok().filter(|_| id.len() == 16)
}

fn unknown(id: &str) -> Error {
    // What was sent is repeated only where it can be an id.
    match number(id) {
        Some(_) => Error::new(Kind::NotFound, format!("there is no dead letter {id}")),
        None => Error::new(Kind::NotFound, "there is no such dead letter"),
    }
}

fn answer(status: StatusCode, done: Result<Value>) -> Response {
    match done {
        Ok(value) => written(status, &value),
        Err(error) => refused(&error),
    }
}

fn refused(error: &Error) -> Response {
    let status = StatusCode::from_u16(error.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let code = match status.as_u16() {
        400 | 422 => "VALIDATION_ERROR",
        401 => "UNAUTHORIZED",
        403 => "FORBIDDEN",
        404 => "NOT_FOUND",
        405 => "METHOD_NOT_ALLOWED",
        429 => "RATE_LIMITED",
        503 => "UNAVAILABLE",
        _ => "INTERNAL_ERROR",
    };
    let error = json!({ "code": code, "message": error.text });
    written(status, &json!({ "success": false, "error": error }))
}

fn written(status: StatusCode, value: &Value) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}
