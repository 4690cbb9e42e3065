//! The search form of a type, and what its fields mean.
//!
//! Without a script a form sends all its fields, empty ones too, and a modifier cannot become part of a name. So a form's
//! url begins with a mark, and [`criteria`] makes of it the search that was meant, to which the browser is sent on.

use fhir_model::{Result, url};
use fhir_search::parameters::ParameterKind;
use fhir_search::registry::Param;
use maud::{Markup, html};

use crate::summary::{CHARS_MAX, cut};
use crate::view::View;

/// What the query of a form begins with.
pub const FORM: &str = "-form=";

/// Before the name of the parameter whose modifier it is: no parameter begins with it, and forms send it as it is.
const MODIFIER: char = '-';

/// Criteria of a url that get fields.
const CRITERIA_MAX: usize = 100;

/// Longest description of a parameter, in characters.
const DESCRIPTION_CHARS_MAX: usize = 140;

/// The query that a form means: fields that hold something, with their modifiers.
///
/// # Errors
///
/// When the query is not encoded as one.
pub fn criteria(form: &str) -> Result<String> {
    let mut found = Vec::new();
    let mut before = (String::new(), String::new());
    for (name, value) in url::pairs(form)? {
        if let Some(code) = name.strip_prefix(MODIFIER) {
            before = (code.to_owned(), value);
            continue;
        }
        // A modifier stands right before its field.
        let (code, modifier) = std::mem::take(&mut before);
        let modifier = if code == name { modifier } else { String::new() };
        match modifier.split_once('=') {
            // `missing=true` is the whole of a criterion.
            Some((modifier, whole)) => found.push((format!("{name}:{modifier}"), whole.to_owned())),
            None if value.trim().is_empty() => {}
            None if modifier.is_empty() => found.push((name, value)),
            None => found.push((format!("{name}:{modifier}"), value)),
        }
    }
    Ok(url::query(&found))
}

/// The search form of a type. Returns nothing when the page is about no type.
pub(crate) fn search(view: &View<'_>, is_open: bool) -> Markup {
    let Some(type_name) = view.searched() else { return html! {} };
    let Ok(of_type) = view.site.registry.for_type(type_name) else { return html! {} };
    let asked = asked(view.visit.query);
    let get = |name: &str| asked.iter().find(|(one, _)| one == name).map_or("", |(_, value)| value);
    let (mut known, mut others) = (Vec::new(), Vec::new());
    for (name, value) in asked.iter().filter(|(name, _)| !RESULT.contains(&name.as_str())) {
        let (code, modifier) = name.split_once(':').unwrap_or((name, ""));
        match of_type.param(code).filter(|param| modifier.is_empty() || takes(param, modifier)) {
            Some(param) => known.push((param.clone(), modifier, value.as_str())),
            None => others.push((name, value)),
        }
    }
    let is_asked = |param: &Param| known.iter().any(|(one, ..)| one.code == param.code);
    let mut rest: Vec<_> = of_type.params().iter().filter(|param| !is_asked(param)).collect();
    // What is the type's own comes before what all types have.
    rest.sort_by_key(|param| param.code.starts_with('_'));
    let codes = || of_type.params().iter().map(|param| &*param.code);
    html! {
        details.search open[is_open] {
            summary { (view.say("form-title")) }
            form method="get" action=(format!("{}/{}", view.visit.root, view.visit.path)) autocomplete="off" {
                input type="hidden" name="-form" value="1";
                p.quiet { (view.say("form-help")) }
                div.fields {
                    @for (at, (param, modifier, value)) in known.iter().enumerate() {
                        (field(view, type_name, param, &format!("a{at}"), modifier, value))
                    }
                    @for (at, (name, value)) in others.iter().enumerate() {
                        (plain(&format!("o{at}"), name, name, value, ""))
                    }
                    @for (at, param) in rest.iter().enumerate() {
                        (field(view, type_name, param, &format!("p{at}"), "", ""))
                    }
                }
                div.fields.result {
                    (plain("f-id", "_id", "_id", get("_id"), "123,456"))
                    (plain("f-updated", "_lastUpdated", "_lastUpdated", get("_lastUpdated"), "ge2024-01-31"))
                    (listed("f-sort", "_sort", &view.say("form-sort"), get("_sort")))
                    (listed("f-include", "_include", &view.say("form-include"), get("_include")))
                    div.field {
                        label for="f-count" { (view.say("form-count")) " " code dir="ltr" { "_count" } }
                        input id="f-count" name="_count" type="number" min="0" max=(view.site.count_max) value=(get("_count"));
                    }
                }
                datalist id="_sort-list" {
                    option value="-_lastUpdated" {}
                    option value="_lastUpdated" {}
                    @for code in codes() { option value=(code) {} option value=(format!("-{code}")) {} }
                }
                datalist id="_include-list" {
                    @for param in of_type.params().iter().filter(|param| param.kind == ParameterKind::Reference) {
                        option value=(format!("{type_name}:{}", param.code)) {}
                    }
                }
                button type="submit" { (view.say("form-submit")) }
                " " a href=(format!("{}/{}", view.visit.root, view.visit.path)) { (view.say("form-reset")) }
            }
        }
    }
}

/// Parameters that have fields of their own below the others.
const RESULT: &[&str] =
    &["_id", "_lastUpdated", "_sort", "_include", "_count", "_cursor", "_format", "_pretty"];

/// The criteria of a search, as they were asked.
pub(crate) fn summary(view: &View<'_>) -> Markup {
    let asked = asked(view.visit.query);
    let is_criterion = |name: &str| !matches!(name, "_cursor" | "_format" | "_pretty");
    html! {
        p.criteria {
            @for (name, value) in asked.iter().filter(|(name, _)| is_criterion(name)) {
                code.tag dir="ltr" { (cut(name, CHARS_MAX)) "=" bdi { (cut(value, CHARS_MAX)) } } " "
            }
        }
    }
}

fn asked(query: &str) -> Vec<(String, String)> {
    let mut pairs = url::pairs(query).unwrap_or_default();
    pairs.truncate(CRITERIA_MAX);
    pairs
}

fn takes(param: &Param, modifier: &str) -> bool {
    modifier != "missing" && param.modifiers().iter().any(|(name, _)| *name == modifier)
}

/// The field of a search parameter.
fn field(view: &View<'_>, type_name: &str, param: &Param, id: &str, modifier: &str, value: &str) -> Markup {
    let description = plain_text(param.definition.description_for(type_name));
    let modifiers = param.modifiers();
    let modifiers = modifiers.iter().map(|(name, _)| *name).filter(|name| *name != "missing");
    html! {
        div.field {
            label for=(id) { code dir="ltr" { (param.code) } " " span.tag dir="ltr" { (param.kind.as_str()) } }
            span.row {
                select name=(format!("{MODIFIER}{}", param.code)) aria-label=(view.say("form-modifier")) dir="ltr" {
                    option value="" { "=" }
                    @for name in modifiers {
                        option value=(name) selected[name == modifier] { ":" (name) }
                    }
                    option value="missing=true" { (view.say("form-missing")) }
                    option value="missing=false" { (view.say("form-present")) }
                }
                input id=(id) name=(param.code) value=(value) placeholder=(example(param)) dir="auto";
            }
            p.quiet lang="en" dir="auto" { (description) }
        }
    }
}

fn plain(id: &str, name: &str, label: &str, value: &str, example: &str) -> Markup {
    html! {
        div.field {
            label for=(id) { code dir="ltr" { (label) } }
            input id=(id) name=(name) value=(value) placeholder=(example) dir="auto";
        }
    }
}

fn listed(id: &str, name: &str, label: &str, value: &str) -> Markup {
    html! {
        div.field {
            label for=(id) { (label) " " code dir="ltr" { (name) } }
            input id=(id) name=(name) value=(value) list=(format!("{name}-list")) dir="ltr";
        }
    }
}

/// What may be written into a field.
fn example(param: &Param) -> String {
    match param.kind {
        ParameterKind::Date => "ge2024-01-31".to_owned(),
        ParameterKind::Number => "gt0.5".to_owned(),
        ParameterKind::Quantity => "gt5.4|http://unitsofmeasure.org|mg".to_owned(),
        ParameterKind::Token if param.indexes.iter().all(|index| index.truth) => "true".to_owned(),
        ParameterKind::Token if param.has_type(&["ContactPoint"]) => String::new(),
        ParameterKind::Token => "code, system|code".to_owned(),
        ParameterKind::Reference => {
            let target = param.only_target.as_ref().or(param.targets.first());
            format!("{}/123", target.map_or("Patient", |name| &**name))
        }
        ParameterKind::Uri => "http://example.org/…".to_owned(),
        ParameterKind::Composite => "code$value".to_owned(),
        ParameterKind::Special if &*param.code == "near" => "-1.28|36.82|10|km".to_owned(),
        ParameterKind::String | ParameterKind::Special => String::new(),
    }
}

/// The first words of a description without its links.
fn plain_text(markdown: &str) -> String {
    let line = markdown.lines().find(|line| !line.trim().is_empty()).unwrap_or("");
    let mut out = String::new();
    let mut letters = line.chars().filter(|c| !matches!(c, '*' | '`' | '\r')).peekable();
    let mut is_url = false;
    while let Some(letter) = letters.next() {
        match letter {
            ']' if letters.peek() == Some(&'(') => is_url = true,
            ')' if is_url => is_url = false,
            '[' | ']' => {}
            _ if is_url => {}
            other => out.push(other),
        }
    }
    cut(&out, DESCRIPTION_CHARS_MAX)
}
