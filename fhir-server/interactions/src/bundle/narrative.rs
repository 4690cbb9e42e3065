//! Links in narrative: <https://hl7.org/fhir/R4/narrative.html>

/// Narrative with those links replaced for which there is something else.
pub(super) fn relink(html: &str, replace: &dyn Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(html.len());
    let mut copied = 0;
    attributes(html, &mut |start, link| {
        if let Some(other) = replace(link) {
            out.push_str(html.get(copied..start).unwrap_or(""));
            out.push_str(&other);
            copied = start + link.len();
        }
    });
    out.push_str(html.get(copied..).unwrap_or(""));
    out
}

/// Calls back with the values of `href` and `src` attributes and where they start.
pub(super) fn attributes<'h>(html: &'h str, found: &mut dyn FnMut(usize, &'h str)) {
    let mut from = 0;
    // The next place of each name: neither is looked for twice over the same text.
    let mut names = [("href", html.find("href")), ("src", html.find("src"))];
    loop {
        for (name, place) in &mut names {
            if place.is_some_and(|at| at < from) {
                *place = html.get(from..).and_then(|rest| rest.find(*name)).map(|at| at + from);
            }
        }
        let next = names.iter().filter_map(|(name, place)| place.map(|at| at + name.len())).min();
        let Some(next) = next else { return };
        from = next;
        let after = html.get(from..).unwrap_or("");
        let Some(value) = after.trim_start().strip_prefix('=').map(str::trim_start) else { continue };
        let Some(quote) = value.chars().next().filter(|c| matches!(c, '"' | '\'')) else { continue };
        let Some((link, _)) = value.get(1..).and_then(|v| v.split_once(quote)) else { continue };
        let start = html.len() - value.len() + 1;
        found(start, link);
        from = start + link.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_in_narrative_are_replaced() {
        let replace = |link: &str| (link == "urn:uuid:a").then(|| "Patient/1".to_owned());
        let rows = [
            ("<a href=\"urn:uuid:a\">x</a>", "<a href=\"Patient/1\">x</a>"),
            (
                "<a href = 'urn:uuid:a'>x</a><img src='urn:uuid:a'/>",
                "<a href = 'Patient/1'>x</a><img src='Patient/1'/>",
            ),
            ("<a href=\"urn:uuid:b\">href urn:uuid:a</a>", "<a href=\"urn:uuid:b\">href urn:uuid:a</a>"),
            ("href", "href"),
            ("<a href=\"urn:uuid:a", "<a href=\"urn:uuid:a"),
            ("ä<a href=\"urn:uuid:a\">ä</a>ä", "ä<a href=\"Patient/1\">ä</a>ä"),
        ];
        for (html, wanted) in rows {
            assert_eq!(relink(html, &replace), wanted);
        }
    }

    /// Megabytes with one of the names and without the other: a search that began anew after each place would pass
    /// over terabytes, and not come to an end.
    #[test]
    fn each_part_of_a_narrative_is_read_once() {
        let count = |html: &str| {
            let mut found = 0;
            attributes(html, &mut |_, _| found += 1);
            found
        };
        let n = 200_000;
        assert_eq!(count(&"<a href='x'>".repeat(n)), n);
        assert_eq!(count(&"<img src=x>".repeat(n)), 0);
        assert_eq!(count(&format!("{}<img src='y'/>", "href".repeat(n))), 1);
    }
}
