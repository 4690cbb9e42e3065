//! A SearchParameter must be one that can take effect. It takes effect for all organisations, and so at the bare base alone.

use async_trait::async_trait;
use fhir_model::error::Issue;
use fhir_model::{Kind, Result};
use fhir_search::TenantId;
use fhir_store::Write;

use super::{Verdict, WriteContext, WriteRule};

/// Refuses SearchParameters that could not be searched by.
#[derive(Debug)]
pub struct SearchParameterRule;

#[async_trait]
impl WriteRule for SearchParameterRule {
    fn applies_to(&self, write: &Write) -> bool {
        write.doc.is_some() && *write.key.type_name == *"SearchParameter"
    }

    async fn check(&self, context: &WriteContext<'_>) -> Result<Verdict> {
        let text = context.write.doc.as_ref().map_or("", |doc| doc.text());
        if let Err(refused) = context.store.check_definition(text) {
            return Ok(refused.into());
        }
        let mut verdict = Verdict::default();
        if !matches!(context.scope.tenant(), TenantId::DEFAULT | TenantId::SHARED) {
            let text = "what an organisation stores is not searched by: search parameters take effect at the server's own base";
            verdict.issues.push(Issue::warning(Kind::NotSupported, text).at("SearchParameter"));
        }
        Ok(verdict)
    }
}
