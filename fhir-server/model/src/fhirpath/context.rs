//! All an evaluation may know besides its input: types, the resource around, the time, and other people's services.

use super::item::{Item, Node};
use crate::date::DateTime;
use crate::json::Ref;
use crate::types::Types;

/// Steps an evaluation may take when nothing else is said: far more than any search parameter or invariant needs.
pub const STEPS_MAX: u64 = 2_000_000;

/// Finds the resources that references point at.
pub trait Resolver {
    /// The resource of a reference as it is written (`Patient/1`, `urn:uuid:...`, an absolute URL). Contained
    /// resources (`#id`) are found without asking.
    fn resolve(&self, reference: &str) -> Option<Ref<'_>>;
}

/// Answers questions about codes. `None`: the code system or value set is not known.
pub trait Terminology {
    /// Whether a value set holds a code.
    fn member_of(&self, value_set: &str, system: Option<&str>, code: &str) -> Option<bool>;
    /// Whether the first code subsumes the second.
    fn subsumes(&self, system: &str, general: &str, specific: &str) -> Option<bool>;
}

/// Answers whether a node conforms to a profile. `None`: the profile is not known.
pub trait Profiles {
    /// Whether it does.
    fn conforms_to(&self, node: &Node<'_>, profile: &str) -> Option<bool>;
}

/// Told of what `trace()` sees: the name, and the items.
pub type Trace<'a> = &'a dyn Fn(&str, &[Item<'a>]);

/// What an expression is evaluated in.
pub struct Context<'a> {
    pub(super) types: &'a dyn Types,
    pub(super) root: Ref<'a>,
    pub(super) resource: Ref<'a>,
    pub(super) now: Option<DateTime>,
    pub(super) resolver: Option<&'a dyn Resolver>,
    pub(super) terminology: Option<&'a dyn Terminology>,
    pub(super) profiles: Option<&'a dyn Profiles>,
    pub(super) trace: Option<Trace<'a>>,
    pub(super) variables: Vec<(Box<str>, Vec<Item<'a>>)>,
    pub(super) as_filters: bool,
    pub(super) strict: bool,
    pub(super) steps_max: u64,
}

impl<'a> Context<'a> {
    /// A context around a resource: `%resource` and `%rootResource`.
    pub fn new(types: &'a dyn Types, root: Ref<'a>) -> Context<'a> {
        Context {
            types,
            root,
            resource: root,
            now: None,
            resolver: None,
            terminology: None,
            profiles: None,
            trace: None,
            variables: Vec::new(),
            as_filters: false,
            strict: false,
            steps_max: STEPS_MAX,
        }
    }

    /// Another `%resource` than the root: the contained resource that is looked at.
    #[must_use]
    pub fn resource(mut self, resource: Ref<'a>) -> Context<'a> {
        self.resource = resource;
        self
    }

    /// The time `now()`, `today()` and `timeOfDay()` give; without it they are errors.
    #[must_use]
    pub fn now(mut self, now: DateTime) -> Context<'a> {
        self.now = Some(now);
        self
    }

    /// Who fetches what references point at. Without one, `resolve()` gives a stand-in of which only the type is
    /// known, so that `resolve() is Patient` is decided by the text of the reference.
    #[must_use]
    pub fn resolver(mut self, resolver: &'a dyn Resolver) -> Context<'a> {
        self.resolver = Some(resolver);
        self
    }

    /// Who answers `memberOf()`, `subsumes()` and `subsumedBy()`; without one they are empty.
    #[must_use]
    pub fn terminology(mut self, terminology: &'a dyn Terminology) -> Context<'a> {
        self.terminology = Some(terminology);
        self
    }

    /// Who answers `conformsTo()` for profiles that are not FHIR's own types.
    #[must_use]
    pub fn profiles(mut self, profiles: &'a dyn Profiles) -> Context<'a> {
        self.profiles = Some(profiles);
        self
    }

    /// Receives what `trace()` sees.
    #[must_use]
    pub fn trace(mut self, trace: Trace<'a>) -> Context<'a> {
        self.trace = Some(trace);
        self
    }

    /// A value for `%name`.
    #[must_use]
    pub fn variable(mut self, name: &str, items: Vec<Item<'a>>) -> Context<'a> {
        self.variables.push((name.into(), items));
        self
    }

    /// `as` on several items keeps those of the type, and knows no wrong types. R4's search parameters and
    /// invariants are written for that, although FHIRPath calls it an error.
    #[must_use]
    pub fn as_filters(mut self) -> Context<'a> {
        self.as_filters = true;
        self
    }

    /// Elements that a type does not have are errors, rather than nothing.
    #[must_use]
    pub fn strict(mut self) -> Context<'a> {
        self.strict = true;
        self
    }

    /// Another limit on the steps an evaluation may take.
    #[must_use]
    pub fn steps_max(mut self, steps: u64) -> Context<'a> {
        self.steps_max = steps;
        self
    }

    /// The type knowledge.
    pub fn types(&self) -> &'a dyn Types {
        self.types
    }

    /// The root as an item.
    pub fn root_item(&self) -> Item<'a> {
        Item::resource(self.root)
    }
}
