use super::*;

#[test]
fn what_is_wanted() {
    const JSON: Option<Format> = Some(Format::Json);
    const XML: Option<Format> = Some(Format::Xml);
    let rows: &[(Option<&str>, Option<&str>, Option<Format>)] = &[
        (None, None, JSON),
        (None, Some(""), JSON),
        (None, Some("*/*"), JSON),
        (None, Some("application/fhir+json"), JSON),
        (None, Some("application/fhir+xml"), XML),
        (None, Some("application/xml"), XML),
        (None, Some("text/xml; charset=utf-8"), XML),
        (None, Some("Application/FHIR+XML"), XML),
        (None, Some("application/fhir+json;q=0.4, application/fhir+xml;q=0.5"), XML),
        (None, Some("application/fhir+json;q=0.5, application/fhir+xml;q=0.5"), JSON),
        (None, Some("application/fhir+xml, application/fhir+json"), XML),
        (None, Some("application/fhir+json, */*"), JSON),
        (None, Some("application/xml;q=0.9, */*;q=0.8"), XML),
        (None, Some("text/html, application/xhtml+xml, */*;q=0.8"), JSON),
        (None, Some("application/*"), JSON),
        (None, Some("*/*, application/fhir+json;q=0"), XML),
        (None, Some("application/fhir+xml;q=0, */*;q=0.1"), JSON),
        (None, Some("application/json;q=0"), None),
        (None, Some("text/html"), None),
        (None, Some("image/png, text/turtle"), None),
        (None, Some("application/fhir+json; fhirVersion=4.0"), JSON),
        (None, Some("application/fhir+json; fhirVersion=\"4.0\""), JSON),
        (None, Some("application/fhir+json; fhirVersion=5.0"), None),
        (None, Some("application/fhir+json; fhirVersion=5.0, application/fhir+xml; fhirVersion=4.0"), XML),
        (Some("json"), Some("application/fhir+xml"), JSON),
        (Some("xml"), None, XML),
        (Some("application/fhir+xml"), None, XML),
        (Some("application/fhir xml"), None, XML),
        (Some("text/json"), None, JSON),
        (Some("application/fhir+json; fhirVersion=3.0"), None, None),
        (Some("html"), Some("application/fhir+json"), None),
        (Some(""), None, None),
    ];
    for (parameter, accept, wanted) in rows {
        let found = Format::wanted(*parameter, *accept);
        match wanted {
            Some(format) => assert_eq!(found.ok(), Some(*format), "{parameter:?} {accept:?}"),
            None => assert_eq!(found.unwrap_err().kind.status(), 406, "{parameter:?} {accept:?}"),
        }
    }
}

/// Browsers' navigations, and the headers of clients as they send them when their program says no more.
#[test]
fn pages_are_for_those_who_ask_for_them() {
    let rows = [
        // Chrome and Edge, Firefox from 132, older Firefox, Safari.
        (
            "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,\
             application/signed-exchange;v=b3;q=0.7",
            true,
        ),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", true),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8", true),
        ("text/html, application/xhtml+xml, */*;q=0.8", true),
        ("text/html", true),
        ("TEXT/HTML; charset=utf-8", true),
        ("text/html, application/fhir+json", true),
        ("application/fhir+json;q=0.5, text/html", true),
        // Names FHIR's format first, or a page last.
        ("application/fhir+json, text/html", false),
        ("text/html;q=0.5, application/fhir+json", false),
        ("application/xml, text/html;q=0.9", false),
        ("*/*, text/html", false),
        ("text/html;q=0.1, */*", false),
        ("text/html;q=0", false),
        ("text/*", false),
        ("application/xhtml+xml", false),
        // HAPI FHIR's client: of either format, JSON, XML.
        (
            "application/fhir+xml;q=1.0, application/fhir+json;q=1.0, application/xml+fhir;q=0.9, \
             application/json+fhir;q=0.9",
            false,
        ),
        ("application/fhir+json;q=1.0, application/json+fhir;q=0.9", false),
        ("application/fhir+xml;q=1.0, application/xml+fhir;q=0.9", false),
        // @medplum/core; fhirclient.js and fhirpy; the Python fhirclient; Firely's .NET SDK, new and old; axios.
        ("application/fhir+json, */*; q=0.1", false),
        ("application/json", false),
        ("application/fhir+json", false),
        ("application/fhir+json; fhirVersion=4.0", false),
        ("application/fhir+json; charset=utf-8", false),
        ("application/json, text/plain, */*", false),
        // curl, wget, fetch, Python's requests and urllib, Ruby; R's httr; jQuery's JSON; images in browsers.
        ("*/*", false),
        ("application/json, text/xml, application/xml, */*", false),
        ("application/json, text/javascript, */*; q=0.01", false),
        ("image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8", false),
        // Java's HttpURLConnection.
        ("text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", false),
        ("", false),
    ];
    for (accept, wanted) in rows {
        assert_eq!(wants_page(None, Some(accept)), wanted, "{accept}");
        assert!(wants_page(Some("html"), Some(accept)), "{accept}");
        assert!(!wants_page(Some("json"), Some(accept)), "{accept}");
    }
    assert!(!wants_page(None, None));
    assert!(wants_page(Some("text/html"), None));
}

#[test]
fn media_types() {
    let long = format!("text/plain; x={}", "x".repeat(255));
    for (text, wanted) in [
        ("application/pdf", true),
        ("text/plain; charset=iso-8859-1", true),
        ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", true),
        ("multipart/related; boundary=\"a b\"", true),
        ("text", false),
        ("text/", false),
        ("/plain", false),
        ("text/plain/x", false),
        ("*/*", false),
        ("image/*", false),
        ("text/plain\r\nX-Evil: 1", false),
        ("text/plain; a=b\r\nX-Evil: 1", false),
        ("text/plain; a=\u{e4}", false),
        ("t\u{e4}xt/plain", false),
        ("text /plain", false),
        ("text/plain\0", false),
        ("", false),
        (&long, false),
    ] {
        assert_eq!(is_media_type(text), wanted, "{text}");
    }
}

#[test]
fn how_a_binary_is_given() {
    const JSON: Option<Option<Format>> = Some(Some(Format::Json));
    const XML: Option<Option<Format>> = Some(Some(Format::Xml));
    const AS_IT_IS: Option<Option<Format>> = Some(None);
    let (pdf, png, json, cda) =
        ("application/pdf", "image/png", "application/json", "text/xml; charset=utf-8");
    let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8";
    let rows = [
        (None, None, pdf, AS_IT_IS),
        (None, Some(""), pdf, AS_IT_IS),
        (None, Some("*/*"), pdf, AS_IT_IS),
        (None, Some("application/pdf"), pdf, AS_IT_IS),
        (None, Some("Application/PDF;q=0.1"), pdf, AS_IT_IS),
        (None, Some("application/*"), pdf, AS_IT_IS),
        (None, Some("image/*"), pdf, None),
        (None, Some("image/avif,image/webp,image/apng,*/*;q=0.8"), png, AS_IT_IS),
        (None, Some("image/avif,image/webp"), png, None),
        (None, Some(browser), pdf, AS_IT_IS),
        (None, Some(browser), png, AS_IT_IS),
        (None, Some("text/html"), pdf, None),
        (None, Some("*/*, application/pdf;q=0"), pdf, JSON),
        (None, Some("application/fhir+json"), pdf, JSON),
        (None, Some("application/fhir+xml"), pdf, XML),
        (None, Some("application/json+fhir"), pdf, JSON),
        (None, Some("application/fhir+json; fhirVersion=4.0"), pdf, JSON),
        (None, Some("application/fhir+json; fhirVersion=5.0"), pdf, None),
        (None, Some("application/fhir+json, */*; q=0.1"), pdf, JSON),
        (None, Some("application/fhir+json, application/pdf"), pdf, JSON),
        (None, Some("application/fhir+json;q=0.5, application/pdf"), pdf, AS_IT_IS),
        (None, Some("application/fhir+json;q=0, */*"), pdf, AS_IT_IS),
        (None, Some("application/fhir+json;q=0.5, application/fhir+xml;q=0.6"), pdf, XML),
        // Names that mean FHIR elsewhere.
        (None, Some("application/json"), pdf, JSON),
        (None, Some("application/xml"), pdf, XML),
        (None, Some("application/json, text/plain, */*"), pdf, AS_IT_IS),
        (None, Some("application/json"), json, AS_IT_IS),
        (None, Some("application/fhir+json"), json, JSON),
        (None, Some("application/fhir+json"), "application/fhir+json", JSON),
        (None, Some("*/*"), "application/fhir+json", AS_IT_IS),
        (None, Some("text/xml"), cda, AS_IT_IS),
        (None, Some("application/xml"), cda, XML),
        (Some("json"), Some("application/pdf"), pdf, JSON),
        (Some("xml"), None, pdf, XML),
        (Some("application/fhir+xml"), None, pdf, XML),
        (Some("application/pdf"), Some("application/fhir+json"), pdf, AS_IT_IS),
        (Some("image/png"), None, pdf, None),
        (Some("application/fhir+json; fhirVersion=3.0"), None, pdf, None),
    ];
    for (parameter, accept, stored, wanted) in rows {
        let found = binary_format(parameter, accept, stored);
        match wanted {
            Some(face) => assert_eq!(found.ok(), Some(face), "{parameter:?} {accept:?} {stored}"),
            None => {
                assert_eq!(found.unwrap_err().kind.status(), 406, "{parameter:?} {accept:?} {stored}")
            }
        }
        if is_fhir_first(parameter, accept) {
            assert!(
                matches!(binary_format(parameter, accept, stored), Ok(Some(_))),
                "{parameter:?} {accept:?} {stored}"
            );
        }
    }
    assert!(is_fhir_first(None, Some("application/fhir+json")) && is_fhir_first(Some("xml"), None));
    assert!(!is_fhir_first(None, None) && !is_fhir_first(None, Some("application/json")));
}

#[test]
fn what_was_sent() {
    let rows = [
        ("application/fhir+json", Some(ContentFormat::FhirJson)),
        ("application/fhir+json; charset=UTF-8", Some(ContentFormat::FhirJson)),
        ("application/fhir+json;charset=\"utf-8\"", Some(ContentFormat::FhirJson)),
        ("application/json", Some(ContentFormat::Json)),
        ("Application/JSON", Some(ContentFormat::Json)),
        ("text/json", Some(ContentFormat::Json)),
        ("application/fhir+xml; fhirVersion=4.0", Some(ContentFormat::Xml)),
        ("text/xml", Some(ContentFormat::Xml)),
        ("application/json-patch+json", Some(ContentFormat::JsonPatch)),
        ("application/x-www-form-urlencoded", Some(ContentFormat::Form)),
        ("application/fhir+json; charset=iso-8859-1", None),
        ("application/fhir+json; fhirVersion=5.0", None),
        ("application/xml-patch+xml", None),
        ("application/merge-patch+json", None),
        ("text/plain", None),
        ("multipart/form-data; boundary=x", None),
        ("", None),
    ];
    for (header, wanted) in rows {
        let found = sent(Some(header));
        match wanted {
            Some(kind) => assert_eq!(found.ok(), Some(kind), "{header}"),
            None => assert_eq!(found.unwrap_err().kind.status(), 415, "{header}"),
        }
    }
    assert_eq!(sent(None).unwrap_err().kind.status(), 415);
}
