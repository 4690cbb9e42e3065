//! search: <https://hl7.org/fhir/R4/http.html#search>
//!
//! The searchset is written from the bytes that are stored; nothing is parsed unless a part is asked for.

use fhir_model::error::operation_outcome;
use fhir_model::{Error, Result, url};
use fhir_search::Query;
use fhir_search::cursor::Cursor;
use fhir_store::{Page, Version};

use crate::ask::Ask;
use crate::bundle::text::BundleText;
use crate::reply::Reply;
use crate::request::Body;
use crate::summary::Subset;

pub(crate) async fn search_type(ask: &Ask<'_>, type_name: &str) -> Result<Reply> {
    let (query, links) = of_type(ask, type_name)?;
    answer(ask, &query, &links).await
}

pub(crate) async fn search_system(ask: &Ask<'_>) -> Result<Reply> {
    let (query, links) = of_system(ask)?;
    answer(ask, &query, &links).await
}

/// What a search of a type asks for.
pub(crate) fn of_type(ask: &Ask<'_>, type_name: &str) -> Result<(Query, Links)> {
    let query = Query::parse(&ask.cx.registry, type_name, &pairs(ask)?, &ask.parse_cx(ask.strict()))?;
    let links = Links::of(ask, type_name, &query);
    Ok((query, links))
}

/// A search of everything must name its type, for now: `?_type=Patient`.
pub(crate) fn of_system(ask: &Ask<'_>) -> Result<(Query, Links)> {
    let (types, pairs): (Vec<_>, Vec<_>) = pairs(ask)?.into_iter().partition(|(name, _)| name == "_type");
    let names: Vec<&str> = types.iter().flat_map(|(_, value)| value.split(',')).collect();
    let &[name] = names.as_slice() else {
        let text = "a search of the whole server names one type: `_type=Patient`; several are not supported";
        return Err(Error::not_supported(text).at("_type"));
    };
    let query = Query::parse(&ask.cx.registry, name, &pairs, &ask.parse_cx(ask.strict()))?;
    let links = Links::of(ask, name, &query);
    Ok((query, links))
}

/// The pairs of the query, and of the form of a `POST _search` after them.
pub(crate) fn pairs(ask: &Ask<'_>) -> Result<Vec<(String, String)>> {
    let mut pairs = ask.pairs.clone();
    if let Some(Body::Form(form)) = &ask.request.body {
        pairs.extend(url::pairs(form)?);
    }
    Ok(pairs)
}

/// The links of a search: where it is, and what its page links are bound to.
pub(crate) struct Links {
    /// The URL without page: `http://..../Patient?name=a`.
    own: String,
    identity: String,
}

impl Links {
    /// Of a search at a path below the base. Taken before a compartment is added, which is part of the path.
    pub(crate) fn of(ask: &Ask<'_>, path: &str, query: &Query) -> Links {
        let mut own = format!("{}/{path}", ask.request.base);
        let parameters = url::query(&query.applied);
        if !parameters.is_empty() {
            own.push('?');
            own.push_str(&parameters);
        }
        Links { own, identity: query.identity() }
    }

    fn page(&self, ask: &Ask<'_>, cursor: &Cursor) -> String {
        let separator = if self.own.contains('?') { '&' } else { '?' };
        format!("{}{separator}_cursor={}", self.own, self.seal(ask, cursor))
    }

    fn seal(&self, ask: &Ask<'_>, cursor: &Cursor) -> String {
        cursor.seal(ask.cx.store.secret(), &self.identity)
    }

    /// The links to other pages. Nothing of a search is kept here, so that all of it is in each link; where that would
    /// be longer than a URL may be, a warning says how to go on.
    fn to_pages(&self, ask: &Ask<'_>, page: &mut Page, bundle: &mut BundleText) {
        let max = ask.cx.limits.url_bytes_max;
        if self.own.len() <= max {
            bundle.link("first", &self.own);
        }
        for (relation, cursor) in [("next", &page.next), ("previous", &page.previous)] {
            let Some(cursor) = cursor else { continue };
            let url = self.page(ask, cursor);
            if url.len() <= max {
                bundle.link(relation, &url);
            } else {
                page.warnings.push(format!(
                    "there is no link to the {relation} page, as it would be longer than the {max} bytes a URL may \
                     have here: POST the same parameters to `_search` again, and with them _cursor={}",
                    self.seal(ask, cursor)
                ));
            }
        }
    }
}

pub(crate) async fn answer(ask: &Ask<'_>, query: &Query, links: &Links) -> Result<Reply> {
    let cx = ask.cx;
    let subset = Subset::of(query.summary, &query.elements);
    // What is included may be of any type.
    let only_type = query.includes.is_empty().then_some(&*query.type_name);
    let unknown = subset.as_ref().and_then(|subset| subset.check(only_type, &cx.definitions).err());
    if let (true, Some(error)) = (ask.strict(), unknown.as_ref()) {
        return Err(Error::invalid(error.text.as_str()).at("_elements"));
    }
    let mut page = cx.store.search(&ask.scope, query).await?;
    page.warnings.extend(unknown.map(|error| format!("{}; it was ignored", error.text)));
    let size =
        page.matches.iter().chain(&page.included).map(|v| v.body.as_ref().map_or(0, |b| b.len()) + 200).sum();
    let mut bundle = BundleText::new("searchset", size);
    if let Some(total) = page.total {
        bundle.total(total.n);
    }
    let own = match &query.cursor {
        Some(cursor) => links.page(ask, cursor),
        None => links.own.clone(),
    };
    bundle.link("self", &own);
    if query.count > 0 {
        links.to_pages(ask, &mut page, &mut bundle);
    }
    for (mode, versions) in [("match", &page.matches), ("include", &page.included)] {
        for version in versions {
            let score = page.scores.get(&version.handle).filter(|_| mode == "match");
            entry(ask, &mut bundle, version, (mode, score.copied()), subset.as_ref())?;
        }
    }
    let warnings: Vec<&String> = query.warnings.iter().chain(&page.warnings).collect();
    if !warnings.is_empty() {
        outcome(&mut bundle, &warnings);
    }
    Ok(Reply::made(bundle.finish()))
}

fn entry(
    ask: &Ask<'_>,
    bundle: &mut BundleText,
    version: &Version,
    (mode, score): (&str, Option<f32>),
    subset: Option<&Subset>,
) -> Result<()> {
    let Some(body) = &version.body else { return Ok(()) };
    bundle.entry();
    bundle.full_url(&ask.request.base, &version.key);
    match subset {
        None => bundle.resource(body),
        Some(subset) => bundle.resource(&subset.apply(body, &ask.cx.definitions)?),
    }
    match score {
        Some(score) => bundle.search_score(score),
        None => bundle.search_mode(mode),
    }
    bundle.end_entry();
    Ok(())
}

fn outcome(bundle: &mut BundleText, warnings: &[&String]) {
    let mut outcome = serde_json::json!({ "resourceType": "OperationOutcome", "issue": [] });
    if let Some(issues) = outcome.get_mut("issue").and_then(|i| i.as_array_mut()) {
        for text in warnings {
            let mut one = operation_outcome("warning", "not-supported", text, &[]);
            if let Some(issue) = one.get_mut("issue").and_then(|i| i.as_array_mut()).and_then(|i| i.pop()) {
                issues.push(issue);
            }
        }
    }
    bundle.entry();
    bundle.resource(outcome.to_string().as_bytes());
    bundle.search_mode("outcome");
    bundle.end_entry();
}
