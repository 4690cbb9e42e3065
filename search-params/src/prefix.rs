//! Prefixes of ordered values: <https://hl7.org/fhir/R4/search.html#prefix>

/// How a value compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the specification's own words")]
pub enum Prefix {
    Eq,
    Ne,
    Gt,
    Lt,
    Ge,
    Le,
    Sa,
    Eb,
    Ap,
}

/// All of them, for texts.
pub(crate) const PREFIXES: &str = "eq, ne, gt, lt, ge, le, sa, eb or ap";

impl Prefix {
    /// The prefix of a value and the rest; without a prefix: `eq`. A prefix is two letters before a digit, a sign
    /// or a point, so that nothing else is taken for one.
    pub fn split(text: &str) -> (Prefix, &str) {
        let known = [
            ("eq", Prefix::Eq),
            ("ne", Prefix::Ne),
            ("gt", Prefix::Gt),
            ("lt", Prefix::Lt),
            ("ge", Prefix::Ge),
            ("le", Prefix::Le),
            ("sa", Prefix::Sa),
            ("eb", Prefix::Eb),
            ("ap", Prefix::Ap),
        ];
        for (name, prefix) in known {
            if let Some(rest) = text.strip_prefix(name) {
                return (prefix, rest);
            }
        }
        (Prefix::Eq, text)
    }
}
