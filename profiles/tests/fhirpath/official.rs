//! HL7's own cases: <https://github.com/FHIR/fhir-test-cases/tree/master/r4/fhirpath>
//!
//! Cases that fail are in `known-failures.txt` with the reason. One that passes must leave that list.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fhir_model::date::DateTime;
use fhir_model::decimal::Decimal;
use fhir_model::fhirpath::{Context, Item, evaluate, parse, to_bool};
use fhir_model::json::{Doc, JsonLimits};
use fhir_model::xml;
use fhir_profiles::Definitions;
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

const KNOWN_FAILURES: &str = include_str!("known-failures.txt");

#[derive(Default, Debug)]
struct Case {
    name: String,
    input: Option<String>,
    strict: bool,
    predicate: bool,
    unordered: bool,
    expression: String,
    invalid: bool,
    /// Type (may be empty) and text.
    outputs: Vec<(String, String)>,
}

#[test]
fn official_cases() {
    let Some(folder) = shared_data() else {
        std::io::Write::write_all(&mut std::io::stdout(), b"skipped: no shared data\n").unwrap();
        return;
    };
    let definitions = Definitions::load().unwrap();
    let cases = read_cases(&std::fs::read_to_string(folder.join("tests-fhir-r4.part.xml")).unwrap());
    assert!(cases.len() > 300, "only {} cases were read", cases.len());
    let inputs = read_inputs(&folder.join("input"), &definitions);

    let known: BTreeMap<&str, &str> = KNOWN_FAILURES
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split_once(": ").expect("`name: reason`"))
        .collect();
    let (mut passed, mut wrong) = (0, Vec::new());
    for case in &cases {
        match (run(case, &inputs, &definitions), known.get(&*case.name)) {
            (Ok(()), None) => passed += 1,
            (Ok(()), Some(_)) => {
                wrong.push(format!("{}: passes, and must leave known-failures.txt", case.name))
            }
            (Err(_), Some(_)) => {}
            (Err(text), None) => wrong.push(format!("{}: `{}` {text}", case.name, case.expression)),
        }
    }
    println!("{passed} of {} cases pass", cases.len());
    assert!(wrong.is_empty(), "{} surprises:\n{}", wrong.len(), wrong.join("\n"));
    assert!(passed * 100 >= cases.len() * 95, "only {passed} of {} cases pass", cases.len());
}

fn run(case: &Case, inputs: &BTreeMap<String, Doc>, definitions: &Definitions) -> Result<(), String> {
    let nothing = Doc::parse("{}", JsonLimits::default()).unwrap();
    let input = match &case.input {
        Some(name) => inputs.get(name).ok_or_else(|| format!("has no input {name}"))?,
        None => &nothing,
    };
    let now = DateTime::instant("2026-08-01T12:00:00.000Z").unwrap();
    let mut cx = Context::new(definitions, input.root()).now(now);
    if case.strict {
        cx = cx.strict();
    }
    let found = parse(&case.expression)
        .map_err(|e| e.to_string())
        .and_then(|expr| evaluate(&expr, cx.root_item(), &cx).map_err(|e| e.to_string()));
    let items = match (found, case.invalid) {
        (Err(_), true) => return Ok(()),
        (Ok(items), true) => {
            return Err(format!("must be an error, and gives {:?}", shown(&items, definitions)));
        }
        (Err(e), false) => return Err(format!("fails: {e}")),
        (Ok(items), false) => items,
    };
    let mut shown = if case.predicate {
        let holds = to_bool(&items, &cx).map_err(|e| e.to_string())?.unwrap_or(false);
        vec![("Boolean".to_owned(), holds.to_string())]
    } else {
        shown(&items, definitions)
    };
    let mut wanted = case.outputs.clone();
    if case.unordered {
        shown.sort_by(|a, b| a.1.cmp(&b.1));
        wanted.sort_by(|a, b| a.1.cmp(&b.1));
    }
    let same =
        shown.len() == wanted.len() && shown.iter().zip(&wanted).all(|(found, wanted)| fits(found, wanted));
    if same { Ok(()) } else { Err(format!("gives {shown:?}, not {wanted:?}")) }
}

fn fits((found_type, found): &(String, String), (wanted_type, wanted): &(String, String)) -> bool {
    let typed = wanted_type.is_empty() || found_type.eq_ignore_ascii_case(wanted_type);
    let dated = matches!(&**wanted_type, "date" | "dateTime" | "time") || wanted.starts_with('@');
    let wanted = if dated { wanted.trim_start_matches('@').trim_start_matches('T') } else { wanted };
    let same = match &**wanted_type {
        "decimal" => Decimal::parse(found).is_some_and(|found| Some(found) == Decimal::parse(wanted)),
        _ => found == wanted,
    };
    typed && same
}

fn shown(items: &[Item<'_>], definitions: &Definitions) -> Vec<(String, String)> {
    let text = |item: &Item<'_>| match item.value(definitions) {
        Some(value) => value.to_string(),
        None => item.json().map_or("", |json| json.raw()).to_owned(),
    };
    items.iter().map(|item| (item.type_name().to_owned(), text(item))).collect()
}

fn shared_data() -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data");
    let folder = std::env::var("CARI_SHARED_DATA").unwrap_or_else(|_| beside.to_owned());
    Some(Path::new(&folder).join("fhirpath-r4")).filter(|folder| folder.is_dir())
}

fn read_inputs(folder: &Path, definitions: &Definitions) -> BTreeMap<String, Doc> {
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    files
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let bytes = std::fs::read(&path).unwrap();
            let json = if name.ends_with(".xml") {
                xml::to_json(&bytes, definitions, JsonLimits::default())
                    .unwrap_or_else(|e| panic!("{name}: {e}"))
            } else {
                String::from_utf8(bytes).unwrap()
            };
            (name, Doc::parse(json, JsonLimits::default()).unwrap())
        })
        .collect()
}

fn read_cases(text: &str) -> Vec<Case> {
    let mut reader = Reader::from_str(text);
    let (mut cases, mut case, mut read) = (Vec::new(), Case::default(), String::new());
    loop {
        match reader.read_event().unwrap() {
            Event::Eof => return cases,
            Event::Start(tag) | Event::Empty(tag) if tag.name().as_ref() == "test" => {
                case = Case {
                    name: attribute(&tag, "name").unwrap_or_default(),
                    input: attribute(&tag, "inputfile"),
                    strict: attribute(&tag, "mode").as_deref() == Some("strict"),
                    predicate: attribute(&tag, "predicate").as_deref() == Some("true"),
                    unordered: attribute(&tag, "ordered").as_deref() == Some("false"),
                    ..Case::default()
                };
            }
            Event::Start(tag) => {
                read.clear();
                match tag.name().as_ref() {
                    "expression" => case.invalid = attribute(&tag, "invalid").is_some(),
                    "output" => {
                        case.outputs.push((attribute(&tag, "type").unwrap_or_default(), String::new()))
                    }
                    _ => {}
                }
            }
            Event::Text(text) => read.push_str(&text),
            Event::GeneralRef(entity) => read.push(match &*entity {
                "lt" => '<',
                "gt" => '>',
                "amp" => '&',
                "quot" => '"',
                "apos" => '\'',
                other => panic!("unknown entity {other}"),
            }),
            Event::End(tag) => match tag.name().as_ref() {
                "expression" => case.expression = read.clone(),
                "output" => case.outputs.last_mut().unwrap().1 = read.trim().to_owned(),
                "test" if !case.expression.is_empty() => cases.push(std::mem::take(&mut case)),
                _ => {}
            },
            _ => {}
        }
    }
}

fn attribute(tag: &BytesStart<'_>, name: &str) -> Option<String> {
    let attribute = tag.try_get_attribute(name).unwrap()?;
    Some(attribute.normalized_value(quick_xml::XmlVersion::Explicit1_0).unwrap().into_owned())
}
