//! The public cases.

use std::path::PathBuf;

use fhir_model::json::JsonLimits;
use fhir_model::xml;
use fhir_profiles::Definitions;
use serde_json::Value;

use super::patch;

/// The cases of `FHIR/fhir-test-cases`: `<case name><input/><diff/><output/></case>`, each holding a resource; an `<error msg>` in
/// place of the output says that the patch cannot be applied.
#[test]
fn public_cases() {
    let data = std::env::var_os("CARI_SHARED_DATA").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")),
        PathBuf::from,
    );
    let Ok(cases) = std::fs::read_to_string(data.join("patch-r4/fhir-patch-tests.xml")) else {
        std::io::Write::write_all(&mut std::io::stdout(), b"skipped: no shared data\n").unwrap();
        return;
    };
    let types = Definitions::load().unwrap();
    let mut seen = 0;
    for case in cases.split("<case ").skip(1) {
        let name = between(case, "name=\"", "\"");
        let part = |tag: &str| {
            let inner = between(case, &format!("<{tag}>"), &format!("</{tag}>")).trim();
            // The prefixes are bound on the root of the file.
            let bound = " xmlns:html=\"http://www.w3.org/1999/xhtml\" xmlns:ns0=\"http://hl7.org/fhir\">";
            let json = xml::to_json(inner.replacen('>', bound, 1).as_bytes(), &types, JsonLimits::default());
            serde_json::from_str::<Value>(&json.unwrap_or_else(|e| panic!("{name}, {tag}: {e}"))).unwrap()
        };
        let patched = patch(&part("input"), &part("diff"), &types);
        if case.contains("<error") {
            assert!(patched.is_err(), "{name}: the case asks for an error");
        } else {
            let patched = patched.unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(tidy(patched), tidy(part("output")), "{name}");
        }
        seen += 1;
    }
    assert!(seen >= 15, "only {seen} cases");
}

fn between<'t>(text: &'t str, from: &str, to: &str) -> &'t str {
    let rest = text.split_once(from).expect("the mark that starts it").1;
    rest.split_once(to).expect("the mark that ends it").0
}

/// The cases write the same narrative with other white space and quotes.
fn tidy(mut resource: Value) -> Value {
    if let Some(Value::String(div)) = resource.pointer_mut("/text/div") {
        *div = div.split_whitespace().collect::<Vec<_>>().join(" ").replace("&quot;", "\"");
    }
    resource
}
