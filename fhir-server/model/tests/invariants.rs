//! Every invariant of R4, evaluated on the R4 examples: none fails to be evaluated, and all hold but those that are
//! known to be broken as published.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod examples;

use std::collections::{BTreeMap, BTreeSet};

use fhir_model::date::DateTime;
use fhir_model::fhirpath::{Context, Expr, Item, evaluate, parse, to_bool};
use fhir_model::json::{Doc, JsonLimits, Ref};
use fhir_model::types::Types;
use fhir_profiles::Definitions;
use fhir_profiles::invariant::Severity;

/// Examples that break an invariant whose severity is error, as published.
const BROKEN: &[&str] = &[
    // `answer is Boolean` asks for a System type where the element has FHIR's `boolean`.
    "que-7 Questionnaire-bb.json",
    "sdf-4 StructureDefinition-Definition.json",
    "sdf-4 StructureDefinition-Event.json",
    "sdf-4 StructureDefinition-FiveWs.json",
    "sdf-4 StructureDefinition-Request.json",
    // Their narrative is white space.
    "txt-1 ActivityDefinition-blood-tubes-supply.json",
    "txt-1 ActivityDefinition-heart-valve-replacement.json",
    "txt-1 EventDefinition-example.json",
    "txt-1 Questionnaire-zika-virus-exposure-assessment.json",
    "txt-2 ActivityDefinition-blood-tubes-supply.json",
    "txt-2 ActivityDefinition-heart-valve-replacement.json",
    "txt-2 EventDefinition-example.json",
    "txt-2 Questionnaire-zika-virus-exposure-assessment.json",
];

/// One invariant of a type: its key, the element it is on (none: the type itself), and the expression.
struct Rule {
    key: Box<str>,
    element: Option<Expr>,
    expression: Expr,
}

type Rules<'a> = BTreeMap<&'a str, Vec<Rule>>;

#[test]
fn examples_keep_the_invariants() {
    let definitions = Definitions::load().unwrap();
    let mut examples = examples::examples();
    if examples.is_empty() {
        return;
    }
    // The largest are bundles of definitions whose like elements take most of the time and say little.
    examples.retain(|(_, bytes)| bytes.len() < 100_000);
    assert!(examples.len() > 5000, "only {} resources", examples.len());
    let rules = rules(&definitions);
    let (definitions, rules) = (&definitions, &rules);

    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let walks: Vec<Walk> = std::thread::scope(|scope| {
        let parts = examples.chunks(examples.len().div_ceil(threads)).map(|part| {
            scope.spawn(move || {
                let mut walk = Walk::default();
                for (name, bytes) in part {
                    let doc = Doc::parse(bytes.as_slice(), JsonLimits::default()).unwrap();
                    walk.resource(name, doc.root(), doc.root(), definitions, rules);
                }
                walk
            })
        });
        parts.collect::<Vec<_>>().into_iter().map(|part| part.join().unwrap()).collect()
    });
    let evaluated: usize = walks.iter().map(|walk| walk.evaluated).sum();
    let broken: BTreeSet<String> = walks.into_iter().flat_map(|walk| walk.broken).collect();
    assert!(evaluated > 500_000, "only {evaluated} evaluations");
    let known: BTreeSet<String> = BROKEN.iter().map(|line| (*line).to_owned()).collect();
    let surprises: Vec<&String> = broken.symmetric_difference(&known).collect();
    assert!(surprises.is_empty(), "newly broken, or kept and to be taken off the list: {surprises:#?}");
}

fn rules(definitions: &Definitions) -> Rules<'_> {
    let of_type = |name| {
        let errors = definitions.invariants(name).filter(|invariant| invariant.severity == Severity::Error);
        let rules = errors.filter_map(|invariant| {
            let element = invariant.element.as_ref().map(|name| parse(&format!("`{name}`")).unwrap());
            let expression = parse(invariant.expression.as_ref()?).unwrap();
            Some(Rule { key: invariant.key.clone(), element, expression })
        });
        rules.collect()
    };
    definitions.type_names().map(|name| (name, of_type(name))).collect()
}

#[derive(Default)]
struct Walk {
    evaluated: usize,
    broken: Vec<String>,
}

impl Walk {
    /// One resource within the document; those contained in it share its root, those in a bundle are their own.
    fn resource<'a>(
        &mut self,
        name: &str,
        resource: Ref<'a>,
        root: Ref<'a>,
        definitions: &'a Definitions,
        rules: &Rules<'_>,
    ) {
        let now = DateTime::instant("2026-08-01T12:00:00.000Z").unwrap();
        let cx = Context::new(definitions, root).resource(resource).now(now).as_filters();
        let find = |path: &str, item: &Item<'a>| evaluate(&parse(path).unwrap(), item.clone(), &cx).unwrap();
        let start = Item::resource(resource);
        let contained = find("contained", &start);
        let mut waiting = vec![start];
        while let Some(item) = waiting.pop() {
            for rule in rules.get(item.type_name()).into_iter().flatten() {
                self.rule(name, rule, &item, &cx);
            }
            for child in find("children()", &item) {
                match child.json().filter(|_| definitions.is_resource(child.type_name())) {
                    None => waiting.push(child),
                    Some(json) => {
                        let inside = contained.iter().any(|item| item.json() == Some(json));
                        self.resource(name, json, if inside { root } else { json }, definitions, rules);
                    }
                }
            }
        }
    }

    fn rule<'a>(&mut self, name: &str, rule: &Rule, item: &Item<'a>, cx: &Context<'a>) {
        let on = match &rule.element {
            None => vec![item.clone()],
            Some(element) => evaluate(element, item.clone(), cx).unwrap(),
        };
        for item in on {
            self.evaluated += 1;
            let answer = evaluate(&rule.expression, item, cx).and_then(|items| to_bool(&items, cx));
            match answer {
                Ok(Some(false)) => self.broken.push(format!("{} {name}", rule.key)),
                Ok(_) => {}
                Err(e) => panic!("{} on {name}: {e}", rule.key),
            }
        }
    }
}
