//! Every language says the same things, and nothing that nobody asks for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use fluent_syntax::ast::{Entry, Expression, InlineExpression, Pattern, PatternElement, Variant};

use super::*;

/// The messages of a file: what each takes the place of, and its plural forms.
fn messages(language: Language) -> BTreeMap<String, BTreeSet<String>> {
    let resource = fluent_syntax::parser::parse(source(language)).unwrap_or_else(|(_, errors)| {
        panic!("{}.ftl does not parse: {errors:?}", language.tag());
    });
    let mut found = BTreeMap::new();
    for entry in &resource.body {
        if let Entry::Message(message) = entry {
            let mut names = BTreeSet::new();
            let value = message.value.as_ref().unwrap_or_else(|| panic!("{} has no text", message.id.name));
            placeables(value, &mut names);
            let before = found.insert(message.id.name.to_owned(), names);
            assert!(before.is_none(), "{} stands twice in {}.ftl", message.id.name, language.tag());
        }
    }
    found
}

fn placeables(pattern: &Pattern<&str>, names: &mut BTreeSet<String>) {
    for element in &pattern.elements {
        if let PatternElement::Placeable { expression } = element {
            match expression {
                Expression::Inline(inline) => variable(inline, names),
                Expression::Select { selector, variants } => {
                    variable(selector, names);
                    assert!(variants.iter().any(|Variant { default, .. }| *default));
                    variants.iter().for_each(|one| placeables(&one.value, names));
                }
            }
        }
    }
}

fn variable(inline: &InlineExpression<&str>, names: &mut BTreeSet<String>) {
    match inline {
        InlineExpression::VariableReference { id } => {
            names.insert(id.name.to_owned());
        }
        InlineExpression::StringLiteral { .. } => {}
        other => panic!("a text may hold arguments and nothing else: {other:?}"),
    }
}

#[test]
fn every_language_has_every_text_with_the_same_arguments() {
    let english = messages(Language::English);
    assert!(english.len() > 50);
    for language in Language::ALL {
        let own = messages(language);
        let keys = |all: &BTreeMap<String, BTreeSet<String>>| all.keys().cloned().collect::<BTreeSet<_>>();
        let (here, there) = (keys(&own), keys(&english));
        assert_eq!(there.difference(&here).collect::<Vec<_>>(), [""; 0], "missing in {}.ftl", language.tag());
        assert_eq!(here.difference(&there).collect::<Vec<_>>(), [""; 0], "only in {}.ftl", language.tag());
        for (key, names) in &english {
            assert_eq!(&own[key], names, "{key} in {}.ftl", language.tag());
        }
    }
}

#[test]
fn no_text_holds_markup() {
    for language in Language::ALL {
        for key in messages(language).keys() {
            let text = Texts::new(language).say_with(key, &every_argument());
            assert!(!text.contains(['<', '>', '&']), "{key} in {}.ftl", language.tag());
        }
    }
}

/// Texts that are the same in two languages are often ones that nobody translated.
#[test]
fn texts_are_translated() {
    let english = messages(Language::English);
    for language in Language::ALL.into_iter().filter(|language| *language != Language::English) {
        let same = english.keys().filter(|key| {
            let text = |language| Texts::new(language).say_with(key, &every_argument());
            text(language) == text(Language::English) && text(language).split_whitespace().count() > 1
        });
        assert_eq!(same.collect::<Vec<_>>(), [""; 0], "{}.ftl", language.tag());
    }
}

/// The program and the catalogue speak of the same keys: each is named in a source file as a string.
#[test]
fn every_text_is_used() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut code = String::new();
    for folder in ["fhir-server/html/src", "fhir-server/src", "operations", "adapters"] {
        read(&root.join(folder), &mut code);
    }
    let keys = messages(Language::English);
    let unused = keys.keys().filter(|key| !code.contains(&format!("\"{key}\"")));
    assert_eq!(unused.collect::<Vec<_>>(), [""; 0], "nobody says them");
    // `say("x")`, and arms such as `404 => "x"` whose value is said, begin with a word of the catalogue's.
    let said = code.match_indices("say(\"").chain(code.match_indices("say_with(\"")).map(|(at, call)| {
        let rest = &code[at + call.len()..];
        &rest[..rest.find('"').unwrap()]
    });
    let unknown: Vec<&str> = said.filter(|key| !keys.contains_key(*key)).collect();
    assert_eq!(unknown, [""; 0], "not in the catalogue");
}

fn read(path: &Path, code: &mut String) {
    if path.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            read(&entry.unwrap().path(), code);
        }
    } else if path.extension().is_some_and(|end| end == "rs") {
        code.push_str(&std::fs::read_to_string(path).unwrap());
    }
}

fn every_argument() -> Vec<(&'static str, Argument<'static>)> {
    let texts = ["text", "type", "id", "version", "code", "software"];
    let texts = texts.into_iter().map(|name| (name, Argument::Text("x")));
    texts.chain(["count", "total", "bytes", "shown"].map(|name| (name, Argument::Number(2)))).collect()
}

#[test]
fn numbers_choose_their_forms() {
    let say = |language, count| {
        let text = Texts::new(language).say_with("bundle-total", &[("count", Argument::Number(count))]);
        text.replace(['\u{2068}', '\u{2069}'], "")
    };
    for (language, count, wanted) in [
        (Language::English, 0, "0 matches"),
        (Language::English, 1, "1 match"),
        (Language::English, 2, "2 matches"),
        (Language::French, 0, "0 résultat"),
        (Language::French, 1, "1 résultat"),
        (Language::French, 2, "2 résultats"),
        (Language::Portuguese, 1, "1 resultado"),
        (Language::Portuguese, 2, "2 resultados"),
        (Language::Swahili, 1, "Tokeo 1"),
        (Language::Swahili, 2, "Matokeo 2"),
    ] {
        assert_eq!(say(language, count), wanted);
    }
}

#[test]
fn what_was_sent_is_set_apart() {
    let text = Texts::new(Language::English)
        .say_with("title-history", &[("text", Argument::Text("\u{5d0}\u{5d1}"))]);
    assert!(text.contains("\u{2068}\u{5d0}\u{5d1}\u{2069}"), "{text}");
    assert_eq!(Texts::new(Language::French).say("no such key"), "no such key");
}
