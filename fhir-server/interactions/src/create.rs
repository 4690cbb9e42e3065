//! create: <https://hl7.org/fhir/R4/http.html#create>, conditional: <https://hl7.org/fhir/R4/http.html#ccreate>

use fhir_model::json::Edits;
use fhir_model::{Error, Key, Kind, Result};
use fhir_store::ResourceState;

use crate::change::{Change, ChangeKind};
use crate::commit::{commit, issues};
use crate::conditional::{Criteria, several};
use crate::reply::Reply;
use crate::request_context::{Attempts, RequestContext};

pub(crate) async fn create(ctx: &RequestContext<'_>, type_name: &str) -> Result<Reply> {
    let RequestContext { cx, request, .. } = ctx;
    let resource = ctx.resource(type_name)?.root();
    let criteria = match &request.conditions.if_none_exist {
        Some(text) => Some(Criteria::from_header(ctx, type_name, text)?),
        None => None,
    };
    let mut attempts = Attempts::new(cx);
    loop {
        attempts.next()?;
        let mut claim = None;
        if let Some(criteria) = &criteria {
            let (found, open) = criteria.find(ctx).await?;
            match found.as_slice() {
                [] => claim = open,
                [one] => return Ok(Reply::existing(one, ctx.ret())),
                _ => return Err(several(&criteria.text)),
            }
        }
        let key = Key::new(type_name, cx.store.new_id());
        let stamp = cx.store.commit_timestamp()?;
        let change = Change {
            key,
            before: ResourceState::Absent,
            what: ChangeKind::Create(resource, Edits::default()),
            claim,
        };
        let decided = change.decide(cx, &request.conditions, stamp.micros())?;
        let Some(decided) = decided else { return Err(Error::new(Kind::Internal, "a create writes")) };
        let mut writes = [decided.write];
        if let Some(warnings) = commit(ctx, &stamp, &mut writes).await? {
            let [write] = writes;
            return Ok(Reply::written(&write, true, stamp.micros(), ctx.ret(), issues(warnings)));
        }
    }
}
