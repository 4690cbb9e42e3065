//! Whole pages: what an attacker writes stays text, what is large stays bounded, what leads on leads on.

mod safety;

use std::sync::OnceLock;

use fhir_i18n::Language;
use fhir_profiles::Definitions;
use fhir_search::{Bases, Registry};

use self::safety::dangers;
use crate::json::{JsonView, SHOWN_BYTES_MAX};
use crate::links::{Links, Target};
use crate::view::View;
use crate::{Site, Visit, criteria, front, page};

fn registry() -> &'static Registry {
    static ONCE: OnceLock<Registry> = OnceLock::new();
    ONCE.get_or_init(|| Registry::load(std::sync::Arc::new(Definitions::load().unwrap())).unwrap())
}

fn bases() -> &'static Bases {
    static ONCE: OnceLock<Bases> = OnceLock::new();
    ONCE.get_or_init(|| Bases::new(["http://localhost:8080/fhir/R4", "http://127.0.0.1:8080/fhir/R4"]))
}

fn site() -> Site<'static> {
    Site {
        definitions: registry().definitions(),
        registry: registry(),
        bases: bases(),
        software: "Cari",
        version: "0.1.0",
        count_max: 1000,
    }
}

fn visit<'a>(path: &'a str, query: &'a str) -> Visit<'a> {
    Visit {
        base: "http://localhost:8080/fhir/R4",
        root: "/fhir/R4",
        path,
        query,
        is_get: true,
        language: Language::English,
        request_id: "id1",
    }
}

fn shown(path: &str, query: &str, status: u16, body: &str) -> String {
    page(&site(), &visit(path, query), status, body.as_bytes())
}

fn links() -> Links<'static> {
    let definitions = registry().definitions();
    Links { root: "/fhir/R4", base: "http://localhost:8080/fhir/R4", bases: bases(), definitions }
}

#[test]
fn references_urls_and_canonicals_lead_on() {
    let links = links();
    let here = |url: &str| Some(Target::Here(url.to_owned()));
    let elsewhere = |url: &str| Some(Target::Elsewhere(url.to_owned()));
    for (text, wanted) in [
        ("Patient/1", here("/fhir/R4/Patient/1")),
        ("Patient/1/_history/2", here("/fhir/R4/Patient/1/_history/2")),
        ("Nothing/1", None),
        ("#p", here("#contained-p")),
        ("#", None),
        ("Patient?identifier=a|b&name=ä", here("/fhir/R4/Patient?identifier=a%7Cb&name=%C3%A4")),
        ("http://localhost:8080/fhir/R4/Patient/1", here("/fhir/R4/Patient/1")),
        ("http://127.0.0.1:8080/fhir/R4/Patient/1", here("/fhir/R4/Patient/1")),
        ("http://localhost:8080/fhir/R4x/Patient/1", elsewhere("http://localhost:8080/fhir/R4x/Patient/1")),
        ("https://a.org/fhir/Patient/1", elsewhere("https://a.org/fhir/Patient/1")),
        ("urn:uuid:1", None),
        ("ftp://a.org/x", None),
        ("javascript:alert(1)", None),
        ("http://", None),
        ("http:///x", None),
        ("http://a.org/ x", None),
        ("//a.org", None),
        ("/fhir/R4/Patient/1", None),
    ] {
        assert_eq!(links.reference(text), wanted, "{text}");
    }
    let canonical = |text: &str, types: &[&str]| {
        let types: Vec<Box<str>> = types.iter().map(|name| Box::from(*name)).collect();
        links.canonical(text, &types)
    };
    let url = "http://example.org/Questionnaire/q";
    assert_eq!(
        canonical("http://example.org/Questionnaire/q|1.0#x", &["Questionnaire"]),
        here("/fhir/R4/Questionnaire?url=http://example.org/Questionnaire/q&version=1.0")
    );
    assert_eq!(
        canonical(url, &["PlanDefinition", "ActivityDefinition"]),
        here("/fhir/R4/?_type=PlanDefinition,ActivityDefinition&url=http://example.org/Questionnaire/q")
    );
    assert_eq!(canonical(url, &[]), elsewhere(url));
    assert_eq!(
        canonical("http://hl7.org/fhir/ValueSet/x|4.0.1", &["ValueSet"]),
        elsewhere("http://hl7.org/fhir/ValueSet/x")
    );
}

#[test]
fn values_are_links_by_their_types() {
    let body = r##"{"resourceType":"QuestionnaireResponse","id":"1","questionnaire":"http://example.org/q|1",
        "subject":{"reference":"Patient/1","display":"Patient/2"},"contained":[{"resourceType":"Patient","id":"p"}],
        "author":{"reference":"#p"},"item":[{"linkId":"Patient/3","definition":"http://example.org/d"}]}"##;
    let html = shown("QuestionnaireResponse/1", "", 200, body);
    for wanted in [
        r#"<a href="/fhir/R4/Questionnaire?url=http://example.org/q&amp;version=1">http://example.org/q|1</a>"#,
        r#"<a href="/fhir/R4/Patient/1">Patient/1</a>"#,
        r##"<a href="#contained-p">#p</a>"##,
        r#"<a id="contained-p"></a>"#,
        r#"href="http://example.org/d" rel="noopener noreferrer nofollow""#,
    ] {
        assert!(html.contains(wanted), "{wanted}\n{html}");
    }
    for unwanted in ["R4/Patient/2", "R4/Patient/3"] {
        assert!(!html.contains(unwanted), "{unwanted}");
    }
}

#[test]
fn a_page_is_bounded_whatever_the_answer() {
    let deep = format!("{}1{}", "[".repeat(20_000), "]".repeat(20_000));
    let wide = format!("[{}1]", "1,".repeat(500_000));
    let long = format!("\"{}\"", "ä".repeat(1_000_000));
    let issue = format!(r#"{{"expression":[{}1]}}"#, "1,".repeat(99));
    let issues = format!("{}{issue}", format!("{issue},").repeat(99));
    let outcome = format!(r#"{{"resourceType":"OperationOutcome","issue":[{issues}]}}"#);
    let answered = format!(r#"{{"response":{{"outcome":{outcome}}}}},"#).repeat(1000);
    let said = format!(r#"{{"search":{{"mode":"outcome"}},"resource":{outcome}}},"#).repeat(1000);
    let criteria = format!(r#"{{"reference":"Patient?name={}"}}"#, "é".repeat(1_000_000));
    let keys: String = (0..200_000).map(|n| format!("\"k{n}\":{{}},")).collect();
    for body in [
        format!(r#"{{"resourceType":"Basic","x":{deep}}}"#),
        format!(r#"{{"resourceType":"Basic","x":{wide}}}"#),
        format!(r#"{{"resourceType":"Basic","id":{long},"x":{long},{long}:1}}"#),
        format!(r#"{{"resourceType":"Basic",{keys}"z":1}}"#),
        format!(r#"{{"resourceType":"Basic","subject":{criteria}}}"#),
        format!(r#"{{"resourceType":"Bundle","type":"collection","entry":[{said}{{}}]}}"#),
        format!(r#"{{"resourceType":"Bundle","type":"collection","entry":[{}{{}}]}}"#, "{},".repeat(100_000)),
        format!(
            r#"{{"resourceType":"Bundle","type":{long},"entry":[{{"resource":{{"resourceType":"Basic","x":{wide}}}}}]}}"#
        ),
    ] {
        let html = shown("Bundle/1", "", 200, &body);
        assert!(html.len() < 40 * SHOWN_BYTES_MAX && html.ends_with("</html>"), "{}", html.len());
        assert!(html.contains("_format=json"));
        let note = html.contains("it is cut here");
        assert!(note, "{}", &body[..60]);
    }
    let body = format!(r#"{{"resourceType":"Bundle","type":"batch-response","entry":[{answered}{{}}]}}"#);
    let html = shown("Bundle/1", "", 200, &body);
    assert!(html.len() < 40 * SHOWN_BYTES_MAX, "{}", html.len());
    let small = shown("Basic/1", "", 200, r#"{"resourceType":"Basic","id":"1"}"#);
    assert!(!small.contains("it is cut here"));
}

#[test]
fn json_is_shown_as_it_is() {
    let body = r#"{"resourceType":"Basic","id":"1","x":[1.00,-2E5,true,null,"a\"\\\u00e4"],"e":{},"l":[]}"#;
    let (site, visit) = (site(), visit("Basic/1", ""));
    let view = View::new(&site, &visit);
    let doc = fhir_model::json::Doc::parse(body, fhir_model::json::JsonLimits::NONE).unwrap();
    let html = JsonView::new(&view).show(doc.root()).into_string();
    let mut text = String::new();
    let mut is_tag = false;
    for c in html.chars() {
        match c {
            '<' => is_tag = true,
            '>' => is_tag = false,
            c if !is_tag => text.push(c),
            _ => {}
        }
    }
    let text = text.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    let compact: String = text.split('\n').map(str::trim_start).collect::<String>().replace(": ", ":");
    assert_eq!(compact, body);
    assert!(text.contains("\n    1.00,\n"), "{text}");
}

#[test]
fn a_form_is_the_search_it_means() {
    for (form, wanted) in [
        ("-form=1", ""),
        ("-form=1&name=&birthdate=+&_count=", ""),
        ("-form=1&-name=&name=Ann&-birthdate=&birthdate=ge2000", "name=Ann&birthdate=ge2000"),
        ("-form=1&-name=exact&name=Ann", "name:exact=Ann"),
        ("-form=1&-name=exact&name=", ""),
        ("-form=1&-name=missing%3Dtrue&name=ignored", "name:missing=true"),
        ("-form=1&-name=&name=a&-name=contains&name=b", "name=a&name:contains=b"),
        ("-form=1&-name=exact&name=a&_sort=-date", "name:exact=a&_sort=-date"),
        ("-form=1&name=%26%3D%22%3Cscript%3E", "name=%26%3D%22%3Cscript%3E"),
    ] {
        assert_eq!(criteria(form).unwrap(), wanted, "{form}");
    }
    assert!(criteria("-form=1&name=%ff").is_err());
}

#[test]
fn a_form_holds_what_was_asked() {
    let bundle = r#"{"resourceType":"Bundle","type":"searchset","total":0}"#;
    let query = "name:exact=Ann&birthdate=ge2000&birthdate=lt2010&organization.name=x&_sort=-birthdate&_count=5&gender:missing=true";
    let html = shown("Patient", query, 200, bundle);
    for wanted in [
        r#"name="name" value="Ann""#,
        r#"<option value="exact" selected>"#,
        r#"name="birthdate" value="ge2000""#,
        r#"name="birthdate" value="lt2010""#,
        r#"name="organization.name" value="x""#,
        r#"name="gender:missing" value="true""#,
        r#"name="_sort" value="-birthdate""#,
        r#"value="5""#,
        "<details class=\"search\" open>",
    ] {
        assert!(html.contains(wanted), "{wanted}\n{html}");
    }
    // Sent again as it stands, the form means what was asked.
    let mut sent = "-form=1".to_owned();
    for piece in html.split("<select name=\"").nth(1).into_iter().chain(html.split("<input ").skip(1)) {
        let value_of =
            |name: &str| piece.split(name).nth(1).and_then(|rest| rest.split('"').next()).unwrap_or("");
        let (name, value) = (value_of("name=\""), value_of(" value=\""));
        if piece.starts_with("-name") {
            sent.push_str("&-name=exact");
        } else if !name.is_empty() && name != "-form" {
            sent.push('&');
            fhir_model::url::encode(name, &mut sent);
            sent.push('=');
            fhir_model::url::encode(value, &mut sent);
        }
    }
    let mut meant: Vec<String> = criteria(&sent).unwrap().split('&').map(str::to_owned).collect();
    let mut asked: Vec<String> = query.split('&').map(str::to_owned).collect();
    meant.sort();
    asked.sort();
    assert_eq!(meant, asked);
}

#[test]
fn every_type_has_a_form() {
    let bundle = r#"{"resourceType":"Bundle","type":"searchset"}"#;
    for name in registry().definitions().resource_types() {
        let html = shown(name, "", 200, bundle);
        let of_type = registry().for_type(name).unwrap();
        for param in of_type.params() {
            assert!(html.contains(&format!("name=\"{}\"", param.code)), "{name} {}", param.code);
        }
        // No id stands twice, so that each label is that of its own field.
        let mut ids: Vec<&str> =
            html.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        let all = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), all, "{name}");
    }
}

#[test]
fn pages_lead_on() {
    let bundle = r#"{"resourceType":"Bundle","type":"searchset","total":41,"link":[
        {"relation":"self","url":"http://localhost:8080/fhir/R4/Patient?_count=1"},
        {"relation":"first","url":"http://localhost:8080/fhir/R4/Patient?_count=1"},
        {"relation":"previous","url":"http://localhost:8080/fhir/R4/Patient?_count=1&_cursor=a"},
        {"relation":"next","url":"http://localhost:8080/fhir/R4/Patient?_count=1&_cursor=b"}],
        "entry":[{"fullUrl":"http://localhost:8080/fhir/R4/Patient/7","resource":{"resourceType":"Patient","id":"7",
        "meta":{"versionId":"3","lastUpdated":"2026-11-30T12:04:28.123Z"},"name":[{"given":["Wanjiku"],"family":"Kamau"}]},
        "search":{"mode":"match"}},{"resource":{"resourceType":"OperationOutcome","issue":[{"severity":"warning","code":"x",
        "details":{"text":"it was ignored"}}]},"search":{"mode":"outcome"}}]}"#;
    let html = shown("Patient", "_count=1&_format=html&x=1", 200, bundle);
    for wanted in [
        r#"rel="next" href="/fhir/R4/Patient?_count=1&amp;_cursor=b""#,
        r#"rel="prev" href="/fhir/R4/Patient?_count=1&amp;_cursor=a""#,
        r#"<a href="/fhir/R4/Patient/7">Patient/7</a>"#,
        r#"<time datetime="2026-11-30T12:04:28.123Z" dir="ltr">2026-11-30 12:04:28 UTC</time>"#,
        "Wanjiku Kamau",
        "it was ignored",
        r#"href="/fhir/R4/Patient?_count=1&amp;x=1&amp;_format=json""#,
    ] {
        assert!(html.contains(wanted), "{wanted}\n{html}");
    }
    let history = r#"{"resourceType":"Bundle","type":"history","entry":[
        {"fullUrl":"http://localhost:8080/fhir/R4/Patient/7","request":{"method":"DELETE","url":"Patient/7"},"response":{"status":"204","etag":"W/\"2\""}},
        {"fullUrl":"http://localhost:8080/fhir/R4/Patient/7","resource":{"resourceType":"Patient","id":"7"},
        "request":{"method":"POST","url":"Patient"},"response":{"status":"201","etag":"W/\"1\""}}]}"#;
    let html = shown("Patient/7/_history", "", 200, history);
    assert!(html.contains(r#"<a href="/fhir/R4/Patient/7/_history/1">"#), "{html}");
    assert!(!html.contains("_history/2"), "a deletion has no content to show");
}

#[test]
fn the_front_page_knows_where_it_is() {
    for (base, root, home) in [
        ("http://localhost:8080/fhir/R4", "/fhir/R4", "href=\"/\""),
        ("https://a.org/ehr/fhir/R4", "/ehr/fhir/R4", "href=\"/ehr/\""),
    ] {
        let html = front(&site(), &Visit { base, root, ..visit("", "") });
        assert!(html.contains(home) && html.contains(&format!("href=\"{root}/metadata\"")), "{html}");
        assert!(html.contains(&format!("href=\"{root}/Patient\"")));
        assert_eq!(dangers(&html), [""; 0]);
    }
}

#[test]
fn pages_are_in_the_reader_s_language() {
    for (language, lang, word) in [
        (Language::English, "<html lang=\"en\" dir=\"ltr\">", "There is nothing here"),
        (Language::French, "<html lang=\"fr\" dir=\"ltr\">", "Il n’y a rien ici"),
        (Language::Portuguese, "<html lang=\"pt\" dir=\"ltr\">", "Não há nada aqui"),
        (Language::Swahili, "<html lang=\"sw\" dir=\"ltr\">", "Hakuna kitu hapa"),
    ] {
        let body = r#"{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"not-found","details":{"text":"Patient/1 is not known here"}}]}"#;
        let html = page(&site(), &Visit { language, ..visit("Patient/1", "") }, 404, body.as_bytes());
        assert!(html.contains(lang) && html.contains(word), "{html}");
        assert!(html.contains("<p lang=\"en\" dir=\"auto\">Patient/1 is not known here</p>"), "{html}");
    }
}

/// Nothing in the sheet says left or right, so that a page in Arabic or Hebrew is laid out from its own side.
#[test]
fn the_style_knows_no_left_and_right() {
    let style = include_str!("style.css");
    for word in ["left", "right", "-top", "-bottom", "width:", "height:", "url(", "@import", "</"] {
        let allowed = ["max-width:", "line-height:", "min-width:"];
        let found = style
            .match_indices(word)
            .filter(|(at, _)| !allowed.iter().any(|good| style[..at + word.len()].ends_with(good)));
        assert_eq!(found.count(), 0, "{word}");
    }
}

#[test]
fn a_resource_in_a_line() {
    for (body, wanted) in [
        (
            r#"{"resourceType":"Patient","name":[{"given":["Wanjiku","A."],"family":"Kamau"}],"gender":"female","birthDate":"1997-04-18"}"#,
            "Wanjiku A. Kamau · female · 1997-04-18",
        ),
        (
            r#"{"resourceType":"Observation","status":"final","code":{"coding":[{"code":"8480-6","display":"Systolic"}]},"valueQuantity":{"value":120.0,"unit":"mmHg"},"subject":{"reference":"Patient/1"}}"#,
            "Systolic · 120.0 mmHg · Patient/1 · final",
        ),
        (
            r#"{"resourceType":"Organization","name":"Clinic","type":[{"text":"Health centre"}]}"#,
            "Clinic · Health centre",
        ),
        (
            r#"{"resourceType":"Encounter","status":"finished","class":{"code":"AMB"},"period":{"start":"2026-01-01"}}"#,
            "AMB · finished · 2026-01-01",
        ),
        (r#"{"resourceType":"Basic","name":{},"title":[],"code":null}"#, ""),
    ] {
        let doc = fhir_model::json::Doc::parse(body, fhir_model::json::JsonLimits::NONE).unwrap();
        let line = crate::summary::summary(doc.root()).replace(['\u{2068}', '\u{2069}'], "");
        assert_eq!(line, wanted, "{body}");
    }
    let long = format!(r#"{{"resourceType":"Basic","name":"{}"}}"#, "ä".repeat(10_000));
    let doc = fhir_model::json::Doc::parse(long, fhir_model::json::JsonLimits::NONE).unwrap();
    assert!(crate::summary::summary(doc.root()).chars().count() <= crate::summary::CHARS_MAX + 1);
}
