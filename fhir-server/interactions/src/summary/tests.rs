use std::sync::OnceLock;

use super::*;

fn definitions() -> &'static Definitions {
    static LOADED: OnceLock<Definitions> = OnceLock::new();
    LOADED.get_or_init(|| Definitions::load().unwrap())
}

const PATIENT: &str = r#"{"resourceType":"Patient","id":"1","meta":{"versionId":"1","tag":[{"code":"t"}]},"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">x</div>"},"name":[{"family":"A"}],"_birthDate":{"id":"b"},"birthDate":"2000-01-01","deceasedBoolean":false,"contact":[{"name":{"family":"B"}}],"communication":[{"language":{"text":"sw"}}],"link":[{"other":{"reference":"Patient/2"},"type":"seealso"}]}"#;

const OBSERVATION: &str = r#"{"resourceType":"Observation","id":"1","status":"final","code":{"text":"c"},"note":[{"text":"n"}],"component":[{"id":"x","code":{"text":"c"},"valueString":"v","interpretation":[{"text":"i"}]}]}"#;

fn keys(body: &str, subset: &Subset) -> Vec<String> {
    let found = subset.apply(&Bytes::from(body.to_owned()), definitions()).unwrap();
    let doc = Doc::parse(found.to_vec(), JsonLimits::default()).unwrap();
    let tags = doc.root().get("meta").and_then(|m| m.get("tag")).unwrap();
    assert_eq!(tags.children().last().unwrap().get_str("code").unwrap(), "SUBSETTED");
    doc.root().children().map(|c| c.key().into_owned()).filter(|k| !ALWAYS.contains(&k.as_str())).collect()
}

#[test]
fn subsets_keep_what_they_should() {
    let elements = |list: &str| Subset::Elements(list.split(',').map(Box::from).collect());
    let rows = [
        (PATIENT, Subset::Summary, "name _birthDate birthDate deceasedBoolean link"),
        (PATIENT, Subset::Text, "text"),
        (PATIENT, Subset::Data, "name _birthDate birthDate deceasedBoolean contact communication link"),
        (PATIENT, elements("birthDate"), "_birthDate birthDate deceasedBoolean link"),
        (PATIENT, elements("Patient.name,Observation.contact"), "name deceasedBoolean link"),
        (PATIENT, elements("contact.name"), "deceasedBoolean contact link"),
        (OBSERVATION, Subset::Summary, "status code component"),
        (OBSERVATION, Subset::Text, "status code"),
        (OBSERVATION, elements("value,nonsense"), "status code"),
    ];
    for (body, subset, wanted) in rows {
        // Modifier elements stay as well: `deceased` and `link` of Patient are some.
        assert_eq!(keys(body, &subset).join(" "), wanted, "{subset:?}");
    }
}

#[test]
fn summaries_reach_into_backbone_elements() {
    let found = Subset::Summary.apply(&Bytes::from(OBSERVATION), definitions()).unwrap();
    let found: serde_json::Value = serde_json::from_slice(&found).unwrap();
    let wanted = serde_json::json!([{"id": "x", "code": {"text": "c"}, "valueString": "v"}]);
    assert_eq!(found["component"], wanted);
}

#[test]
fn parameters_of_a_read() {
    let pairs = |text: &str| fhir_model::url::pairs(text).unwrap();
    assert_eq!(Subset::from_pairs(&pairs("_summary=true&_format=json")).unwrap(), Some(Subset::Summary));
    assert_eq!(Subset::from_pairs(&pairs("_summary=false")).unwrap(), None);
    assert_eq!(
        Subset::from_pairs(&pairs("_elements=a,b")).unwrap(),
        Some(Subset::Elements(vec!["a".into(), "b".into()]))
    );
    for bad in ["_summary=count", "_summary=x", "_summary=text&_elements=a"] {
        assert_eq!(Subset::from_pairs(&pairs(bad)).unwrap_err().kind.status(), 400, "{bad}");
    }
}

#[test]
fn what_is_stored_is_read_whatever_the_limits_are_now() {
    let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    let body = format!(r#"{{"resourceType":"Patient","id":"1","active":true,"extension":{deep}}}"#);
    let found = Subset::Summary.apply(&Bytes::from(body), definitions()).unwrap();
    assert!(std::str::from_utf8(&found).unwrap().contains(r#""active":true"#));
}
