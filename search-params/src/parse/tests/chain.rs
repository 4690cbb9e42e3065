//! Chains, `_has` and `_filter`: what is read, what is refused, how much is too much.

use std::sync::Arc;

use fhir_model::Kind;

use super::super::chain::{DEPTH_MAX, LINKS_MAX, TYPES_MAX};
use super::super::filter_expression;
use super::*;
use crate::query::{Expression, Filter, Subject};

fn registry() -> Arc<Registry> {
    Registry::load(Arc::new(fhir_profiles::Definitions::load().unwrap())).unwrap().into()
}

/// The conditions of a search: `subject>Patient(name)|Group(..)`, `Observation.patient<(code)`, or the status it is
/// refused with.
fn read(registry: &Registry, search: &str) -> String {
    match parse(registry, search) {
        Ok(query) => all(&query.filters),
        Err(error) => error.kind.status().to_string(),
    }
}

pub(super) fn parse(registry: &Registry, search: &str) -> fhir_model::Result<Query> {
    let (type_name, pairs) = search.split_once('?').unwrap();
    let pairs: Vec<_> = pairs
        .split('&')
        .map(|pair| pair.split_once('=').unwrap())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let cx = ParseCx {
        strict: true,
        bases: &Bases::default(),
        zone: &fhir_model::date::Zone::UTC,
        now: 0,
        count_default: 10,
        count_max: 50,
        values_max: 3,
        secret: &Secret([0; 16]),
        bound_to: "",
    };
    Query::parse(registry, type_name, &pairs, &cx)
}

fn all(filters: &[Filter]) -> String {
    filters.iter().map(one).collect::<Vec<_>>().join(" ")
}

fn one(filter: &Filter) -> String {
    match &filter.subject {
        Subject::Param(param) => param.code.to_string(),
        Subject::Id => "_id".to_owned(),
        Subject::LastUpdated => "_lastUpdated".to_owned(),
        Subject::Chain { param, targets } => {
            let each: Vec<_> = targets.iter().map(|(to, rest)| format!("{to}({})", all(rest))).collect();
            format!("{}>{}", param.code, each.join("|"))
        }
        Subject::Has { source, param, filters } => format!("{source}.{}<({})", param.code, all(filters)),
        Subject::Expression(expression) => said(expression),
        other => format!("{other:?}"),
    }
}

fn said(expression: &Expression) -> String {
    let joined = |each: &[Expression], word| each.iter().map(said).collect::<Vec<_>>().join(word);
    match expression {
        Expression::One(filters) => all(filters),
        Expression::All(each) if each.len() == 1 => joined(each, ""),
        Expression::Any(each) if each.len() == 1 => joined(each, ""),
        Expression::All(each) => format!("[{}]", joined(each, " and ")),
        Expression::Any(each) => format!("[{}]", joined(each, " or ")),
        Expression::Not(inner) => format!("not {}", said(inner)),
    }
}

#[test]
fn chains_are_read_or_refused() {
    let rows = [
        ("Observation?subject:Patient.name=x", "subject>Patient(name)"),
        ("Observation?patient.name=x", "patient>Patient(name)"),
        // Without a type, all that know the rest.
        ("Observation?subject.name=x", "subject>Location(name)|Patient(name)"),
        (
            "Observation?subject.identifier=x",
            "subject>Group(identifier)|Device(identifier)|Location(identifier)|Patient(identifier)",
        ),
        (
            "Observation?subject:Patient.organization.name=x",
            "subject>Patient(organization>Organization(name))",
        ),
        ("Observation?patient.name:exact=x", "patient>Patient(name)"),
        ("Observation?patient.birthdate:missing=true", "patient>Patient(birthdate)"),
        ("Observation?patient._id=x", "patient>Patient(_id)"),
        ("Observation?patient.name=x&patient.gender=male", "patient>Patient(name) patient>Patient(gender)"),
        ("Patient?_has:Observation:patient:code=x", "Observation.patient<(code)"),
        ("Patient?_has:Observation:subject:code:not=x", "Observation.subject<(code)"),
        (
            "Patient?_has:Observation:patient:_has:Provenance:target:agent=Device/1",
            "Observation.patient<(Provenance.target<(agent))",
        ),
        (
            "Patient?_has:Observation:patient:performer:Practitioner.name=x",
            "Observation.patient<(performer>Practitioner(name))",
        ),
        ("Encounter?patient._has:Group:member:code=x", "patient>Patient(Group.member<(code))"),
        ("Observation?patient._filter=gender eq male", "patient>Patient(gender)"),
        ("Observation?subject:Nonsense.name=x", "400"),
        ("Observation?subject:Practitioner.name=x", "400"),
        ("Observation?subject.nonsense=x", "400"),
        ("Observation?status.name=x", "400"),
        ("Observation?nonsense.name=x", "400"),
        ("Observation?patient.birthdate:above=x", "400"),
        ("Observation?patient.gender=a,b,c,d", "413"),
        ("Observation?patient.=x", "400"),
        ("Observation?.name=x", "400"),
        ("Patient?_has=x", "400"),
        ("Patient?_has:Observation=x", "400"),
        ("Patient?_has:Observation:patient=x", "400"),
        ("Patient?_has:Nonsense:patient:code=x", "400"),
        ("Patient?_has:Observation:code:code=x", "400"),
        ("Patient?_has:Observation:performer:nonsense=x", "400"),
        ("Patient?_has:Observation:encounter:code=x", "400"),
    ];
    let registry = registry();
    for (search, expected) in rows {
        assert_eq!(sorted(&read(&registry, search)), sorted(expected), "{search}");
    }
}

/// Targets stand in the order of the definitions, which means nothing.
fn sorted(text: &str) -> Vec<String> {
    let (head, targets) = text.split_once('>').unwrap_or(("", text));
    let mut each: Vec<_> = targets.split('|').map(str::to_owned).collect();
    each.sort();
    each.insert(0, head.to_owned());
    each
}

#[test]
fn expressions_are_read_or_refused() {
    let rows = [
        ("gender eq male", "gender"),
        ("gender eq male and name co x or birthdate ge 2000", "[[gender and name] or birthdate]"),
        ("gender eq male and (name co x or birthdate ge 2000)", "[gender and [name or birthdate]]"),
        ("not (gender eq male or name co x)", "not [gender or name]"),
        ("gender ne male", "not gender"),
        ("organization.name sw x", "organization>Organization(name)"),
        ("organization.partof.name eq x", "organization>Organization(partof>Organization(name))"),
        (
            "general-practitioner.name co \"x y\"",
            "general-practitioner>Organization(name)|Practitioner(name)",
        ),
        ("name co x and", "400"),
        ("name co", "400"),
        ("(name co x", "400"),
        ("name co x)", "400"),
        ("name co \"x", "400"),
        ("name lt x", "400"),
        ("nonsense eq x", "400"),
        ("organization.nonsense eq x", "400"),
        ("gender.name eq x", "400"),
    ];
    let registry = registry();
    for (text, expected) in rows {
        assert_eq!(sorted(&read(&registry, &format!("Patient?_filter={text}"))), sorted(expected), "{text}");
    }
    // A reference that may lead anywhere leads to what knows the rest.
    assert_eq!(read(&registry, "Task?_filter=focus.vaccine-code eq x"), "focus>Immunization(vaccine-code)");
}

#[test]
fn chains_have_so_many_steps_and_no_more() {
    let registry = registry();
    let chain = |steps: usize| format!("Organization?{}name=x", "partof.".repeat(steps));
    assert!(parse(&registry, &chain(DEPTH_MAX)).is_ok());
    let refused = parse(&registry, &chain(DEPTH_MAX + 1)).unwrap_err();
    assert_eq!(refused.kind, Kind::TooCostly);
    assert!(refused.text.contains("8 steps") && refused.text.contains("`name`"), "{refused}");
    assert_eq!(refused.expression, ["partof.".repeat(DEPTH_MAX + 1) + "name"]);
    let has = |steps: usize| format!("Organization?{}name=x", "_has:Organization:partof:".repeat(steps));
    assert!(parse(&registry, &has(DEPTH_MAX)).is_ok());
    assert_eq!(parse(&registry, &has(DEPTH_MAX + 1)).unwrap_err().kind, Kind::TooCostly);
    let path = |steps: usize| format!("Organization?_filter={}name eq x", "partof.".repeat(steps));
    assert!(parse(&registry, &path(DEPTH_MAX)).is_ok());
    assert_eq!(parse(&registry, &path(DEPTH_MAX + 1)).unwrap_err().kind, Kind::TooCostly);
}

#[test]
fn chains_without_types_do_not_unfold_without_end() {
    let registry = registry();
    // Each step may lead to several types that have the next one.
    for name in ["subject", "part-of", "focus", "target", "entity"] {
        for type_name in ["Task", "Basic", "Procedure", "Provenance"] {
            for search in [
                format!("{type_name}?{}_id=x", format!("{name}.").repeat(DEPTH_MAX)),
                format!("{type_name}?_filter={}_id eq x", format!("{name}.").repeat(DEPTH_MAX)),
                format!("{type_name}?_filter={}_id eq x", format!("{name}.").repeat(400)),
            ] {
                if let Ok(query) = parse(&registry, &search) {
                    assert!(links(&query.filters) <= LINKS_MAX, "{search}");
                }
            }
        }
    }
    let refused = parse(&registry, &format!("Basic?{}_id=x", "subject.".repeat(DEPTH_MAX))).unwrap_err();
    assert_eq!(refused.kind, Kind::TooCostly);
}

/// References that chains go through.
fn links(filters: &[Filter]) -> usize {
    let of = |filter: &Filter| match &filter.subject {
        Subject::Chain { targets, .. } => 1 + targets.iter().map(|(_, rest)| links(rest)).sum::<usize>(),
        Subject::Has { filters, .. } => 1 + links(filters),
        _ => 0,
    };
    filters.iter().map(of).sum()
}

#[test]
fn chains_of_a_search_go_through_so_many_references_and_no_more() {
    let registry = registry();
    // Four steps in each.
    let chains = |n: usize| vec!["partof.partof.partof.partof.name=x"; n].join("&");
    assert_eq!(LINKS_MAX % 4, 0);
    let most = parse(&registry, &format!("Organization?{}", chains(LINKS_MAX / 4))).unwrap();
    assert_eq!(links(&most.filters), LINKS_MAX);
    let more = format!("Organization?{}&partof.name=x", chains(LINKS_MAX / 4));
    assert_eq!(parse(&registry, &more).unwrap_err().kind, Kind::TooCostly);
}

#[test]
fn a_type_that_is_too_costly_is_not_left_out() {
    let registry = registry();
    // Provenance.target leads anywhere. Of what it leads to, only some have a target, of which again some lead anywhere.
    let refused = parse(&registry, "Provenance?target.target._id=x").unwrap_err();
    assert_eq!(refused.kind, Kind::TooCostly);
    assert!(refused.text.contains(&format!("more than {TYPES_MAX} types")), "{}", refused.text);
    assert!(parse(&registry, "Provenance?target:Provenance.target:Patient._id=x").is_ok());
}

#[test]
fn expressions_have_so_many_bytes_and_levels_and_no_more() {
    let registry = registry();
    let kind = |text: String| parse(&registry, &format!("Patient?_filter={text}")).map_err(|e| e.kind);
    let nested = |n: usize| format!("{}gender eq male{}", "(".repeat(n), ")".repeat(n));
    assert!(kind(nested(filter_expression::DEPTH_MAX)).is_ok());
    assert_eq!(kind(nested(filter_expression::DEPTH_MAX + 1)).unwrap_err(), Kind::TooCostly);
    let long = |bytes: usize| format!("gender eq male{}", " ".repeat(bytes - "gender eq male".len()));
    assert!(kind(long(filter_expression::BYTES_MAX)).is_ok());
    assert_eq!(kind(long(filter_expression::BYTES_MAX + 1)).unwrap_err(), Kind::TooCostly);
}
