//! What no statement on one row can say is resolved first, and becomes a condition that one can.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;

use fhir_model::Result;
use fhir_search::condition::Condition;
use fhir_search::filter;
use fhir_search::query::Query;

use crate::Store;
use crate::scope::Scope;

/// A query's condition with nothing left to resolve, and what came to light on the way.
#[derive(Debug, Default)]
pub(super) struct Resolved {
    pub(super) condition: Condition,
    /// By handle, how well words match: from 0 to 1.
    pub(super) scores: HashMap<i64, f32>,
    /// What the client should know.
    pub(super) warnings: Vec<String>,
}

impl Store {
    /// The condition of a query.
    pub(super) async fn resolve(&self, scope: &Scope, query: &Query) -> Result<Resolved> {
        let _ = scope;
        let condition = filter::condition(query, &self.registry, &self.keyer);
        let mut resolved = Resolved::default();
        resolved.condition = match condition.is_pending() {
            true => self.resolve_one(&query.type_name, condition, &mut resolved).await?.simplify(),
            false => condition,
        };
        Ok(resolved)
    }

    /// A condition on resources of a type, resolved from the inside out.
    fn resolve_one<'a>(
        &'a self,
        type_name: &'a str,
        condition: Condition,
        resolved: &'a mut Resolved,
    ) -> Pin<Box<dyn Future<Output = Result<Condition>> + Send + 'a>> {
        Box::pin(async move {
            Ok(match condition {
                Condition::All(parts) => Condition::All(self.resolve_each(type_name, parts, resolved).await?),
                Condition::Any(parts) => Condition::Any(self.resolve_each(type_name, parts, resolved).await?),
                Condition::Not(inner) => {
                    Condition::Not(Box::new(self.resolve_one(type_name, *inner, resolved).await?))
                }
                Condition::Words(ask) => {
                    let words = self.words(type_name, &ask).await?;
                    if words.behind {
                        resolved.warnings.push(
                            "the full text index is behind: some of the last changes were not looked at"
                                .to_owned(),
                        );
                    }
                    let best = words.scores.values().copied().fold(f32::MIN_POSITIVE, f32::max);
                    let mut handles: Vec<i64> = words.scores.keys().copied().collect();
                    handles.sort_unstable();
                    resolved.scores.extend(words.scores.into_iter().map(|(h, score)| (h, score / best)));
                    Condition::Handles(handles)
                }
                plain => plain,
            })
        })
    }

    async fn resolve_each(
        &self,
        type_name: &str,
        parts: Vec<Condition>,
        resolved: &mut Resolved,
    ) -> Result<Vec<Condition>> {
        let mut all = Vec::with_capacity(parts.len());
        for part in parts {
            all.push(match part.is_pending() {
                true => self.resolve_one(type_name, part, resolved).await?,
                false => part,
            });
        }
        Ok(all)
    }
}
