//! "Did you mean": the known word nearest to one that is not known.

/// Longest word that is compared: nobody mistypes a longer one, and comparing costs the product of the lengths.
const BYTES_MAX: usize = 64;

/// The known word that is spelled nearly like this one. Returns `None` when no word is. Case and the two kinds of dashes do not
/// count. Of words that are equally near, the first in their order.
pub fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    if word.is_empty() || word.len() > BYTES_MAX {
        return None;
    }
    let plain = |word: &str| word.to_lowercase().replace('_', "-");
    let word = plain(word);
    // A third of a word may be wrong; of a short one a letter.
    let most = (word.chars().count() / 3).clamp(1, 3);
    let near = known.into_iter().map(|known| (strsim::damerau_levenshtein(&word, &plain(known)), known));
    near.filter(|(distance, _)| *distance <= most).min().map(|(_, known)| known)
}

/// `; did you mean `x`?`, or nothing.
pub fn hint<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> String {
    nearest(word, known).map(|known| format!("; did you mean `{known}`?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_are_nearly_known() {
        let known = ["birthdate", "family", "given", "general-practitioner", "id", "_lastUpdated"];
        let rows = [
            ("birthDate", Some("birthdate")),
            ("birtdhate", Some("birthdate")),
            ("familly", Some("family")),
            ("general_practitioner", Some("general-practitioner")),
            ("generalPractitioner", Some("general-practitioner")),
            ("_lastupdated", Some("_lastUpdated")),
            ("ids", Some("id")),
            ("address", None),
            ("", None),
        ];
        for (word, wanted) in rows {
            assert_eq!(nearest(word, known), wanted, "{word}");
        }
        assert_eq!(nearest(&"x".repeat(BYTES_MAX + 1), ["x"]), None);
        assert_eq!(hint("givn", known), "; did you mean `given`?");
        assert_eq!(hint("nonsense", known), "");
    }
}
