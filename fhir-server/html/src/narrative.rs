//! A resource's narrative, fit to stand in a page: <https://hl7.org/fhir/R4/narrative.html>
//!
//! It was written by others, and whoever may write a resource may write anything into it. Two steps: what must be XHTML is
//! read as such, within bounds, and written as HTML that a browser nests in the same way; then ammonia, a parser of HTML
//! with a list of what may stay, leaves nothing else. The page's policy is the third wall.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use maud::{Escaper, Markup, PreEscaped, html};
use quick_xml::Reader;
use quick_xml::escape::unescape;
use quick_xml::events::{BytesStart, Event};

use crate::links::{Links, Target};
use crate::view::View;

/// Longest narrative that is shown.
pub(crate) const BYTES_MAX: usize = 256 * 1024;
/// Deepest nesting: a browser's work, and ammonia's, grows with its square.
const DEPTH_MAX: usize = 60;
/// Attributes of a tag; HTML has no element with more. Ammonia compares each with all before it.
const ATTRIBUTES_MAX: usize = 40;

/// What FHIR allows in a narrative, less what could look like a part of the page: styles, classes, images of others.
/// <https://hl7.org/fhir/R4/narrative.html#xhtml>
const TAGS: &[&str] = &[
    "a",
    "abbr",
    "acronym",
    "b",
    "big",
    "blockquote",
    "br",
    "caption",
    "cite",
    "code",
    "col",
    "colgroup",
    "dd",
    "dfn",
    "div",
    "dl",
    "dt",
    "em",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "i",
    "img",
    "kbd",
    "li",
    "ol",
    "p",
    "pre",
    "q",
    "samp",
    "small",
    "span",
    "strong",
    "sub",
    "sup",
    "table",
    "tbody",
    "td",
    "tfoot",
    "th",
    "thead",
    "tr",
    "tt",
    "ul",
    "var",
];

/// HTML's elements without an end tag, of those that may stay.
const EMPTY: &[&str] = &["br", "col", "hr", "img"];

/// Why a narrative is not shown.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unshown {
    /// It is not well-formed, nested too deeply, or has a tag with too many attributes.
    Malformed,
    /// It is longer than a page shows.
    Long,
}

/// The narrative with its frame, or why there is none.
pub(crate) fn show(view: &View<'_>, div: &str) -> Markup {
    match clean(&view.links, div) {
        Ok(html) => html! { div.narrative dir="auto" tabindex="0" { (PreEscaped(html)) } },
        Err(Unshown::Malformed) => html! { p.note { (view.say("narrative-malformed")) } },
        Err(Unshown::Long) => html! { p.note { (view.say("narrative-long")) } },
    }
}

/// HTML that may stand in a page.
pub(crate) fn clean(links: &Links<'_>, div: &str) -> Result<String, Unshown> {
    if div.len() > BYTES_MAX {
        return Err(Unshown::Long);
    }
    let html = to_html(links, div).ok_or(Unshown::Malformed)?;
    let set = |names: &[&'static str]| names.iter().copied().collect::<HashSet<&str>>();
    let own = |tag: &'static str, names: &[&'static str]| (tag, set(names));
    let mut cleaner = ammonia::Builder::empty();
    cleaner
        .tags(set(TAGS))
        .clean_content_tags(set(&["script", "style", "title", "textarea", "iframe", "noscript", "template"]))
        .generic_attributes(set(&["lang", "dir", "title"]))
        .tag_attributes(HashMap::from([
            own("a", &["href"]),
            own("img", &["src", "alt", "width", "height"]),
            own("td", &["colspan", "rowspan"]),
            own("th", &["colspan", "rowspan", "scope"]),
            own("col", &["span"]),
            own("colgroup", &["span"]),
            own("ol", &["start"]),
        ]))
        .url_schemes(set(&["http", "https"]))
        .url_relative(ammonia::UrlRelative::PassThrough)
        .link_rel(Some("noopener noreferrer nofollow"))
        .attribute_filter(attribute);
    Ok(cleaner.clean(&html).to_string())
}

/// An attribute's value. Returns `None` when it is not of the attribute's kind.
fn attribute<'v>(_: &str, name: &str, value: &'v str) -> Option<Cow<'v, str>> {
    let holds = match name {
        "dir" => matches!(value, "ltr" | "rtl" | "auto"),
        "colspan" | "rowspan" | "span" | "start" | "width" | "height" => {
            value.len() <= 4 && value.bytes().all(|b| b.is_ascii_digit())
        }
        _ => true,
    };
    holds.then_some(Cow::Borrowed(value))
}

/// Where a url of a narrative leads: to where those of the resource do. Images come from this server alone.
fn target(links: &Links<'_>, name: &str, raw: &str) -> Option<String> {
    match (links.reference(&unescape(raw).ok()?)?, name) {
        (Target::Here(url), _) | (Target::Elsewhere(url), "href") => Some(url),
        (Target::Elsewhere(_), _) => None,
    }
}

/// XHTML as HTML that means the same: end tags where HTML wants them, no comments, sections or instructions. None when it
/// is not well-formed, or beyond what is shown.
fn to_html(links: &Links<'_>, xhtml: &str) -> Option<String> {
    let mut reader = Reader::from_str(xhtml);
    let config = reader.config_mut();
    config.enable_all_checks(true);
    config.expand_empty_elements = true;
    let mut out = String::with_capacity(xhtml.len());
    let mut depth = 0usize;
    loop {
        match reader.read_event().ok()? {
            Event::Start(tag) if depth < DEPTH_MAX => {
                depth += 1;
                start(links, &tag, &mut out)?;
            }
            Event::Start(_) => return None,
            Event::End(tag) => {
                depth = depth.checked_sub(1)?;
                let name = name(tag.local_name().into_inner())?;
                if !EMPTY.contains(&&*name) {
                    out.push_str("</");
                    out.push_str(&name);
                    out.push('>');
                }
            }
            // As it stands: a `<` cannot be in it, and a reference is an event of its own.
            Event::Text(text) => out.push_str(&text),
            Event::CData(text) => escape(&text, &mut out),
            Event::GeneralRef(reference) => {
                let is_reference = |b: u8| b.is_ascii_alphanumeric() || b == b'#';
                if !reference.bytes().all(is_reference) {
                    return None;
                }
                out.push('&');
                out.push_str(&reference);
                out.push(';');
            }
            Event::Eof => return (depth == 0).then_some(out),
            Event::Comment(_) | Event::PI(_) | Event::Decl(_) => {}
            Event::DocType(_) | Event::Empty(_) => return None,
        }
    }
}

fn start(links: &Links<'_>, tag: &BytesStart<'_>, out: &mut String) -> Option<()> {
    let tag_name = name(tag.local_name().into_inner())?;
    // An image that is not shown is what it is called.
    let (mut instead, mut has_src) = (String::new(), false);
    let begin = out.len();
    out.push('<');
    out.push_str(&tag_name);
    for (at, attribute) in tag.attributes().enumerate() {
        let attribute = attribute.ok().filter(|_| at < ATTRIBUTES_MAX)?;
        let key = attribute.key.into_inner();
        if attribute.key.as_namespace_binding().is_some() {
            continue;
        }
        let Some(key) = name(key.strip_prefix("xml:").unwrap_or(key)) else { continue };
        let is_url = matches!(&*key, "href" | "src");
        let resolved = if is_url { target(links, &key, &attribute.value) } else { None };
        if is_url && resolved.is_none() {
            continue;
        }
        has_src |= key == "src";
        if key == "alt" {
            instead = unescape(&attribute.value).ok()?.into_owned();
        }
        out.push(' ');
        out.push_str(&key);
        out.push_str("=\"");
        match resolved {
            Some(url) => escape(&url, out),
            None => out.push_str(&attribute.value.replace('"', "&quot;")),
        }
        out.push('"');
    }
    out.push('>');
    if tag_name == "img" && !has_src {
        out.truncate(begin);
        escape(&instead, out);
    }
    Some(())
}

/// The name of a tag or an attribute as a reader of HTML sees it, when it is one of HTML's kind.
fn name(text: &str) -> Option<String> {
    let is_name = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    is_name.then(|| text.to_ascii_lowercase())
}

fn escape(text: &str, out: &mut String) {
    use std::fmt::Write as _;
    let _ = Escaper::new(out).write_str(text);
}
