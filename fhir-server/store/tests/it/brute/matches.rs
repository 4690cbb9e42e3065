//! Whether a resource matches a filter, read from <https://hl7.org/fhir/R4/search.html> and written without any of
//! the code that makes index rows or SQL.

mod numbers;

use fhir_model::Key;
use fhir_model::json::Ref;
use fhir_search::parameters::ParameterKind;
use fhir_search::query::{Filter, Modifier, SearchTerm, Subject};
use fhir_search::registry::Param;
use fhir_search::token::System;
use fhir_search::{reference, token};

pub(super) use self::numbers::{Span, numbers, quantities};
use self::numbers::{between, converted, date, distance, unit};
use super::chain::{chain, has, within};
use super::corpus::{Corpus, Home, One, Resource};
use super::expression;
use super::names::{self, folded};
use super::terms::Codes;
use super::when;

/// For each resource of the type, whether the filter holds.
pub(super) fn matches(filter: &Filter, type_name: &str, corpus: &'static Corpus) -> Vec<bool> {
    let resources = corpus.of(type_name);
    match &filter.subject {
        Subject::Id | Subject::LastUpdated if filter.modifier == Modifier::Missing => {
            vec![filter.terms.iter().any(|t| matches!(t, SearchTerm::Flag(false))); resources.len()]
        }
        Subject::Id => {
            let is =
                |key: &Key| filter.terms.iter().any(|t| matches!(t, SearchTerm::Id(id) if **id == *key.id));
            let negates = filter.modifier == Modifier::Not;
            resources.iter().map(|r| is(&r.key) != negates).collect()
        }
        Subject::LastUpdated => {
            let is =
                |at: i64| filter.terms.iter().any(|t| matches!(t, SearchTerm::Date(t) if date(t, at, at)));
            // What is within another resource was never written by itself.
            let by_itself = |r: &Resource| matches!(r.home, Home::Server);
            resources.iter().map(|r| by_itself(r) && is(r.updated_at)).collect()
        }
        Subject::Param(param) if param.kind == ParameterKind::Composite => {
            let holds = |elements: &Vec<Vec<Vec<One>>>, t: &SearchTerm| {
                let found = elements.iter().any(|parts| together(t, param, parts));
                if let SearchTerm::Flag(missing) = t { found != *missing } else { found }
            };
            let all = corpus.together(type_name, param);
            all.iter().map(|elements| filter.terms.iter().any(|t| holds(elements, t))).collect()
        }
        Subject::Param(param) if param.kind == ParameterKind::Uri && filter.modifier != Modifier::Missing => {
            let values = corpus.values(type_name, param, false);
            let own = param.definition.expression_for(type_name).is_some_and(|e| e.ends_with(".url"));
            let holds = |(resource, values): (&Resource, &Vec<One>)| {
                let version = resource.root().get_str("version").filter(|_| own);
                let names = values.iter().flat_map(|value| names(value, version.as_deref()));
                let names: Vec<String> = names.collect();
                filter.terms.iter().any(|t| {
                    let SearchTerm::Text(text) = t else { return false };
                    names
                        .iter()
                        .any(|name| uri(text, &filter.modifier, name, own || param.has_type(&["canonical"])))
                })
            };
            resources.iter().zip(values.iter()).map(holds).collect()
        }
        Subject::Param(param) => {
            // Of which type a reference is, is looked at here.
            let typed = param.only_target.is_some() && filter.modifier == Modifier::Missing;
            let of_any_type = typed || filter.modifier == Modifier::Identifier;
            let values = corpus.values(type_name, param, of_any_type);
            let mut values = Vec::clone(&values);
            if let Some(only) = param.only_target.as_deref().filter(|_| of_any_type) {
                for (resource, values) in resources.iter().zip(&mut values) {
                    values.retain(|value| may_be(value, only, resource, corpus));
                }
            }
            let coded =
                filter.terms.iter().map(|t| codes(t, &filter.modifier, param, corpus)).collect::<Vec<_>>();
            let holds = |values: &Vec<One>| {
                if param.kind == ParameterKind::String && filter.modifier == Modifier::None {
                    return filter.terms.iter().any(|t| names::begins(t, param, values));
                }
                filter.terms.iter().zip(&coded).any(|(t, coded)| match coded {
                    Some(codes) => is_one_of(codes, values, param),
                    None => term(t, &filter.modifier, param, values),
                })
            };
            let negates = matches!(filter.modifier, Modifier::Not | Modifier::NotIn);
            values.iter().map(|v| holds(v) != negates).collect()
        }
        Subject::Words(_) => panic!("{:?} is not asked for here", filter.subject),
        Subject::Expression(inner) => expression::holds(inner, type_name, corpus),
        Subject::List => {
            let id = |t: &'_ SearchTerm| if let SearchTerm::Id(id) = t { id.clone() } else { String::new() };
            let lists: Vec<String> = filter.terms.iter().map(id).collect();
            let lists: Vec<&str> = lists.iter().map(String::as_str).collect();
            let found = expression::listed(&lists, type_name, corpus);
            resources.iter().map(|r| found.iter().any(|id| **id == *r.key.id)).collect()
        }
        Subject::Chain { param, targets } => chain(param, targets, type_name, corpus),
        Subject::Has { source, param, filters } => has(source, param, filters, type_name, corpus),
        Subject::Compartment(params) => {
            let each: Vec<_> = params.iter().map(|p| (p, corpus.values(type_name, p, false))).collect();
            let holds =
                |i: usize, t: &SearchTerm| each.iter().any(|(p, v)| term(t, &Modifier::None, p, &v[i]));
            (0..resources.len()).map(|i| filter.terms.iter().any(|t| holds(i, t))).collect()
        }
    }
}

/// The codes of a value set, or those above or below a code. Returns `None` for any other term.
fn codes(term: &SearchTerm, modifier: &Modifier, param: &Param, corpus: &Corpus) -> Option<Codes> {
    match (param.kind, term, modifier) {
        (ParameterKind::Token, SearchTerm::Text(url), Modifier::In | Modifier::NotIn) => {
            Some(Codes::clone(&corpus.terms().codes(url).unwrap()))
        }
        (ParameterKind::Token, SearchTerm::Token(t), Modifier::Above | Modifier::Below) => {
            match (&t.system, &t.code) {
                (System::Is(system), Some(code)) => {
                    Some(corpus.terms().related(system, code, *modifier == Modifier::Below))
                }
                _ => panic!("{t:?} has no system"),
            }
        }
        _ => None,
    }
}

fn is_one_of(codes: &Codes, values: &[One], param: &Param) -> bool {
    let has = |node: Ref<'_>, kind: &str| {
        let own: Vec<Option<String>> = tokens(kind, node).into_iter().map(|(_, code)| code).collect();
        let alike = codes
            .iter()
            .filter(|(_, code)| own.iter().any(|o| o.as_ref().is_some_and(|o| same_code(kind, o, code))));
        alike.into_iter().any(|(system, code)| {
            let system = if system.is_empty() { System::None } else { System::Is(system.clone()) };
            token(&token::TokenTerm { system, code: Some(code.clone()) }, kind, node, param)
        })
    };
    values.iter().any(|value| matches!(value, One::Node(node, kind) if has(*node, kind)))
}

/// Whether the values within one element are those asked for, or are any at all.
fn together(asked: &SearchTerm, param: &Param, values: &[Vec<One>]) -> bool {
    let parts = &param.composite.as_ref().unwrap().parts;
    // Components of a whole resource are asked like parameters of their own, several words and all.
    let whole = param.definition.expression.as_deref().is_some_and(|path| !path.contains('.'));
    let mut each = parts.iter().zip(values).enumerate();
    each.all(|(i, (part, values))| match asked {
        SearchTerm::Composite(terms) if whole && part.kind == ParameterKind::String => {
            names::begins(&terms[i], part, values)
        }
        SearchTerm::Composite(terms) => term(&terms[i], &Modifier::None, part, values),
        _ => values.iter().any(|value| has_value(value, part)),
    })
}

fn term(term: &SearchTerm, modifier: &Modifier, param: &Param, values: &[One]) -> bool {
    if let SearchTerm::Flag(missing) = term {
        return values.iter().any(|v| has_value(v, param)) != *missing;
    }
    values.iter().any(|value| match (value, term) {
        (One::Truth(truth), SearchTerm::Token(t)) => {
            t.code.as_deref() == Some(if *truth { "true" } else { "false" })
        }
        (One::Truth(_), _) => false,
        (One::Node(node, kind), term) => match term {
            SearchTerm::Token(t) if *modifier == Modifier::Identifier => {
                node.get("identifier").is_some_and(|i| token(t, "Identifier", i, param))
            }
            SearchTerm::Token(t) => token(t, kind, *node, param),
            SearchTerm::Reference(t) => reference(t, *node, param),
            SearchTerm::OfType(t) => **kind == *"Identifier" && of_type(t, *node),
            SearchTerm::Text(text) if param.kind == ParameterKind::Uri => {
                names(value, None).iter().any(|t| uri(text, modifier, t, param.has_type(&["canonical"])))
            }
            SearchTerm::Text(text) if param.kind == ParameterKind::Token => match modifier {
                Modifier::Text => {
                    token_texts(kind, *node).iter().any(|t| folded(t).starts_with(&folded(text)))
                }
                _ => panic!("codes are asked for elsewhere"),
            },
            SearchTerm::Text(text) if param.kind == ParameterKind::Reference => {
                node.str().is_some_and(|t| version(text, modifier, &t))
            }
            SearchTerm::Text(text) => texts(kind, *node).iter().any(|value| string(text, modifier, value)),
            SearchTerm::Date(t) => when::span(kind, *node).is_some_and(|(low, high)| date(t, low, high)),
            SearchTerm::Number(t) => numbers(kind, *node).iter().any(|span| between(t, span)),
            SearchTerm::Quantity(t) => quantities(kind, *node)
                .iter()
                .any(|q| (between(&t.number, &q.span) && unit(&t.unit, q)) || converted(t, q)),
            SearchTerm::Near(t) => distance(t, *node).is_some_and(|meters| meters <= t.meters),
            SearchTerm::Id(_) | SearchTerm::Flag(_) | SearchTerm::Composite(_) => false,
        },
    })
}

/// Whether a reference can be one to a type: it is, or it only has an identifier and does not say of what.
fn may_be(value: &One, only: &str, resource: &Resource, corpus: &'static Corpus) -> bool {
    let One::Node(node, _) = value else { return false };
    if let Some(own) = node.get_str("resourceType") {
        return own == only;
    }
    let named = |text: &str| {
        let text = text.split("/_history/").next().unwrap_or_default();
        let name = text.rsplit('/').nth(1).unwrap_or_default().to_owned();
        corpus.server().is_resource(&name).then_some(name)
    };
    let text = node.get_str("reference").unwrap_or_default();
    let said = node.get_str("type").map(|said| said.rsplit('/').next().unwrap_or_default().to_owned());
    let embedded = within(resource, value, corpus.embedded()).map(|(kind, _)| kind);
    let kind = match text.starts_with('#') {
        true => embedded,
        false => named(&text).or(said).or(embedded),
    };
    let identifier =
        || node.get("identifier").is_some_and(|i| i.get("value").is_some() || i.get("system").is_some());
    kind.map_or_else(identifier, |kind| kind == only)
}

/// "have a value for the parameter": something that the parameter could be found by.
fn has_value(value: &One, param: &Param) -> bool {
    let One::Node(node, kind) = value else { return true };
    match param.kind {
        ParameterKind::Token => !tokens(kind, *node).is_empty() || !token_texts(kind, *node).is_empty(),
        ParameterKind::Reference => {
            // A name alone is something, too.
            !node.is_object() || node.children().any(|one| !matches!(&*one.key(), "id" | "extension"))
        }
        ParameterKind::String => !texts(kind, *node).is_empty(),
        ParameterKind::Date => when::span(kind, *node).is_some(),
        ParameterKind::Number => !numbers(kind, *node).is_empty(),
        ParameterKind::Special => node.get("latitude").is_some() && node.get("longitude").is_some(),
        ParameterKind::Quantity => !quantities(kind, *node).is_empty(),
        _ => node.str().is_some(),
    }
}

/// What people read of a token.
pub(super) fn token_texts(kind: &str, node: Ref<'_>) -> Vec<String> {
    let text = |node: Ref<'_>, name: &str| node.get_str(name).map(|t| t.into_owned());
    let found: Vec<Option<String>> = match kind {
        "CodeableConcept" => {
            let codings = node.get("coding").into_iter().flat_map(Ref::items);
            codings.map(|c| text(c, "display")).chain([text(node, "text")]).collect()
        }
        "Coding" => vec![text(node, "display")],
        "Identifier" => vec![node.get("type").and_then(|t| text(t, "text"))],
        _ => Vec::new(),
    };
    found.into_iter().flatten().filter(|t| !folded(t).is_empty()).collect()
}

/// System and code of each coding; a code that has no place for a system has `None` twice over.
pub(super) fn tokens(kind: &str, node: Ref<'_>) -> Vec<(Option<Option<String>>, Option<String>)> {
    let text = |node: Ref<'_>, name: &str| node.get_str(name).map(|t| t.into_owned());
    let pair = |node: Ref<'_>, code: &str| (Some(text(node, "system")), text(node, code));
    let found = match kind {
        "CodeableConcept" => {
            node.get("coding").into_iter().flat_map(Ref::items).map(|c| pair(c, "code")).collect()
        }
        "Coding" => vec![pair(node, "code")],
        "Identifier" | "ContactPoint" => vec![pair(node, "value")],
        _ => {
            let code = node.str().map(|t| t.into_owned()).or_else(|| node.bool().map(|b| b.to_string()));
            vec![(None, code)]
        }
    };
    let is_something = |(system, code): &(Option<Option<String>>, Option<String>)| {
        code.is_some() || matches!(system, Some(Some(_)))
    };
    found.into_iter().filter(is_something).collect()
}

/// Case matters to codes, not to texts.
fn same_code(kind: &str, a: &str, b: &str) -> bool {
    let caseless = |text: &str| text.to_lowercase().to_uppercase().to_lowercase();
    match kind {
        "string" | "markdown" | "ContactPoint" => caseless(a) == caseless(b),
        _ => a == b,
    }
}

fn token(term: &token::TokenTerm, kind: &str, node: Ref<'_>, param: &Param) -> bool {
    tokens(kind, node).iter().any(|(system, code)| {
        let code_fits = match (&term.code, code) {
            (None, _) => true,
            (Some(wanted), Some(code)) => same_code(kind, wanted, code),
            (Some(_), None) => false,
        };
        let system_fits = match (&term.system, system) {
            (System::Any, _) | (System::None, None | Some(None)) => true,
            (System::None, Some(Some(_))) | (System::Is(_), Some(None)) => false,
            (System::Is(wanted), Some(Some(system))) => wanted == system,
            // "the system is implied": by the binding, where there is one.
            (System::Is(wanted), None) => {
                let implied = |i: &fhir_search::registry::Index| {
                    i.implied_system.as_deref().is_none_or(|s| s == wanted)
                };
                term.code.is_some() && param.indexes.iter().any(|i| i.plain && implied(i))
            }
        };
        code_fits && system_fits
    })
}

/// The text of a reference, canonical or uri; `Type/id` of a resource that stands in its place.
pub(super) fn target_text(node: Ref<'_>) -> Option<String> {
    match (node.get_str("resourceType"), node.get_str("id")) {
        (Some(kind), Some(id)) => Some(format!("{kind}/{id}")),
        _ => node.get_str("reference").or_else(|| node.str()).map(|t| t.into_owned()),
    }
}

/// `Type` and `id` of a relative reference.
pub(super) fn local(text: &str) -> Option<(&str, &str)> {
    let text = text.split("/_history/").next()?;
    let (type_name, id) = text.split_once('/')?;
    let is_type = type_name.starts_with(|c: char| c.is_ascii_uppercase())
        && type_name.chars().all(|c| c.is_ascii_alphabetic());
    (is_type && Key::is_id(id)).then_some((type_name, id))
}

fn reference(term: &reference::ReferenceTerm, node: Ref<'_>, param: &Param) -> bool {
    let Some(text) = target_text(node) else { return false };
    match (term, local(&text)) {
        (reference::ReferenceTerm::Local(key), Some((kind, id))) => *key.type_name == *kind && *key.id == *id,
        // "[id] the logical id of a resource", of a type that the parameter may refer to.
        (reference::ReferenceTerm::Id(wanted), Some((kind, id))) => {
            wanted == id && (param.targets.is_empty() || param.targets.iter().any(|t| **t == *kind))
        }
        (reference::ReferenceTerm::Uri(uri), None) if node.is_object() => *uri == text,
        // A canonical is found with and without its version and its fragment.
        (reference::ReferenceTerm::Uri(uri), None) => shortened(&text).contains(uri),
        _ => false,
    }
}

/// What a canonical url is found by: itself, without its fragment, and without its version.
fn shortened(text: &str) -> Vec<String> {
    let (url, version) = text.split_once('|').map_or((text, ""), |(url, version)| (url, version));
    let before = |part: &str| part.split('#').next().unwrap_or_default().to_owned();
    let (url, version) = (before(url), before(version));
    let named = if version.is_empty() { url.clone() } else { format!("{url}|{version}") };
    vec![text.to_owned(), named, url]
}

/// What a uri is found by; of a resource's own, with its version, too.
fn names(value: &One, version: Option<&str>) -> Vec<String> {
    let One::Node(node, kind) = value else { return Vec::new() };
    let Some(text) = node.str() else { return Vec::new() };
    match (&**kind, version) {
        ("canonical", _) => shortened(&text),
        (_, Some(version)) => vec![text.to_string(), format!("{text}|{version}")],
        _ => vec![text.into_owned()],
    }
}

/// The texts of a value that is searched as a string.
pub(super) fn texts(kind: &str, node: Ref<'_>) -> Vec<String> {
    let parts: &[&str] = match kind {
        "HumanName" => &["family", "given", "prefix", "suffix", "text"],
        "Address" => &["line", "city", "district", "state", "country", "postalCode", "text"],
        _ => return node.str().map(|t| t.into_owned()).into_iter().collect(),
    };
    let items = parts.iter().filter_map(|part| node.get(part)).flat_map(Ref::items);
    items.filter_map(|item| item.str().map(|t| t.into_owned())).collect()
}

fn string(wanted: &str, modifier: &Modifier, value: &str) -> bool {
    match modifier {
        Modifier::Exact => value == wanted,
        Modifier::Contains => folded(value).contains(&folded(wanted)),
        _ => folded(value).starts_with(&folded(wanted)),
    }
}

fn of_type(term: &token::OfType, identifier: Ref<'_>) -> bool {
    let is = |node: Ref<'_>, name: &str, text: &str| node.get_str(name).is_some_and(|t| t == text);
    let codings = identifier.get("type").and_then(|t| t.get("coding"));
    is(identifier, "value", &term.value)
        && codings.is_some_and(|all| {
            all.items().any(|c| is(c, "system", &term.system) && is(c, "code", &term.code))
        })
}

fn uri(wanted: &str, modifier: &Modifier, value: &str, versions: bool) -> bool {
    let versions = versions && wanted.contains('|');
    match modifier {
        Modifier::Below if versions => version(wanted, modifier, value),
        Modifier::Below => value.starts_with(wanted),
        Modifier::Above if versions && version(wanted, modifier, value) => true,
        Modifier::Above => {
            let rest = wanted.strip_prefix(value.trim_end_matches('/'));
            let scheme = value.find("://").is_none_or(|at| at + 3 < value.len()) && !value.ends_with("//");
            value == wanted || (scheme && value.contains("://") && rest.is_some_and(|r| r.starts_with('/')))
        }
        _ => value == wanted,
    }
}

/// Versions of a canonical are above and below each other by their parts.
fn version(wanted: &str, modifier: &Modifier, value: &str) -> bool {
    let split = |text: &str| {
        let (url, version) = text.split_once('|')?;
        Some((url.to_owned(), version.split('.').map(str::to_owned).collect::<Vec<_>>()))
    };
    let (Some((wanted_url, wanted)), Some((url, version))) = (split(wanted), split(value)) else {
        return false;
    };
    wanted_url == url
        && match modifier {
            Modifier::Below => version.starts_with(&wanted),
            _ => wanted.starts_with(&version),
        }
}
