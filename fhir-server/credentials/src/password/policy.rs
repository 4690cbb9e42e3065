//! What makes a password too easy for those who know whose it is.

use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

/// In characters of the normalised text.
const LENGTH_MIN: usize = 10;

/// Shorter parts of names and addresses are in many words.
const PART_LENGTH_MIN: usize = 5;

/// Refuses a normalised password with the reason.
pub(super) fn check(password: &str, personal: &[&str]) -> Result<(), &'static str> {
    if password.chars().count() < LENGTH_MIN {
        return Err("A password has at least 10 characters");
    }
    let password = Zeroizing::new(password.to_lowercase());
    // `chidi.okafor` and `Chidi Okafor` are one name.
    let letters = Zeroizing::new(letters(&password));
    for personal in personal {
        let personal: String = personal.nfkc().flat_map(char::to_lowercase).collect();
        let made = |of: &str| is_made_of(&password, of) || is_made_of(&letters, of);
        let mut parts = personal.split(|c: char| !c.is_alphanumeric());
        if made(personal.trim())
            || made(&self::letters(&personal))
            || parts.any(|part| part.chars().count() >= PART_LENGTH_MIN && made(part))
        {
            return Err("A password is not one's name or address, nor that with a number: choose another");
        }
    }
    Ok(())
}

/// Is it that text, or that text with digits after it?
fn is_made_of(password: &str, text: &str) -> bool {
    !text.is_empty() && password.strip_prefix(text).is_some_and(|rest| rest.chars().all(char::is_numeric))
}

fn letters(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).collect()
}
