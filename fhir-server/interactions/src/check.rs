//! What FHIR demands of every body before a profile is looked at: <https://hl7.org/fhir/R4/json.html>
//!
//! One traversal and one scan for characters, no allocation unless something is wrong.

use std::borrow::Cow;

use fhir_model::json::{Kind as Json, Ref};
use fhir_model::types::Types;
use fhir_model::{Error, Key, Result};

/// Longest type name that an error repeats.
const NAMED_BYTES_MAX: usize = 64;

/// Refuses what cannot be a resource of the type.
pub(crate) fn check(resource: Ref<'_>, type_name: &str, types: &dyn Types) -> Result<()> {
    let sent = type_of(resource, types, || type_name.to_owned())?;
    if sent != type_name {
        let text = format!("the body is a {sent}, but the URL says {type_name}");
        return Err(Error::invalid(text).at(format!("{sent}.resourceType")));
    }
    if resource.get("meta").is_some_and(|meta| !meta.is_object()) {
        return Err(Error::structure("`meta` is an object").at(format!("{type_name}.meta")));
    }
    let known = |inner: Ref<'_>| type_of(inner, types, || location(resource, type_name, inner)).map(|_| ());
    members(resource, "contained").try_for_each(known)?;
    for (holder, name) in [("Bundle", "entry"), ("Parameters", "parameter")] {
        if type_name == holder {
            members(resource, name).flat_map(|item| members(item, "resource")).try_for_each(known)?;
        }
    }
    check_value(resource)
        .map_err(|(at, text)| Error::structure(text).at(location(resource, type_name, at)))?;
    match resource.forbidden() {
        None => Ok(()),
        Some((at, c)) => {
            let text = format!("a string cannot hold the character U+{:04X}", u32::from(c));
            Err(Error::structure(text).at(location(resource, type_name, at)))
        }
    }
}

/// The resource type of an object, which must be one that FHIR knows. `path` is where the object stands.
pub(crate) fn type_of<'d>(
    resource: Ref<'d>,
    types: &dyn Types,
    path: impl FnOnce() -> String,
) -> Result<Cow<'d, str>> {
    if !resource.is_object() {
        return Err(Error::structure("a resource is a JSON object").at(path()));
    }
    let Some(name) = resource.get_str("resourceType") else {
        let text = "the resource does not say its `resourceType`";
        return Err(Error::structure(text).at(format!("{}.resourceType", path())));
    };
    if types.is_resource(&name) {
        return Ok(name);
    }
    // Named when it looks like a type: what was sent by mistake may be anything.
    let named = name.len() <= NAMED_BYTES_MAX && name.bytes().all(|b| b.is_ascii_alphanumeric());
    let text = match named {
        true => format!("the `resourceType` {name} is not one of FHIR R4"),
        false => "the `resourceType` is not one of FHIR R4".to_owned(),
    };
    Err(Error::structure(text).at(format!("{}.resourceType", path())))
}

/// The id in the body, where it has one.
pub(crate) fn id_of<'d>(resource: Ref<'d>, type_name: &str) -> Result<Option<Cow<'d, str>>> {
    let Some(id) = resource.get("id") else { return Ok(None) };
    match id.str().filter(|text| Key::is_id(text)) {
        Some(text) => Ok(Some(text)),
        None => {
            let text = "an id is a string of 1 to 64 of A-Z a-z 0-9 - .";
            Err(Error::value(text).at(format!("{type_name}.id")))
        }
    }
}

/// What stands under a name, repeated or not.
fn members<'d>(holder: Ref<'d>, name: &str) -> impl Iterator<Item = Ref<'d>> + use<'d> {
    holder.get(name).into_iter().flat_map(Ref::items)
}

/// Where something is wrong, and what.
type Checked<'d> = std::result::Result<(), (Ref<'d>, &'static str)>;

fn check_value(value: Ref<'_>) -> Checked<'_> {
    match value.kind() {
        Json::Object if value.is_empty() => Err((value, "an object is never empty")),
        Json::Object => value.children().try_for_each(|member| match member.kind() {
            Json::Null => Err((member, "`null` stands only for a missing item of a list")),
            Json::Array => list(value, member),
            _ => check_value(member),
        }),
        Json::Array => Err((value, "a list does not stand directly in a list")),
        Json::String if value.raw().len() == 2 => Err((value, "a string is never empty")),
        _ => Ok(()),
    }
}

fn list<'d>(holder: Ref<'d>, list: Ref<'d>) -> Checked<'d> {
    if list.is_empty() {
        return Err((list, "a list is never empty"));
    }
    // It is looked for where there is a need, and passed through once, beside the list.
    if !list.children().any(Ref::is_null) {
        return list.children().try_for_each(check_value);
    }
    let mut twins = twin(holder, list).into_iter().flat_map(Ref::children);
    for item in list.children() {
        let twin = twins.next();
        if !item.is_null() {
            check_value(item)?;
        } else if twin.is_none_or(Ref::is_null) {
            return Err((item, "`null` stands only where `_` and the element's name has an extension"));
        }
    }
    Ok(())
}

/// The list that holds the extensions of this one's primitives, or the primitives of its extensions.
fn twin<'d>(holder: Ref<'d>, list: Ref<'d>) -> Option<Ref<'d>> {
    let key = list.key();
    let found = match key.strip_prefix('_') {
        Some(plain) => holder.get(plain),
        None => holder.get(&format!("_{key}")),
    };
    found.filter(|twin| twin.is_array())
}

/// The FHIRPath location of a node in a resource.
pub(crate) fn location(resource: Ref<'_>, type_name: &str, target: Ref<'_>) -> String {
    let mut path = type_name.to_owned();
    let mut at = resource;
    while at != target {
        let before = |(_, child): &(usize, Ref<'_>)| child.index() <= target.index();
        let Some((index, child)) = at.children().enumerate().take_while(before).last() else { break };
        if at.is_array() {
            path.push_str(&format!("[{index}]"));
        } else {
            path.push('.');
            path.push_str(&child.key());
        }
        at = child;
    }
    path
}

#[cfg(test)]
mod tests {
    use fhir_model::json::{Doc, JsonLimits};
    use fhir_model::types::Element;

    use super::*;

    struct Some3;

    impl Types for Some3 {
        fn element(&self, _: &str, _: &str) -> Option<&Element> {
            None
        }
        fn elements(&self, _: &str) -> &[Element] {
            &[]
        }
        fn base(&self, _: &str) -> Option<&str> {
            None
        }
        fn is_resource(&self, type_name: &str) -> bool {
            matches!(type_name, "Patient" | "Bundle" | "Parameters")
        }
        fn is_primitive(&self, _: &str) -> bool {
            false
        }
    }

    #[test]
    fn bodies_are_checked_in_one_walk() {
        // body, location of the fault (empty: none)
        let rows = [
            (r#"{"resourceType":"Patient"}"#, ""),
            (r#"{"resourceType":"Patient","active":false,"multipleBirthInteger":0}"#, ""),
            (r#"{"resourceType":"Patient","name":[{"given":["A",null],"_given":[null,{"id":"x"}]}]}"#, ""),
            (r#"{"resourceType":"Patient","contained":[{"resourceType":"Patient"}]}"#, ""),
            (r#"[]"#, "Patient"),
            (r#"{"active":true}"#, "Patient.resourceType"),
            (r#"{"resourceType":"Pateint"}"#, "Patient.resourceType"),
            (r#"{"resourceType":"Bundle"}"#, "Bundle.resourceType"),
            (r#"{"resourceType":"Patient","meta":[]}"#, "Patient.meta"),
            (r#"{"resourceType":"Patient","contained":[{"id":"x"}]}"#, "Patient.contained[0].resourceType"),
            (r#"{"resourceType":"Patient","contained":["x"]}"#, "Patient.contained[0]"),
            (r#"{"resourceType":"Patient","name":[]}"#, "Patient.name"),
            (r#"{"resourceType":"Patient","name":[{}]}"#, "Patient.name[0]"),
            (r#"{"resourceType":"Patient","name":[{"family":""}]}"#, "Patient.name[0].family"),
            (r#"{"resourceType":"Patient","birthDate":null}"#, "Patient.birthDate"),
            (r#"{"resourceType":"Patient","name":[{"given":["A",null]}]}"#, "Patient.name[0].given[1]"),
            (
                r#"{"resourceType":"Patient","name":[{"given":["A",null],"_given":[{"id":"x"}]}]}"#,
                "Patient.name[0].given[1]",
            ),
            (r#"{"resourceType":"Patient","name":[[{"family":"A"}]]}"#, "Patient.name[0]"),
            (r#"{"resourceType":"Patient","name":[{"family":"\t\n\r\u000b"}]}"#, "Patient.name[0].family"),
            (r#"{"resourceType":"Patient","name":[{"given":["A","\uffff"]}]}"#, "Patient.name[0].given[1]"),
            (r#"{"resourceType":"Patient","name":[{"family":"\t\n\r\u007f"}]}"#, ""),
        ];
        for (body, wanted) in rows {
            let doc = Doc::parse(body, JsonLimits::default()).unwrap();
            let found = match check(doc.root(), "Patient", &Some3) {
                Ok(()) => String::new(),
                Err(e) if e.expression.is_empty() => "-".to_owned(),
                Err(e) => {
                    assert_eq!(e.kind.status(), 400);
                    e.expression.join(" ")
                }
            };
            assert_eq!(found, wanted, "{body}");
        }
    }

    /// Megabytes of `null`: a twin that was passed through again for each would take hours.
    #[test]
    fn each_list_is_read_once() {
        let n = 200_000;
        let (nulls, twins) = (vec!["null"; n].join(","), vec!["{\"id\":\"x\"}"; n].join(","));
        let body = format!(r#"{{"resourceType":"Patient","a":[{nulls}],"_a":[{twins}]}}"#);
        let doc = Doc::parse(body, JsonLimits::NONE).unwrap();
        assert!(check(doc.root(), "Patient", &Some3).is_ok());
    }

    #[test]
    fn resources_within_bundles_are_known() {
        let rows = [
            ("Bundle", "Nonsense", "Bundle.entry[1].resource.resourceType", "Nonsense"),
            ("Parameters", "Nonsense", "Parameters.parameter[1].resource.resourceType", "Nonsense"),
            (
                "Bundle",
                "<Ada Lovelace>",
                "Bundle.entry[1].resource.resourceType",
                "the `resourceType` is not",
            ),
        ];
        for (holder, sent, path, said) in rows {
            let name = if holder == "Bundle" { "entry" } else { "parameter" };
            let inner = format!(r#"{{"resource":{{"resourceType":"{sent}"}}}}"#);
            let body = format!(r#"{{"resourceType":"{holder}","{name}":[{{"id":"x"}},{inner}]}}"#);
            let doc = Doc::parse(body, JsonLimits::default()).unwrap();
            let error = check(doc.root(), holder, &Some3).unwrap_err();
            assert_eq!(error.expression, [path]);
            assert!(error.text.contains(said), "{}", error.text);
        }
    }

    #[test]
    fn ids_are_looked_at() {
        for (body, good) in
            [(r#"{"id":"a"}"#, true), (r#"{"id":1}"#, false), (r#"{"id":"a b"}"#, false), ("{}", true)]
        {
            let doc = Doc::parse(body, JsonLimits::default()).unwrap();
            assert_eq!(id_of(doc.root(), "Patient").is_ok(), good, "{body}");
        }
    }
}
