//! What an attacker writes stays text.

use super::{links, page, shown, site, visit};
use crate::Visit;
use crate::narrative::{self, Unshown};

/// What a browser would run or load, were it not text: tags that pages do not have, handlers, schemes other than http's.
pub(super) fn dangers(html: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in html.match_indices('<') {
        let tag = &html[at + 1..];
        let name: String =
            tag.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '/' || *c == '!').collect();
        let bare = name.trim_start_matches('/').to_ascii_lowercase();
        const BAD: &[&str] =
            &["script", "iframe", "object", "embed", "svg", "math", "base", "object", "video", "audio"];
        if BAD.contains(&&*bare) {
            found.push(name);
        }
        // Attributes, as a browser reads them: what stands in quotes is no attribute.
        let mut quote = None;
        let mut plain = String::new();
        let mut values = Vec::new();
        let mut value = String::new();
        for c in tag.chars() {
            match (quote, c) {
                (None, '>') => break,
                (None, '"' | '\'') => quote = Some(c),
                (None, c) => plain.push(c),
                (Some(open), c) if c == open => {
                    quote = None;
                    values.push((plain.clone(), std::mem::take(&mut value)));
                }
                (Some(_), c) => value.push(c),
            }
        }
        if plain
            .to_ascii_lowercase()
            .split_whitespace()
            .any(|word| word.starts_with("on") || word.starts_with("style="))
        {
            found.push(plain.clone());
        }
        for (before, value) in values {
            let is_url = ["href=", "src=", "action="].iter().any(|name| before.ends_with(name));
            let good = value.is_empty()
                || ["/", "#", "http://", "https://"].iter().any(|begin| value.starts_with(begin));
            if is_url && (!good || value.starts_with("//")) {
                found.push(value);
            }
        }
    }
    found
}

#[test]
fn dangers_are_seen() {
    for html in [
        "<script>",
        "<p onclick=\"x\">",
        "<a href=\"javascript:x\">",
        "<a href=\"//evil.org\">",
        "<IMG src='data:x'>",
        "<p style=\"x\">",
    ] {
        assert!(!dangers(html).is_empty(), "{html}");
    }
    assert_eq!(dangers("<a title=\"<script> onclick=x\" href=\"/x\">onclick=1</a>"), ["script"]);
}

const NASTY: &[&str] = &[
    "<script>alert(1)</script>",
    "\\\"onmouseover=\\\"alert(1)",
    "'onmouseover='alert(1)",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "\\u003cimg src=x onerror=alert(1)\\u003e",
    "</code></pre><script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "data:text/html,<script>alert(1)</script>",
    "http://x\\\"onmouseover=alert(1)//",
    "//evil.org/x",
    "http://localhost:8080/fhir/R4/javascript:alert(1)",
    "http://localhost:8080/fhir/R4\\\"><script>alert(1)</script>",
    "#\\\"><script>",
    "Patient/1/_history/\\\"><script>",
    "Patient?a=\\\"><script>alert(1)</script>",
    "&lt;script&gt;&#34;",
    "\\u202e\\u2066abc",
];

#[test]
fn whatever_is_stored_stays_text() {
    for nasty in NASTY {
        let resource = format!(
            r##"{{"resourceType":"Observation","id":"{nasty}","meta":{{"versionId":"{nasty}","lastUpdated":"{nasty}",
            "profile":["{nasty}"],"source":"{nasty}"}},"text":{{"status":"generated","div":"{nasty}"}},
            "contained":[{{"resourceType":"{nasty}","id":"{nasty}"}}],
            "extension":[{{"url":"{nasty}","valueUrl":"{nasty}"}},{{"url":"{nasty}","valueCanonical":"{nasty}"}},
            {{"url":"x","valueAttachment":{{"contentType":"{nasty}","url":"{nasty}","data":"{nasty}"}}}}],
            "identifier":[{{"system":"{nasty}","value":"{nasty}"}}],"status":"{nasty}","{nasty}":"{nasty}",
            "code":{{"text":"{nasty}","coding":[{{"system":"{nasty}","code":"{nasty}"}}]}},
            "subject":{{"reference":"{nasty}","display":"{nasty}"}},"instantiatesCanonical":["{nasty}"]}}"##
        );
        let bundle = format!(
            r#"{{"resourceType":"Bundle","id":"{nasty}","type":"{nasty}","total":1,"link":[{{"relation":"next","url":"{nasty}"}},
            {{"relation":"previous","url":"{nasty}"}},{{"relation":"first","url":"{nasty}"}},{{"relation":"last","url":"{nasty}"}}],
            "entry":[{{"fullUrl":"{nasty}","resource":{resource},"search":{{"mode":"{nasty}"}},
            "request":{{"method":"{nasty}","url":"{nasty}"}},"response":{{"status":"{nasty}","etag":"W/\"{nasty}\"","location":"{nasty}",
            "lastModified":"{nasty}"}}}},{{"request":{{"method":"DELETE","url":"{nasty}"}}}}]}}"#
        );
        let outcome = format!(
            r#"{{"resourceType":"OperationOutcome","issue":[{{"severity":"{nasty}","code":"{nasty}",
            "details":{{"text":"{nasty}"}},"expression":["{nasty}"]}},{{"diagnostics":"{nasty}"}}]}}"#
        );
        let other = format!(r#"{{"resourceType":"{nasty}","{nasty}":{{"reference":"{nasty}"}}}}"#);
        for (path, status, body) in [
            ("Observation/1", 200, &resource),
            ("Observation/1/_history/1", 200, &resource),
            ("Observation", 200, &bundle),
            ("Bundle/1", 200, &bundle),
            ("Patient/1/_history", 200, &bundle),
            ("Patient/1/*", 200, &bundle),
            ("", 200, &bundle),
            ("Patient", 400, &outcome),
            ("Patient/1", 200, &outcome),
            ("$x", 200, &other),
        ] {
            let html = shown(path, "", status, body);
            assert_eq!(dangers(&html), [""; 0], "{nasty} at {path}");
            assert!(html.ends_with("</html>"), "{nasty} at {path}");
        }
    }
}

#[test]
fn whatever_is_asked_stays_text() {
    for nasty in NASTY {
        let plain: String = serde_like(nasty);
        let mut encoded = String::new();
        fhir_model::url::encode(&plain, &mut encoded);
        let raw = plain.replace([' ', '\u{202e}', '\u{2066}'], "");
        for query in [
            format!(
                "name={encoded}&{encoded}=1&birthdate:{encoded}=2&_sort={encoded}&_count={encoded}&_include={encoded}"
            ),
            format!("{raw}={raw}&name={raw}"),
        ] {
            for path in [
                "Patient".to_owned(),
                format!("Patient/{encoded}"),
                format!("{encoded}/1"),
                format!("Patient/1/{raw}"),
            ] {
                let visit = Visit { request_id: &raw, ..visit(&path, &query) };
                for status in [200, 400, 404] {
                    let body = r#"{"resourceType":"OperationOutcome","issue":[]}"#;
                    let html = page(&site(), &visit, status, body.as_bytes());
                    assert_eq!(dangers(&html), [""; 0], "{path}?{query}");
                    let bundle = r#"{"resourceType":"Bundle","type":"searchset"}"#;
                    assert_eq!(
                        dangers(&page(&site(), &visit, 200, bundle.as_bytes())),
                        [""; 0],
                        "{path}?{query}"
                    );
                }
            }
        }
    }
}

/// The text that a JSON string of the table stands for.
fn serde_like(text: &str) -> String {
    let doc =
        fhir_model::json::Doc::parse(format!("\"{text}\""), fhir_model::json::JsonLimits::NONE).unwrap();
    doc.root().str().unwrap().into_owned()
}

#[test]
fn a_narrative_keeps_what_fhir_allows_and_nothing_else() {
    let rows = [
        // what is written, what is shown
        (
            "<div xmlns=\"http://www.w3.org/1999/xhtml\"><p>a &amp; b&nbsp;c</p></div>",
            "<div><p>a &amp; b&nbsp;c</p></div>",
        ),
        ("<div><b>x</b><br/>y<td/></div>", "<div><b>x</b><br>y</div>"),
        ("<div>a<script>alert(1)</script>b</div>", "<div>ab</div>"),
        (
            "<div><p onclick=\"x\" style=\"position:fixed\" class=\"skip\" id=\"main\" title=\"t\">a</p></div>",
            "<div><p title=\"t\">a</p></div>",
        ),
        (
            "<div><a href=\"javascript:x\">a</a></div>",
            "<div><a rel=\"noopener noreferrer nofollow\">a</a></div>",
        ),
        (
            "<div><a HREF=\"javascript:x\">a</a></div>",
            "<div><a rel=\"noopener noreferrer nofollow\">a</a></div>",
        ),
        (
            "<div><a href=\"java&#10;script:x\">a</a></div>",
            "<div><a rel=\"noopener noreferrer nofollow\">a</a></div>",
        ),
        (
            "<div><a href=\"//evil.org\">a</a></div>",
            "<div><a rel=\"noopener noreferrer nofollow\">a</a></div>",
        ),
        (
            "<div><a href=\"Patient/1\">a</a></div>",
            "<div><a href=\"/fhir/R4/Patient/1\" rel=\"noopener noreferrer nofollow\">a</a></div>",
        ),
        (
            "<div><a href=\"#p1\">a</a></div>",
            "<div><a href=\"#contained-p1\" rel=\"noopener noreferrer nofollow\">a</a></div>",
        ),
        ("<div><img src=\"https://evil.org/x.png\" alt=\"x\"/></div>", "<div>x</div>"),
        (
            "<div><img src=\"data:image/png;base64,AAAA\" alt=\"&lt;script&gt;\"/></div>",
            "<div>&lt;script&gt;</div>",
        ),
        ("<div><img src=\"Binary/1\" onerror=\"x\"/></div>", "<div><img src=\"/fhir/R4/Binary/1\"></div>"),
        ("<div><svg><script>1</script></svg><math/></div>", "<div></div>"),
        ("<div><SCRIPT>x</SCRIPT><Style>y</Style></div>", "<div></div>"),
        (
            "<div><!-- <script> --><![CDATA[<script>x</script>]]></div>",
            "<div>&lt;script&gt;x&lt;/script&gt;</div>",
        ),
        ("<div><form action=\"x\"><input name=\"y\"/></form></div>", "<div></div>"),
        ("<x:div xmlns:x=\"y\"><x:script>a</x:script></x:div>", "<div></div>"),
        (
            "<div>\u{5d0} <span dir=\"rtl\" lang=\"he\">\u{5d1}</span></div>",
            "<div>\u{5d0} <span dir=\"rtl\" lang=\"he\">\u{5d1}</span></div>",
        ),
    ];
    for (div, wanted) in rows {
        assert_eq!(narrative::clean(&links(), div).as_deref(), Ok(wanted), "{div}");
    }
    for div in ["<div>", "</div>", "<div></p></div>", "<div>a < b</div>", "<!DOCTYPE x><div/>", "<div a=b/>"]
    {
        assert_eq!(narrative::clean(&links(), div), Err(Unshown::Malformed), "{div}");
    }
    let deep = |n: usize| format!("{}{}", "<b>".repeat(n), "</b>".repeat(n));
    assert!(narrative::clean(&links(), &deep(60)).is_ok());
    assert_eq!(narrative::clean(&links(), &deep(61)), Err(Unshown::Malformed));
    let wide = |attributes: usize| {
        let attributes: String = (0..attributes).map(|n| format!(" a{n}=''")).collect();
        format!("<div><p{attributes}>x</p></div>")
    };
    assert!(narrative::clean(&links(), &wide(40)).is_ok());
    assert_eq!(narrative::clean(&links(), &wide(41)), Err(Unshown::Malformed));
    let long = format!("<p>{}</p>", "a".repeat(narrative::BYTES_MAX));
    assert_eq!(narrative::clean(&links(), &long), Err(Unshown::Long));
}
