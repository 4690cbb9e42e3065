use super::*;

fn parse(text: &str) -> Result<Doc, SyntaxError> {
    Doc::parse(text, JsonLimits::default())
}

#[test]
fn what_is_sent_is_what_is_written() {
    let texts = [
        r#"{"a":1.00,"b":[1.5E-10,-0,1234567890123456789012345678901234],"c":{"d":[]},"e":{}}"#,
        r#"[null,true,false,"",{"_given":[null,{"id":"x"}]}]"#,
        r#""é\u00e9\ud83d\ude00\n\/""#,
        "0",
    ];
    for text in texts {
        assert_eq!(parse(text).unwrap().root().to_json(), text);
    }
    let rows = [
        (
            "{ \"resourceType\" :\t\"Patient\" ,\r\n \"id\" : [ 1 , 2 ] } ",
            r#"{"resourceType":"Patient","id":[1,2]}"#,
        ),
        (r#"{"id":"1","resourceType":"A"}"#, r#"{"resourceType":"A","id":"1"}"#),
    ];
    for (sent, written) in rows {
        assert_eq!(parse(sent).unwrap().root().to_json(), written);
    }
}

#[test]
fn values_are_decoded_on_demand() {
    let doc = parse(r#"{"a":"x\ty\u00e9\ud83d\ude00\"","\u0062":[1,true,null]}"#).unwrap();
    assert_eq!(doc.root().get_str("a").unwrap(), "x\tyé😀\"");
    let b: Vec<_> = doc.root().get("b").unwrap().children().map(|c| c.kind()).collect();
    assert_eq!(b, [Kind::Number, Kind::Boolean, Kind::Null]);
}

#[test]
fn what_fhir_forbids_is_refused() {
    let many = (0..40).map(|i| format!("\"k{i}\":0")).collect::<Vec<_>>().join(",");
    assert!(parse(&format!("{{{many}}}")).is_ok());
    let twice = format!("{{{many},\"k3\":1}}");
    let long = "k".repeat(100);
    let long = format!("{{\"{long}\":1,\"{long}\":1}}");
    let rows = [
        (r#"{"a":1,"a":2}"#, "the key `a` stands twice"),
        (r#"{"a":1,"\u0061":2}"#, "the key `a` stands twice"),
        (&twice, "the key `k3` stands twice"),
        (&long, "a key stands twice"),
        (r#""\ud800""#, "surrogate"),
        (r#""\ud800\u0041""#, "surrogate"),
        (r#""\udc00""#, "surrogate"),
        (r#""\u0000""#, "U+0000"),
        ("{} {}", "follows"),
        ("{\"a\":1,}", "key"),
        ("[1,]", "value"),
        ("01", "start with 0"),
        ("\"a\nb\"", "control"),
        ("", "early"),
    ];
    for (text, why) in rows {
        let e = parse(text).map(|_| ()).unwrap_err();
        assert!(e.text.contains(why), "{text}: {e}");
        // Who sent valid JSON is not told that it is none.
        let is_json = serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
        assert_eq!(!e.to_string().starts_with("not valid JSON"), is_json, "{text}: {e}");
    }
    assert!(Doc::parse(vec![b'"', 0xff, b'"'], JsonLimits::default()).is_err());
}

#[test]
fn limits_hold_at_the_limit_and_past_it() {
    let limits = JsonLimits { depth_max: 3, bytes_max: 12, values_max: 5 };
    let refused = |text: &str| Doc::parse(text, limits).map(|_| ()).map_err(|e| e.kind).err();
    assert_eq!(refused("[[[]]]"), None);
    assert_eq!(refused("[[[[]]]]"), Some(crate::Kind::Structure));
    assert_eq!(refused("[1,2,3,4444]"), None);
    assert_eq!(refused("[1,2,3,44444]"), Some(crate::Kind::TooLarge));
    assert_eq!(refused("[1,2,[4]]"), None);
    assert_eq!(refused("[1,2,3,[]]"), None);
    assert_eq!(refused("[1,2,3,4,5]"), Some(crate::Kind::TooCostly));
    assert_eq!(refused("[1,2,[4,5]]"), Some(crate::Kind::TooCostly));
}

#[test]
fn a_body_holds_as_many_values_as_its_length_pays_for() {
    let parse = |text: String| {
        let limits = JsonLimits::default().for_body(text.len());
        Doc::parse(text, limits).map_err(crate::Error::from)
    };
    let ones = |count: usize| format!("[{}1]", "1,".repeat(count - 1));
    // n ones are n + 1 values in 2n + 1 bytes: at the bound, and past it.
    let most = (VALUES_FREE - 1) * 4 / 3;
    assert_eq!(parse(ones(most)).unwrap().values(), most + 1);
    let error = parse(ones(most + 1)).unwrap_err();
    assert_eq!((error.kind.status(), error.kind.issue()), (413, "too-costly"), "{error}");
    // Space pays as text does: what is kept without it is not bounded again.
    let spaced = format!("{}{}", ones(most * 2), " ".repeat(most * 12));
    let text = parse(spaced).unwrap().root().to_json();
    assert!(Doc::parse(text, JsonLimits::NONE).is_ok());
    // The densest list that means something.
    let codes = format!("{{\"concept\":[{}{{}}]}}", "{\"code\":\"A0123\"},".repeat(200_000));
    assert!(parse(codes).is_ok());
}

#[test]
fn characters_that_fhir_forbids_are_found_and_others_are_not() {
    let found = |text: &str| {
        let doc = parse(text).unwrap();
        doc.root().forbidden().map(|(at, c)| (at.key().into_owned(), c))
    };
    for point in 1..0x20 {
        let c = char::from_u32(point).unwrap();
        let wanted = (!matches!(c, '\t' | '\n' | '\r')).then(|| ("b".to_owned(), c));
        assert_eq!(found(&format!(r#"{{"a":"x","b":"y\u{point:04x}z"}}"#)), wanted);
    }
    let rows = [
        (r#"{"b":"\b"}"#, Some('\u{8}')),
        (r#"{"b":"\f"}"#, Some('\u{c}')),
        (r#"{"b":"\\b\\u0001 \t\n\r\"\/"}"#, None),
        ("{\"b\":\"\u{fffe}\"}", Some('\u{fffe}')),
        ("{\"b\":\"\u{ffff}\"}", Some('\u{ffff}')),
        (r#"{"b":"\uFFFE"}"#, Some('\u{fffe}')),
        (r#"{"b":{"x\u0001":1}}"#, Some('\u{1}')),
        ("{\"b\":\"\u{fffd}\u{ff0c}\u{1ffff}\u{7f}\u{80}\u{e000}\"}", None),
        (r#"{"b":"\ufffd\u007f\ud83f\udfff"}"#, None),
    ];
    for (text, wanted) in rows {
        assert_eq!(found(text), wanted.map(|c| ("b".to_owned(), c)), "{text:?}");
    }
    // Of a part, only what stands in it.
    let doc = parse(r#"[{"a":"x"},{"a":"\u0001"}]"#).unwrap();
    let found: Vec<bool> = doc.root().children().map(|item| item.forbidden().is_some()).collect();
    assert_eq!(found, [false, true]);
}

#[test]
fn edits_replace_insert_and_drop() {
    let doc = parse(r#"{"resourceType":"P","id":"0","a":[1,2],"b":{"c":1}}"#).unwrap();
    let root = doc.root();
    let mut edits = Edits::default();
    edits.drop(root.get("id").unwrap());
    edits.insert(root, r#""id":"9""#);
    edits.replace(root.get("b").unwrap().get("c").unwrap(), "\"x\"");
    let mut out = String::new();
    root.write(&edits, &mut out);
    assert_eq!(out, r#"{"resourceType":"P","id":"9","a":[1,2],"b":{"c":"x"}}"#);
}

/// Strings and indentation are scanned eight bytes at a time: nothing may hide at any place of a word.
#[test]
fn every_place_in_a_word() {
    for before in 0..20 {
        let plain = "é\u{7f}~ ".repeat(5);
        let plain: String = plain.chars().take(before).collect();
        for after in ["", "x", "xxxxxxxxx"] {
            for (special, good) in
                [("\\n", true), ("\\\"", true), ("\n", false), ("\u{1f}", false), ("\"", false), ("", true)]
            {
                let text = format!("\"{plain}{special}{after}\"");
                assert_eq!(parse(&text).is_ok(), good, "{text:?}");
                // The end of the text at every place.
                assert!(
                    parse(&text[..text.len() - 1]).is_err() || special == "\"" && after.is_empty(),
                    "{text:?}"
                );
            }
        }
        let space = " ".repeat(before);
        let doc =
            parse(&format!("{space}{{\n{space}\"a\"{space}:{space}[{space}1\t{space}]}}{space}")).unwrap();
        assert_eq!(doc.root().to_json(), r#"{"a":[1]}"#);
        // Keys that differ, or not, at any place.
        let key = "k".repeat(before);
        let twin = |a: &str, b: &str| parse(&format!("{{\"{key}{a}\":1,\"{key}{b}\":2}}")).is_ok();
        assert!(twin("a", "b") && twin("a", "aa") && twin("", "x"));
        assert!(!twin("a", "a") && !twin("", "") && !twin("a", "\\u0061"));
    }
}

/// JSONTestSuite: `y_` must parse, `n_` must be refused (<https://github.com/nst/JSONTestSuite>).
#[test]
fn the_public_json_suite() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/json-parsing");
    let Ok(files) = std::fs::read_dir(folder) else {
        std::io::Write::write_all(&mut std::io::stdout(), b"skipped: no shared data\n").unwrap();
        return;
    };
    let mut seen = 0;
    for path in files.flatten().map(|f| f.path()) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let parsed = Doc::parse(std::fs::read(&path).unwrap(), JsonLimits::default()).is_ok();
        // FHIR forbids what RFC 8259 only discourages: a key twice.
        let must = match name.split('_').next() {
            Some("y") => Some(!name.contains("duplicated_key") && !name.contains("escaped_null")),
            Some("n") => Some(false),
            _ => None,
        };
        if let Some(must) = must {
            assert_eq!(parsed, must, "{name}");
            seen += 1;
        }
    }
    assert!(seen > 50, "only {seen} files");
}
