//! What value sets and code systems say of codes themselves: enumerations and hierarchies.

use fhir_model::Result;
use fhir_profiles::CodeSystem;

use super::{Code, Definitions, Terminology, TerminologyFuture, expand};

/// Value sets and code systems as they stand, enumerated and in hierarchies.
#[derive(Debug, Clone, Copy, Default)]
pub struct StoredTerminology;

impl Terminology for StoredTerminology {
    fn expand<'a>(
        &'a self,
        known: &'a dyn Definitions,
        value_set: &'a str,
    ) -> TerminologyFuture<'a, Vec<Code>> {
        Box::pin(async move {
            let codes = expand::value_set(known, value_set.to_owned(), 0).await?;
            Ok(codes.into_iter().collect())
        })
    }

    fn below<'a>(&'a self, known: &'a dyn Definitions, code: &'a Code) -> TerminologyFuture<'a, Vec<Code>> {
        Box::pin(related(known, code, |system, asked, other| system.subsumes(asked, other)))
    }

    fn above<'a>(&'a self, known: &'a dyn Definitions, code: &'a Code) -> TerminologyFuture<'a, Vec<Code>> {
        Box::pin(related(known, code, |system, asked, other| system.subsumes(other, asked)))
    }
}

async fn related(
    known: &dyn Definitions,
    code: &Code,
    holds: impl Fn(&CodeSystem, &str, &str) -> bool,
) -> Result<Vec<Code>> {
    let system = known.code_system(&code.system).await?;
    let system = system.get();
    let of = |concept: &&fhir_profiles::code_system::Concept| holds(system, &code.code, &concept.code);
    let codes = system.concepts.iter().filter(of);
    let codes = codes.map(|c| Code { system: code.system.clone(), code: c.code.to_string() });
    // A code that the system does not know is above and below itself alone.
    let mut all: Vec<Code> = codes.chain([code.clone()]).collect();
    all.sort_unstable();
    all.dedup();
    Ok(all)
}
