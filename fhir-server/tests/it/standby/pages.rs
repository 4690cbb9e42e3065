//! The links to further pages say where the database was.

use serde_json::Value;

use super::{Pair, is_of_standby};
use crate::app::json;

#[tokio::test]
async fn a_page_is_not_older_than_the_one_before() {
    let pair = Pair::start().await;
    for (id, family) in [("a", "one"), ("b", "two"), ("c", "three")] {
        pair.write(id, family).await;
    }
    let last = pair.write("a", "four").await;
    for path in [
        "Patient?_count=1",
        "Patient/_history?_count=1",
        "Patient/a/_history?_count=1",
        "Patient/$everything?_count=1",
    ] {
        // A client that follows links says nothing of its own.
        let mut next = pair.app.base() + "/" + path;
        let mut pages = 0;
        let first = || pair.accepting(path).header("database-position", &last);
        let mut answer = pair.until_standby(first).await;
        loop {
            assert!(is_of_standby(&answer), "{next}");
            let (_, page) = json(answer).await;
            pages += 1;
            let Some(link) = link(&page, "next") else { break };
            assert!(link.contains("_position="), "{link}");
            next = link;
            answer = pair.app.client.get(&next).header("prefer", "handling=strict").send().await.unwrap();
            assert_eq!(answer.status(), 200, "{next}");
        }
        assert!(pages >= 2, "{path}");
        // The link of a page that the standby does not have: the primary has it.
        let ahead = next.split("_position=").next().unwrap().to_owned() + "_position=1-FFFF/0";
        let answer = pair.app.client.get(&ahead).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), is_of_standby(&answer)), (200, false), "{ahead}");
        let refused = pair.app.client.get(&next).header("prefer", "read=primary").send().await.unwrap();
        assert!(!is_of_standby(&refused), "{next}");
        // Who accepts none is given none.
        let (_, plain) = json(pair.app.ask("GET", path).send().await.unwrap()).await;
        assert!(!link(&plain, "next").unwrap().contains("_position"), "{path}");
    }
}

/// A page that the primary answered is not followed by one of a standby that does not have what was on it.
#[tokio::test]
async fn a_page_of_the_primary_is_followed_by_none_that_is_older() {
    let pair = Pair::start().await;
    for (id, family) in [("a", "one"), ("b", "two"), ("c", "three"), ("d", "four")] {
        pair.write(id, family).await;
    }
    for path in ["Patient?_count=1&_sort=family", "_history?_count=1", "Patient/$everything?_count=1"] {
        let answer = pair.until_standby(|| pair.accepting(path)).await;
        let first = link(&json(answer).await.1, "next").unwrap();
        pair.hold().await;
        let after = pair.write("d", path).await;
        let answer = pair.app.client.get(&first).header("database-position", &after).send().await.unwrap();
        assert!(!is_of_standby(&answer), "{first}");
        let second = link(&json(answer).await.1, "next").unwrap();
        assert_ne!(position_of(&first), position_of(&second));
        for (page, of_standby) in [(&first, true), (&second, false)] {
            let answer = pair.app.client.get(page).send().await.unwrap();
            assert_eq!(is_of_standby(&answer), of_standby, "{page}");
        }
        // A link that does not say where its page was read is followed as of now, whatever else the caller has.
        let plain = link(&json(pair.app.ask("GET", path).send().await.unwrap()).await.1, "next").unwrap();
        let request = pair.app.client.get(&plain).header("prefer", "read=standby");
        let position = position_of(&first).replace("%2F", "/");
        let answer = request.header("database-position", position).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), is_of_standby(&answer)), (200, false), "{plain}");
        pair.go_on().await;
    }
}

fn position_of(link: &str) -> &str {
    link.split_once("_position=").unwrap().1
}

fn link(page: &Value, relation: &str) -> Option<String> {
    let links = page["link"].as_array()?;
    Some(links.iter().find(|link| link["relation"] == relation)?["url"].as_str()?.to_owned())
}
