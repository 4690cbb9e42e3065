//! Errors, and whatever else an OperationOutcome says.

use fhir_model::json::Ref;
use maud::{Markup, html};

use crate::form;
use crate::layout::frame;
use crate::summary::{CHARS_MAX, cut};
use crate::view::View;

/// Issues that the page of an error shows.
const ISSUES_MAX: usize = 100;
/// Issues of an outcome that is a part of a page.
const PART_ISSUES_MAX: usize = 5;
/// Places that an issue names.
const EXPRESSIONS_MAX: usize = 10;
/// Longest text of an issue, in characters.
const TEXT_CHARS_MAX: usize = 2500;

/// The page of an error.
pub(crate) fn page(view: &View<'_>, status: u16, outcome: Ref<'_>) -> String {
    let title = title(view, status);
    let main = html! {
        h1 { (title) }
        (issues(view, outcome, ISSUES_MAX))
        @if status == 400 { (form::search(view, true)) }
        (request_id(view))
        p { a.button href=(format!("{}/", view.visit.root)) { (view.say("error-to-base")) } }
    };
    frame(view, &title, main)
}

/// The page of an answer that says no more than its status.
pub(crate) fn bare(view: &View<'_>, status: u16) -> String {
    let title = title(view, status);
    frame(view, &title, html! { h1 { (title) } (request_id(view)) })
}

/// What an outcome within a page says.
pub(crate) fn part(view: &View<'_>, outcome: Ref<'_>) -> Markup {
    issues(view, outcome, PART_ISSUES_MAX)
}

/// What an outcome says, one issue after another.
fn issues(view: &View<'_>, outcome: Ref<'_>, issues_max: usize) -> Markup {
    let all = outcome.get("issue").into_iter().flat_map(Ref::items).take(issues_max);
    html! {
        ul.issues {
            @for issue in all {
                @let severity = issue.get_str("severity").unwrap_or_default();
                @let text = issue.get("details").and_then(|details| details.get_str("text"));
                @let text = text.or_else(|| issue.get_str("diagnostics")).unwrap_or_default();
                li class=(class(&severity)) {
                    strong { (severity_text(view, &severity)) } " "
                    code dir="ltr" { (cut(&issue.get_str("code").unwrap_or_default(), CHARS_MAX)) }
                    // Diagnostics for programs stay in English.
                    p lang="en" dir="auto" { (cut(&text, TEXT_CHARS_MAX)) }
                    @for expression in issue.get("expression").into_iter().flat_map(Ref::items).take(EXPRESSIONS_MAX) {
                        p.where { (view.say("issue-where")) " "
                            code dir="ltr" { (cut(&expression.str().unwrap_or_default(), CHARS_MAX)) } }
                    }
                }
            }
        }
    }
}

fn request_id(view: &View<'_>) -> Markup {
    html! {
        @if !view.visit.request_id.is_empty() {
            p.quiet { (view.say("error-request-id")) " " code dir="ltr" { (view.visit.request_id) } }
        }
    }
}

fn title(view: &View<'_>, status: u16) -> String {
    let reason = view.say(match status {
        400 => "status-400",
        401 => "status-401",
        403 => "status-403",
        404 => "status-404",
        405 => "status-405",
        406 => "status-406",
        409 => "status-409",
        410 => "status-410",
        412 => "status-412",
        413 => "status-413",
        414 => "status-414",
        429 => "status-429",
        503 => "status-503",
        504 => "status-504",
        0..400 => "status-done",
        _ if status < 500 => "status-refused",
        _ => "status-500",
    });
    format!("{status} {reason}")
}

fn class(severity: &str) -> &'static str {
    match severity {
        "fatal" | "error" => "error",
        "warning" => "warning",
        _ => "information",
    }
}

fn severity_text(view: &View<'_>, severity: &str) -> String {
    view.say(match severity {
        "fatal" | "error" => "issue-error",
        "warning" => "issue-warning",
        _ => "issue-information",
    })
}
