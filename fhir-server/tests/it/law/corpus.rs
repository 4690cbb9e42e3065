//! What is written: resources of some types that refer to each other, in several versions, some deleted, with few names, codes
//! and identifiers, so that what is hidden has the same as what is seen.
//!
//! Texts have placeholders for what each server makes by itself: `{s3}` is the third id it gives, `{base}` its base.

use serde_json::{Value, json};

use super::hiding::Hidden;
use fhir_store::testing::Random;

/// In the order in which they are first written.
pub(super) const TYPES: &[&str] =
    &["Organization", "Practitioner", "Patient", "Encounter", "Condition", "Observation", "Group", "List"];
const HOW_MANY: &[usize] = &[4, 4, 9, 9, 8, 20, 3, 4];
/// Changes after all of it was written once.
const CHANGES: usize = 60;

pub(super) const FAMILIES: &[&str] = &["Otieno", "Odhiambo", "Mwangi", "Smith"];
pub(super) const GIVEN: &[&str] = &["Amina", "Brian", "Cho"];
pub(super) const CODES: &[&str] = &["8480-6", "8462-4", "718-7"];
pub(super) const DATES: &[&str] = &["2024-02-29", "2025-01-07", "2025-01-31T10:00:00Z", "2025-06", "2026"];

/// One version.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) type_name: &'static str,
    /// A placeholder when the server gives it.
    pub(super) id: String,
    /// Which version of all that are written.
    pub(super) number: usize,
    /// None: it is deleted.
    pub(super) body: Option<Value>,
    /// The server gives the id.
    pub(super) post: bool,
    /// It is not hidden: neither itself nor the last version of the resource.
    pub(super) seen: bool,
}

/// All that is written.
pub(super) struct Corpus {
    /// What is written together.
    pub(super) groups: Vec<Vec<Change>>,
    pub(super) hidden: Hidden,
    pub(super) all: Vec<(&'static str, String)>,
    /// Resources of which some versions are seen and some are not.
    pub(super) partly: Vec<String>,
}

impl Corpus {
    /// One of which at least a fifth of the resources is seen, and some Patients and Observations, so that there is something to
    /// find.
    pub(super) fn random(random: &mut Random, only: bool) -> Corpus {
        loop {
            let corpus = Corpus::any(random, only);
            let seen: usize = TYPES.iter().map(|type_name| corpus.seen_of(type_name)).sum();
            let some = ["Patient", "Observation"].iter().all(|type_name| corpus.seen_of(type_name) > 1);
            if some && seen * 5 >= corpus.all.len() {
                return corpus;
            }
        }
    }

    /// How many resources of a type are there and seen when all is written.
    pub(super) fn seen_of(&self, type_name: &str) -> usize {
        let of_type = self.all.iter().filter(|(of, _)| *of == type_name);
        let last = of_type.filter_map(|(of, id)| {
            let changes = self.groups.iter().flatten();
            changes.filter(|c| c.type_name == *of && c.id == *id).max_by_key(|c| c.number)
        });
        last.filter(|change| change.seen && change.body.is_some()).count()
    }

    fn any(random: &mut Random, only: bool) -> Corpus {
        let mut all = Vec::new();
        let mut given = 0;
        for (type_name, n) in TYPES.iter().zip(HOW_MANY) {
            for at in 0..*n {
                let id = match random.chance(25) {
                    true => {
                        given += 1;
                        format!("{{s{}}}", given - 1)
                    }
                    // An Encounter has the id of a Patient: an id without a type may mean either.
                    false if *type_name == "Encounter" => format!("pa{at}"),
                    false => format!("{}{at}", type_name[..2].to_lowercase()),
                };
                all.push((*type_name, id));
            }
        }
        let hidden = Hidden::random(random, &all, only);
        let mut writer = Writer { random, all: &all, tagged: Vec::new(), changes: Vec::new() };
        for at in 0..all.len() {
            writer.write(at, false);
        }
        for _ in 0..CHANGES {
            let at = writer.random.below(all.len());
            let delete = writer.random.chance(30);
            writer.write(at, delete);
        }
        let mut changes = writer.changes;
        see(&mut changes, &hidden);
        let is = |change: &&Change, seen| change.seen == seen;
        let partly = all.iter().map(|(type_name, id)| format!("{type_name}/{id}")).filter(|key| {
            let of = || changes.iter().filter(|c| format!("{}/{}", c.type_name, c.id) == *key);
            of().any(|c| is(&c, true)) && of().any(|c| is(&c, false))
        });
        let partly = partly.collect();
        Corpus { groups: groups(random, changes), hidden, all, partly }
    }
}

struct Writer<'r> {
    random: &'r mut Random,
    all: &'r [(&'static str, String)],
    /// Of those that are written once: a Patient is secret or not for all time, as a version of it is referred to.
    tagged: Vec<bool>,
    changes: Vec<Change>,
}

impl Writer<'_> {
    fn write(&mut self, at: usize, delete: bool) {
        let (type_name, id) = &self.all[at];
        let last = self.changes.iter().rev().find(|c| c.type_name == *type_name && c.id == *id);
        let (is_first, is_gone) = (last.is_none(), last.is_some_and(|c| c.body.is_none()));
        if delete && is_gone {
            return;
        }
        if is_first {
            self.tagged.push(self.random.chance(20));
        }
        let number = self.changes.len();
        let secret = match *type_name {
            "Patient" | "Organization" | "Practitioner" => self.tagged[at],
            // Where the first version is seen, the server gives the id on both sides.
            _ if id.starts_with('{') => self.tagged[at],
            _ => self.random.chance(15),
        };
        let first = self.changes.iter().find(|c| c.type_name == *type_name && c.id == *id);
        let first = first.and_then(|c| c.body.clone()).filter(|_| id.starts_with('{'));
        let mut body = (!delete).then(|| self.body(type_name, id, number, secret));
        if let (Some(body), Some(first)) = (&mut body, first) {
            for member in ["subject", "contained"] {
                body[member] = first[member].clone();
            }
            body.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        }
        let post = is_first && id.starts_with('{');
        self.changes.push(Change { type_name, id: id.clone(), number, body, post, seen: true });
    }

    /// An id of a type among what was written, or is still to come under an id that is known.
    fn id(&mut self, type_name: &str) -> String {
        let known: Vec<&String> =
            self.all.iter().filter(|(of, _)| *of == type_name).map(|(_, id)| id).collect();
        let id = (*self.random.pick(&known).unwrap()).clone();
        let is_written = self.changes.iter().any(|c| c.type_name == type_name && c.id == id);
        match id.starts_with('{') && !is_written {
            true => "nobody".to_owned(),
            false => id,
        }
    }

    fn reference(&mut self, type_name: &str) -> Value {
        let key = format!("{type_name}/{}", self.id(type_name));
        let text = match self.random.below(20) {
            0 => format!("{{base}}/{key}"),
            1 if matches!(type_name, "Patient" | "Practitioner") => format!("{key}/_history/1"),
            _ => key,
        };
        json!({"reference": text})
    }

    fn name(&mut self) -> Value {
        json!({"family": self.random.pick(FAMILIES).unwrap(), "given": [self.random.pick(GIVEN).unwrap()]})
    }

    fn code(&mut self) -> Value {
        json!({"coding": [{"system": "http://loinc.org", "code": self.random.pick(CODES).unwrap()}]})
    }

    fn body(&mut self, type_name: &str, id: &str, number: usize, secret: bool) -> Value {
        let mut body = json!({"resourceType": type_name});
        if !id.starts_with('{') || self.changes.iter().any(|c| c.type_name == type_name && c.id == id) {
            body["id"] = json!(id);
        }
        let mut tags = vec![
            json!({"system": "http://tags.example", "code": self.random.pick(&["red", "blue"]).unwrap()}),
        ];
        if secret {
            tags.push(json!({"system": "http://tags.example", "code": "secret"}));
        }
        body["meta"] = json!({"tag": tags});
        // No version has what another has, so that each write is one.
        let shared = format!("{}", self.random.below(6));
        body["identifier"] = json!([{"system": "http://ids.example", "value": shared},
            {"system": "http://numbers.example", "value": format!("{number}")}]);
        match type_name {
            "Organization" => {
                body["name"] = json!(self.random.pick(FAMILIES).unwrap());
                if self.random.chance(40) {
                    body["partOf"] = self.reference("Organization");
                }
            }
            "Practitioner" => body["name"] = json!([self.name()]),
            "Patient" => self.patient(&mut body),
            "Group" => {
                body["type"] = json!("person");
                body["actual"] = json!(true);
                let members: Vec<Value> =
                    (0..3).map(|_| json!({"entity": self.reference("Patient")})).collect();
                body["member"] = json!(members);
            }
            "List" => {
                body["status"] = json!("current");
                body["mode"] = json!("working");
                let of = ["Patient", "Observation", "Encounter", "Practitioner"];
                let entries: Vec<Value> = (0..6)
                    .map(|_| {
                        let of = *self.random.pick(&of).unwrap();
                        json!({"item": {"reference": format!("{of}/{}", self.id(of))}})
                    })
                    .collect();
                body["entry"] = json!(entries);
                if self.random.chance(30) {
                    body["subject"] = self.reference("Patient");
                }
            }
            _ => self.event(type_name, &mut body),
        }
        body
    }

    fn patient(&mut self, body: &mut Value) {
        body["name"] = json!([self.name()]);
        body["gender"] = json!(self.random.pick(&["female", "male"]).unwrap());
        if self.random.chance(80) {
            body["birthDate"] = json!(self.random.pick(&["1980-01-01", "1990", "2001-05"]).unwrap());
        }
        if self.random.chance(60) {
            body["generalPractitioner"] = json!([self.reference("Practitioner")]);
        }
        if self.random.chance(60) {
            body["managingOrganization"] = self.reference("Organization");
        }
        if self.random.chance(40) {
            body["link"] = json!([{"other": self.reference("Patient"), "type": "seealso"}]);
        }
    }

    fn event(&mut self, type_name: &str, body: &mut Value) {
        body["subject"] = self.reference("Patient");
        let date = json!(self.random.pick(DATES).unwrap());
        match type_name {
            "Encounter" => {
                body["status"] = json!(self.random.pick(&["planned", "finished"]).unwrap());
                body["class"] = json!({"code": "AMB"});
                body["period"] = json!({"start": "2025-01-01", "end": self.random.pick(&["2025-01-02", "2025-03-01"]).unwrap()});
                body["participant"] = json!([{"individual": self.reference("Practitioner")}]);
                body["serviceProvider"] = self.reference("Organization");
                if self.random.chance(40) {
                    body["partOf"] = self.reference("Encounter");
                }
            }
            "Condition" => {
                body["code"] = self.code();
                body["encounter"] = self.reference("Encounter");
                body["onsetDateTime"] = date;
                body["asserter"] = self.reference("Practitioner");
            }
            _ => {
                body["status"] = json!(self.random.pick(&["final", "preliminary"]).unwrap());
                body["code"] = self.code();
                body["effectiveDateTime"] = date;
                match self.random.below(3) {
                    0 => body["valueString"] = json!(self.random.pick(FAMILIES).unwrap()),
                    1 => body["valueCodeableConcept"] = self.code(),
                    _ => {
                        body["valueQuantity"] = json!({"value": self.random.below(5), "unit": "mg",
                            "system": "http://unitsofmeasure.org", "code": "mg"});
                    }
                }
                if self.random.chance(60) {
                    body["encounter"] = self.reference("Encounter");
                }
                if self.random.chance(60) {
                    let of = *self.random.pick(&["Practitioner", "Organization", "Patient"]).unwrap();
                    body["performer"] = json!([self.reference(of)]);
                }
                if self.random.chance(40) {
                    body["hasMember"] = json!([self.reference("Observation")]);
                }
                if self.random.chance(15) {
                    let name = self.name();
                    body["contained"] = json!([{"resourceType": "Patient", "id": "c", "name": [name]}]);
                    body["subject"] = json!({"reference": "#c"});
                }
            }
        }
    }
}

/// The id of the Patient that a resource is about, by the parameter `patient`.
pub(super) fn patient_of(type_name: &str, body: &Value) -> Option<String> {
    if type_name == "Group" {
        return None;
    }
    let text = body["subject"]["reference"].as_str()?;
    let text = text.strip_prefix("{base}/").unwrap_or(text);
    Some(text.strip_prefix("Patient/")?.split('/').next().unwrap_or_default().to_owned())
}

/// A version is seen when it is not hidden itself and the last one is not. A deletion is of what the version before was.
fn see(changes: &mut [Change], hidden: &Hidden) {
    let mut own: Vec<bool> = Vec::with_capacity(changes.len());
    for (at, change) in changes.iter().enumerate() {
        own.push(match &change.body {
            Some(body) => !hidden.hides(change.type_name, &change.id, body),
            None => {
                let before = (0..at).rev().find(|&n| is_same(&changes[n], change));
                own[before.unwrap()]
            }
        });
    }
    for at in 0..changes.len() {
        let last = (at..changes.len()).rev().find(|&n| is_same(&changes[n], &changes[at])).unwrap();
        changes[at].seen = own[at] && own[last];
    }
}

fn is_same(one: &Change, other: &Change) -> bool {
    one.type_name == other.type_name && one.id == other.id
}

/// Some of them are written together, in one transaction.
fn groups(random: &mut Random, changes: Vec<Change>) -> Vec<Vec<Change>> {
    let mut groups: Vec<Vec<Change>> = Vec::new();
    let mut room = 0;
    for change in changes {
        let fits = room > 0
            && !change.post
            && groups.last().is_some_and(|group| group.iter().all(|one| !one.post && !is_same(one, &change)));
        match groups.last_mut().filter(|_| fits) {
            Some(group) => {
                room -= 1;
                group.push(change);
            }
            None => {
                room = random.below(6);
                groups.push(vec![change]);
            }
        }
    }
    groups
}
