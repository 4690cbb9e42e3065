//! The call of an operation: what was sent is checked before it, what it returns after.

use fhir_model::interaction::Level;
use fhir_model::{Error, Kind, Result};

use super::input::Sent;
use super::{Call, Operations, RegisteredOperation, output};
use crate::reply::Reply;
use crate::request_context::RequestContext;

impl Operations {
    /// Calls the operation of a code at a level.
    ///
    /// # Errors
    ///
    /// When there is none, when it does not take what was sent, and its own.
    pub(crate) async fn call(&self, ctx: &RequestContext<'_>, level: &Level, code: &str) -> Result<Reply> {
        let RegisteredOperation { operation, definition } = self.find(level, code)?;
        if !definition.methods().contains(&ctx.request.method) {
            return Err(Error::new(
                Kind::MethodNotAllowed,
                format!("${code} changes things, so it takes POST alone"),
            ));
        }
        let sent = Sent {
            pairs: &ctx.pairs,
            body: ctx.request.body.as_ref(),
            strict: ctx.strict(),
            types: &*ctx.cx.definitions,
        };
        let parameters = sent.read(definition)?;
        let (level, scope, request) = (level.clone(), ctx.scope.clone(), ctx.request.clone());
        let call = Call { level, scope, parameters, request };
        let reply = operation.run(ctx.cx, call).await?;
        output::checked(definition, reply)
    }
}
