//! What the noise beside a resource is.

use fhir_model::Key;
use fhir_store::testing::Random;
use serde_json::{Map, Value, json};

use super::guard::{CODE, SYSTEM, patients};

/// A resource that nobody sees in the end.
#[derive(Debug)]
pub(super) struct HiddenResource {
    pub(super) type_name: Box<str>,
    /// `None`: the server gives one.
    pub(super) id: Option<String>,
    /// Its versions; `None` deletes it.
    pub(super) versions: Vec<Option<Value>>,
}

/// By what a resource is hidden.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Hiding {
    Label(&'static str),
    /// Of this Patient.
    Patient(String),
}

/// What the noise is made of.
pub(super) struct Original<'o> {
    pub(super) key: &'o Key,
    pub(super) body: &'o Value,
    /// Its type is searched by patient.
    pub(super) has_patient: bool,
    /// The `type/id` of others of its page of the same type as a `type/id`.
    pub(super) others: &'o dyn Fn(&str) -> Vec<String>,
}

impl Original<'_> {
    /// Copies of it and resources that refer to it, at least one.
    pub(super) fn noise(&self, random: &mut Random) -> Vec<HiddenResource> {
        let copies = 1 + random.below(3);
        let mut all: Vec<HiddenResource> = (0..copies).map(|_| self.copy(random)).collect();
        if random.chance(50) {
            all.push(referrer(random, self.key));
        }
        all
    }

    fn copy(&self, random: &mut Random) -> HiddenResource {
        let Original { key, body, has_patient, .. } = self;
        let type_name = key.type_name.clone();
        let is_patients = *type_name == *"Patient" || *has_patient && patient_of(body).is_some();
        let hiding = match is_patients && random.chance(50) {
            true => Hiding::Patient(patients().nth(random.below(patients().count())).unwrap()),
            false => label(random),
        };
        let suffix = format!("-{:x}", random.next_u64() >> 40);
        let id = match &hiding {
            Hiding::Patient(id) if *type_name == *"Patient" => Some(id.clone()),
            // Beside that of the resource, in every order.
            _ if random.chance(60) && key.id.len() + suffix.len() <= 64 => {
                Some(format!("{}{suffix}", key.id))
            }
            _ => None,
        };
        let is_seen_first = matches!(hiding, Hiding::Label(_)) && id.is_some() && random.chance(40);
        let mut versions = Vec::new();
        if is_seen_first {
            let mut seen = self.changed(random);
            // Nobody shall find it by what was just written, not even a request that goes on beside it.
            for name in ["identifier", "meta", "url"] {
                seen.remove(name);
            }
            versions.push(Some(seen.into()));
        }
        let others = if id.is_some() && random.chance(25) { 2 } else { 1 };
        for _ in 0..others {
            versions.push(Some(hidden(self.changed(random), &hiding)));
        }
        if id.is_some() && random.chance(15) {
            versions.push(None);
        }
        HiddenResource { type_name, id, versions }
    }

    /// The resource at other times, about others, or as it is. What would change the server or what codes mean is not the same
    /// in it.
    fn changed(&self, random: &mut Random) -> Map<String, Value> {
        let mut body = self.body.clone();
        if random.chance(60) {
            move_references(random, &mut body, self.others);
        }
        if random.chance(60) {
            let years = 1 + random.below(3) as i32;
            move_dates(&mut body, if random.chance(50) { years } else { -years });
        }
        let mut body = body.as_object().unwrap().clone();
        body.remove("id");
        if let Some(meta) = body.get_mut("meta").and_then(Value::as_object_mut) {
            meta.remove("versionId");
            meta.remove("lastUpdated");
        }
        // No object is empty.
        if body.get("meta").is_some_and(|meta| meta.as_object().is_some_and(Map::is_empty)) {
            body.remove("meta");
        }
        match body["resourceType"].as_str().unwrap() {
            // It takes effect whoever may see it.
            "SearchParameter" => {
                body.insert("status".into(), "draft".into());
            }
            "CodeSystem" | "ValueSet" => {
                body.remove("concept");
                body.remove("compose");
            }
            _ => {}
        }
        body
    }
}

/// A resource that refers to one that is seen.
fn referrer(random: &mut Random, key: &Key) -> HiddenResource {
    let to = json!({"reference": key.to_string()});
    let body = match random.below(3) {
        0 => {
            json!({"resourceType": "Observation", "status": "final", "code": {"text": "noise"}, "focus": [to],
            "subject": if *key.type_name == *"Patient" { to.clone() } else { json!({"display": "nobody"}) }})
        }
        1 => json!({"resourceType": "Provenance", "target": [to], "recorded": "2020-01-01T00:00:00Z",
            "agent": [{"who": {"display": "nobody"}}]}),
        _ => json!({"resourceType": "List", "status": "current", "mode": "working", "entry": [{"item": to}]}),
    };
    let type_name = body["resourceType"].as_str().unwrap().into();
    let hiding = label(random);
    let body = hidden(body.as_object().unwrap().clone(), &hiding);
    HiddenResource { type_name, id: None, versions: vec![Some(body)] }
}

fn label(random: &mut Random) -> Hiding {
    Hiding::Label(random.pick(&["tag", "security"]).unwrap())
}

/// Moves whatever looks like a date by some years.
fn move_dates(value: &mut Value, years: i32) {
    match value {
        Value::Object(members) => members.values_mut().for_each(|value| move_dates(value, years)),
        Value::Array(items) => items.iter_mut().for_each(|item| move_dates(item, years)),
        Value::String(text) if is_date(text) => {
            let year: i32 = text[..4].parse().unwrap();
            *text = format!("{:04}{}", (year + years).clamp(1, 9999), &text[4..]);
        }
        _ => {}
    }
}

/// Lets some references lead to another resource of the same type.
fn move_references(random: &mut Random, value: &mut Value, others: &dyn Fn(&str) -> Vec<String>) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get_mut("reference")
                && let Some(other) = random.pick(&others(reference))
            {
                *reference = other.clone();
            }
            members.values_mut().for_each(|value| move_references(random, value, others));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| move_references(random, item, others)),
        _ => {}
    }
}

/// A date of which every year has one: no leap day.
fn is_date(text: &str) -> bool {
    let form = text.bytes().take(10).enumerate();
    text.len() >= 10
        && form
            .into_iter()
            .all(|(at, byte)| if at == 4 || at == 7 { byte == b'-' } else { byte.is_ascii_digit() })
        && &text[5..10] != "02-29"
}

fn hidden(mut body: Map<String, Value>, hiding: &Hiding) -> Value {
    match hiding {
        Hiding::Label(member) => {
            let meta = body.entry("meta").or_insert_with(|| json!({}));
            let labels = meta.as_object_mut().unwrap().entry(*member).or_insert_with(|| json!([]));
            labels.as_array_mut().unwrap().push(json!({"system": SYSTEM, "code": CODE}));
        }
        Hiding::Patient(id) => {
            let mut body = Value::Object(body);
            if let Some(patient) = patient_of(&body) {
                body[patient]["reference"] = json!(format!("Patient/{id}"));
            }
            return body;
        }
    }
    Value::Object(body)
}

/// The member that refers to the patient.
fn patient_of(body: &Value) -> Option<&'static str> {
    let is_patient = |name: &&str| {
        body[*name]["reference"].as_str().is_some_and(|reference| reference.starts_with("Patient/"))
    };
    ["subject", "patient"].into_iter().find(is_patient)
}
