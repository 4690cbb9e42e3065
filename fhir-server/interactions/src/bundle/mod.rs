//! batch and transaction: <https://hl7.org/fhir/R4/http.html#transaction>
//!
//! Entries are read once ([`entries`]). A batch sends each through the door every request takes; a transaction decides
//! all of its writes, with their references resolved ([`references`]), and commits them together.

mod batch;
mod entries;
mod fates;
mod links;
mod lookups;
mod planned;
mod references;
pub(crate) mod text;
mod transaction;

use std::future::Future;
use std::pin::Pin;

use fhir_model::json::Ref;
use fhir_model::{Error, Kind, Result};

use crate::ask::Ask;
use crate::check::type_of;
use crate::reply::Reply;

/// Answers a Bundle that was sent to the base.
///
/// Boxed, because entries of a batch are requests, and the future of a request would hold itself.
pub(crate) fn process<'a>(ask: &'a Ask<'a>) -> Pin<Box<dyn Future<Output = Result<Reply>> + Send + 'a>> {
    Box::pin(async move {
        let bundle = ask.body()?.root();
        if type_of(bundle, &*ask.cx.definitions)? != "Bundle" {
            return Err(Error::invalid(
                "only a Bundle can be sent to the base; other resources go to their type",
            ));
        }
        let entries: Vec<Ref<'_>> = bundle.get("entry").into_iter().flat_map(Ref::items).collect();
        let max = ask.cx.limits.entries_max;
        if entries.len() > max {
            let text = format!("the Bundle has {} entries; {max} are allowed", entries.len());
            return Err(Error::new(Kind::TooCostly, text).at("Bundle.entry"));
        }
        match bundle.get_str("type").as_deref() {
            Some("batch") => batch::batch(ask, &entries).await,
            Some("transaction") => transaction::transaction(ask, &entries).await,
            _ => {
                let text =
                    "a Bundle sent to the base is a batch or a transaction; to store one, send it to Bundle";
                Err(Error::invalid(text).at("Bundle.type"))
            }
        }
    })
}

/// Says in which entry the fault is.
fn in_entry(mut error: Error, at: usize) -> Error {
    error.text = format!("entry {at}: {}", error.text);
    error.expression.insert(0, format!("Bundle.entry[{at}]"));
    error
}
