//! The narrative's own rules: <https://hl7.org/fhir/R4/narrative.html#xhtml> (invariants txt-1 and txt-2)

/// Elements a narrative may have.
const ELEMENTS: [&str; 61] = [
    "a",
    "abbr",
    "acronym",
    "address",
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
    "del",
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
    "ins",
    "kbd",
    "li",
    "map",
    "area",
    "ol",
    "p",
    "pre",
    "q",
    "s",
    "samp",
    "small",
    "span",
    "strike",
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
    "u",
    "ul",
    "var",
    "center",
    "font",
    "bdo",
    "label",
];

/// True for a `<div>` with only the elements of HTML's text chapters, no active content and something to read.
pub(super) fn is_narrative(text: &str) -> bool {
    let text = text.trim();
    if !text.starts_with("<div") || !text.ends_with('>') {
        return false;
    }
    let (mut rest, mut open, mut content) = (text, Vec::new(), false);
    while let Some(start) = rest.find('<') {
        let (before, tag) = rest.split_at(start);
        content |= !before.trim().is_empty();
        if let Some(comment) = tag.strip_prefix("<!--") {
            let Some(end) = comment.find("-->") else { return false };
            rest = comment.get(end + 3..).unwrap_or("");
            continue;
        }
        let Some(end) = tag_end(tag) else { return false };
        let inner = tag.get(1..end).unwrap_or("");
        rest = tag.get(end + 1..).unwrap_or("");
        if let Some(name) = inner.strip_prefix('/') {
            if open.pop() != Some(name.trim()) {
                return false;
            }
            continue;
        }
        let name = inner.split(|c: char| c.is_whitespace() || c == '/').next().unwrap_or("");
        if !ELEMENTS.contains(&name) || has_active_attribute(inner) {
            return false;
        }
        content |= name == "img";
        if !inner.ends_with('/') {
            open.push(name);
        }
    }
    open.is_empty() && content && rest.trim().is_empty()
}

/// The closing `>` that is not within an attribute's quotes.
fn tag_end(tag: &str) -> Option<usize> {
    let mut quote = None;
    tag.char_indices().find_map(|(at, c)| match (quote, c) {
        (None, '>') => Some(at),
        (None, '"' | '\'') => {
            quote = Some(c);
            None
        }
        (Some(open), c) if open == c => {
            quote = None;
            None
        }
        _ => None,
    })
}

/// Event handlers (`onclick`) and script URLs.
fn has_active_attribute(tag: &str) -> bool {
    let lower = tag.to_ascii_lowercase();
    let handler = lower.split_whitespace().skip(1).any(|attribute| {
        attribute.starts_with("on")
            && attribute.split('=').next().is_some_and(|name| name.len() < attribute.len())
    });
    handler || lower.contains("javascript:")
}
