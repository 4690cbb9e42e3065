//! A SearchParameter must be one that can take effect.

use async_trait::async_trait;
use fhir_model::Result;
use fhir_store::Write;

use super::{Verdict, WriteContext, WriteRule};

/// Refuses SearchParameters that could not be searched by.
#[derive(Debug)]
pub struct Definition;

#[async_trait]
impl WriteRule for Definition {
    fn applies_to(&self, write: &Write) -> bool {
        write.doc.is_some() && *write.key.type_name == *"SearchParameter"
    }

    async fn check(&self, context: &WriteContext<'_>) -> Result<Verdict> {
        let text = context.write.doc.as_ref().map_or("", |doc| doc.text());
        Ok(context.store.check_definition(text).err().map(Verdict::from).unwrap_or_default())
    }
}
