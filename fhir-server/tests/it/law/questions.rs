//! What is asked: reads, histories, searches and operations, at random from templates.
//!
//! In a template `{Patient}` is an id of a Patient, `{key}` any type and id, `{family}`, `{code}`, `{date}`, `{prefix}` and
//! `{time}` what they say.

use super::corpus::{CODES, Corpus, DATES, FAMILIES, TYPES};
use super::random::Random;

/// A request, with placeholders of what each server makes by itself.
#[derive(Debug, Clone, Default)]
pub(super) struct Question {
    pub(super) method: &'static str,
    pub(super) path: String,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Option<String>,
}

/// Conditions by type.
const CONDITIONS: &[(&str, &[&str])] = &[
    (
        "Patient",
        &[
            "name={family}",
            "family:exact={family}",
            "name:contains=th",
            "gender=male",
            "gender:not=male",
            "birthdate={prefix}1990",
            "birthdate:missing=true",
            "identifier=http://ids.example|{digit}",
            "identifier:not=http://ids.example|{digit}",
            "general-practitioner=Practitioner/{Practitioner}",
            "general-practitioner={Practitioner}",
            "general-practitioner:Practitioner.name={family}",
            "general-practitioner:missing=true",
            "organization.name={family}",
            "organization.partof.name={family}",
            "organization.partof={Organization}",
            "link:Patient.name={family}",
            "link=Patient/{Patient}",
            "_has:Observation:patient:code={code}",
            "_has:Observation:subject:value-quantity=ge2",
            "_has:Encounter:patient:_has:Observation:encounter:code={code}",
            "_has:Condition:patient:encounter.status=finished",
            "_has:Group:member:_id={Group}",
            "_has:List:item:identifier={digit}",
            "_has:Patient:link:name={family}",
        ],
    ),
    (
        "Observation",
        &[
            "code={code}",
            "code=http://loinc.org|{code},{code}",
            "code:not={code}",
            "status=final",
            "status:not=final",
            "date={prefix}{date}",
            "date:missing=false",
            "value-quantity={prefix}{digit}",
            "value-quantity={digit}|http://unitsofmeasure.org|mg",
            "value-string={family}",
            "value-concept={code}",
            "code-value-quantity={code}$gt1",
            "patient={Patient}",
            "subject=Patient/{Patient},Patient/{Patient}",
            "subject:Patient.name={family}",
            "subject:Patient.general-practitioner.name={family}",
            "patient.identifier=http://ids.example|{digit}",
            "patient.organization.name={family}",
            "patient.gender:not=male",
            "patient.birthdate:missing=true",
            "patient:missing=true",
            "patient._has:Encounter:patient:status=finished",
            "encounter={Encounter}",
            "encounter.status=planned",
            "encounter.participant.name={family}",
            "encounter:missing=true",
            "performer={Patient}",
            "performer.name={family}",
            "performer:Practitioner.identifier={digit}",
            "has-member={Observation}",
            "has-member.code={code}",
            "has-member.patient.name={family}",
            "_has:Observation:has-member:status=final",
            "_has:List:item:_id={List}",
        ],
    ),
    (
        "Encounter",
        &[
            "status=finished",
            "date={prefix}2025-02",
            "patient={Patient}",
            "patient.name={family}",
            "participant={Practitioner}",
            "participant.name={family}",
            "service-provider.name={family}",
            "service-provider:missing=true",
            "part-of={Encounter}",
            "part-of.part-of.status=planned",
            "part-of:missing=true",
            "_has:Condition:encounter:code={code}",
            "_has:Encounter:part-of:status=planned",
        ],
    ),
    (
        "Condition",
        &[
            "code={code}",
            "onset-date={prefix}{date}",
            "patient={Patient}",
            "subject:Patient.name={family}",
            "encounter.service-provider.name={family}",
            "encounter.patient.name={family}",
            "asserter.name={family}",
            "asserter:missing=false",
        ],
    ),
    (
        "Organization",
        &[
            "name={family}",
            "partof={Organization}",
            "partof.name={family}",
            "partof:missing=true",
            "_has:Patient:organization:name={family}",
            "_has:Encounter:service-provider:patient.name={family}",
        ],
    ),
    (
        "Practitioner",
        &[
            "name={family}",
            "_has:Patient:general-practitioner:gender=female",
            "_has:Encounter:participant:status=planned",
            "_has:Observation:performer:code={code}",
        ],
    ),
    ("Group", &["member={Patient}", "member:Patient.name={family}", "identifier={digit}"]),
    (
        "List",
        &[
            "item={key}",
            "patient={Patient}",
            "item:Observation.code={code}",
            "subject:missing=true",
            "item:Patient.name={family}",
        ],
    ),
];

/// Conditions on every type.
const OF_ALL: &[&str] = &[
    "_id={id},{id},{id}",
    "_tag=red",
    "_tag:not=http://tags.example|secret",
    "_tag=secret",
    "identifier={digit}",
    "identifier=http://ids.example|{digit},http://ids.example|{digit}",
    "_lastUpdated={prefix}{time}",
    "_list={List}",
    "nonsense=1",
];

/// What is included, whatever the type: of others it says so.
const INCLUDES: &[&str] = &[
    "_include=Observation:patient",
    "_include=Observation:*",
    "_include=Observation:encounter&_include:iterate=Encounter:service-provider",
    "_include=Observation:performer&_include:iterate=Patient:organization&_include:iterate=Organization:partof",
    "_include:iterate=Observation:has-member",
    "_include=Encounter:patient&_include=Encounter:participant&_revinclude:iterate=Observation:encounter",
    "_include:iterate=Encounter:part-of",
    "_include=Patient:link&_revinclude=Group:member",
    "_include=Patient:general-practitioner",
    "_include=List:item&_include:iterate=Observation:subject",
    "_revinclude=Observation:patient&_revinclude:iterate=List:item",
    "_revinclude=Condition:encounter",
    "_revinclude=Encounter:patient&_include:iterate=Encounter:participant&_revinclude:iterate=Condition:encounter",
    "_revinclude=List:item",
    "_revinclude=Patient:organization&_revinclude:iterate=Organization:partof",
    "_include=*&_revinclude=Observation:has-member",
];

const SORTS: &[&str] = &[
    "_id",
    "-_lastUpdated",
    "_lastUpdated",
    "identifier,-_id",
    "status,date",
    "-date,code",
    "patient,-_lastUpdated",
    "name,birthdate",
    "-family,gender",
    "value-quantity,-date",
    "subject:Patient.name",
    "patient.name,-date",
    "encounter.date",
    "organization.name",
    "-part-of,status",
];

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

const FIXED: &[&str] = &[
    "_history?_count=20",
    "_history?_count=0",
    "?_type=Patient,Encounter,Observation&_total=accurate&_count=5",
    "?_lastUpdated=gt2020-01-01&_summary=count",
    "Patient/$everything?_count=4",
    "Patient/$everything",
    "Patient/nobody/$everything",
    "Patient/nobody",
    "Nothing/nobody",
    "Observation?_include=*&_include:iterate=*&_count=3",
    "Patient?_revinclude=*&_count=2",
    "Patient?_sort=-family,given,_id&_count=2",
    "Observation?_sort=patient.name,-date&_count=3",
    "Observation?subject=pa1",
    "List?item=pa1,pa2",
    "Observation?patient.name=otieno&patient.gender:not=male&_total=accurate",
    "Patient?_has:Observation:patient:_has:List:item:status=current&_total=accurate",
    "Observation?_lastUpdated=lt2020",
    "Patient?nonsense=1&_sort=nonsense&_include=Patient:nonsense",
    "Patient?_filter=name eq a",
];

fn get(path: String) -> Question {
    Question { method: "GET", path, ..Question::default() }
}

fn read(random: &mut Random, corpus: &Corpus) -> Question {
    let group = random.pick(&corpus.groups);
    let change = random.pick(group);
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
        2 => format!("{}/", random.pick(TYPES)),
        _ => String::new(),
    };
    let mut query = vec![format!("_count={}", random.pick(&[3, 5, 10, 50, 0]))];
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
    let template = format!("{of}{}", random.pick(&more));
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
    let kind = random.pick(&["batch", "transaction"]);
    let body = format!(r#"{{"resourceType":"Bundle","type":"{kind}","entry":[{}]}}"#, entries.join(","));
    Question { method: "POST", path: String::new(), body: Some(body), ..Question::default() }
}

fn search(random: &mut Random, corpus: &Corpus) -> Question {
    let type_name = *random.pick(&[
        "Patient",
        "Patient",
        "Observation",
        "Observation",
        "Observation",
        "Encounter",
        "Condition",
        "Organization",
        "Practitioner",
        "Group",
        "List",
    ]);
    let path = match random.below(12) {
        0 | 1 => filled(random, corpus, &format!("Patient/{{Patient}}/{type_name}")),
        2 => filled(random, corpus, "Patient/{Patient}/*"),
        3 => String::new(),
        4 => filled(random, corpus, &format!("Encounter/{{Encounter}}/{type_name}")),
        _ => type_name.to_owned(),
    };
    let mut query = Vec::new();
    let own = CONDITIONS.iter().find(|(of, _)| *of == type_name).unwrap().1;
    if path.is_empty() {
        query.push(
            random
                .pick(&[
                    "_type=Patient,Observation",
                    "_type=Practitioner,Organization,Group",
                    "_type=List,Encounter,Condition",
                    "_lastUpdated=gt2020",
                ])
                .to_string(),
        );
    }
    for _ in 0..random.below(3) {
        let template = match path.is_empty() || path.ends_with('*') || random.chance(25) {
            true => random.pick(OF_ALL),
            false => random.pick(own),
        };
        query.push(
            filled(random, corpus, template)
                .replace("{id}", &filled(random, corpus, &format!("{{{type_name}}}"))),
        );
    }
    if random.chance(40) {
        query.push((*random.pick(INCLUDES)).to_owned());
    }
    if random.chance(30) {
        query.push(format!("_sort={}", random.pick(SORTS)));
    }
    if random.chance(50) {
        query.push(format!("_count={}", random.pick(&[2, 3, 5, 0])));
    }
    if random.chance(50) {
        query.push(
            (*random.pick(&[
                "_total=accurate",
                "_total=estimate",
                "_total=none",
                "_summary=count",
                "_summary=true",
                "_elements=id",
            ]))
            .to_owned(),
        );
    }
    let mut question = get(format!("{path}?{}", query.join("&")));
    if random.chance(10) {
        question.headers.push(("prefer", "handling=strict".to_owned()));
    }
    question
}

/// A template with what it asks for. `{id}` stays.
pub(super) fn filled(random: &mut Random, corpus: &Corpus, template: &str) -> String {
    let mut text = template.to_owned();
    let key = |random: &mut Random| {
        let (type_name, id) = random.pick(&corpus.all);
        format!("{type_name}/{id}")
    };
    let make: [(&str, &dyn Fn(&mut Random) -> String); 7] = [
        ("{key}", &key),
        ("{family}", &|random| (*random.pick(FAMILIES)).to_owned()),
        ("{code}", &|random| (*random.pick(CODES)).to_owned()),
        ("{date}", &|random| (*random.pick(DATES)).to_owned()),
        ("{digit}", &|random| random.below(6).to_string()),
        ("{prefix}", &|random| (*random.pick(&["", "ge", "lt", "gt", "le", "ne"])).to_owned()),
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
            text = text.replacen(&name, random.pick::<&String>(&ids), 1);
        }
    }
    text
}
