//! JSON as a reader likes it: indented, coloured, and with links where the definitions say that a value leads somewhere.

use fhir_model::Key;
use fhir_model::json::{Kind, Ref};
use fhir_model::types::Element;
use maud::{Markup, PreEscaped, html};

use crate::links::{Target, contained_id};
use crate::view::View;

/// Bytes of JSON that a page shows.
pub(crate) const SHOWN_BYTES_MAX: usize = 256 * 1024;
/// Of one string.
const STRING_BYTES_MAX: usize = 2000;
/// Levels that are indented; below, a value stands in one line.
const DEPTH_MAX: usize = 40;

/// Shows JSON until the page has enough of it.
pub(crate) struct JsonView<'a> {
    view: &'a View<'a>,
    left: usize,
    is_cut: bool,
}

impl<'a> JsonView<'a> {
    pub(crate) fn new(view: &'a View<'a>) -> JsonView<'a> {
        JsonView { view, left: SHOWN_BYTES_MAX, is_cut: false }
    }

    /// Something was left out, as the bound on bytes was reached.
    pub(crate) fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// No more is shown.
    pub(crate) fn is_full(&self) -> bool {
        self.left == 0
    }

    /// A resource.
    pub(crate) fn show(&mut self, resource: Ref<'_>) -> Markup {
        let mut out = String::with_capacity(resource.raw().len().min(SHOWN_BYTES_MAX) * 3);
        let place = NodePosition { type_name: "", element: None, holder: "", key: "" };
        self.value(resource, &place, 0, &mut out);
        html! { pre.json dir="ltr" tabindex="0" { code { (PreEscaped(out)) } } }
    }

    /// Whether that many more bytes fit within the bound.
    fn spend(&mut self, bytes: usize) -> bool {
        let fits = bytes <= self.left;
        self.left = self.left.saturating_sub(bytes);
        self.is_cut |= !fits;
        fits
    }

    fn value(&mut self, value: Ref<'_>, place: &NodePosition<'_>, depth: usize, out: &mut String) {
        match value.kind() {
            Kind::Object | Kind::Array if depth >= DEPTH_MAX => self.cut_text(value.raw(), "", out),
            Kind::Object => self.object(value, place, depth, out),
            Kind::Array => self.list(value, (b'[', b']'), depth, out, |this, child, out| {
                this.value(child, place, depth + 1, out);
            }),
            Kind::String => self.string(value, place, out),
            Kind::Number => self.cut_text(value.raw(), "n", out),
            Kind::Boolean | Kind::Null => self.cut_text(value.raw(), "b", out),
        }
    }

    fn object(&mut self, value: Ref<'_>, place: &NodePosition<'_>, depth: usize, out: &mut String) {
        let definitions = self.view.site.definitions;
        let resource_type = value.get_str("resourceType");
        let type_name = resource_type.as_deref().unwrap_or(place.type_name);
        let anchor = (place.key == "contained").then(|| value.get_str("id")).flatten();
        if let Some(id) = anchor.filter(|id| Key::is_id(id)) {
            out.push_str(&html! { a id=(contained_id(&id)) {} }.into_string());
        }
        self.list(value, (b'{', b'}'), depth, out, |this, child, out| {
            let key = child.key();
            let found = definitions.json_element(type_name, &key);
            let below = NodePosition {
                type_name: found.map_or("", |(_, name)| name),
                element: found.map(|(element, _)| element),
                holder: type_name,
                key: &key,
            };
            this.cut_text(&format!("\"{}\"", raw_key(&key)), "k", out);
            out.push_str(": ");
            this.value(child, &below, depth + 1, out);
        });
    }

    /// The members of an object or an array between their brackets.
    fn list(
        &mut self,
        value: Ref<'_>,
        (open, close): (u8, u8),
        depth: usize,
        out: &mut String,
        mut show: impl FnMut(&mut JsonView<'a>, Ref<'_>, &mut String),
    ) {
        out.push(open as char);
        for (at, child) in value.children().enumerate() {
            if at > 0 {
                out.push(',');
            }
            new_line(depth + 1, out);
            if !self.spend(depth + 2) {
                out.push('…');
                break;
            }
            show(self, child, out);
        }
        if !value.is_empty() {
            new_line(depth, out);
        }
        out.push(close as char);
    }

    fn string(&mut self, value: Ref<'_>, place: &NodePosition<'_>, out: &mut String) {
        let target = value.str().and_then(|text| self.target(&text, place));
        let Some(target) = target else { return self.cut_text(value.raw(), "s", out) };
        if !self.spend(value.raw().len()) {
            return out.push('…');
        }
        let raw = value.raw();
        let text = raw.get(1..raw.len().saturating_sub(1)).unwrap_or("");
        let link = html! { span.s { "\"" (link(&target, text)) "\"" } };
        out.push_str(&link.into_string());
    }

    fn target(&self, text: &str, place: &NodePosition<'_>) -> Option<Target> {
        let links = &self.view.links;
        match (place.type_name, place.holder, place.key) {
            ("string", "Reference", "reference") => links.reference(text),
            ("canonical", ..) => links.canonical(text, place.element.map_or(&[], |element| &element.targets)),
            ("url" | "uri", ..) => links.url(text),
            _ => None,
        }
    }

    /// A text, or as much of it as the page shows of one.
    fn cut_text(&mut self, raw: &str, class: &str, out: &mut String) {
        let shown = raw.get(..raw.floor_char_boundary(STRING_BYTES_MAX)).unwrap_or(raw);
        if !self.spend(shown.len()) {
            return out.push('…');
        }
        let rest = raw.len() - shown.len();
        self.is_cut |= rest > 0;
        let more = [("count", fhir_i18n::Argument::Number(rest as u64))];
        let token = html! {
            @if class.is_empty() { (shown) } @else { span class=(class) { (shown) } }
            @if rest > 0 { span.more { "… " (self.view.texts.say_with("json-more-bytes", &more)) } }
        };
        out.push_str(&token.into_string());
    }
}

/// A link to a page of this server or to another one, which is not told from where.
pub(crate) fn link(target: &Target, text: &str) -> Markup {
    html! {
        @match target {
            Target::Here(url) => a href=(url) { (text) },
            Target::Elsewhere(url) => a.elsewhere href=(url) rel="noopener noreferrer nofollow" { (text) },
        }
    }
}

/// Where a value stands, as far as the definitions know.
struct NodePosition<'a> {
    /// The value's own type.
    type_name: &'a str,
    element: Option<&'a Element>,
    /// The type of what it is a member of.
    holder: &'a str,
    key: &'a str,
}

/// A key as JSON writes it. Keys hold no control characters that anybody would type.
fn raw_key(key: &str) -> String {
    key.replace('\\', "\\\\").replace('"', "\\\"")
}

fn new_line(depth: usize, out: &mut String) {
    out.push('\n');
    out.extend(std::iter::repeat_n(' ', 2 * depth));
}
