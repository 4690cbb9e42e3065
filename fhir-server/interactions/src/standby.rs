//! Reads on a standby, of callers who accept one (`Prefer: read=standby`, or the server's setting).
//!
//! A caller never sees less than what it wrote itself: a write's answer says where the log of the database was after it
//! ([`POSITION`]), and a standby answers only what it has the log for, up to the position that a request names in that header
//! or in a page link. A request that names none is answered as of now: with all that the primary has acknowledged to anybody.
//! What a standby cannot answer, or fails at, the primary answers instead.

use fhir_model::interaction::Interaction;
use fhir_model::{Error, Kind, Result};
use fhir_store::{Position, ReadSource};

use crate::dispatch::dispatch;
use crate::reply::Reply;
use crate::request::ReadFrom;
use crate::request_context::RequestContext;

/// The header of a position in the database's log.
pub const POSITION: &str = "database-position";

/// What a standby answered says so: <https://www.rfc-editor.org/rfc/rfc7240#section-3>
const APPLIED: (&str, &str) = ("preference-applied", "read=standby");

/// Whether a standby may answer the request: a search, a history, or an operation that says so of itself.
pub(crate) fn is_accepted(ctx: &RequestContext<'_>) -> bool {
    if !ctx.cx.store.has_standby() {
        return false;
    }
    let is_read = match &ctx.request.interaction {
        Interaction::SearchType(_) | Interaction::SearchSystem | Interaction::SearchCompartment(..) => true,
        Interaction::HistoryInstance(_) | Interaction::HistoryType(_) | Interaction::HistorySystem => true,
        Interaction::Operation(level, code) => ctx.cx.operations.reads_standby(level, code),
        _ => false,
    };
    // A page link with a position was given to somebody who accepted it.
    let by_link = ctx.linked_position.map(|_| ReadFrom::Standby);
    let wanted = ctx.request.prefer.read.or(by_link).unwrap_or(ctx.cx.settings.read_from);
    is_read && wanted == ReadFrom::Standby
}

/// Answers a request that a standby may answer.
///
/// # Errors
///
/// Those of the interaction.
pub(crate) async fn answer(ctx: &mut RequestContext<'_>) -> Result<Reply> {
    let store = &ctx.cx.store;
    let mut wanted: Vec<Position> = ctx.request.position.into_iter().chain(ctx.linked_position).collect();
    if wanted.is_empty() {
        wanted.extend(store.position().await);
    }
    let read = if wanted.is_empty() { None } else { store.standby_at(&wanted).await };
    if let Some(read) = read {
        ctx.position = Some(read.position());
        ctx.scope = ctx.scope.clone().read_from(ReadSource::Standby(read.clone()));
        let done = dispatch(ctx).await;
        if store.is_answer_of(&read, !done.as_ref().is_err_and(is_of_standby)) {
            return done.map(|reply| with_position(reply, ctx.position).header(APPLIED.0, APPLIED.1));
        }
        ctx.scope = ctx.scope.clone().read_from(ReadSource::Primary);
    }
    // The primary has all of them, and says the first again.
    ctx.position = wanted.first().copied();
    dispatch(ctx).await.map(|reply| with_position(reply, ctx.position))
}

/// Whether the request may have changed what others read.
pub(crate) fn may_have_written(ctx: &RequestContext<'_>) -> bool {
    match &ctx.request.interaction {
        Interaction::Bundle => true,
        Interaction::Operation(level, code) => ctx.cx.operations.affects_state(level, code).unwrap_or(false),
        interaction => interaction.is_write(),
    }
}

/// The reply, with a position where there is one.
pub(crate) fn with_position(reply: Reply, position: Option<Position>) -> Reply {
    match position {
        Some(position) => reply.header(POSITION, position.to_string()),
        None => reply,
    }
}

/// Whether an error may be the standby's own: it was stopped, or stopped the statement, as that was in the way of what it
/// replays. An error of the request would be the primary's, too.
fn is_of_standby(error: &Error) -> bool {
    matches!(error.kind, Kind::Unavailable | Kind::Conflict | Kind::Internal)
}
