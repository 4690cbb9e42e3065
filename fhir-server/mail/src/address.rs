//! Addresses, as people type them.

use fhir_model::{Error, Result};
use lettre::Address;

/// RFC 5321, 4.5.3.1.3, without the angle brackets.
const ADDRESS_BYTES_MAX: usize = 254;

/// The form in which an address is stored and compared: trimmed, and in lower case before the `@` too. Mail servers may tell
/// `Ann@` from `ann@`; none does, and two accounts that differ in it alone would be one person's, or a trap for one.
///
/// # Errors
/// 400 when it is no address; it is not repeated.
pub fn check_address(address: &str) -> Result<String> {
    let address = address.trim().to_lowercase();
    if address.len() > ADDRESS_BYTES_MAX {
        return Err(Error::value(format!("An e-mail address has at most {ADDRESS_BYTES_MAX} bytes")));
    }
    parse(&address)?;
    Ok(address)
}

/// The recipient of a message.
pub(crate) fn parse(address: &str) -> Result<Address> {
    let wrong = || Error::value("This is not an e-mail address");
    // Quoted local parts may hold nearly anything. Nobody has one, and programs on the way misread them.
    if address
        .chars()
        .any(|c| c.is_control() || c.is_whitespace() || matches!(c, '"' | '<' | '>' | ',' | ';'))
    {
        return Err(wrong());
    }
    address.parse().map_err(|_| wrong())
}

/// Whom mail comes from.
#[derive(Debug, Clone)]
pub(crate) struct Sender {
    /// May be empty.
    pub(crate) name: String,
    pub(crate) address: Address,
}

impl Sender {
    /// `cari@example.org`, or with a name `Clinic North <cari@example.org>`.
    pub(crate) fn new(from: &str) -> Result<Sender> {
        let wrong = || Error::value("The sender of mails is not `address` or `Name <address>`");
        if from.chars().any(char::is_control) {
            return Err(wrong());
        }
        let (name, address) = match from.trim().strip_suffix('>') {
            Some(named) => named.rsplit_once('<').ok_or_else(wrong)?,
            None => ("", from.trim()),
        };
        let name = name.trim().trim_matches('"').trim().to_owned();
        Ok(Sender { name, address: parse(address).map_err(|_| wrong())? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let long = |bytes: usize| format!("a@{}.org", "b.".repeat((bytes - 7) / 2) + "c");
        // address, what is stored; nothing when it is refused
        let rows = [
            ("ann@example.org", "ann@example.org"),
            ("  Ann.B+Tag@Example.ORG\n", "ann.b+tag@example.org"),
            ("ÄNN@EXAMPLE.ORG", "änn@example.org"),
            ("ann@Größe.example", "ann@größe.example"),
            ("ann@[127.0.0.1]", "ann@[127.0.0.1]"),
            ("ann@clinic", "ann@clinic"),
            (&long(253), &*long(253)),
            (&long(255), ""),
            ("", ""),
            ("ann", ""),
            ("@example.org", ""),
            ("ann@", ""),
            ("ann@@example.org", ""),
            ("ann@exa mple.org", ""),
            ("ann@example.org, bob@example.org", ""),
            ("ann@example.org,bob@example.org", ""),
            ("Ann <ann@example.org>", ""),
            ("<ann@example.org>", ""),
            ("\"ann b\"@example.org", ""),
            ("\"ann\"@example.org", ""),
            ("ann@example.org\r\nBcc: bob@example.org", ""),
            ("ann\n@example.org", ""),
            ("ann\0@example.org", ""),
            ("ann@example.org\0", ""),
            ("ann\u{85}b@example.org", ""),
            ("ann\u{2028}b@example.org", ""),
            ("ann..b@example.org", ""),
            ("ann@example..org", ""),
        ];
        for (address, stored) in rows {
            match check_address(address) {
                Ok(found) => {
                    assert_eq!(found, stored, "{address:?}");
                    assert_eq!(check_address(&found).unwrap(), stored, "twice is once");
                }
                Err(error) => {
                    assert!(stored.is_empty() && !error.text.contains("ann"), "{address:?}: {error}")
                }
            }
        }
    }

    #[test]
    fn senders() {
        for from in
            ["cari@example.org", "Clinic North <cari@example.org>", " \"Größe, A.\" <cari@example.org> "]
        {
            assert!(Sender::new(from).is_ok(), "{from}");
        }
        for from in
            ["", "Clinic North", "a@b.org\r\nBcc: c@d.org", "A\nB <a@b.org>", "<>", "a@b.org, c@d.org"]
        {
            assert!(Sender::new(from).is_err(), "{from}");
        }
    }
}
