//! What a search found, in short: `a b + org` says the matches `a` and `b` and the included `org`, by id without the
//! run's prefix.

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// What a Bundle is to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ExpectedMatches {
    in_order: bool,
    matches: Vec<String>,
    included: Vec<String>,
}

impl ExpectedMatches {
    /// Reads `a b`, `a b + c`, `none`, or `in order b a`.
    pub(crate) fn parse(text: &str) -> Result<ExpectedMatches> {
        let text = text.trim();
        let (in_order, text) = match text.strip_prefix("in order") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (matches, included) = text.split_once('+').unwrap_or((text, ""));
        let words = |text: &str| -> Vec<String> {
            text.split_whitespace().filter(|word| *word != "none").map(str::to_owned).collect()
        };
        if text.trim().is_empty() {
            bail!("say which ids are found, or `none`");
        }
        Ok(ExpectedMatches { in_order, matches: words(matches), included: words(included) })
    }

    pub(crate) fn in_order(mut self) -> ExpectedMatches {
        self.in_order = true;
        self
    }

    /// Compares with the entries of a Bundle. Nothing may be there twice.
    pub(crate) fn check(&self, bundle: &Value, run: &str) -> Result<()> {
        let (mut matches, mut included) = (Vec::new(), Vec::new());
        for entry in bundle.get("entry").and_then(Value::as_array).into_iter().flatten() {
            let resource = entry.get("resource").context("an entry without a resource")?;
            let id = resource.get("id").and_then(Value::as_str).unwrap_or("(no id)");
            let id = id.strip_prefix(run).and_then(|rest| rest.strip_prefix('-')).unwrap_or(id).to_owned();
            match entry.pointer("/search/mode").and_then(Value::as_str) {
                Some("include") => included.push(id),
                Some("outcome") => {}
                _ => matches.push(id),
            }
        }
        let all = format!(
            "{}{}{}",
            matches.join(" "),
            if included.is_empty() { "" } else { " + " },
            included.join(" ")
        );
        let (mut wanted, mut wanted_included) = (self.matches.clone(), self.included.clone());
        if !self.in_order {
            matches.sort();
            wanted.sort();
        }
        included.sort();
        wanted_included.sort();
        if matches != wanted || included != wanted_included {
            bail!("expected found {self}\n     found {}", if all.is_empty() { "none" } else { &all });
        }
        Ok(())
    }
}

impl std::fmt::Display for ExpectedMatches {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.in_order {
            f.write_str("in order ")?;
        }
        f.write_str(if self.matches.is_empty() { "none" } else { "" })?;
        f.write_str(&self.matches.join(" "))?;
        if !self.included.is_empty() {
            write!(f, " + {}", self.included.join(" "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::ExpectedMatches;

    #[test]
    fn bundles() {
        let bundle = json!({"entry": [
            {"search": {"mode": "match"}, "resource": {"id": "r1-b"}},
            {"search": {"mode": "match"}, "resource": {"id": "r1-a"}},
            {"search": {"mode": "include"}, "resource": {"id": "r1-o"}},
            {"search": {"mode": "outcome"}, "resource": {"resourceType": "OperationOutcome"}},
        ]});
        let rows = [
            ("a b + o", true),
            ("in order b a + o", true),
            ("in order a b + o", false),
            ("a b", false),
            ("a + o", false),
            ("a b c + o", false),
            ("a a b + o", false),
            ("none", false),
        ];
        for (text, expected) in rows {
            assert_eq!(
                ExpectedMatches::parse(text).unwrap().check(&bundle, "r1").is_ok(),
                expected,
                "{text}"
            );
        }
        assert!(ExpectedMatches::parse("none").unwrap().check(&json!({}), "r1").is_ok());
        assert!(ExpectedMatches::parse("").is_err());
    }
}
