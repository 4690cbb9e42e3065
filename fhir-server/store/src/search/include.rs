//! `_include` and `_revinclude`: <https://hl7.org/fhir/R4/search.html#include>

use std::collections::HashSet;

use fhir_model::json::{Doc, Limits};
use fhir_model::{Error, Key, Result};
use fhir_search::query::{Include, Query};
use fhir_search::{filter, parameters::ParameterKind, sql};

use super::Page;
use crate::scope::Scope;
use crate::version::{Found, Version};
use crate::{Store, read};

impl Store {
    /// Adds what `_include` and `_revinclude` ask for.
    pub(super) async fn include(&self, scope: &Scope, query: &Query, page: &mut Page) -> Result<()> {
        if query.includes.is_empty() || page.matches.is_empty() {
            return Ok(());
        }
        let mut seen: HashSet<Key> = page.matches.iter().map(|v| v.key.clone()).collect();
        let mut wanted: Vec<Key> = Vec::new();
        for version in &page.matches {
            let forward = query.includes.iter().filter(|i| !i.reverse && *i.source == *version.key.type_name);
            let mut forward = forward.peekable();
            if forward.peek().is_none() {
                continue;
            }
            let doc = parse(version)?;
            for include in forward {
                let bases = &self.options.bases;
                let code = include.code.as_deref();
                for key in self.registry.references(&version.key.type_name, code, doc.root(), bases)? {
                    let fits = include.target.as_ref().is_none_or(|t| *t == key.type_name);
                    if fits && self.registry.number(&key.type_name).is_some() && seen.insert(key.clone()) {
                        wanted.push(key);
                    }
                }
            }
        }
        let max = self.options.include_max;
        let mut cut = wanted.len() > max;
        wanted.truncate(max);
        for found in self.read_many(scope, &wanted).await? {
            if let Found::Current(version) = found {
                page.included.push(version);
            }
        }
        for include in query.includes.iter().filter(|i| i.reverse) {
            cut |= self.include_reverse(include, max, &mut seen, page).await?;
        }
        if cut {
            page.warnings.push(format!("more than {max} resources would be included; the rest was left out"));
        }
        Ok(())
    }

    /// True when there was more than fits.
    async fn include_reverse(
        &self,
        include: &Include,
        max: usize,
        seen: &mut HashSet<Key>,
        page: &mut Page,
    ) -> Result<bool> {
        let this = self.registry.of(&include.source)?;
        let keys: Vec<Key> = page.matches.iter().map(|v| v.key.clone()).collect();
        let wanted = |code: &str| include.code.as_deref().is_none_or(|c| c == code);
        let params = this.params().iter().filter(|p| p.kind == ParameterKind::Reference && wanted(&p.code));
        let mut cut = false;
        for param in params {
            let condition = filter::refers_to(param, &keys, &self.registry, &self.keyer);
            let room = max.saturating_sub(page.included.len());
            let rows = self.run(&sql::include(this.number, condition, room + 1)).await?;
            cut |= rows.len() > room;
            for row in rows.iter().take(room) {
                let version = read::version(&include.source, row)?;
                if seen.insert(version.key.clone()) {
                    page.included.push(version);
                }
            }
        }
        Ok(cut)
    }
}

pub(super) fn parse(version: &Version) -> Result<Doc> {
    let body = version.body.as_deref().unwrap_or_default();
    Doc::parse(body.to_vec(), Limits::NONE).map_err(Error::internal)
}
