//! Reads on a standby, of callers who accept one (`Prefer: read=standby`, or the server's setting).
//!
//! A caller never sees less than what it wrote itself: a write's answer says where the log of the database was after it
//! ([`DATABASE_POSITION`]), and a standby answers only what it has the log for, up to the position that a request names in that header
//! or in a page link. A request that names none is answered as of now: with all that the primary has acknowledged to anybody.
//! What a standby cannot answer, or fails at, the primary answers instead.

use fhir_model::interaction::Interaction;
use fhir_model::{Error, Kind, Result};
use fhir_store::{Position, ReadSource, StandbyOutcome};

use crate::page_link::CURSOR;
use crate::reply::Reply;
use crate::request::ReadFrom;
use crate::request_context::RequestContext;

/// The header of a position in the database's log.
pub const DATABASE_POSITION: &str = "database-position";

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

/// Answers a request that a standby may answer, by `dispatch`.
///
/// # Errors
///
/// Those of the interaction.
pub(crate) async fn answer<'c>(
    ctx: &mut RequestContext<'c>,
    dispatch: impl AsyncFn(&RequestContext<'c>) -> Result<Reply>,
) -> Result<Reply> {
    let store = &ctx.cx.store;
    let mut wanted: Vec<Position> = ctx.request.position.into_iter().chain(ctx.linked_position).collect();
    let sent = ctx.search_parameters()?;
    if ctx.linked_position.is_none() && sent.iter().any(|(name, _)| name == CURSOR) {
        // The page before does not say where it was read: this one is answered as of now.
        wanted.clear();
    }
    if let Some(read) = store.standby_at(&wanted).await {
        ctx.scope = ctx.scope.clone().read_from(ReadSource::Standby(read.clone()));
        let done = answer_with_position(ctx, &dispatch).await;
        let failure = done.as_ref().err().filter(|e| is_of_standby(e));
        match store.end_standby_read(&read, failure.is_none()) {
            StandbyOutcome::Answered => return done.map(|reply| reply.header(APPLIED.0, APPLIED.1)),
            StandbyOutcome::Failed => ctx.cx.error_log.record_retry(failure),
            StandbyOutcome::Refused => {}
        }
    }
    // The primary has all there is. Where no standby is by now, links say no position.
    let is_there = store.standby().is_some_and(|standby| standby.lag().is_some());
    let source = if is_there { ReadSource::InPlaceOfStandby } else { ReadSource::Primary };
    ctx.scope = ctx.scope.clone().read_from(source);
    answer_with_position(ctx, &dispatch).await
}

async fn answer_with_position<'c>(
    ctx: &RequestContext<'c>,
    dispatch: &impl AsyncFn(&RequestContext<'c>) -> Result<Reply>,
) -> Result<Reply> {
    let reply = dispatch(ctx).await?;
    Ok(with_position(reply, ctx.cx.store.read_position(&ctx.scope).await?))
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
        Some(position) => reply.header(DATABASE_POSITION, position.to_string()),
        None => reply,
    }
}

/// Whether an error may be the standby's own: it was stopped, or stopped the statement, as that was in the way of what it
/// replays. An error of the request would be the primary's, too.
fn is_of_standby(error: &Error) -> bool {
    matches!(error.kind, Kind::Unavailable | Kind::Conflict | Kind::Internal)
}
