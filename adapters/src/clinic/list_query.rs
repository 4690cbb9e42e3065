//! The query of a list: `?page=2&limit=50&sort=name,-created_at&status=active`.

use std::collections::BTreeMap;

use fhir_access::accounts::organization_list::ListPage;
use fhir_app::envelope::Page;
use fhir_app::{Error, Kind, Result};

/// Entries on a page when nothing else is asked for, and at most.
const LIMIT: u64 = 50;
const LIMIT_MAX: u64 = 500;

/// So many columns may be sorted by.
const ORDER_MAX: usize = 3;

/// What a list is asked for.
#[derive(Debug)]
pub(super) struct ListQuery {
    page: u64,
    limit: u64,
    /// Names of columns, with a `-` before one that falls.
    order: Vec<String>,
    filters: BTreeMap<String, String>,
}

impl ListQuery {
    /// Reads a query. `sortable` and `filterable`: what this list may be sorted by, and what it knows to filter by.
    ///
    /// # Errors
    ///
    /// `Rule`, which names each parameter that is wrong: a filter that is passed over would show more than was asked for.
    pub(super) fn read(query: Option<&str>, sortable: &[&str], filterable: &[&str]) -> Result<ListQuery> {
        let pairs: Vec<(String, String)> = serde_urlencoded::from_str(query.unwrap_or(""))
            .map_err(|_| Error::invalid("the query cannot be read"))?;
        let mut read = ListQuery { page: 1, limit: LIMIT, order: Vec::new(), filters: BTreeMap::new() };
        let mut errors = Vec::new();
        for (name, value) in pairs {
            if let Err(error) = read.take(&name, value, sortable, filterable) {
                errors.push(error.at(name));
            }
        }
        Error::join(errors).map_or(Ok(read), Err)
    }

    fn take(&mut self, name: &str, value: String, sortable: &[&str], filterable: &[&str]) -> Result<()> {
        match name {
            "page" => self.page = number(&value)?.max(1),
            "limit" => self.limit = number(&value)?.clamp(1, LIMIT_MAX),
            "sort" => self.order = order(&value, sortable)?,
            _ if name.contains(['[', ']']) => {
                return wrong("filters are flat: ?field=value");
            }
            _ if !filterable.contains(&name) => return wrong("this list has no such parameter"),
            _ if self.filters.contains_key(name) => return wrong("this parameter is sent twice"),
            _ => {
                self.filters.insert(name.to_owned(), value);
            }
        }
        Ok(())
    }

    /// The value of a filter.
    pub(super) fn filter(&self, name: &str) -> Option<&str> {
        self.filters.get(name).map(String::as_str)
    }

    /// What the list is ordered by.
    pub(super) fn order(&self) -> Vec<&str> {
        self.order.iter().map(String::as_str).collect()
    }

    /// Which part of the list the database is asked for.
    pub(super) fn part<'o>(&self, order: &'o [&'o str]) -> ListPage<'o> {
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        ListPage { limit: number(self.limit), offset: number(self.offset()), order }
    }

    /// The entries of the page, of a list that is at hand.
    pub(super) fn entries<T>(&self, all: Vec<T>) -> (Vec<T>, Page) {
        let page = self.page(all.len() as u64);
        let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        (all.into_iter().skip(size(self.offset())).take(size(self.limit)).collect(), page)
    }

    /// The page, of so many entries.
    pub(super) fn page(&self, total: u64) -> Page {
        Page { page: self.page, limit: self.limit, total }
    }

    fn offset(&self) -> u64 {
        self.page.saturating_sub(1).saturating_mul(self.limit)
    }
}

/// A number as it is written; one that is too large for any list is the largest.
fn number(text: &str) -> Result<u64> {
    match !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        true => Ok(text.parse().unwrap_or(u64::MAX)),
        false => wrong("a number from 1 on is expected"),
    }
}

fn order(text: &str, sortable: &[&str]) -> Result<Vec<String>> {
    let order: Vec<String> = text.split(',').map(|key| key.trim().to_owned()).collect();
    let is_known = |key: &String| sortable.contains(&key.strip_prefix('-').unwrap_or(key));
    if order.len() > ORDER_MAX || !order.iter().all(is_known) {
        return wrong(&format!("at most {ORDER_MAX} of these are sorted by: {}", sortable.join(", ")));
    }
    Ok(order)
}

fn wrong<T>(text: &str) -> Result<T> {
    Err(Error::new(Kind::Rule, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<ListQuery> {
        ListQuery::read(Some(query), &["name", "created_at"], &["status"])
    }

    #[test]
    fn pages_are_clamped() {
        for (query, page, limit, offset) in [
            ("", 1, 50, 0),
            ("page=2", 2, 50, 50),
            ("page=0&limit=0", 1, 1, 0),
            ("page=3&limit=9999", 3, 500, 1000),
            ("limit=99999999999999999999999", 1, 500, 0),
            ("page=99999999999999999999999", u64::MAX, 50, i64::MAX),
        ] {
            let read = read(query).unwrap();
            let part = read.part(&[]);
            assert_eq!((read.page, read.limit, part.offset), (page, limit, offset), "{query}");
        }
        let (entries, page) = read("page=2&limit=2").unwrap().entries(vec![1, 2, 3]);
        assert_eq!((entries, page.total), (vec![3], 3));
        assert!(read("page=9").unwrap().entries(vec![1]).0.is_empty());
    }

    #[test]
    fn what_is_not_known_is_named() {
        let good = read("sort=name,-created_at&status=active").unwrap();
        assert_eq!((good.order(), good.filter("status")), (vec!["name", "-created_at"], Some("active")));
        for (query, fields) in [
            ("sort=password", vec!["sort"]),
            ("sort=", vec!["sort"]),
            ("sort=name,name,name,name", vec!["sort"]),
            ("sort=--name", vec!["sort"]),
            ("page=-1", vec!["page"]),
            ("page=x&limit=1.5", vec!["page", "limit"]),
            ("filter[status]=active", vec!["filter[status]"]),
            ("filter%5Bstatus%5D=active", vec!["filter[status]"]),
            ("stat=active", vec!["stat"]),
            ("status=a&status=b", vec!["status"]),
        ] {
            let error = read(query).unwrap_err();
            assert_eq!(error.kind, Kind::Rule, "{query}");
            let found: Vec<String> = error.issues().into_iter().flat_map(|issue| issue.expression).collect();
            assert_eq!(found, fields, "{query}");
        }
    }
}
