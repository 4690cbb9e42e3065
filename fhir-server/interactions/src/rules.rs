//! What a server demands of a write beyond FHIR's form: asked in one place, whatever the write came by.
//!
//! A rule sees what is to be written, its references resolved and its patch applied, and what else the same commit writes.
//! It says what is wrong, and what must still be true when the commit takes place. It never writes.

mod integrity;
mod search_parameter;
mod standard;

use std::collections::HashMap;

use async_trait::async_trait;
use fhir_model::error::Issue;
use fhir_model::{Error, Key, Result};
use fhir_store::{Precondition, Scope, Store, Write};

pub use integrity::ReferentialIntegrityRule;
pub use search_parameter::SearchParameterRule;

/// One demand on writes.
#[async_trait]
pub trait WriteRule: Send + Sync {
    /// Whether the rule has anything to say of the write. Called for every write: cheap.
    fn applies_to(&self, write: &Write) -> bool;

    /// Looks at one write.
    ///
    /// # Errors
    ///
    /// When it cannot be decided, as the database is away. What is wrong with the write is no error but part of the
    /// verdict.
    async fn check(&self, context: &WriteContext<'_>) -> Result<Verdict>;
}

/// What a rule says.
#[derive(Debug, Default)]
pub struct Verdict {
    /// What is wrong. An error refuses the write, and all that is committed with it. A warning does not: where the client
    /// asked for the outcome (`Prefer: return=OperationOutcome`) it stands there, else nobody is told.
    pub issues: Vec<Issue>,
    /// What the rule saw and relies on: where it is not so any more when the commit takes place, all is decided anew.
    pub preconditions: Vec<Precondition>,
}

impl From<Issue> for Verdict {
    fn from(issue: Issue) -> Verdict {
        Verdict { issues: vec![issue], preconditions: Vec::new() }
    }
}

impl From<Error> for Verdict {
    fn from(error: Error) -> Verdict {
        Verdict { issues: error.into_issues(), preconditions: Vec::new() }
    }
}

/// What a rule sees.
pub struct WriteContext<'a> {
    /// Where resources are. Read in it, and no more.
    pub store: &'a Store,
    /// What the caller may see: what it may not see is to a rule as if it were not there, so that no rule tells of it.
    pub scope: &'a Scope,
    /// What is to be written, and what it replaces.
    pub write: &'a Write,
    /// All that is committed together, this write included, by what it writes. One without a document deletes.
    pub together: &'a HashMap<&'a Key, &'a Write>,
}

/// A list of rules.
#[derive(Default)]
pub struct Rules(Vec<Box<dyn WriteRule>>);

impl Rules {
    /// These, in this order: where several refuse a write, all say why, and the first gives the status.
    pub fn new(rules: Vec<Box<dyn WriteRule>>) -> Rules {
        Rules(rules)
    }

    /// This list with more rules at its end.
    #[must_use]
    pub fn with(mut self, more: Vec<Box<dyn WriteRule>>) -> Rules {
        self.0.extend(more);
        self
    }

    /// Asks all rules about one write.
    pub(crate) async fn check(&self, context: &WriteContext<'_>) -> Result<Verdict> {
        let mut all = Verdict::default();
        for rule in self.0.iter().filter(|rule| rule.applies_to(context.write)) {
            let Verdict { issues, preconditions } = rule.check(context).await?;
            all.issues.extend(issues);
            all.preconditions.extend(preconditions);
        }
        Ok(all)
    }

    /// Whether any has something to say of the write.
    pub(crate) fn apply_to(&self, write: &Write) -> bool {
        self.0.iter().any(|rule| rule.applies_to(write))
    }
}
