//! The links of a searchset: <https://hl7.org/fhir/R4/http.html#paging>

use fhir_model::url;
use fhir_search::cursor::Cursor;
use fhir_store::Page;

use crate::ask::Ask;
use crate::bundle::text::BundleText;

/// The links of a search: where it is, and what its page links are bound to.
pub(super) struct Links {
    /// The URL without page: `http://..../Patient?name=a`.
    pub(super) own: String,
    identity: String,
}

impl Links {
    /// Of a search at a path below the base, with the parameters that took effect.
    pub(super) fn of(ask: &Ask<'_>, path: &str, applied: &[(String, String)], identity: String) -> Links {
        let mut own = format!("{}/{path}", ask.request.base);
        let parameters = url::query(applied);
        if !parameters.is_empty() {
            own.push('?');
            own.push_str(&parameters);
        }
        Links { own, identity }
    }

    /// The URL of a page.
    pub(super) fn page(&self, ask: &Ask<'_>, cursor: &Cursor) -> String {
        let separator = if self.own.contains('?') { '&' } else { '?' };
        format!("{}{separator}_cursor={}", self.own, self.seal(ask, cursor))
    }

    fn seal(&self, ask: &Ask<'_>, cursor: &Cursor) -> String {
        cursor.seal(ask.cx.store.secret(), &self.identity)
    }

    /// The links to other pages. Nothing of a search is kept here, so that all of it is in each link; where that would
    /// be longer than a URL may be, a warning says how to go on.
    pub(super) fn to_pages(&self, ask: &Ask<'_>, page: &mut Page, bundle: &mut BundleText) {
        let max = ask.cx.limits.url_bytes_max;
        if self.own.len() <= max {
            bundle.link("first", &self.own);
        }
        // The last page is the first one backwards. One that is the last itself need not say so.
        let last = page.next.is_some().then(Cursor::end);
        let pages = [("next", &page.next), ("previous", &page.previous), ("last", &last)];
        for (relation, cursor) in pages {
            let Some(cursor) = cursor else { continue };
            let url = self.page(ask, cursor);
            if url.len() <= max {
                bundle.link(relation, &url);
            } else if relation != "last" {
                page.warnings.push(format!(
                    "there is no link to the {relation} page, as it would be longer than the {max} bytes a URL may \
                     have here: POST the same parameters to `_search` again, and with them _cursor={}",
                    self.seal(ask, cursor)
                ));
            }
        }
    }
}
