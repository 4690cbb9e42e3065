//! Reading the text of a path.

use anyhow::{Context, Result, bail};

use super::{Function, Path, Step, Test};

/// A path and nothing else.
pub(super) fn path(text: &str) -> Result<Path> {
    match path_and_rest(text)? {
        (path, "") => Ok(path),
        (_, rest) => bail!("`{rest}` is too much behind the path"),
    }
}

/// The path a text begins with, and what follows it.
pub(super) fn path_and_rest(text: &str) -> Result<(Path, &str)> {
    let mut reader = Reader { text, at: 0 };
    let path = reader.path()?;
    Ok((path, reader.rest().trim()))
}

/// Walks through the text of a path.
struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn take(&mut self, word: char) -> bool {
        let found = self.rest().starts_with(word);
        if found {
            self.at += word.len_utf8();
        }
        found
    }

    fn name(&mut self) -> Result<&'a str> {
        let rest = self.rest();
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
        let name = rest.get(..end).unwrap_or_default();
        if name.is_empty() {
            bail!("`{}`: a name belongs at `{rest}`", self.text);
        }
        self.at += end;
        Ok(name)
    }

    fn path(&mut self) -> Result<Path> {
        let mut steps = Vec::new();
        loop {
            let first = steps.is_empty();
            let name = self.name()?;
            if self.take('(') {
                steps.push(self.call(name)?);
            } else if first && name == "body" {
                steps.push(Step::Body);
            } else if first && name.starts_with(|c: char| c.is_uppercase()) {
                steps.push(Step::Type(name.to_owned()));
            } else {
                steps.push(Step::Member(name.to_owned()));
            }
            while self.take('[') {
                let rest = self.rest();
                let (digits, _) = rest.split_once(']').context("`[` without `]`")?;
                steps.push(Step::Index(digits.parse().with_context(|| format!("`[{digits}]` is no index"))?));
                self.at += digits.len() + 1;
            }
            if !self.take('.') {
                return Ok(Path(steps));
            }
        }
    }

    fn call(&mut self, name: &str) -> Result<Step> {
        let argument = self.argument()?;
        Ok(match name {
            "where" => Step::Where(Box::new(Test::parse(argument)?)),
            "all" => Step::All(Box::new(Test::parse(argument)?)),
            "select" => Step::Select(Box::new(Path::parse(argument)?)),
            "exists" if argument.is_empty() => Step::Exists(None),
            "exists" => Step::Exists(Some(Box::new(Test::parse(argument)?))),
            "ofType" => Step::Type(argument.to_owned()),
            _ => {
                let known = Function::ALL.iter().find(|(word, _)| *word == name);
                let (_, function) = known.with_context(|| format!("there is no function `{name}()`"))?;
                let argument = match argument {
                    "" => String::new(),
                    text => serde_json::from_str(text).with_context(|| format!("`{text}` is no string"))?,
                };
                Step::Call(*function, argument)
            }
        })
    }

    /// The text up to the parenthesis that closes the call, past nested calls and quoted text.
    fn argument(&mut self) -> Result<&'a str> {
        let rest = self.rest();
        let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
        for (at, c) in rest.char_indices() {
            match c {
                _ if escaped => escaped = false,
                '\\' if quoted => escaped = true,
                '"' => quoted = !quoted,
                '(' if !quoted => depth += 1,
                ')' if !quoted && depth == 0 => {
                    self.at += at + 1;
                    return Ok(rest.get(..at).unwrap_or_default().trim());
                }
                ')' if !quoted => depth -= 1,
                _ => {}
            }
        }
        bail!("`{}`: a call is not closed", self.text)
    }
}
