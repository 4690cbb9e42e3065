//! The page of a Bundle: what a search found, what happened in a history, or a Bundle that somebody stored.

use fhir_i18n::Argument;
use fhir_model::interaction::Interaction;
use fhir_model::json::Ref;
use maud::{Markup, html};

use crate::json::{JsonView, link};
use crate::layout::{format_links, frame, time, types};
use crate::links::Target;
use crate::summary::{CHARS_MAX, cut, summary};
use crate::view::View;
use crate::{form, outcome, resource};

/// Entries that a page lists.
const ENTRIES_MAX: usize = 1000;

/// Outcomes of a search that stand above its entries: a search has one, a Bundle that is stored may have any number.
const OUTCOMES_MAX: usize = 10;

pub(crate) fn page(view: &View<'_>, bundle: Ref<'_>) -> String {
    // One that is stored has a page like any resource, with its entries besides.
    let is_stored = matches!(&view.asked, Some(Interaction::Read(_) | Interaction::Vread(..)));
    let title = title(view, bundle);
    let entries: Vec<Ref<'_>> = bundle.get("entry").into_iter().flat_map(Ref::items).collect();
    let (said, entries): (Vec<_>, Vec<_>) = entries.into_iter().partition(|entry| is_outcome(*entry));
    let is_search = matches!(
        view.asked,
        Some(Interaction::SearchType(_) | Interaction::SearchCompartment(..) | Interaction::SearchSystem)
    );
    let none_found = is_search && entries.is_empty();
    let mut json = JsonView::new(view);
    let main = html! {
        h1 { bdi { (title) } }
        nav.actions aria-label=(view.say("nav-actions")) {
            @if is_stored {
                a.button href=(format!("{}/{}/_history", view.visit.root, stored_path(view))) { (view.say("nav-history")) }
            }
            (format_links(view))
        }
        @if matches!(view.asked, Some(Interaction::SearchSystem)) {
            (types(view, view.visit.query.is_empty()))
        }
        (form::search(view, none_found))
        @for entry in said.iter().take(OUTCOMES_MAX) {
            @if let Some(resource) = entry.get("resource") { (outcome::part(view, resource)) }
        }
        @if is_search { (form::summary(view)) }
        p.count { (count(view, bundle, entries.len())) }
        (paging(view, bundle))
        (list(view, &entries, &mut json))
        @if entries.len() > ENTRIES_MAX || said.len() > OUTCOMES_MAX || json.is_cut() { (resource::cut_note(view)) }
        (paging(view, bundle))
    };
    frame(view, &title, main)
}

fn stored_path(view: &View<'_>) -> String {
    match &view.asked {
        Some(Interaction::Read(key) | Interaction::Vread(key, _)) => key.to_string(),
        _ => String::new(),
    }
}

fn title(view: &View<'_>, bundle: Ref<'_>) -> String {
    let history = |what: &str| view.texts.say_with("title-history", &[("text", Argument::Text(what))]);
    match &view.asked {
        Some(Interaction::SearchType(name)) => name.to_string(),
        Some(Interaction::SearchCompartment(key, name)) if &**name == "*" => {
            view.texts.say_with("title-compartment", &[("text", Argument::Text(&key.to_string()))])
        }
        Some(Interaction::SearchCompartment(key, name)) => format!("{name} · {key}"),
        Some(Interaction::SearchSystem) => view.say("title-base"),
        Some(Interaction::HistoryInstance(key)) => history(&key.to_string()),
        Some(Interaction::HistoryType(name)) => history(name),
        Some(Interaction::HistorySystem) => history(&view.say("nav-base")),
        Some(Interaction::Operation(_, code)) => format!("${code}"),
        _ => match bundle.get_str("id") {
            Some(id) => cut(&format!("Bundle/{id}"), CHARS_MAX),
            None => "Bundle".to_owned(),
        },
    }
}

/// What the server says of the search, which is no entry of it.
fn is_outcome(entry: Ref<'_>) -> bool {
    entry.get("search").and_then(|search| search.get_str("mode")).is_some_and(|mode| mode == "outcome")
}

fn count(view: &View<'_>, bundle: Ref<'_>, here: usize) -> Markup {
    // What a history counts are no matches.
    let is_search = bundle.get_str("type").as_deref() == Some("searchset");
    let total =
        bundle.get("total").filter(|_| is_search).and_then(Ref::number).and_then(|total| total.parse().ok());
    html! {
        @if let Some(kind) = bundle.get_str("type") { code dir="ltr" { (cut(&kind, CHARS_MAX)) } " · " }
        @if let Some(total) = total { (view.texts.say_with("bundle-total", &[("count", Argument::Number(total))])) " · " }
        (view.texts.say_with("bundle-here", &[("count", Argument::Number(here as u64))]))
    }
}

/// The links to other pages, those that lead on this server.
fn paging(view: &View<'_>, bundle: Ref<'_>) -> Markup {
    let url = |relation: &str| {
        let links = bundle.get("link").into_iter().flat_map(Ref::items);
        let mut links = links.filter(|one| one.get_str("relation").is_some_and(|name| name == relation));
        match view.links.url(&links.next()?.get_str("url")?)? {
            Target::Here(url) => Some(url),
            Target::Elsewhere(_) => None,
        }
    };
    let others = [url("previous").or_else(|| url("prev")), url("next")];
    let [previous, next] = &others;
    html! {
        @if others.iter().any(Option::is_some) {
            nav.paging aria-label=(view.say("nav-pages")) {
                @if let Some(url) = url("first").filter(|_| previous.is_some()) {
                    a.button href=(url) { (view.say("page-first")) }
                }
                @if let Some(url) = previous { a.button rel="prev" href=(url) { (view.say("page-previous")) } }
                @if let Some(url) = next { a.button rel="next" href=(url) { (view.say("page-next")) } }
                @if let Some(url) = url("last") { a.button href=(url) { (view.say("page-last")) } }
            }
        }
    }
}

fn list(view: &View<'_>, entries: &[Ref<'_>], json: &mut JsonView<'_>) -> Markup {
    html! {
        ol.entries {
            @for entry in entries.iter().take(ENTRIES_MAX) { (row(view, *entry, json)) }
        }
    }
}

fn row(view: &View<'_>, entry: Ref<'_>, json: &mut JsonView<'_>) -> Markup {
    let resource = entry.get("resource");
    let meta = resource.and_then(|resource| resource.get("meta"));
    let response = entry.get("response");
    let version = meta.and_then(|meta| meta.get_str("versionId"));
    let updated = meta.and_then(|meta| meta.get_str("lastUpdated"));
    let updated = updated.or_else(|| response.and_then(|response| response.get_str("lastModified")));
    let mode = entry.get("search").and_then(|search| search.get_str("mode"));
    let about = resource.map(summary).unwrap_or_default();
    html! {
        li {
            div.line {
                span.name { (name(view, entry, resource)) }
                @if mode.as_deref() == Some("include") { span.tag { (view.say("mode-include")) } }
                @if let Some(request) = entry.get("request") {
                    span.tag dir="ltr" { (cut(&request.get_str("method").unwrap_or_default(), CHARS_MAX)) }
                }
                @if let Some(status) = response.and_then(|response| response.get_str("status")) {
                    span.tag dir="ltr" { (cut(&status, CHARS_MAX)) }
                }
                span.quiet {
                    @if let Some(version) = version { (view.say("fact-version")) " " bdi { (cut(&version, CHARS_MAX)) } " · " }
                    @if let Some(updated) = updated { (time(&updated)) }
                }
            }
            @if !about.is_empty() { p.about { (about) } }
            @if let Some(outcome) = response.and_then(|response| response.get("outcome")) { (outcome::part(view, outcome)) }
            @if let Some(resource) = resource.filter(|_| !json.is_full()) {
                details { summary { "JSON" } (json.show(resource)) }
            }
        }
    }
}

/// What an entry is called, with a link to it where it has an address: that of the version, where the entry tells of one.
fn name(view: &View<'_>, entry: Ref<'_>, resource: Option<Ref<'_>>) -> Markup {
    let full_url = entry.get_str("fullUrl").unwrap_or_default();
    let key = resource.and_then(|resource| {
        Some(format!("{}/{}", resource.get_str("resourceType")?, resource.get_str("id")?))
    });
    let asked =
        || entry.get("request").and_then(|request| request.get_str("url")).map(|url| url.into_owned());
    let of_url = |target: &Target| match target {
        Target::Here(url) => {
            url.strip_prefix(view.visit.root).map(|path| path.trim_start_matches('/').to_owned())
        }
        Target::Elsewhere(_) => None,
    };
    let target = view.links.url(&full_url);
    let of_type =
        || resource.and_then(|resource| resource.get_str("resourceType")).map(|name| name.into_owned());
    let text = key.or_else(|| target.as_ref().and_then(of_url)).or_else(of_type).or_else(asked);
    let text = cut(&text.unwrap_or_else(|| full_url.clone().into_owned()), CHARS_MAX);
    let target = match target {
        Some(Target::Here(url)) => Some(Target::Here(format!("{url}{}", version_path(entry)))),
        other => other,
    };
    html! { @match target { Some(target) => (link(&target, &text)), None => bdi { (text) } } }
}

/// `/_history/3` for an entry of a history.
fn version_path(entry: Ref<'_>) -> String {
    let etag = entry.get("response").and_then(|response| response.get_str("etag"));
    let is_deletion = entry.get("resource").is_none();
    let version = etag.as_deref().and_then(|etag| etag.strip_prefix("W/\"")?.strip_suffix('"'));
    match version.filter(|version| !is_deletion && version.bytes().all(|b| b.is_ascii_digit())) {
        Some(version) => format!("/_history/{version}"),
        None => String::new(),
    }
}
