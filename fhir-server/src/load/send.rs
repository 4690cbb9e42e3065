//! One piece, written.

use std::time::Duration;

use fhir_interactions::{Body, Conditions, Cx, Method, Prefer, Principal, Request, Return, handle};
use fhir_model::json::Doc;
use fhir_model::{Error, Key, Kind, Result};

use super::identity;
use super::piece::{Entry, Piece};

/// How often a piece is tried while the database is away.
const ATTEMPTS_MAX: u32 = 6;

/// What came of a piece.
#[derive(Debug, Default)]
pub(super) struct Sent {
    pub(super) written: u64,
    pub(super) unchanged: u64,
    pub(super) errors: Vec<(String, String)>,
    /// A refused transaction, with the reason: it may refer to what another file brings.
    pub(super) refused: Option<(Piece, String)>,
}

/// Writes what is not there yet.
pub(super) async fn send(cx: &Cx, mut piece: Piece) -> Sent {
    let mut sent = Sent { errors: std::mem::take(&mut piece.errors), ..Sent::default() };
    match pass_over_unchanged(cx, &mut piece).await {
        Ok(unchanged) => sent.unchanged = unchanged,
        Err(error) => {
            sent.errors.push((piece.name, error.text));
            return sent;
        }
    }
    if piece.entries.is_empty() {
        return sent;
    }
    // Resources that do not hang together are written as one transaction all the same, because that is faster; when one
    // of them is refused, the others are written without it.
    match write(cx, &piece.entries, true).await {
        Ok(_) => sent.written += piece.entries.len() as u64,
        Err(error) if piece.atomic && error.kind.status() < 500 => sent.refused = Some((piece, told(&error))),
        Err(error) if piece.atomic => sent.errors.push((piece.name, told(&error))),
        Err(_) => one_by_one(cx, piece, &mut sent).await,
    }
    sent
}

async fn one_by_one(cx: &Cx, piece: Piece, sent: &mut Sent) {
    let statuses = match write(cx, &piece.entries, false).await {
        Ok(statuses) => statuses,
        Err(error) => return sent.errors.push((piece.name, told(&error))),
    };
    for (entry, refusal) in piece.entries.into_iter().zip(statuses) {
        match refusal {
            None => sent.written += 1,
            Some(text) => sent.errors.push((entry.place, text)),
        }
    }
}

/// Takes away the entries that are there already. Of a transaction all or none: its entries refer to each other.
async fn pass_over_unchanged(cx: &Cx, piece: &mut Piece) -> Result<u64> {
    let count = piece.entries.len();
    if piece.independent {
        let mut left = Vec::new();
        for entry in std::mem::take(&mut piece.entries) {
            if !is_there(cx, &entry, piece).await? {
                left.push(entry);
            }
        }
        piece.entries = left;
        return Ok((count - piece.entries.len()) as u64);
    }
    let named: Vec<&Entry> = piece.entries.iter().filter(|entry| entry.key.is_some()).collect();
    if named.is_empty() {
        return Ok(0);
    }
    // The first that is missing or different decides: a transaction that never came is told by its first entry.
    for entry in named {
        if !is_there(cx, entry, piece).await? {
            return Ok(0);
        }
    }
    piece.entries.clear();
    Ok(count as u64)
}

async fn is_there(cx: &Cx, entry: &Entry, piece: &Piece) -> Result<bool> {
    let (Some(key), Some(resource)) = (&entry.key, &entry.resource) else { return Ok(false) };
    let Some(stored) = read(cx, key).await? else { return Ok(false) };
    Ok(identity::same(resource.root(), stored.root(), &piece.urls))
}

async fn read(cx: &Cx, key: &Key) -> Result<Option<Doc>> {
    let reply = match patiently(|| handle(cx, request(Method::Get, key.to_string(), None))).await {
        Ok(reply) => reply,
        // What is wrong with the key is told when it is written.
        Err(error) if error.kind.status() < 500 => return Ok(None),
        Err(error) => return Err(error),
    };
    let Some(body) = reply.body else { return Ok(None) };
    Ok(Some(Doc::parse(body, cx.limits.json)?))
}

/// Sends the entries as one Bundle. Of a batch: for each entry, why it was refused.
async fn write(cx: &Cx, entries: &[Entry], atomic: bool) -> Result<Vec<Option<String>>> {
    let kind = if atomic { "transaction" } else { "batch" };
    let bytes = entries.iter().map(|entry| entry.json.len() + 1).sum::<usize>() + 64;
    let mut text = String::with_capacity(bytes);
    text.push_str(&format!("{{\"resourceType\":\"Bundle\",\"type\":\"{kind}\",\"entry\":["));
    for (number, entry) in entries.iter().enumerate() {
        if number > 0 {
            text.push(',');
        }
        text.push_str(&entry.json);
    }
    text.push_str("]}");
    let bundle = Doc::parse(text, cx.limits.json)?;
    let ask = || handle(cx, request(Method::Post, String::new(), Some(Body::Resource(bundle.clone()))));
    let reply = patiently(ask).await?;
    if atomic {
        return Ok(Vec::new());
    }
    let response = Doc::parse(reply.body.unwrap_or_default(), cx.limits.json)?;
    let answers = response.root().get("entry").into_iter().flat_map(|entries| entries.items());
    Ok(answers.map(|answer| answer.get("response").and_then(refusal)).collect())
}

/// Why an entry of a batch was refused, if it was.
fn refusal(response: fhir_model::json::Ref<'_>) -> Option<String> {
    let status = response.get_str("status").unwrap_or_default();
    if status.starts_with('2') {
        return None;
    }
    let issue = response
        .get("outcome")
        .and_then(|outcome| outcome.get("issue"))
        .and_then(|issue| issue.items().next());
    let text = issue.and_then(|issue| issue.get("details")).and_then(|details| details.get_str("text"));
    Some(format!("{status}: {}", text.unwrap_or_default()))
}

/// Tries again while the database is away or busy.
async fn patiently<T, F: Future<Output = Result<T>>>(ask: impl Fn() -> F) -> Result<T> {
    let mut attempt = 1;
    loop {
        match ask().await {
            Err(error) if error.kind == Kind::Unavailable && attempt < ATTEMPTS_MAX => {
                tracing::debug!("attempt {attempt}: {error}");
                tokio::time::sleep(Duration::from_millis(100 << attempt)).await;
                attempt += 1;
            }
            other => return other,
        }
    }
}

fn request(method: Method, path: String, body: Option<Body>) -> Request {
    Request {
        method,
        path,
        query: String::new(),
        conditions: Conditions::default(),
        prefer: Prefer { ret: Some(Return::Minimal), ..Prefer::default() },
        body,
        base: String::new(),
        principal: Principal::Anonymous,
    }
}

fn told(error: &Error) -> String {
    match error.expression.is_empty() {
        true => error.text.clone(),
        false => format!("{} ({})", error.text, error.expression.join(", ")),
    }
}
