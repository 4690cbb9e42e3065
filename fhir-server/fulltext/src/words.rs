//! Texts as words: split at what is neither letter nor digit, without case and accents.

use tantivy::tokenizer::{AsciiFoldingFilter, LowerCaser, RemoveLongFilter, SimpleTokenizer, TextAnalyzer};

/// The name under which the analyzer is known to an index.
pub(crate) const NAME: &str = "words";

/// Words of this many bytes and more are not words: encoded data.
const WORD_BYTES_MAX: usize = 64;

/// The one analyzer, for what is indexed and what is asked.
pub(crate) fn analyzer() -> TextAnalyzer {
    TextAnalyzer::builder(SimpleTokenizer::default())
        .filter(RemoveLongFilter::limit(WORD_BYTES_MAX))
        .filter(LowerCaser)
        .filter(AsciiFoldingFilter)
        .build()
}

/// The words of a text with their positions.
pub(crate) fn words(text: &str) -> Vec<(usize, String)> {
    let mut analyzer = analyzer();
    let mut stream = analyzer.token_stream(text);
    let mut words = Vec::new();
    while let Some(token) = stream.next() {
        words.push((token.position, token.text.clone()));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn words_have_no_case_and_no_accents() {
        let found: Vec<String> = words("Café-crème, MÜLLER 120/80!").into_iter().map(|w| w.1).collect();
        assert_eq!(found, ["cafe", "creme", "muller", "120", "80"]);
        assert!(words(&"A".repeat(100)).is_empty());
    }
}
