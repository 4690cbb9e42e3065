//! What is asked: reads, histories, searches and operations, at random from templates.
//!
//! In a template `{Patient}` is an id of a Patient, `{key}` any type and id, `{family}`, `{code}`, `{date}`, `{prefix}` and
//! `{time}` what they say.

use super::corpus::{CODES, Corpus, DATES, FAMILIES, TYPES};
use super::templates::{CONDITIONS, FIXED, INCLUDES, OF_ALL, SORTS, SORTS_OF_ALL};
use fhir_store::testing::Random;

/// A request, with placeholders of what each server makes by itself.
#[derive(Debug, Clone, Default)]
pub(super) struct Question {
    pub(super) method: &'static str,
    pub(super) path: String,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Option<String>,
}

/// A question of any kind.
pub(super) fn random(random: &mut Random, corpus: &Corpus) -> Question {
    match random.below(100) {
        0..=9 => read(random, corpus),
        10..=24 => history(random, corpus),
        25..=29 => everything(random, corpus),
        30..=33 => batch(random, corpus),
        34..=36 => {
            // The same search with its conditions in the body.
            let search = search(random, corpus);
            let (path, query) = search.path.split_once('?').unwrap_or((&search.path, ""));
            let body = query.replace('|', "%7C");
            Question {
                method: "POST",
                path: format!("{path}/_search").replacen("//", "/", 1).trim_start_matches('/').into(),
                body: Some(body),
                ..search
            }
        }
        _ => search(random, corpus),
    }
}

/// What is asked in every run.
pub(super) fn fixed() -> Vec<Question> {
    let mut asked: Vec<Question> = FIXED.iter().map(|path| get((*path).to_owned())).collect();
    for type_name in TYPES {
        asked.push(get(format!("{type_name}?_total=accurate&_count=4")));
        asked.push(get(format!("{type_name}?_summary=count")));
        asked.push(get(format!("{type_name}/_history?_count=7")));
        asked.push(get(format!("{type_name}/_history?_count=0")));
    }
    asked
}

/// All there is. What conditional updates create has ids that differ, and is in the order of their hashes where nothing else
/// decides.
pub(super) fn whole() -> Vec<Question> {
    let each = TYPES.iter().flat_map(|type_name| {
        [
            format!("{type_name}?_count=500&_total=accurate&_sort=_lastUpdated"),
            format!("{type_name}/_history?_count=500"),
        ]
    });
    each.chain(["_history?_count=500".to_owned()]).map(get).collect()
}

fn get(path: String) -> Question {
    Question { method: "GET", path, ..Question::default() }
}

fn read(random: &mut Random, corpus: &Corpus) -> Question {
    let group = random.pick(&corpus.groups).unwrap();
    let change = random.pick(group).unwrap();
    let key = format!("{}/{}", change.type_name, change.id);
    let mut question = match random.below(5) {
        0 | 1 => get(format!("{key}/_history/{{v{}}}", change.number)),
        2 => get(format!("{key}?_summary=true")),
        _ => get(key),
    };
    if random.chance(30) {
        question.method = "HEAD";
    }
    if random.chance(30) {
        question.headers.push(("if-none-match", format!("W/\"{{v{}}}\"", change.number)));
    }
    question
}

fn history(random: &mut Random, corpus: &Corpus) -> Question {
    let of = match random.below(4) {
        0 | 1 => filled(random, corpus, "{key}/"),
        2 => format!("{}/", random.pick(TYPES).unwrap()),
        _ => String::new(),
    };
    let mut query = vec![format!("_count={}", random.pick(&[3, 5, 10, 50, 0]).unwrap())];
    if random.chance(30) {
        query.push(filled(random, corpus, "_since={time}"));
    }
    if random.chance(40) {
        query.push(filled(random, corpus, "_at={time}"));
    }
    if random.chance(15) {
        query.push(filled(random, corpus, "_list={List}"));
    }
    get(format!("{of}_history?{}", query.join("&")))
}

fn everything(random: &mut Random, corpus: &Corpus) -> Question {
    let of = if random.chance(75) { "Patient/{Patient}/$everything?" } else { "Patient/$everything?" };
    let more = [
        "",
        "_count=2",
        "_count=5",
        "_since={time}",
        "start=2025-01-01&end=2025-02-01",
        "_type=Observation,Practitioner,Patient&_count=3",
    ];
    let template = format!("{of}{}", random.pick(&more).unwrap());
    get(filled(random, corpus, &template))
}

fn batch(random: &mut Random, corpus: &Corpus) -> Question {
    let entries: Vec<String> = (0..4)
        .map(|_| {
            let inner = match random.below(3) {
                0 => read(random, corpus),
                1 => history(random, corpus),
                _ => search(random, corpus),
            };
            format!(r#"{{"request":{{"method":"GET","url":"{}"}}}}"#, inner.path)
        })
        .collect();
    let kind = random.pick(&["batch", "transaction"]).unwrap();
    let body = format!(r#"{{"resourceType":"Bundle","type":"{kind}","entry":[{}]}}"#, entries.join(","));
    Question { method: "POST", path: String::new(), body: Some(body), ..Question::default() }
}

fn search(random: &mut Random, corpus: &Corpus) -> Question {
    let type_name = *random
        .pick(&[
            "Patient",
            "Patient",
            "Observation",
            "Observation",
            "Observation",
            "Encounter",
            "Encounter",
            "Condition",
            "Organization",
            "Practitioner",
            "Group",
            "List",
        ])
        .unwrap();
    let of_type = |all: &'static [(&str, &'static [&'static str])]| -> &'static [&'static str] {
        all.iter().find(|(of, _)| *of == type_name).unwrap().1
    };
    let in_patient = !matches!(type_name, "Organization" | "Practitioner");
    let path = match random.below(20) {
        0..=2 if in_patient => filled(random, corpus, &format!("Patient/{{Patient}}/{type_name}")),
        3 => filled(random, corpus, "Patient/{Patient}/*"),
        4 | 5 => String::new(),
        6 if matches!(type_name, "Observation" | "Condition") => {
            filled(random, corpus, &format!("Encounter/{{Encounter}}/{type_name}"))
        }
        _ => type_name.to_owned(),
    };
    let is_one_type = path.ends_with(type_name);
    let mut query = Vec::new();
    if path.is_empty() {
        let types = [
            "Patient,Observation",
            "Practitioner,Organization,Group",
            "List,Encounter,Condition",
            "Observation,Condition",
        ];
        query.push(format!("_type={}", random.pick(&types).unwrap()));
    }
    for _ in 0..*random.pick(&[0, 1, 1, 1, 1, 2]).unwrap() {
        let template = match is_one_type && random.chance(80) {
            true => random.pick(of_type(CONDITIONS)).unwrap(),
            false => random.pick(OF_ALL).unwrap(),
        };
        query.push(filled(random, corpus, &template.replace("{id}", &format!("{{{type_name}}}"))));
    }
    if random.chance(40) {
        query.push((*random.pick(of_type(INCLUDES)).unwrap()).to_owned());
    }
    if random.chance(40) {
        let sort = match is_one_type && random.chance(75) {
            true => random.pick(of_type(SORTS)).unwrap(),
            false => random.pick(SORTS_OF_ALL).unwrap(),
        };
        query.push(format!("_sort={sort}"));
    }
    if random.chance(60) {
        query.push(format!("_count={}", random.pick(&[1, 2, 3, 5, 0]).unwrap()));
    }
    if random.chance(50) {
        let kinds = [
            "_total=accurate",
            "_total=estimate",
            "_total=none",
            "_summary=count",
            "_summary=true",
            "_elements=id",
        ];
        query.push((*random.pick(&kinds).unwrap()).to_owned());
    }
    if random.chance(3) {
        query.push("nonsense=1".to_owned());
    }
    let mut question = get(format!("{path}?{}", query.join("&")));
    if random.chance(10) {
        question.headers.push(("prefer", "handling=strict".to_owned()));
    }
    question
}

/// Makes what stands for a placeholder.
type Value<'v> = &'v dyn Fn(&mut Random) -> String;

/// A template with what it asks for. `{id}` stays.
pub(super) fn filled(random: &mut Random, corpus: &Corpus, template: &str) -> String {
    let mut text = template.to_owned();
    let key = |random: &mut Random| {
        let (type_name, id) = random.pick(&corpus.all).unwrap();
        format!("{type_name}/{id}")
    };
    let make: [(&str, Value<'_>); 7] = [
        ("{key}", &key),
        ("{family}", &|random| (*random.pick(FAMILIES).unwrap()).to_owned()),
        ("{code}", &|random| (*random.pick(CODES).unwrap()).to_owned()),
        ("{date}", &|random| (*random.pick(DATES).unwrap()).to_owned()),
        ("{digit}", &|random| random.below(6).to_string()),
        ("{prefix}", &|random| (*random.pick(&["", "ge", "lt", "gt", "le", "ne"]).unwrap()).to_owned()),
        ("{time}", &|random| format!("{{t{}}}", random.below(corpus.groups.len()))),
    ];
    for (name, value) in make {
        while text.contains(name) {
            text = text.replacen(name, &value(random), 1);
        }
    }
    for type_name in TYPES {
        let name = format!("{{{type_name}}}");
        while text.contains(&name) {
            let ids: Vec<&String> =
                corpus.all.iter().filter(|(of, _)| of == type_name).map(|(_, id)| id).collect();
            text = text.replacen(&name, random.pick::<&String>(&ids).unwrap(), 1);
        }
    }
    text
}
