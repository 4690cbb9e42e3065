//! What all pages share: head, way, foot.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use crate::summary::{CHARS_MAX, cut};
use crate::view::View;

const STYLE: &str = include_str!("style.css");

/// Where FHIR is explained.
const SPECIFICATION: &str = "https://hl7.org/fhir/R4/";

/// The `Content-Security-Policy` of all pages: nothing runs, nothing is loaded from elsewhere, nobody frames a page, and a
/// form goes nowhere but here. The one style sheet is known by its hash.
pub fn security_policy() -> String {
    static POLICY: LazyLock<String> = LazyLock::new(|| {
        let hash = STANDARD.encode(Sha256::digest(STYLE.as_bytes()));
        format!(
            "default-src 'none'; style-src 'sha256-{hash}'; img-src 'self'; form-action 'self'; base-uri 'none'; \
             frame-ancestors 'none'"
        )
    });
    POLICY.clone()
}

/// A whole page around its main part.
pub(crate) fn frame(view: &View<'_>, title: &str, main: Markup) -> String {
    let home = home(view);
    let language = view.visit.language;
    let trail = view.trail();
    let page = html! {
        (DOCTYPE)
        html lang=(language.tag()) dir=(language.direction()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="robots" content="noindex, nofollow";
                meta name="color-scheme" content="light dark";
                title { (title) " · " (view.site.software) }
                link rel="icon" type="image/svg+xml" href=(format!("{home}icon.svg"));
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href="#main" { (view.say("nav-skip")) }
                header {
                    a.brand href=(home) { (view.site.software) }
                    nav aria-label=(view.say("nav-trail")) {
                        ol {
                            @for (at, (name, url)) in trail.iter().enumerate() {
                                li {
                                    a href=(url) aria-current=[(at + 1 == trail.len()).then_some("page")] {
                                        bdi { (name) }
                                    }
                                }
                            }
                        }
                    }
                }
                main id="main" { (main) }
                footer {
                    p {
                        bdi { (view.site.software) " " (view.site.version) } " · "
                        a href=(format!("{}/metadata", view.visit.root)) { (view.say("nav-metadata")) } " · "
                        a.elsewhere href=(SPECIFICATION) rel="noopener noreferrer" { "FHIR R4" }
                    }
                    p { (view.say("footer-api")) }
                }
            }
        }
    };
    page.into_string()
}

/// The page at `/`.
pub(crate) fn front(view: &View<'_>) -> String {
    let root = view.visit.root;
    let main = html! {
        h1 { bdi { (view.site.software) } }
        p.about { (view.say("front-what")) }
        dl.facts {
            div { dt { (view.say("front-base")) } dd dir="ltr" { a href=(format!("{root}/")) { (view.visit.base) } } }
            div { dt { (view.say("nav-metadata")) } dd dir="ltr" {
                a href=(format!("{root}/metadata")) { (view.visit.base) "/metadata" }
            } }
            div { dt { (view.say("front-docs")) } dd {
                a.elsewhere href=(SPECIFICATION) rel="noopener noreferrer" { "hl7.org/fhir/R4" } " · "
                a.elsewhere href=(format!("{SPECIFICATION}http.html")) rel="noopener noreferrer" { "RESTful API" } " · "
                a.elsewhere href=(format!("{SPECIFICATION}search.html")) rel="noopener noreferrer" { "Search" }
            } }
        }
        h2 { (view.say("front-program")) }
        pre.json dir="ltr" tabindex="0" { code { "curl " (view.visit.base) "/Patient" } }
        (types(view, true))
    };
    frame(view, &view.say("front-title"), main)
}

/// The url of the front page: what the base's path begins with.
fn home(view: &View<'_>) -> String {
    let root = view.visit.root;
    let above = ["/fhir/R4", "/fhir"].into_iter().find_map(|mount| root.strip_suffix(mount));
    format!("{}/", above.unwrap_or(""))
}

/// The same answer for programs.
pub(crate) fn format_links(view: &View<'_>) -> Markup {
    html! {
        @if view.visit.is_get {
            a.button href=(view.in_format("json")) { "JSON" }
            a.button href=(view.in_format("xml")) { "XML" }
        }
    }
}

/// An instant as it is read: without the fraction of its second.
pub(crate) fn time(instant: &str) -> Markup {
    let is_instant =
        instant.is_ascii() && (20..40).contains(&instant.len()) && instant.as_bytes().get(10) == Some(&b'T');
    let shown = match (instant.get(..10), instant.get(11..19), instant.get(19..)) {
        (Some(day), Some(clock), Some(rest)) if is_instant => {
            let zone = rest.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
            format!("{day} {clock} {}", if zone == "Z" { "UTC" } else { zone })
        }
        _ => cut(instant, CHARS_MAX),
    };
    html! { time datetime=[is_instant.then_some(instant)] dir="ltr" { (shown) } }
}

/// All resource types, each with its search.
pub(crate) fn types(view: &View<'_>, is_open: bool) -> Markup {
    html! {
        details.types open[is_open] {
            summary { (view.say("types-title")) }
            ul {
                @for name in view.site.definitions.resource_types() {
                    li { a href=(format!("{}/{name}", view.visit.root)) { (name) } }
                }
            }
        }
    }
}
