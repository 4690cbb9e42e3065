//! JSON Patch: <https://www.rfc-editor.org/rfc/rfc6902>
//!
//! The pointers speak of FHIR's JSON, so a primitive's extensions are at `/_birthDate`.

use fhir_model::json::{Doc, JsonLimits, Ref};
use fhir_model::{Error, Kind, Result};
use json_patch::jsonptr::PointerBuf;
use json_patch::{
    AddOperation, CopyOperation, MoveOperation, PatchErrorKind, PatchOperation, RemoveOperation,
    ReplaceOperation, TestOperation, patch_unsafe,
};
use serde_json::Value;

use super::exact;
use super::{BYTES_MAX, OPERATIONS_MAX, same_resource, too_costly, too_many_operations};

/// Applies a JSON Patch to a resource. A malformed patch is invalid; one that does not fit the resource, a failed
/// `test` included, breaks a rule.
///
/// # Errors
///
/// `Invalid` or `Structure` for a malformed patch, `Rule` for an operation that does not fit the resource or a `test`
/// that fails, `TooCostly` beyond [`OPERATIONS_MAX`](super::OPERATIONS_MAX) and [`BYTES_MAX`](super::BYTES_MAX).
pub fn json_patch(current: &str, patch: &[u8]) -> Result<String> {
    let before = Doc::parse(current, JsonLimits::NONE)?;
    // Our parser first: it knows limits, and refuses a key given twice, where the last would win unseen.
    let patch = Doc::parse(patch, JsonLimits::default().for_body(patch.len())).map_err(|e| {
        let kind = if e.kind == Kind::Structure { Kind::Invalid } else { e.kind };
        Error::new(kind, format!("the JSON Patch is {e}"))
    })?;
    if !patch.root().is_array() {
        return Err(Error::invalid("a JSON Patch is an array of operations"));
    }
    if patch.root().children().count() > OPERATIONS_MAX {
        return Err(too_many_operations());
    }
    let mut value = exact::read(before.root());
    let mut budget = BYTES_MAX.max(current.len() + patch.text().len());
    for (index, operation) in patch.root().children().enumerate() {
        let operation = read(operation).map_err(|why| {
            Error::invalid(format!("operation {index} of the JSON Patch is not valid: {why}"))
        })?;
        // `copy` can double what is there each time.
        if let PatchOperation::Copy(copy) = &operation {
            let size = copy.from.resolve(&value).map_or(0, size);
            budget = budget.checked_sub(size).ok_or_else(too_costly)?;
        }
        apply(&mut value, &operation).map_err(|kind| unfit(index, &operation, &kind))?;
    }
    same_resource(&before, &exact::write(&value))
}

fn apply(value: &mut Value, operation: &PatchOperation) -> std::result::Result<(), PatchErrorKind> {
    match operation {
        PatchOperation::Test(test) => match test.path.resolve(value) {
            Ok(found) if exact::equal(found, &test.value) => Ok(()),
            Ok(_) => Err(PatchErrorKind::TestFailed),
            Err(_) => Err(PatchErrorKind::InvalidPointer),
        },
        // "Unsafe" as it leaves a part done when it fails. Then the whole value is given up.
        _ => patch_unsafe(value, std::slice::from_ref(operation)).map_err(|e| e.kind),
    }
}

fn read(operation: Ref<'_>) -> std::result::Result<PatchOperation, String> {
    let pointer = |key: &str| {
        let text = operation.get_str(key).ok_or_else(|| format!("it has no `{key}`"))?;
        PointerBuf::parse(text.into_owned()).map_err(|_| format!("its `{key}` is not a JSON Pointer"))
    };
    let value = || operation.get("value").map(exact::read).ok_or("it has no `value`");
    let op = operation.get_str("op").ok_or("it has no `op`")?;
    let path = pointer("path")?;
    Ok(match &*op {
        "add" => PatchOperation::Add(AddOperation { path, value: value()? }),
        "remove" => PatchOperation::Remove(RemoveOperation { path }),
        "replace" => PatchOperation::Replace(ReplaceOperation { path, value: value()? }),
        "move" => PatchOperation::Move(MoveOperation { from: pointer("from")?, path }),
        "copy" => PatchOperation::Copy(CopyOperation { from: pointer("from")?, path }),
        "test" => PatchOperation::Test(TestOperation { path, value: value()? }),
        other => return Err(format!("`{other}` is none of add, remove, replace, move, copy and test")),
    })
}

fn unfit(index: usize, operation: &PatchOperation, kind: &PatchErrorKind) -> Error {
    let path = operation.path();
    let why = match kind {
        PatchErrorKind::TestFailed => format!("`{path}` has another value than the test expects"),
        PatchErrorKind::InvalidFromPointer => "there is nothing at its `from`".to_owned(),
        PatchErrorKind::InvalidPointer => format!("there is no `{path}` in the resource"),
        PatchErrorKind::CannotMoveInsideItself => format!("`{path}` is inside of what should move"),
        _ => "it cannot be applied".to_owned(),
    };
    Error::new(Kind::Rule, format!("operation {index} of the JSON Patch does not fit the resource: {why}"))
}

/// About as many bytes as the value's text has.
fn size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
        Value::String(text) => text.len() + 2,
        Value::Array(items) => items.iter().map(|item| size(item) + 1).sum::<usize>() + 2,
        Value::Object(members) => members.iter().map(|(key, v)| key.len() + 4 + size(v)).sum::<usize>() + 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENT: &str = r#"{"resourceType":"Patient","id":"1","active":true,"multipleBirthInteger":1,"name":[{"family":"A","given":["x","y"]}],"extension":[{"url":"u","valueDecimal":1.50E-10}]}"#;

    #[test]
    fn operations() {
        let rows = [
            (r#"[]"#, PATIENT.to_owned()),
            (r#"[{"op":"replace","path":"/active","value":false}]"#, PATIENT.replace("true", "false")),
            (
                r#"[{"op":"add","path":"/name/0/given/-","value":"z"}]"#,
                PATIENT.replace(r#""y""#, r#""y","z""#),
            ),
            (
                r#"[{"op":"add","path":"/name/0/given/0","value":"z"}]"#,
                PATIENT.replace(r#"["x""#, r#"["z","x""#),
            ),
            (r#"[{"op":"test","path":"/active","value":true}]"#, PATIENT.to_owned()),
            (r#"[{"op":"test","path":"/extension/0/valueDecimal","value":15e-11}]"#, PATIENT.to_owned()),
            (r#"[{"op":"remove","path":"/name/0/given/0"}]"#, PATIENT.replace(r#""x","#, "")),
            (
                r#"[{"op":"replace","path":"/extension/0/valueDecimal","value":2.00}]"#,
                PATIENT.replace("1.50E-10", "2.00"),
            ),
            (
                r#"[{"op":"move","from":"/name/0/given/1","path":"/name/0/given/0"}]"#,
                PATIENT.replace(r#""x","y""#, r#""y","x""#),
            ),
            (
                r#"[{"op":"copy","from":"/name/0/family","path":"/name/0/given/0"}]"#,
                PATIENT.replace(r#"["x""#, r#"["A","x""#),
            ),
        ];
        for (patch, expected) in rows {
            assert_eq!(json_patch(PATIENT, patch.as_bytes()).unwrap(), expected, "{patch}");
        }
    }

    #[test]
    fn errors() {
        let many = format!("[{}]", vec![r#"{"op":"remove","path":"/x"}"#; OPERATIONS_MAX + 1].join(","));
        let rows = [
            ("{}", 400, "array of operations"),
            ("[", 400, "not valid JSON"),
            (r#"[{"op":"shout","path":"/a"}]"#, 400, "operation 0 of the JSON Patch is not valid: `shout`"),
            ("[1]", 400, "no `op`"),
            (r#"[{"op":"move","path":"/a"}]"#, 400, "no `from`"),
            (r#"[{"op":"add","path":"/active"}]"#, 400, "value"),
            (r#"[{"op":"add","path":"active","value":1}]"#, 400, "not a JSON Pointer"),
            (r#"[{"op":"add","op":"remove","path":"/active","value":1}]"#, 400, "twice"),
            (&many, 413, "1000 operations"),
            (r#"[{"op":"remove","path":"/gender"}]"#, 422, "no `/gender`"),
            (r#"[{"op":"replace","path":"/name/3/family","value":"B"}]"#, 422, "no `/name/3/family`"),
            (r#"[{"op":"copy","from":"/gender","path":"/active"}]"#, 422, "`from`"),
            (r#"[{"op":"move","from":"/name","path":"/name/0"}]"#, 422, "inside"),
            (
                r#"[{"op":"add","path":"/gender","value":"male"},{"op":"test","path":"/active","value":false}]"#,
                422,
                "operation 1 of the JSON Patch does not fit the resource: `/active`",
            ),
            (r#"[{"op":"replace","path":"/id","value":"2"}]"#, 422, "`id`"),
            (r#"[{"op":"remove","path":"/id"}]"#, 422, "`id`"),
            (r#"[{"op":"replace","path":"/resourceType","value":"Group"}]"#, 422, "`resourceType`"),
            (r#"[{"op":"replace","path":"","value":[]}]"#, 422, "`resourceType`"),
        ];
        for (patch, status, why) in rows {
            let error = json_patch(PATIENT, patch.as_bytes()).unwrap_err();
            assert_eq!(error.kind.status(), status, "{patch}: {error}");
            assert!(error.text.contains(why), "{patch}: {error}");
        }
    }

    #[test]
    fn copies_cannot_grow_without_bound() {
        let double = r#"{"op":"copy","from":"/name","path":"/name/-"}"#;
        let error = json_patch(PATIENT, format!("[{}]", vec![double; 60].join(",")).as_bytes()).unwrap_err();
        assert_eq!(error.kind, Kind::TooCostly);
    }
}
