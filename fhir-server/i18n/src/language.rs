//! The languages there are, and which one a reader gets.
//!
//! <https://www.rfc-editor.org/rfc/rfc9110#section-12.5.4>, <https://www.rfc-editor.org/rfc/rfc4647#section-3.4>

/// A language of the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the languages' own names")]
pub enum Language {
    #[default]
    English,
    French,
    Portuguese,
    Swahili,
}

/// Ranges of a header that are looked at: browsers send a handful.
const RANGES_MAX: usize = 32;

impl Language {
    /// All of them.
    pub const ALL: [Language; 4] =
        [Language::English, Language::French, Language::Portuguese, Language::Swahili];

    /// The tag of BCP 47, for `lang` and `Content-Language`.
    pub fn tag(self) -> &'static str {
        match self {
            Language::English => "en",
            Language::French => "fr",
            Language::Portuguese => "pt",
            Language::Swahili => "sw",
        }
    }

    /// Which way it is written, for `dir`.
    pub fn direction(self) -> &'static str {
        match self {
            Language::English | Language::French | Language::Portuguese | Language::Swahili => "ltr",
        }
    }

    /// The language that the value of an `Accept-Language` header likes best, English when it names none of ours.
    ///
    /// A range is looked up by its first subtag: who asks for `pt-BR` or `sw-KE` reads Portuguese or Swahili as we have
    /// it. At equal quality the one named first wins; `q=0` excludes a language; `*` is any that is not excluded.
    pub fn accepted(header: &str) -> Language {
        let mut excluded: Vec<Language> = Vec::new();
        let mut wanted: Vec<(f32, Option<Language>)> = Vec::new();
        for range in header.split(',').take(RANGES_MAX) {
            let (range, quality) = quality(range);
            let language = Language::parse(range);
            if language.is_none() && range != "*" {
                continue;
            }
            match (quality > 0.0, language) {
                (true, _) => wanted.push((quality, language)),
                // `en-GB;q=0` does not say that English as such is not understood.
                (false, Some(language)) if !range.contains('-') => excluded.push(language),
                (false, _) => {}
            }
        }
        // Stable: equals stay in the order of the header.
        wanted.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        let is_left = |language: &Language| !excluded.contains(language);
        let mut found = wanted.into_iter().filter_map(|(_, language)| match language {
            Some(language) => Some(language).filter(is_left),
            None => Language::ALL.into_iter().find(is_left),
        });
        found.next().unwrap_or_default()
    }

    fn parse(range: &str) -> Option<Language> {
        let primary = range.split('-').next().unwrap_or("");
        Language::ALL.into_iter().find(|language| language.tag().eq_ignore_ascii_case(primary))
    }
}

/// A range and its quality: `fr;q=0.8`. A quality that cannot be read counts as none.
fn quality(range: &str) -> (&str, f32) {
    let (name, parameters) = range.split_once(';').unwrap_or((range, ""));
    let quality = parameters.split(';').find_map(|one| {
        let (key, value) = one.split_once('=')?;
        key.trim().eq_ignore_ascii_case("q").then(|| value.trim().parse::<f32>().unwrap_or(0.0))
    });
    (name.trim(), quality.filter(|q| q.is_finite()).unwrap_or(1.0))
}

#[cfg(test)]
mod tests {
    use super::Language::{self, English, French, Portuguese, Swahili};

    #[test]
    fn the_best_of_those_accepted() {
        let rows = [
            ("", English),
            ("en", English),
            ("fr", French),
            ("FR-ca", French),
            ("pt-BR,pt;q=0.9,en;q=0.8", Portuguese),
            ("sw-KE, en;q=0.5", Swahili),
            ("sw-Latn-TZ", Swahili),
            ("de, sw;q=0.7, fr;q=0.8", French),
            ("de, ja", English),
            ("de, *;q=0.5", English),
            ("fr;q=0, en;q=0, *", Portuguese),
            ("fr;q=0, fr-FR", English),
            ("en-GB;q=0, en", English),
            ("en;q=0.3, fr;q=0.3", English),
            ("fr;q=0.300, en;q=0.3", French),
            ("fr ; q = 0.2 , pt ; q=0.4", Portuguese),
            ("fr;q=x, pt;q=0.1", Portuguese),
            ("fr;q=NaN, pt;q=0.1", French),
            ("fra", English),
            ("frx-FR", English),
            (",,;;", English),
        ];
        for (header, wanted) in rows {
            assert_eq!(Language::accepted(header), wanted, "{header}");
        }
    }

    #[test]
    fn a_header_is_read_to_a_bound() {
        let long = "de,".repeat(super::RANGES_MAX) + "fr";
        assert_eq!(Language::accepted(&long), English);
        assert_eq!(Language::accepted(&long[3..]), French);
    }
}
