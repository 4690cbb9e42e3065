//! batch and transaction: <https://hl7.org/fhir/R4/http.html#transaction>
//!
//! Entries are read once ([`entries`]). A batch sends each through `handle`, as every request ([`order`] says when), and
//! so does a history ([`replay`]); a transaction decides all of its writes, with their references resolved
//! ([`references`]), and commits them together.

mod batch;
mod binary;
mod check_question;
mod checked_entry;
mod conditional_references;
mod criteria;
mod decide;
mod elements;
mod entries;
mod entry_body;
mod entry_error;
mod entry_response;
mod full_url_index;
mod lookups;
mod narrative;
mod order;
mod patches;
mod plan;
mod reads;
mod references;
mod replay;
mod resolution;
mod rounds;
mod search_body;
pub(crate) mod text;
mod transaction;

use std::future::Future;
use std::pin::Pin;

use fhir_model::json::Ref;
use fhir_model::{Error, Kind, Result};

use crate::check::type_of;
use crate::reply::Reply;
use crate::request_context::RequestContext;

/// Answers a Bundle that was sent to the base.
///
/// Boxed, because entries of a batch are requests, and the future of a request would hold itself.
pub(crate) fn process<'a>(
    ctx: &'a RequestContext<'a>,
) -> Pin<Box<dyn Future<Output = Result<Reply>> + Send + 'a>> {
    Box::pin(async move {
        let bundle = ctx.body()?.root();
        if type_of(bundle, &*ctx.cx.definitions, || "Bundle".to_owned())? != "Bundle" {
            return Err(Error::invalid(
                "only a Bundle can be sent to the base; other resources go to their type",
            ));
        }
        let entries: Vec<Ref<'_>> = bundle.get("entry").into_iter().flat_map(Ref::items).collect();
        let max = ctx.cx.limits.entries_max;
        if entries.len() > max {
            let text = format!("the Bundle has {} entries; {max} are allowed", entries.len());
            return Err(Error::new(Kind::TooCostly, text).at("Bundle.entry"));
        }
        match bundle.get_str("type").as_deref() {
            Some("batch") => batch::batch(ctx, &entries).await,
            Some("transaction") => transaction::transaction(ctx, &entries).await,
            Some("history") => batch::history(ctx, &entries).await,
            _ => {
                let text = "a Bundle sent to the base is a batch, a transaction or a history; to store one, send it to Bundle";
                Err(Error::invalid(text).at("Bundle.type"))
            }
        }
    })
}
