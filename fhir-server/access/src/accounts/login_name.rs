//! By what a user signs in: an e-mail address, a phone number, or a name.

use fhir_model::json::is_allowed;
use fhir_model::{Error, Result};
use unicode_normalization::UnicodeNormalization;

/// What kind of name it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginKind {
    /// An e-mail address.
    Email,
    /// A phone number with its country: `+254700000000`.
    Phone,
    /// A name that the user chose, or was given.
    Name,
}

impl LoginKind {
    pub(super) fn number(self) -> i16 {
        match self {
            LoginKind::Email => 1,
            LoginKind::Phone => 2,
            LoginKind::Name => 3,
        }
    }

    pub(super) fn from_number(number: i16) -> Result<LoginKind> {
        let all = [LoginKind::Email, LoginKind::Phone, LoginKind::Name];
        let found = all.into_iter().find(|kind| kind.number() == number);
        found.ok_or_else(|| Error::internal(format!("{number} is no kind of sign-in name")))
    }
}

/// A name to sign in by, in the one form in which it is kept and compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginName {
    /// What it is.
    pub kind: LoginKind,
    /// In lower case, a phone number without what stands between its digits.
    pub text: String,
}

/// Longest name.
const BYTES_MAX: usize = 254;

impl LoginName {
    /// Reads what somebody wrote: an address has an `@`, a phone number begins with `+` or is of digits alone, all else is a name.
    ///
    /// # Errors
    ///
    /// `Value` when it is none of these.
    pub fn parse(text: &str) -> Result<LoginName> {
        // One form of what looks the same.
        let text: String = text.trim().nfkc().collect();
        let text = text.as_str();
        let wrong = |why: &str| Err(Error::value(why.to_owned()));
        if text.len() > BYTES_MAX || !text.chars().all(|c| is_allowed(c) && !c.is_control()) {
            return wrong("a name to sign in by has at most 254 bytes, and no control characters");
        }
        if let Some((local, domain)) = text.rsplit_once('@') {
            let is_domain =
                |label: &str| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-');
            let is_domain = domain.contains('.') && domain.split('.').all(is_domain) && domain.is_ascii();
            let is_local =
                !local.is_empty() && local.len() <= 64 && !local.contains([' ', '@', ',', '<', '>', '"']);
            let is_address = is_domain && is_local && !domain.contains(' ');
            let text = text.to_lowercase();
            return if is_address {
                Ok(LoginName { kind: LoginKind::Email, text })
            } else {
                wrong("this is no e-mail address")
            };
        }
        let bare: String = text.chars().filter(|c| !matches!(c, ' ' | '-' | '.' | '(' | ')' | '/')).collect();
        let digits = bare.strip_prefix('+').unwrap_or(&bare);
        if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            let is_whole =
                bare.starts_with('+') && (7..=15).contains(&digits.len()) && !digits.starts_with('0');
            return match is_whole {
                true => Ok(LoginName { kind: LoginKind::Phone, text: bare }),
                false => wrong("a phone number begins with + and its country: +254700000000"),
            };
        }
        let name = text.to_lowercase();
        let is_part = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-');
        match (3..=64).contains(&name.chars().count())
            && name.chars().all(is_part)
            && !name.starts_with(['.', '-'])
        {
            true => Ok(LoginName { kind: LoginKind::Name, text: name }),
            false => wrong("a user name has 3 to 64 letters, digits, dots, hyphens and underscores"),
        }
    }

    /// Reads an e-mail address.
    ///
    /// # Errors
    ///
    /// `Value` when it is none.
    pub fn email(text: &str) -> Result<LoginName> {
        let parsed = LoginName::parse(text).ok().filter(|name| name.kind == LoginKind::Email);
        parsed.ok_or_else(|| Error::value("this is no e-mail address").at("email"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_to_sign_in_by() {
        use LoginKind::{Email, Name, Phone};
        let rows = [
            ("developer@example.com", Some((Email, "developer@example.com"))),
            (" Jane.DOE@Example.Com ", Some((Email, "jane.doe@example.com"))),
            ("a@b", None),
            ("@example.com", None),
            ("a@b@example.com", None),
            ("a b@example.com", None),
            ("a@exa mple.com", None),
            ("a@example..com", None),
            ("a@-example.com", None),
            ("a@ex\u{e4}mple.com", None),
            ("x\r\ny@example.com", None),
            ("+254 700-000.000", Some((Phone, "+254700000000"))),
            ("+254 (700) 000/000", Some((Phone, "+254700000000"))),
            ("0700000000", None),
            ("12345", None),
            ("+0254700000", None),
            ("+1234567890123456", None),
            ("+", None),
            ("njeri", Some((Name, "njeri"))),
            ("Nj\u{e9}ri_2", Some((Name, "nj\u{e9}ri_2"))),
            ("ab", None),
            ("two words", None),
            ("-x-y", None),
            ("", None),
        ];
        for (text, wanted) in rows {
            let found = LoginName::parse(text).ok();
            assert_eq!(found.as_ref().map(|name| (name.kind, &*name.text)), wanted, "{text:?}");
        }
        assert!(LoginName::parse(&"a".repeat(300)).is_err());
        assert!(LoginName::email("njeri").is_err() && LoginName::email("a@b.org").is_ok());
    }
}
