//! What the compilation of a type's parameters works on.

use std::collections::HashMap;
use std::sync::Arc;

use fhir_profiles::Definitions;

use super::type_search::TypeSearch;
use crate::custom::Progress;
use crate::parameters::{Parameter, ParameterKind};
use crate::path::Step;

/// A parameter before its indexes are shared out.
pub(super) struct Draft {
    pub(super) definition: Arc<Parameter>,
    pub(super) branches: Vec<Vec<Step>>,
    pub(super) only_target: Option<Box<str>>,
    pub(super) truth: bool,
    /// Of a composite.
    pub(super) parts: Vec<Part>,
    /// A composite of the whole resource (too).
    pub(super) whole: bool,
    /// What an added parameter is told from others by.
    pub(super) custom: Option<i64>,
    pub(super) building: Option<Arc<Progress>>,
}

impl Draft {
    /// What its keys are made of. No code has an `@` in it.
    pub(super) fn name(&self) -> Box<str> {
        let code = &self.definition.code;
        self.custom.map_or_else(|| code.clone(), |number| format!("{code}@{number}").into())
    }
}

/// The parameters of a type while they are compiled.
pub(super) struct Build<'a> {
    pub(super) definitions: &'a Definitions,
    pub(super) this: TypeSearch,
    pub(super) by_path: HashMap<(ParameterKind, Vec<Step>), usize>,
    pub(super) by_element: HashMap<Shared, usize>,
    pub(super) drafts: Vec<Draft>,
}

/// A part of a composite before it has an index.
pub(super) struct Part {
    pub(super) definition: Arc<Parameter>,
    /// From where the parts stand together.
    pub(super) here: Vec<Vec<Step>>,
    /// From the resource.
    pub(super) of_resource: Vec<Vec<Step>>,
    /// Where the composite is one of the whole resource: the indexes of its values, all of them or none.
    pub(super) whole: Vec<usize>,
}

/// What makes the parts within one element the same as those of another composite.
pub(super) type Shared = (Vec<Step>, Vec<(ParameterKind, Vec<Vec<Step>>)>);
