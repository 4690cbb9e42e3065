//! The links of a searchset: <https://hl7.org/fhir/R4/http.html#paging>

use fhir_model::{Error, Kind, Result, url};
use fhir_search::cursor::Cursor;
use fhir_store::Page;

use super::long_links;
use crate::bundle::text::BundleText;
use crate::page_link::page_link;
use crate::request_context::RequestContext;

/// The links of a search: where it is, and what its page links are bound to.
pub(super) struct PageLinks {
    /// The URL without page: `http://..../Patient?name=a`.
    pub(super) own: String,
    /// The path below the base.
    path: String,
    /// The parameters that took effect, as a query.
    criteria: String,
    identity: String,
}

impl PageLinks {
    /// Of a search at a path below the base, with the parameters that took effect.
    pub(super) fn new(
        ctx: &RequestContext<'_>,
        path: &str,
        applied: &[(String, String)],
        identity: String,
    ) -> PageLinks {
        let mut own = format!("{}/{path}", ctx.request.base);
        let criteria = url::query(applied);
        if !criteria.is_empty() {
            own.push('?');
            own.push_str(&criteria);
        }
        PageLinks { own, path: path.to_owned(), criteria, identity }
    }

    /// The URL of a page.
    pub(super) fn page(&self, ctx: &RequestContext<'_>, cursor: &Cursor) -> String {
        self.page_of(ctx, &self.own, cursor, &[])
    }

    fn page_of(
        &self,
        ctx: &RequestContext<'_>,
        search: &str,
        cursor: &Cursor,
        pairs: &[(String, String)],
    ) -> String {
        page_link(search, cursor.seal(ctx.cx.store.secret(), &self.identity), pairs)
    }

    /// The links to other pages. All of a search is in each link; where that would be longer than a URL may be, its
    /// criteria are kept, and the links are short ones to them. What `self` says is what was asked, however long.
    pub(super) async fn to_pages(
        &self,
        ctx: &RequestContext<'_>,
        page: &Page,
        bundle: &mut BundleText,
    ) -> Result<()> {
        let max = ctx.cx.limits.url_bytes_max;
        // The last page is the first one backwards. One that is the last itself need not say so.
        let last = page.next.is_some().then(Cursor::end);
        let pages = [("next", &page.next), ("previous", &page.previous), ("last", &last)];
        let position = match page.next.is_some() || page.previous.is_some() {
            true => ctx.cx.link_pairs(&ctx.scope).await?,
            false => Vec::new(),
        };
        let urls = |search: &str| -> Vec<(&str, String)> {
            let there = pages.iter().filter_map(|(relation, cursor)| Some((*relation, cursor.as_ref()?)));
            there.map(|(relation, cursor)| (relation, self.page_of(ctx, search, cursor, &position))).collect()
        };
        let are_too_long = |urls: &[(&str, String)]| urls.iter().any(|(_, url)| url.len() > max);
        let mut links = urls(&self.own);
        if are_too_long(&links) {
            let kept = long_links::keep(ctx, &self.path, &self.criteria).await?;
            let short = format!("{}/{}?{kept}", ctx.request.base, self.path);
            links = urls(&short);
            if are_too_long(&links) {
                let text = format!(
                    "links to further pages would be longer than the {max} bytes a URL may have here: sort by fewer or \
                     shorter texts, or ask for more on a page (`_count`)"
                );
                return Err(Error::new(Kind::TooCostly, text).at("_sort"));
            }
            bundle.link("first", &short);
        } else if self.own.len() <= max {
            bundle.link("first", &self.own);
        }
        for (relation, url) in &links {
            bundle.link(relation, url);
        }
        Ok(())
    }
}
