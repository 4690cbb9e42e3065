//! Every expression compiles, every R4 example is extracted, and the one walk over a resource visits exactly the
//! values that the general FHIRPath evaluator finds, parameter by parameter.

#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "../../fhir-server/model/tests/examples/mod.rs"]
mod package;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use fhir_model::fhirpath::Item;
use fhir_model::fhirpath::{Context, Expr, Op, Value, evaluate, parse};
use fhir_model::json::{Doc, JsonLimits, Ref};
use fhir_profiles::Definitions;
use fhir_search::compile::compile;
use fhir_search::index_hash::IndexHasher;
use fhir_search::parameters::{ParameterKind, Parameters};
use fhir_search::registry::Param;
use fhir_search::{Bases, IndexSettings, Registry};

#[test]
fn every_expression_compiles() {
    let parameters = Parameters::load().unwrap();
    let mut count = 0;
    for parameter in parameters.all() {
        let Some(expression) = &parameter.expression else { continue };
        if let Err(error) = compile(expression) {
            panic!("{}: `{expression}`: {error}", parameter.url);
        }
        count += 1;
    }
    assert!(count > 1370, "only {count} expressions");
}

#[test]
fn the_walk_finds_what_fhirpath_finds() {
    let examples = package::examples();
    if examples.is_empty() {
        return;
    }
    assert!(examples.len() > 5000, "only {} resources", examples.len());
    let definitions = Arc::new(Definitions::load().unwrap());
    let registry = Registry::load(definitions.clone()).unwrap();
    let expressions = expressions(&registry);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let check = |part: &[(String, Vec<u8>)]| {
        let (mut wrong, mut values) = (Vec::new(), 0);
        for (name, bytes) in part {
            match compare(bytes, &registry, &definitions, &expressions) {
                Ok(count) => values += count,
                Err(why) => wrong.push(format!("{name}: {why}")),
            }
        }
        (wrong, values)
    };
    // Dealt out like cards: files that belong together are of one size.
    let parts: Vec<Vec<_>> =
        (0..threads).map(|i| examples.iter().skip(i).step_by(threads).cloned().collect()).collect();
    let (wrong, values) = std::thread::scope(|scope| {
        let check = &check;
        let running: Vec<_> = parts.iter().map(|part| scope.spawn(move || check(part))).collect();
        running.into_iter().map(|part| part.join().unwrap()).fold(
            (Vec::new(), 0),
            |(mut all, sum), (wrong, values)| {
                all.extend(wrong);
                (all, sum + values)
            },
        )
    });
    println!("{} resources, {values} values compared", examples.len());
    assert!(values > 50_000, "only {values} values were compared");
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// By type and code: the branches of the union, parsed for the general evaluator. A union drops values that equal
/// one it has; the walk visits each where it stands.
type Expressions = HashMap<(Box<str>, Box<str>), Vec<Expr>>;

fn expressions(registry: &Registry) -> Expressions {
    let mut all = HashMap::new();
    for type_name in registry.definitions().resource_types() {
        for param in registry.for_type(type_name).unwrap().params() {
            let expression = param.definition.expression_for(type_name).unwrap();
            let mut branches = Vec::new();
            split(parse(&meant(&expression, param)).unwrap(), &mut branches);
            all.insert((type_name.into(), param.code.clone()), branches);
        }
    }
    all
}

/// What an expression means for a search. FHIRPath takes primitives exactly, and there `as uri` finds no canonical; and an
/// extension has no value that a parameter could compare but its own.
fn meant(expression: &str, param: &Param) -> String {
    let text = expression.replace(" as uri)", ".where($this is uri))");
    if param.kind == ParameterKind::Composite || !text.contains(".extension(") || !text.ends_with(')') {
        return text;
    }
    match param.kind {
        ParameterKind::String => {
            format!(
                "{text}.value.where($this is string or $this is HumanName) | {text}.value.ofType(CodeableConcept).text"
            )
        }
        ParameterKind::Token => {
            let is_one =
                "$this is CodeableConcept or $this is Coding or $this is Identifier or $this is ContactPoint";
            format!("{text}.value.where({is_one} or $this is code or $this is boolean)")
        }
        _ => format!("{text}.value.ofType(Reference)"),
    }
}

fn split(expr: Expr, branches: &mut Vec<Expr>) {
    match expr {
        Expr::Binary { op: Op::Union, left, right, .. } => {
            split(*left, branches);
            split(*right, branches);
        }
        other => branches.push(other),
    }
}

/// The number of values compared, or how they differ.
fn compare(
    bytes: &[u8],
    registry: &Registry,
    definitions: &Definitions,
    expressions: &Expressions,
) -> Result<usize, String> {
    let doc = Doc::parse(bytes, JsonLimits::default()).map_err(|e| e.to_string())?;
    let root = doc.root();
    let type_name = root.get_str("resourceType").ok_or("no type")?;
    let settings = IndexSettings { bases: Bases::new(["http://us/fhir"]), ..IndexSettings::default() };
    registry.extract(&IndexHasher::new([1; 16]), &type_name, root, &settings).map_err(|e| e.to_string())?;
    let this = registry.for_type(&type_name).map_err(|e| e.to_string())?;
    let mut walked: HashMap<&str, Vec<Ref<'_>>> = HashMap::new();
    this.walk(root, &mut |index, value, _| {
        let name = this.indexes().iter().find(|i| Arc::ptr_eq(i, index)).map(|i| &*i.name);
        walked.entry(name.unwrap()).or_default().push(value);
    });
    let mut count = 0;
    // What composites are about, they share with others.
    for param in this.params().iter().filter(|p| p.composite.is_none()) {
        let branches = &expressions[&(Box::from(&*type_name), param.code.clone())];
        let values =
            param.indexes.iter().flat_map(|index| walked.get(&*index.name).cloned().unwrap_or_default());
        let found: Vec<Ref<'_>> = values.filter(|value| counts(param, *value, root)).collect();
        let cx = Context::new(definitions, root).as_filters();
        let evaluated =
            |branch| evaluate(branch, Item::resource(root), &cx).map_err(|e| format!("{}: {e}", param.code));
        if let [truth @ Expr::Binary { op: Op::And, .. }] = branches.as_slice() {
            let wanted = matches!(evaluated(truth)?.as_slice(), [Item::Value(Value::Boolean(true))]);
            if wanted != found.iter().any(|value| value.bool() != Some(false)) {
                return Err(format!("{}: not {wanted}", param.code));
            }
            count += 1;
            continue;
        }
        let mut wanted = Vec::new();
        for branch in branches {
            // What has no value (extensions alone) cannot be searched for.
            let values = evaluated(branch)?.iter().filter_map(Item::json).collect::<Vec<_>>();
            // `Bundle.composition` is a Composition.
            let other =
                |value: &Ref<'_>| value.get_str("resourceType").is_some_and(|t| !is_wanted(param, &t));
            wanted.extend(values.into_iter().filter(|value| !other(value)));
        }
        let set = |values: &[Ref<'_>]| values.iter().map(|v| v.index()).collect::<BTreeSet<_>>();
        count += wanted.len();
        if set(&found) != set(&wanted) {
            let show = |values: &[Ref<'_>]| {
                values.iter().map(|v| v.raw().chars().take(80).collect::<String>()).collect::<Vec<_>>()
            };
            return Err(format!("{}: walked {:?}, evaluated {:?}", param.code, show(&found), show(&wanted)));
        }
    }
    Ok(count)
}

/// `patient` shares the values of `subject`; those that refer to a patient are its own.
fn counts(param: &Param, value: Ref<'_>, root: Ref<'_>) -> bool {
    let Some(only) = &param.only_target else { return true };
    if let Some(type_name) = value.get_str("resourceType") {
        return is_wanted(param, &type_name);
    }
    let text = value.get_str("reference").unwrap_or_default();
    if let Some(id) = text.strip_prefix('#') {
        let mut contained = root.get("contained").into_iter().flat_map(Ref::items);
        let found = contained.find(|one| one.get_str("id").is_some_and(|own| own == id));
        return found.is_some_and(|one| one.get_str("resourceType").is_some_and(|t| t == **only));
    }
    let text = text.split("/_history/").next().unwrap_or_default();
    let mut parts = text.rsplit(['/', '?']);
    let named = [parts.next(), parts.next()].into_iter().flatten().any(|part| part == &**only);
    named || (!text.contains('/') && value.get_str("type").is_some_and(|t| *t == **only))
}

fn is_wanted(param: &Param, type_name: &str) -> bool {
    param.definition.target.is_empty() || param.definition.target.iter().any(|target| **target == *type_name)
}
