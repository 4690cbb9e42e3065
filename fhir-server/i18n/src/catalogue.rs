//! The catalogue: texts by language and key.

use std::sync::LazyLock;

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue};

use crate::Language;

type Bundle = FluentBundle<FluentResource>;

static BUNDLES: LazyLock<[Bundle; 4]> = LazyLock::new(|| Language::ALL.map(bundle));

/// The texts of a language.
#[derive(Debug, Clone, Copy, Default)]
pub struct Texts {
    language: Language,
}

/// What stands in a text's place: `{ $count }`.
#[derive(Debug, Clone, Copy)]
pub enum Argument<'a> {
    /// A number, by which a text may choose its form.
    Number(u64),
    /// Something that was sent or is stored. It is set apart, so that a name in Arabic does not turn the sentence around it.
    Text(&'a str),
}

impl Texts {
    /// Those of `language`.
    pub fn new(language: Language) -> Texts {
        Texts { language }
    }

    /// The text of a key.
    pub fn say(self, key: &str) -> String {
        self.say_with(key, &[])
    }

    /// The text of a key with its arguments.
    pub fn say_with(self, key: &str, arguments: &[(&str, Argument<'_>)]) -> String {
        let mut values = FluentArgs::with_capacity(arguments.len());
        for (name, argument) in arguments {
            match argument {
                Argument::Number(number) => values.set(*name, FluentValue::from(*number as f64)),
                Argument::Text(text) => values.set(*name, FluentValue::from(*text)),
            }
        }
        // Tests see that every text is there in every language; were one not, the English one is better than a gap.
        let languages = [self.language, Language::English];
        let text = languages.into_iter().find_map(|language| {
            let bundle = Language::ALL.iter().zip(BUNDLES.iter()).find(|(one, _)| **one == language)?.1;
            let pattern = bundle.get_message(key)?.value()?;
            Some(bundle.format_pattern(pattern, Some(&values), &mut Vec::new()).into_owned())
        });
        text.unwrap_or_else(|| key.to_owned())
    }
}

/// The text of a language's file.
pub(crate) fn source(language: Language) -> &'static str {
    match language {
        Language::English => include_str!("../locales/en.ftl"),
        Language::French => include_str!("../locales/fr.ftl"),
        Language::Portuguese => include_str!("../locales/pt.ftl"),
        Language::Swahili => include_str!("../locales/sw.ftl"),
    }
}

fn bundle(language: Language) -> Bundle {
    let mut bundle = FluentBundle::new_concurrent(language.tag().parse().into_iter().collect());
    // What is wrong in a file is found by the tests; the rest of it holds.
    let resource =
        FluentResource::try_new(source(language).to_owned()).unwrap_or_else(|(resource, _)| resource);
    bundle.add_resource_overriding(resource);
    bundle
}

#[cfg(test)]
mod tests;
