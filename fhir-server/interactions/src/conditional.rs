//! Conditional interactions: resources named by search criteria instead of an id.
//!
//! <https://hl7.org/fhir/R4/http.html#cond-update>. Criteria are always read strictly: one that was left out would
//! widen what is changed.

use fhir_model::{Error, Key, Kind, Result, url};
use fhir_search::Query;
use fhir_store::{Claim, Version};

use crate::request_context::RequestContext;

/// Search criteria that name one resource.
#[derive(Debug, Clone)]
pub(crate) struct Criteria {
    pub(crate) query: Query,
    /// `Patient?identifier=s%7C1`: the same text for the same criteria, whatever their order.
    pub(crate) text: String,
}

impl Criteria {
    /// The criteria of a URL.
    pub(crate) fn from_pairs(
        ctx: &RequestContext<'_>,
        type_name: &str,
        pairs: &[(String, String)],
    ) -> Result<Criteria> {
        let query = Query::parse(&ctx.cx.registry, type_name, pairs, &ctx.parse_cx(true))?;
        if query.filters.is_empty() {
            let text = format!("search criteria are missing: without any, all of {type_name} would be meant");
            return Err(Error::invalid(text));
        }
        let mut applied = query.applied.clone();
        applied.sort();
        let text = format!("{type_name}?{}", url::query(&applied));
        Ok(Criteria { query, text })
    }

    /// The criteria of `If-None-Exist`: `identifier=s|1`. Clients also send `?identifier=..`, `Patient?identifier=..` and
    /// whole urls.
    pub(crate) fn from_header(ctx: &RequestContext<'_>, type_name: &str, text: &str) -> Result<Criteria> {
        let criteria = criteria_query(type_name, text)
            .and_then(url::pairs)
            .and_then(|pairs| Criteria::from_pairs(ctx, type_name, &pairs));
        criteria.map_err(|e| Error { expression: vec!["http.If-None-Exist".to_owned()], ..e })
    }

    /// Up to two of what they find; when that is nothing, with the claim to create under.
    ///
    /// Of several who find nothing at the same time, only the first to commit under the claim creates; the others
    /// are stale, and find what it made.
    pub(crate) async fn find(&self, ctx: &RequestContext<'_>) -> Result<(Vec<Version>, Option<Claim>)> {
        let search = || ctx.cx.store.matches(&ctx.scope, &self.query, 2);
        let found = search().await?;
        if !found.is_empty() {
            return Ok((found, None));
        }
        // Only what is searched after the claim was taken counts for a create.
        let claim = ctx.cx.store.claim(&ctx.scope, &self.text).await?;
        Ok((search().await?, Some(claim)))
    }
}

/// The query of what stands in `If-None-Exist`: a query, alone or after the path of the type, which may be a whole url.
fn criteria_query<'t>(type_name: &str, text: &'t str) -> Result<&'t str> {
    let Some((before, query)) = text.split_once('?') else { return Ok(text) };
    // A question mark in a value: `identifier=http://a.org/?b|1`.
    if before.contains('=') {
        return Ok(text);
    }
    let named = before.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let is_url = before.contains('/');
    if before.is_empty() || (named == type_name && (is_url || before == type_name)) {
        return Ok(query);
    }
    Err(Error::invalid(format!(
        "the criteria are those of a {type_name}, which is created, not of `{before}`"
    )))
}

/// The resource that a conditional update writes to.
#[derive(Debug)]
pub(crate) enum UpdateTarget<T> {
    /// A resource that is there.
    Existing(T),
    /// One that is to be created, under the id of the body where there is one.
    New(Option<Box<str>>),
}

/// The target of a conditional update whose criteria found this.
pub(crate) fn target<T: Keyed>(
    mut found: Vec<T>,
    id: Option<&str>,
    criteria: &str,
) -> Result<UpdateTarget<T>> {
    match (found.len(), found.pop()) {
        (0, _) | (_, None) => Ok(UpdateTarget::New(id.map(Box::from))),
        (1, Some(one)) => match id {
            Some(id) if *id != *one.key().id => {
                let text = format!("{criteria} finds {}, but the id in the body is {id}", one.key());
                Err(Error::invalid(text).at(format!("{}.id", one.key().type_name)))
            }
            _ => Ok(UpdateTarget::Existing(one)),
        },
        _ => Err(several(criteria)),
    }
}

/// Something that is found by criteria.
pub(crate) trait Keyed {
    fn key(&self) -> &Key;
}

impl Keyed for Version {
    fn key(&self) -> &Key {
        &self.key
    }
}

/// 412: criteria that should name one resource name several.
pub(crate) fn several(criteria: &str) -> Error {
    Error::new(Kind::MultipleMatches, format!("{criteria} finds more than one resource"))
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Keyed for Key {
        fn key(&self) -> &Key {
            self
        }
    }

    #[test]
    fn criteria_may_stand_in_a_url() {
        let rows = [
            ("identifier=s|1", Some("identifier=s|1")),
            ("?identifier=s|1", Some("identifier=s|1")),
            ("Patient?identifier=s|1", Some("identifier=s|1")),
            ("/Patient?identifier=s|1", Some("identifier=s|1")),
            ("http://a.org/fhir/R4/Patient?identifier=s|1", Some("identifier=s|1")),
            ("https://other.org/Patient/?identifier=s|1&name=a", Some("identifier=s|1&name=a")),
            ("identifier=http://a.org/?b|1", Some("identifier=http://a.org/?b|1")),
            ("identifier=http://a.org/Patient?b|1", Some("identifier=http://a.org/Patient?b|1")),
            ("Observation?identifier=s|1", None),
            ("http://a.org/fhir/Observation?identifier=s|1", None),
            ("http://a.org/fhir/Patient/1?identifier=s|1", None),
            ("http://a.org/?identifier=s|1", None),
        ];
        for (text, wanted) in rows {
            assert_eq!(criteria_query("Patient", text).ok(), wanted, "{text}");
        }
    }

    #[test]
    fn the_target_follows_matches_and_id() {
        // matches, id in the body -> what
        let rows: [(&[&str], Option<&str>, &str); 7] = [
            (&[], None, "new"),
            (&[], Some("x"), "new x"),
            (&["a"], None, "a"),
            (&["a"], Some("a"), "a"),
            (&["a"], Some("b"), "400"),
            (&["a", "b"], None, "412"),
            (&["a", "b"], Some("a"), "412"),
        ];
        for (ids, id, wanted) in rows {
            let found = ids.iter().map(|id| Key::new("Patient", *id)).collect();
            let found = match target(found, id, "Patient?x=1") {
                Ok(UpdateTarget::Existing(key)) => key.id.to_string(),
                Ok(UpdateTarget::New(None)) => "new".to_owned(),
                Ok(UpdateTarget::New(Some(id))) => format!("new {id}"),
                Err(e) => e.kind.status().to_string(),
            };
            assert_eq!(found, wanted, "{ids:?} {id:?}");
        }
    }
}
