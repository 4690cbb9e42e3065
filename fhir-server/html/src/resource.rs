//! The page of one resource, or of one version of it.

use fhir_i18n::Argument;
use fhir_model::Key;
use fhir_model::interaction::Interaction;
use fhir_model::json::Ref;
use maud::{Markup, html};

use crate::json::{JsonView, link};
use crate::layout::{format_links, frame, time, types};
use crate::narrative;
use crate::summary::{CHARS_MAX, cut, summary};
use crate::view::View;

/// Profiles that are named.
const PROFILES_MAX: usize = 10;

pub(crate) fn page(view: &View<'_>, resource: Ref<'_>) -> String {
    let type_name = resource.get_str("resourceType").unwrap_or_default();
    let title = match (&view.asked, resource.get_str("id")) {
        (Some(Interaction::Capabilities), _) => view.say("nav-metadata"),
        (_, Some(id)) => cut(&format!("{type_name}/{id}"), CHARS_MAX),
        (_, None) => cut(&type_name, CHARS_MAX),
    };
    let mut json = JsonView::new(view);
    let shown = json.show(resource);
    let narrative = resource.get("text").and_then(|text| text.get_str("div"));
    let about = summary(resource);
    let main = html! {
        h1 { bdi { (title) } }
        @if !about.is_empty() { p.about { (about) } }
        (facts(view, resource))
        (actions(view))
        @if type_name == "CapabilityStatement" { (types(view, true)) }
        @if let Some(div) = narrative {
            section {
                h2 { (view.say("resource-narrative")) }
                (narrative::show(view, &div))
            }
        }
        section {
            h2 { (view.say("resource-content")) }
            @if json.is_cut() { (cut_note(view)) }
            (shown)
        }
    };
    frame(view, &title, main)
}

/// That a page does not show all, and where all is.
pub(crate) fn cut_note(view: &View<'_>) -> Markup {
    html! {
        p.note {
            (view.say("json-cut")) " "
            @if view.visit.is_get { a href=(view.in_format("json")) { (view.say("json-whole")) } }
        }
    }
}

/// Version, time and profiles.
fn facts(view: &View<'_>, resource: Ref<'_>) -> Markup {
    let meta = resource.get("meta");
    let get = |name: &str| meta.and_then(|meta| meta.get_str(name));
    let profiles = meta.and_then(|meta| meta.get("profile")).into_iter().flat_map(Ref::items);
    let profiles: Vec<_> = profiles.filter_map(Ref::str).take(PROFILES_MAX).collect();
    html! {
        @if meta.is_some() {
            dl.facts {
                @if let Some(version) = get("versionId") {
                    div { dt { (view.say("fact-version")) } dd dir="auto" { (cut(&version, CHARS_MAX)) } }
                }
                @if let Some(updated) = get("lastUpdated") {
                    div { dt { (view.say("fact-updated")) } dd { (time(&updated)) } }
                }
                @if !profiles.is_empty() {
                    div {
                        dt { (view.say("fact-profile")) }
                        @for profile in &profiles {
                            dd dir="ltr" {
                                @match view.links.canonical(profile, &["StructureDefinition".into()]) {
                                    Some(target) => (link(&target, profile)),
                                    None => (cut(profile, CHARS_MAX)),
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Where one may go from a resource.
fn actions(view: &View<'_>) -> Markup {
    let root = view.visit.root;
    let (key, version) = match &view.asked {
        Some(Interaction::Read(key)) => (Some(key), None),
        Some(Interaction::Vread(key, version)) => (Some(key), Some(*version)),
        _ => (None, None),
    };
    html! {
        nav.actions aria-label=(view.say("nav-actions")) {
            @if let Some(key) = key {
                @if let Some(version) = version {
                    a.button href=(format!("{root}/{key}")) { (view.say("action-current")) }
                    @if version > 1 {
                        a.button href=(format!("{root}/{key}/_history/{}", version - 1)) {
                            (version_text(view, version - 1))
                        }
                    }
                }
                a.button href=(format!("{root}/{key}/_history")) { (view.say("nav-history")) }
                @if has_compartment(view, key) {
                    a.button href=(format!("{root}/{key}/*")) { (view.say("action-compartment")) }
                }
            }
            (format_links(view))
        }
    }
}

fn version_text(view: &View<'_>, version: u32) -> String {
    view.texts.say_with("action-version", &[("version", Argument::Number(version.into()))])
}

fn has_compartment(view: &View<'_>, key: &Key) -> bool {
    view.site.registry.compartments().get(&key.type_name).is_some()
}
