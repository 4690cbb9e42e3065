//! Random questions: parameters, modifiers and prefixes at random, values from the data, some of them changed a
//! little so that they just miss.

use std::sync::Arc;

use fhir_search::parameters::ParameterKind;
use fhir_search::registry::{Param, Registry};

use super::by_code;
use super::chain;
use super::corpus::{Corpus, One};
use super::expression;
use super::matches::{local, numbers, quantities, target_text, texts, token_texts, tokens};
use super::names::folded;
use super::terms;
use super::when;
use fhir_store::testing::Random;

/// A search as a client writes it: type, pairs, and sometimes a Patient in whose compartment it is.
#[derive(Clone)]
pub(super) struct Question {
    pub(super) type_name: String,
    pub(super) pairs: Vec<(String, String)>,
    pub(super) compartment: Option<String>,
}

impl std::fmt::Display for Question {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let pairs: Vec<_> = self.pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if let Some(patient) = &self.compartment {
            write!(f, "Patient/{patient}/")?;
        }
        write!(f, "{}?{}", self.type_name, pairs.join("&"))
    }
}

const PREFIXES: &[&str] = &["", "", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"];
/// Longest text that is asked for.
const TEXT_CHARS_MAX: usize = 60;

pub(super) fn question(random: &mut Random, corpus: &Corpus, registry: &Registry) -> Question {
    if random.chance(4)
        && let Some(question) = by_code::question(random, corpus, registry)
    {
        return question;
    }
    let type_name = type_name(random, corpus);
    let of_type = registry.for_type(type_name).unwrap();
    let params = of_type.params();
    // Filters that ask for values of the same resource find something together.
    let same = random.chance(70).then(|| random.below(corpus.of(type_name).len()));
    let mut pairs = Vec::new();
    for _ in 0..[0, 1, 1, 1, 2, 2, 3][random.below(7)] {
        pairs.extend(match random.below(100) {
            0..15 => chain::ask(random, corpus, registry, type_name),
            15..19 => expression::ask(random, corpus, &of_type, same, 0).map(|e| ("_filter".to_owned(), e)),
            19 => expression::ask_list(random, corpus, type_name).map(|ids| ("_list".to_owned(), ids)),
            _ => pair(random, corpus, type_name, params, same),
        });
    }
    if random.chance(50) {
        let sorts: Vec<String> =
            (0..1 + random.below(3)).filter_map(|_| sort(random, params, registry)).collect();
        if !sorts.is_empty() {
            pairs.push(("_sort".to_owned(), sorts.join(",")));
        }
    }
    let in_compartment = random.chance(4)
        && registry.compartments().for_resource("Patient", type_name).is_some_and(|c| !c.is_empty());
    let compartment =
        in_compartment.then(|| random.pick(corpus.of("Patient")).map(|p| p.key.id.to_string())).flatten();
    Question { type_name: type_name.to_owned(), pairs, compartment }
}

/// A type that there are examples of.
pub(super) fn type_name<'c>(random: &mut Random, corpus: &'c Corpus) -> &'c str {
    let types = corpus.types();
    let any = *random.pick(&types).unwrap();
    // There are more types with a handful of examples than with many.
    if random.chance(50) {
        return types
            .iter()
            .copied()
            .filter(|t| corpus.of(t).len() > 20)
            .nth(random.below(12))
            .unwrap_or(any);
    }
    any
}

fn sort(random: &mut Random, params: &[Arc<Param>], registry: &Registry) -> Option<String> {
    let has_order = |param: &Param| !matches!(param.kind, ParameterKind::Special | ParameterKind::Composite);
    let code = match random.below(10) {
        0 => "_id".to_owned(),
        1 => "_lastUpdated".to_owned(),
        2 | 3 => {
            let references: Vec<_> = params
                .iter()
                .filter(|p| p.kind == ParameterKind::Reference && !p.targets.is_empty())
                .collect();
            let reference = random.pick(&references)?;
            let target = match &reference.only_target {
                Some(only) => only,
                None => random.pick(&reference.targets)?,
            };
            let beyond = registry.for_type(target).ok()?;
            let inner = random.pick(beyond.params()).filter(|p| has_order(p))?;
            format!("{}:{target}.{}", reference.code, inner.code)
        }
        _ => random.pick(params).filter(|p| has_order(p))?.code.to_string(),
    };
    Some(format!("{}{code}", if random.chance(50) { "-" } else { "" }))
}

pub(super) fn pair(
    random: &mut Random,
    corpus: &Corpus,
    type_name: &str,
    params: &[Arc<Param>],
    same: Option<usize>,
) -> Option<(String, String)> {
    let resources = corpus.of(type_name);
    let at = |random: &mut Random| same.unwrap_or_else(|| random.below(resources.len()));
    if random.chance(1) {
        let column = random.pick(&["_id", "_lastUpdated"])?;
        return Some((format!("{column}:missing"), random.chance(50).to_string()));
    }
    if random.chance(3) {
        let mut ids = Vec::new();
        for _ in 0..1 + random.below(3) {
            let at = at(random);
            ids.push(changed(random, &resources[at].key.id, 20));
        }
        return Some(("_id".to_owned(), ids.join(",")));
    }
    if random.chance(3) {
        let instant = when::text(resources[at(random)].updated_at);
        let cut = &instant[..[10, 16, 19, 27][random.below(4)]];
        let zone = if cut.len() > 10 && cut.len() < 27 { "Z" } else { "" };
        return Some(("_lastUpdated".to_owned(), format!("{}{cut}{zone}", random.pick(PREFIXES)?)));
    }
    // A parameter that the resource has, if one is found soon.
    let mut param = random.pick(params)?;
    for _ in 0..12 {
        if !corpus.values(type_name, param, true)[at(random)].is_empty() {
            break;
        }
        param = random.pick(params)?;
    }
    if random.chance(8) {
        return Some((format!("{}:missing", param.code), random.chance(50).to_string()));
    }
    if param.kind == ParameterKind::Composite {
        let all = corpus.together(type_name, param);
        let mut terms = Vec::new();
        for _ in 0..1 + random.below(2) {
            let values = random_element(random, &all, same)?;
            terms.extend(together(random, param, values));
        }
        return (!terms.is_empty()).then(|| (param.code.to_string(), terms.join(",")));
    }
    let all = corpus.values(type_name, param, true);
    let having: Vec<&Vec<One>> = all.iter().filter(|values| !values.is_empty()).collect();
    if param.kind == ParameterKind::Token && random.chance(12) {
        let values = random.pick(&having)?;
        let value = random.pick(values)?;
        if let Some((modifier, text)) = terms::ask(random, corpus.terms(), param, value) {
            return Some((format!("{}{modifier}", param.code), text));
        }
    }
    let mut modifier = String::new();
    let mut terms = Vec::new();
    for i in 0..[1, 1, 1, 2, 3][random.below(5)] {
        let own = same.map(|s| &all[s]).filter(|values| i == 0 && !values.is_empty());
        let values = match own {
            Some(values) => values,
            None => random.pick(&having)?,
        };
        let value = random.pick(values)?;
        let (with, term) = term(random, param, value)?;
        match i {
            0 => modifier = with,
            _ if with != modifier => continue,
            _ => {}
        }
        terms.push(term);
    }
    Some((format!("{}{modifier}", param.code), terms.join(",")))
}

/// The values of the parts of one element, of the same resource if it has one.
fn random_element<'c>(
    random: &mut Random,
    all: &'c [Vec<Vec<Vec<One>>>],
    same: Option<usize>,
) -> Option<&'c Vec<Vec<One>>> {
    let whole =
        |elements: &&Vec<Vec<Vec<One>>>| elements.iter().any(|parts| parts.iter().all(|p| !p.is_empty()));
    let having: Vec<_> = all.iter().filter(whole).collect();
    let own = same.map(|s| &all[s]).filter(|elements| whole(elements));
    let elements = match own {
        Some(elements) => elements,
        None => *random.pick(&having)?,
    };
    random.pick(elements)
}

/// `a$b` of the values of one element, or of one that never was.
fn together(random: &mut Random, param: &Param, values: &[Vec<One>]) -> Option<String> {
    let parts = &param.composite.as_ref()?.parts;
    let mut texts = Vec::new();
    for (part, values) in parts.iter().zip(values) {
        let value = random.pick(values)?;
        let (modifier, text) = term(random, part, value)?;
        // No modifier can be said of a part; nor a system alone where there is an order.
        let alone = text.ends_with('|') && parts.iter().any(|p| p.kind != ParameterKind::Token);
        if !modifier.is_empty() || alone {
            return None;
        }
        texts.push(text);
    }
    Some(texts.join("$"))
}

/// A modifier (with its colon) and a value, escaped.
pub(super) fn term(random: &mut Random, param: &Param, value: &One) -> Option<(String, String)> {
    let (node, kind) = match value {
        One::Truth(truth) => return Some((random_not(random), truth.to_string())),
        One::Node(node, kind) => (*node, &**kind),
    };
    let none = String::new();
    match param.kind {
        ParameterKind::Token if kind == "Identifier" && random.chance(30) && node.get("type").is_some() => {
            Some((":of-type".to_owned(), of_type(random, node)?))
        }
        ParameterKind::Token if random.chance(15) => {
            let texts = token_texts(kind, node);
            let text = random.pick(&texts)?;
            Some((":text".to_owned(), string(random, text, "")))
        }
        ParameterKind::Token => Some((random_not(random), token(random, kind, node)?)),
        ParameterKind::String => {
            let all = texts(kind, node);
            let text = random.pick(&all)?;
            if param.is_phonetic() {
                let words: Vec<&str> = text.split_whitespace().collect();
                return Some((none, escaped(random.pick(&words).filter(|word| !folded(word).is_empty())?)));
            }
            if random.chance(20) {
                return Some((none, some_words(random, &all)?));
            }
            let modifier = [":exact", ":contains", "", ""][random.below(4)];
            Some((modifier.to_owned(), string(random, text, modifier)))
        }
        ParameterKind::Uri => {
            let text = node.str()?;
            // As others name it: of a version, without one, or something within it.
            if random.chance(15) {
                let url = text.split(['|', '#']).next()?;
                let version = random.pick(&["", "|4.0.1", "|1.0", "|1", "#x"])?;
                let modifier = *random.pick(&["", "", ":below", ":above"])?;
                let urn = url.starts_with("urn:") && !modifier.is_empty();
                return (!urn).then(|| (modifier.to_owned(), escaped(&format!("{url}{version}"))));
            }
            Some(match random.below(4) {
                0 if !text.starts_with("urn:") => {
                    let longer = format!("{text}{}", random.pick(&["", "/", "/x", "/_history/5", "x"])?);
                    (":above".to_owned(), escaped(&longer))
                }
                1 if !text.starts_with("urn:") => {
                    let shorter: String = text.chars().take(1 + random.below(text.chars().count())).collect();
                    (":below".to_owned(), escaped(&shorter))
                }
                _ => (none, escaped(&changed(random, &text, 10))),
            })
        }
        ParameterKind::Date => {
            let mut written = Vec::new();
            dates(node, &mut written);
            let text = random.pick(&written)?.clone();
            Some((none, format!("{}{}", random.pick(PREFIXES)?, date(random, &text))))
        }
        ParameterKind::Number => {
            let number = match node.number() {
                Some(text) => number(random, text),
                None => {
                    random.pick(&numbers(kind, node))?.0.as_ref().map_or("0".to_owned(), |n| n.to_string())
                }
            };
            Some((none, format!("{}{number}", random.pick(PREFIXES)?)))
        }
        ParameterKind::Quantity => {
            let all = quantities(kind, node);
            let quantity = random.pick(&all)?;
            let unit = match random.below(4) {
                0 if random.chance(50) => {
                    let codes = [
                        "g", "mg", "kg", "ug", "mL", "L", "mmol/L", "g/dL", "cm", "[in_i]", "s", "min", "h",
                        "a",
                    ];
                    format!("|http://unitsofmeasure.org|{}", random.pick(&codes)?)
                }
                0 => format!("|{}|{}", escaped(&quantity.system), escaped(&quantity.code)),
                1 => format!("||{}", escaped(&quantity.unit)),
                2 => format!("||{}", escaped(&quantity.code)),
                _ => none.clone(),
            };
            Some((none, format!("{}{}{unit}", random.pick(PREFIXES)?, number(random, &quantity.number))))
        }
        ParameterKind::Reference => {
            if let Some(identifier) = node.get("identifier") {
                return Some((":identifier".to_owned(), token(random, "Identifier", identifier)?));
            }
            // What is contained cannot be asked for.
            let text = target_text(node).filter(|text| !text.starts_with('#'))?;
            let canonical = node.str().is_some();
            Some(match (local(&text), random.below(3)) {
                // Without a version, whatever it is.
                _ if canonical && random.chance(10) => {
                    let url = text.split('|').next()?;
                    ((*random.pick(&[":above", ":below"])?).to_owned(), escaped(url))
                }
                _ if canonical && text.contains('|') && random.chance(60) => {
                    let modifier = *random.pick(&[":above", ":below"])?;
                    let (url, version) = text.split_once('|')?;
                    let version = match random.below(3) {
                        0 => version.split('.').next()?.to_owned(),
                        1 => format!("{version}.1"),
                        _ => version.to_owned(),
                    };
                    (modifier.to_owned(), format!("{}\\|{}", escaped(url), escaped(&version)))
                }
                (Some((_, id)), 0) => (none, changed(random, id, 10)),
                (Some((kind, id)), 1) => (format!(":{kind}"), id.to_owned()),
                _ => (none, escaped(&changed(random, &text, 10))),
            })
        }
        ParameterKind::Special => {
            let place = |name: &str| node.get(name)?.number().map(str::to_owned);
            let distance = ["", "|0|m", "|1", "|10|km", "|100|[mi_i]", "|5000|km", "|15000|km"];
            let (latitude, longitude) = match random.below(3) {
                0 => (place("latitude")?, place("longitude")?),
                1 => (place("latitude")?, format!("{}", random.below(360) as i64 - 180)),
                _ => (format!("{}", random.below(180) as i64 - 90), place("longitude")?),
            };
            Some((none, format!("{latitude}|{longitude}{}", random.pick(&distance)?)))
        }
        ParameterKind::Composite => None,
    }
}

fn of_type(random: &mut Random, identifier: fhir_model::json::Ref<'_>) -> Option<String> {
    let coding = identifier.get("type")?.get("coding")?.items().next()?;
    let text = |node: fhir_model::json::Ref<'_>, name: &str| node.get_str(name).map(|t| escaped(&t));
    let value = changed(random, &text(identifier, "value")?, 10);
    Some(format!("{}|{}|{value}", text(coding, "system")?, text(coding, "code")?))
}

fn random_not(random: &mut Random) -> String {
    if random.chance(15) { ":not".to_owned() } else { String::new() }
}

fn token(random: &mut Random, kind: &str, node: fhir_model::json::Ref<'_>) -> Option<String> {
    let all = tokens(kind, node);
    let (system, code) = random.pick(&all)?;
    let code = code.as_ref().map(|code| escaped(&changed(random, code, 8)));
    Some(match (system.clone().flatten().map(|s| escaped(&s)), code, random.below(8)) {
        (Some(system), None, _) | (Some(system), Some(_), 0) => format!("{system}|"),
        (_, Some(code), 1) => format!("|{code}"),
        (_, Some(code), 2 | 3) => code,
        (Some(system), Some(code), _) => format!("{system}|{code}"),
        (None, Some(code), _) => code,
        (None, None, _) => return None,
    })
}

fn string(random: &mut Random, text: &str, modifier: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    let from = if modifier == ":contains" { random.below(letters.len().max(1)) } else { 0 };
    let rest = letters.len() - from.min(letters.len());
    let length = if random.chance(30) { rest } else { 1 + random.below(rest.max(1)) };
    let whole = modifier == ":exact" && random.chance(70);
    let part: String = match whole {
        true => text.to_owned(),
        false => letters.into_iter().skip(from).take(length.min(TEXT_CHARS_MAX)).collect(),
    };
    let part = match random.below(5) {
        0 => part.to_uppercase(),
        1 => folded(&part),
        2 => changed(random, &part, 30),
        _ => part,
    };
    // A value of nothing is no value.
    if folded(&part).is_empty() { "x".to_owned() } else { escaped(&part) }
}

/// Beginnings of words of one value, in any order.
fn some_words(random: &mut Random, texts: &[String]) -> Option<String> {
    let all: Vec<&str> =
        texts.iter().flat_map(|text| text.split([' ', '-'])).filter(|word| !word.is_empty()).collect();
    let mut words = Vec::new();
    for _ in 0..1 + random.below(3) {
        let word = random.pick(&all)?;
        let length = 1 + random.below(word.chars().count());
        words.push(word.chars().take(length).collect::<String>());
    }
    let text = words.join(random.pick(&[" ", "  ", "-", ". "])?);
    (!folded(&text).is_empty()).then(|| escaped(&text))
}

/// All that looks like a date within a value.
fn dates(node: fhir_model::json::Ref<'_>, found: &mut Vec<String>) {
    let is_date = |text: &str| text.len() >= 4 && text.bytes().take(4).all(|b| b.is_ascii_digit());
    found.extend(node.str().filter(|text| is_date(text)).map(|text| text.into_owned()));
    node.children().for_each(|child| dates(child, found));
}

fn date(random: &mut Random, text: &str) -> String {
    let cut = match random.below(5) {
        0 => text.get(..4),
        1 => text.get(..7),
        2 => text.get(..10),
        3 => text.get(..16).filter(|_| text.len() > 16),
        _ => None,
    };
    let mut text = cut.unwrap_or(text).to_owned();
    if random.chance(25) {
        // The last digit of the year, month or day.
        let at = [3, 6, 9][random.below(3)].min(text.len().min(10) - 1);
        let digit = char::from(b'1' + random.below(if at == 6 { 2 } else { 8 }) as u8);
        text.replace_range(at..=at, &digit.to_string());
    }
    text
}

fn number(random: &mut Random, digits: &str) -> String {
    let mut text = digits.to_owned();
    match random.below(4) {
        0 => {
            // Fewer digits mean a wider range.
            let keep = 1 + random.below(text.len());
            text.truncate(keep);
            text = text.trim_end_matches(['.', '-', 'e', 'E']).to_owned();
        }
        1 if !text.contains(['e', 'E']) => text.push_str(if text.contains('.') { "0" } else { ".0" }),
        _ => {}
    }
    if text.is_empty() { digits.to_owned() } else { text }
}

/// So many times in a hundred another text that looks like it.
fn changed(random: &mut Random, text: &str, percent: usize) -> String {
    if !random.chance(percent) {
        return text.to_owned();
    }
    match random.below(4) {
        0 => text.to_uppercase(),
        1 => format!("{text}x"),
        2 => text.chars().skip(1).collect(),
        _ => text.chars().rev().collect(),
    }
}

pub(super) fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if matches!(c, '\\' | ',' | '|' | '$') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
