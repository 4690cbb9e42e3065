//! References in text: `&amp;`, `&#160;`, and, where HTML is meant, HTML's names.

use crate::json::is_allowed;

/// The names of U+00A0 to U+00FF, in order: <https://www.w3.org/TR/html4/sgml/entities.html>
const LATIN: &str = "nbsp iexcl cent pound curren yen brvbar sect uml copy ordf laquo not shy reg macr deg plusmn \
    sup2 sup3 acute micro para middot cedil sup1 ordm raquo frac14 frac12 frac34 iquest Agrave Aacute Acirc Atilde \
    Auml Aring AElig Ccedil Egrave Eacute Ecirc Euml Igrave Iacute Icirc Iuml ETH Ntilde Ograve Oacute Ocirc Otilde \
    Ouml times Oslash Ugrave Uacute Ucirc Uuml Yacute THORN szlig agrave aacute acirc atilde auml aring aelig ccedil \
    egrave eacute ecirc euml igrave iacute icirc iuml eth ntilde ograve oacute ocirc otilde ouml divide oslash ugrave \
    uacute ucirc uuml yacute thorn yuml";

/// The ones narratives use beyond Latin 1.
const OTHERS: &[(&str, char)] = &[
    ("alpha", 'α'),
    ("beta", 'β'),
    ("bull", '•'),
    ("dagger", '†'),
    ("delta", 'δ'),
    ("emsp", '\u{2003}'),
    ("ensp", '\u{2002}'),
    ("euro", '€'),
    ("gamma", 'γ'),
    ("ge", '≥'),
    ("harr", '↔'),
    ("hellip", '…'),
    ("larr", '←'),
    ("ldquo", '“'),
    ("le", '≤'),
    ("lsquo", '‘'),
    ("mdash", '—'),
    ("minus", '−'),
    ("mu", 'μ'),
    ("ndash", '–'),
    ("ne", '≠'),
    ("rarr", '→'),
    ("rdquo", '”'),
    ("rsquo", '’'),
    ("thinsp", '\u{2009}'),
    ("trade", '™'),
];

/// The character that XML itself gives a reference (without `&` and `;`).
pub(super) fn xml(name: &str) -> Option<char> {
    match name {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "apos" => Some('\''),
        "quot" => Some('"'),
        _ => numeric(name.strip_prefix('#')?),
    }
}

/// The character of an HTML name.
pub(super) fn html(name: &str) -> Option<char> {
    let latin = LATIN.split(' ').zip('\u{a0}'..).find(|(n, _)| *n == name);
    latin.or_else(|| OTHERS.iter().copied().find(|(n, _)| *n == name)).map(|(_, c)| c)
}

fn numeric(digits: &str) -> Option<char> {
    let (digits, radix) = digits.strip_prefix('x').map_or((digits, 10), |hex| (hex, 16));
    // `from_str_radix` takes a sign, XML does not.
    if !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    char::from_u32(u32::from_str_radix(digits, radix).ok()?).filter(|c| is_allowed(*c))
}

/// Resolves the references of an attribute's raw text and normalises its white space (XML 1.0, 3.3.3).
pub(super) fn attribute(raw: &str) -> Result<String, String> {
    if raw.contains('<') {
        return Err("`<` in an attribute".into());
    }
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find(['&', '\t', '\n', '\r']) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        if let Some(reference) = from.strip_prefix('&') {
            let (name, after) = reference.split_once(';').ok_or("a `&` that begins no reference")?;
            out.push(xml(name).ok_or("a reference to an entity that XML does not define")?);
            rest = after;
        } else {
            out.push(' ');
            rest = from.strip_prefix("\r\n").or_else(|| from.get(1..)).unwrap_or("");
        }
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references() {
        for (name, c) in
            [("amp", Some('&')), ("#160", Some('\u{a0}')), ("#x1F600", Some('😀')), ("nbsp", None)]
        {
            assert_eq!(xml(name), c, "{name}");
        }
        for name in ["#0", "#x0", "#xD800", "#x110000", "#+65", "#", "#x", "#8", "#99999999999", "xxe", ""] {
            assert_eq!(xml(name), None, "{name}");
        }
        for (name, c) in [("nbsp", '\u{a0}'), ("eacute", 'é'), ("yuml", 'ÿ'), ("ge", '≥')] {
            assert_eq!(html(name), Some(c), "{name}");
        }
        assert_eq!(html("xxe"), None);
    }

    #[test]
    fn attributes() {
        for (raw, value) in [
            ("a", Ok("a")),
            ("a\r\nb\tc\nd", Ok("a b c d")),
            ("a&#10;b&#9;&lt;&quot;", Ok("a\nb\t<\"")),
            ("&xxe;", Err("a reference to an entity that XML does not define")),
            ("a & b", Err("a `&` that begins no reference")),
            ("a<b", Err("`<` in an attribute")),
        ] {
            assert_eq!(attribute(raw).as_deref().map_err(String::as_str), value, "{raw}");
        }
    }
}
