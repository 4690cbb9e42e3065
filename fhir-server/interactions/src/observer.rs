//! Who sees every access: the seam for audit.

use async_trait::async_trait;
use fhir_model::{Error, Key, Result};

use crate::reply::Reply;
use crate::request::Request;

/// Is told of every request that [`handle`](crate::handle) answers, the entries of a batch and the reads of a transaction
/// among them, before the answer is given away. What is written is seen by `fhir_store::Effect`s, in the write's own
/// transaction.
#[async_trait]
pub trait Observer: Send + Sync {
    /// Sees one access.
    ///
    /// # Errors
    ///
    /// When the access cannot be recorded: a read is not answered then. What was written stays written.
    async fn observe(&self, access: &Access<'_>) -> Result<()>;
}

/// One access and its outcome.
#[derive(Debug)]
pub struct Access<'a> {
    /// Who asked for what: principal, interaction, criteria, organisation.
    pub request: &'a Request,
    /// What the answer is.
    pub outcome: std::result::Result<&'a Reply, &'a Error>,
}

impl Access<'_> {
    /// The resources that the answer holds, those of a page in its order.
    pub fn disclosed(&self) -> impl Iterator<Item = &Key> {
        let reply = self.outcome.ok();
        let one = reply
            .filter(|reply| reply.body.is_some() && !reply.is_outcome)
            .and_then(|reply| reply.key.as_ref());
        one.into_iter().chain(reply.into_iter().flat_map(|reply| &reply.keys))
    }
}
