//! Resolves what no statement on one row can express (chains, words, value sets) into conditions that one can.

use std::future::Future;
use std::pin::Pin;

use fhir_model::{Error, Kind, Result};
use fhir_search::condition::{Condition, Embedded};
use fhir_search::filter;
use fhir_search::query::Query;
use fhir_search::sql;

use super::chain::ChainReach;
use super::post_filter::can_post_filter;
use super::resolved::Resolved;
use crate::scope::ScopedStore;

/// Texts of a parameter that are looked at one by one.
const TEXTS_FEW: usize = 1000;

impl ScopedStore<'_> {
    /// Resolves what queries need besides rows (codes of value sets, words, ends of chains), without searching.
    ///
    /// # Errors
    /// Those that a search would answer whatever there is to find.
    pub(crate) async fn check(&self, queries: &[Query]) -> Result<()> {
        for query in queries {
            if filter::condition(query, &self.registry, &self.hasher).is_pending() {
                self.resolve(query).await?;
            }
        }
        Ok(())
    }

    /// The condition of a query.
    pub(super) async fn resolve(&self, query: &Query) -> Result<Resolved> {
        let visible = self.visible(&query.type_name);
        let condition = filter::condition(query, &self.registry, &self.hasher);
        let mut resolved = Resolved::default();
        if !condition.is_pending() {
            let condition = match visible == Condition::default() {
                true => condition,
                false => Condition::All(vec![condition, visible]).simplify(),
            };
            resolved.condition = self.optimized(&query.type_name, condition).await?;
            self.plan_entry_conditions(&mut resolved).await?;
            return Ok(resolved);
        }
        let parts = condition.parts();
        // What is refused when all ends are looked up is not answered because few were asked for.
        let rare = ChainReach::Few(self.options.chain_rare.min(self.options.chain_max));
        let mut all = Vec::with_capacity(parts.len());
        for part in parts {
            match self.resolve_ends(part, &mut resolved).await? {
                Condition::Chain(chain) => match self.chain(&query.type_name, &chain, rare).await? {
                    Some(plain) => all.push(self.count_values(plain, &mut resolved, &chain.code)?),
                    None => resolved.post_filters.push(Condition::Chain(chain)),
                },
                Condition::Has(has) => {
                    let param = self.reference(&has.source, &has.code)?;
                    match self.has(&query.type_name, &has, rare).await? {
                        Some(plain) => all.push(self.count_values(plain, &mut resolved, "_has")?),
                        None if can_post_filter(&query.type_name, &param) => {
                            resolved.post_filters.push(Condition::Has(has))
                        }
                        None => {
                            if let Some(plain) = self.has(&query.type_name, &has, self.full_reach()).await? {
                                all.push(self.count_values(plain, &mut resolved, "_has")?);
                            }
                        }
                    }
                }
                other => all.push(self.resolve_one(&query.type_name, other, &mut resolved).await?),
            }
        }
        all.push(visible);
        resolved.condition = self.optimized(&query.type_name, Condition::All(all).on_rows()).await?;
        self.plan_entry_conditions(&mut resolved).await?;
        Ok(resolved)
    }

    /// A condition with nothing left to resolve, as it is best asked: quantities beside a code by both, texts of which there
    /// are few without an index.
    async fn optimized(&self, type_name: &str, condition: Condition) -> Result<Condition> {
        let condition =
            self.registry.for_type(type_name)?.code_quantity_index(&self.hasher).rewritten(condition);
        let mut few = Vec::new();
        for key in condition.containing() {
            if self.rows_if_few(&sql::texts_beyond(key, TEXTS_FEW), 0).await?.is_some() {
                few.push(key);
            }
        }
        Ok(condition.scanning_texts(&few))
    }

    /// The condition, whose values count among all that the search has looked up.
    fn count_values(&self, condition: Condition, resolved: &mut Resolved, name: &str) -> Result<Condition> {
        resolved.looked_up += condition.values();
        let named = |e: Error| if name.is_empty() { e } else { e.at(name) };
        self.check_looked_up(resolved.looked_up).map_err(named)?;
        Ok(condition)
    }

    /// Refuses a search that holds too much before it has begun.
    pub(crate) fn check_looked_up(&self, values: usize) -> Result<()> {
        let max = self.options.looked_up_max;
        if values <= max {
            return Ok(());
        }
        let text = format!(
            "the chains, lists, value sets and words of this search lead to more than {max} values; ask for less at once"
        );
        Err(Error::new(Kind::TooCostly, text))
    }

    /// Conditions on entries beside the rows: few of them are rows to look up, and so are the matches of another condition,
    /// which are asked then. Common ones are asked along the order.
    async fn plan_entry_conditions(&self, resolved: &mut Resolved) -> Result<()> {
        let parts = std::mem::take(&mut resolved.condition).parts();
        let (entries, mut rest): (Vec<_>, Vec<_>) = parts.into_iter().partition(Condition::is_on_entries);
        let mut selective = rest.iter().any(sql::is_selective);
        for condition in entries {
            if !selective && let Some(rows) = self.few_rows(&condition).await? {
                rest.push(rows);
                selective = true;
                continue;
            }
            resolved.post_filters.push(condition);
        }
        // The prefix hashes of rows skip most of what an index-order scan reads, when no other condition is selective.
        if !selective && resolved.post_filters.iter().any(|one| one.prefilter().is_some()) {
            let tokens: Vec<Condition> = rest.iter().filter(|part| sql::is_token(part)).cloned().collect();
            if !tokens.is_empty()
                && let Some(rows) = self.few_rows(&Condition::All(tokens)).await?
            {
                rest.push(rows);
            }
        }
        resolved.condition = Condition::All(rest).simplify();
        Ok(())
    }

    /// The rows that meet a condition, when they are few.
    async fn few_rows(&self, condition: &Condition) -> Result<Option<Condition>> {
        let few = self.options.entries_few;
        let Some(rows) = self.rows_if_few(&sql::first_rows(condition, few + 1), few).await? else {
            return Ok(None);
        };
        let handles = rows.iter().map(|row| row.try_get(0).map_err(Error::internal));
        let mut handles = handles.collect::<Result<Vec<i64>>>()?;
        handles.sort_unstable();
        handles.dedup();
        Ok(Some(Condition::Handles(handles)))
    }

    fn full_reach(&self) -> ChainReach {
        ChainReach::All(self.options.chain_max)
    }

    /// Turns the post-filters into conditions on rows: the ends of all chains are looked up.
    pub(super) async fn resolve_post_filters(&self, query: &Query, resolved: &mut Resolved) -> Result<()> {
        let post_filters = std::mem::take(&mut resolved.post_filters);
        if post_filters.is_empty() {
            return Ok(());
        }
        let mut all = vec![std::mem::take(&mut resolved.condition)];
        for condition in post_filters {
            all.push(self.resolve_one(&query.type_name, condition, resolved).await?);
        }
        resolved.condition = Condition::All(all).on_rows();
        Ok(())
    }

    /// A chain or `_has` with the conditions at its other end resolved; anything else as it is.
    async fn resolve_ends(&self, condition: Condition, resolved: &mut Resolved) -> Result<Condition> {
        Ok(match condition {
            Condition::Chain(mut chain) => {
                for (target, end) in &mut chain.targets {
                    let found = self.resolve_one(target, std::mem::take(end), resolved).await?;
                    let found = self.optimized(target, found.simplify()).await?;
                    *end = self.visible_end(target, found);
                }
                Condition::Chain(chain)
            }
            Condition::Has(mut has) => {
                let end = std::mem::take(&mut has.condition);
                let found = self.resolve_one(&has.source, end, resolved).await?;
                let found = self.optimized(&has.source, found.simplify()).await?;
                has.condition = self.visible_end(&has.source, found);
                Condition::Has(has)
            }
            other => other,
        })
    }

    /// A condition on resources of a type, resolved from the inside out.
    fn resolve_one<'a>(
        &'a self,
        type_name: &'a str,
        condition: Condition,
        resolved: &'a mut Resolved,
    ) -> Pin<Box<dyn Future<Output = Result<Condition>> + Send + 'a>> {
        Box::pin(async move {
            let name: Box<str> = match &condition {
                Condition::Chain(chain) => chain.code.clone(),
                Condition::Has(_) => "_has".into(),
                Condition::List(_) => "_list".into(),
                Condition::FullText(query) => query.source.parameter().into(),
                _ => "".into(),
            };
            let found = match condition {
                Condition::All(parts) => {
                    return Ok(Condition::All(self.resolve_each(type_name, parts, resolved).await?));
                }
                Condition::Any(parts) => {
                    return Ok(Condition::Any(self.resolve_each(type_name, parts, resolved).await?));
                }
                Condition::Not(inner) => {
                    let inner = self.resolve_one(type_name, *inner, resolved).await?;
                    return Ok(Condition::Not(Box::new(inner)));
                }
                pending if pending.is_pending() => self.look_up(type_name, pending, resolved).await?,
                plain => return Ok(plain),
            };
            self.count_values(found, resolved, &name)
        })
    }

    /// One condition that is pending, as one that is not.
    async fn look_up(
        &self,
        type_name: &str,
        condition: Condition,
        resolved: &mut Resolved,
    ) -> Result<Condition> {
        Ok(match condition {
            Condition::FullText(query) => {
                let mut words = self.text_matches(type_name, &query).await?;
                if words.behind {
                    resolved.warnings.push(
                        "the full text index is behind: some of the last changes were not looked at"
                            .to_owned(),
                    );
                }
                self.retain_visible(&mut words.scores).await?;
                let best = words.scores.values().copied().fold(f32::MIN_POSITIVE, f32::max);
                let mut handles: Vec<i64> = words.scores.keys().copied().collect();
                handles.sort_unstable();
                resolved.scores.extend(words.scores.into_iter().map(|(h, score)| (h, score / best)));
                Condition::Handles(handles)
            }
            Condition::List(id) => self.list_condition(type_name, &id, resolved).await?,
            Condition::Distinct(key, text) => {
                let found = self.texts_starting_with(key, &text).await?;
                Condition::Tokens(found.into_iter().map(|(_, token)| token).collect())
            }
            Condition::ConvertedUnits(asked) => {
                let units = self.texts_starting_with(asked.units(&self.hasher), "").await?;
                let units: Vec<String> = units.into_iter().map(|(unit, _)| unit).collect();
                asked.condition(&units, &self.hasher)
            }
            Condition::CodedToken(asked) => {
                let codes = self.codes(&asked.codes).await?;
                asked.condition(codes.iter().map(|c| (&*c.system, &*c.code)), &self.hasher)
            }
            chain @ (Condition::Chain(_) | Condition::Has(_)) => {
                match self.resolve_ends(chain, resolved).await? {
                    // What is itself embedded, at the end of another chain, is asked the chain once more.
                    Condition::Chain(chain) => {
                        let found = self.chain(type_name, &chain, self.full_reach()).await?;
                        let found = found.unwrap_or_else(Condition::never);
                        Condition::Embedded(Box::new(Embedded { chain, others: found }))
                    }
                    Condition::Has(has) => {
                        let found = self.has(type_name, &has, self.full_reach()).await?;
                        found.unwrap_or_else(Condition::never)
                    }
                    other => other,
                }
            }
            plain => plain,
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
