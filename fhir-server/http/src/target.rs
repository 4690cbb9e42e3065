//! Where a path leads: parsed once, before anything is asked.

use axum::Router;
use axum::response::Response;
use fhir_model::Error;
use std::sync::Arc;

use crate::envelope;
use crate::module_routes::{Route, RouteMatch, RouteTable};
use fhir_model::interaction::{MOUNTS, ORGANIZATION};

/// Whose a request is.
pub(crate) enum Target<'p> {
    /// FHIR's, or nobody's where there is nothing that tells whose it would be.
    Fhir(Option<Mounted<'p>>),
    /// A module's.
    Module(Called<'p>),
    /// Nobody's, below a path where errors have a form of their own.
    Nobody(Face),
}

/// A path below a FHIR base: `/fhir/R4/Patient/1` as mount and `Patient/1`; the mount of an organisation is
/// `/o/clinic/fhir/R4`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mounted<'p> {
    pub(crate) mount: &'p str,
    pub(crate) path: &'p str,
}

/// A route of a module that a path leads to.
pub(crate) struct Called<'p> {
    pub(crate) matched: RouteMatch,
    /// The base that it is below, where it is below one.
    pub(crate) base: Option<Mounted<'p>>,
}

impl Called<'_> {
    pub(crate) fn route(&self) -> &Arc<Route> {
        &self.matched.route
    }

    pub(crate) fn router(&self) -> Router {
        self.matched.router.clone()
    }
}

/// The form of errors of what is not FHIR's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Face {
    /// OperationOutcomes.
    Fhir,
    /// Cari's envelope.
    Cari,
    /// The envelope of `/v1`: `{"error":{"code":"not_found","message":".."}}`.
    V1,
}

impl Face {
    /// The form of errors at a path of the server that is not below a FHIR base.
    pub(crate) fn at_root(path: &str) -> Face {
        if is_below(path, "/v1") { Face::V1 } else { Face::Cari }
    }

    /// An error in this form.
    pub(crate) fn refused(self, error: &Error) -> Response {
        match self {
            Face::Fhir => envelope::outcome(error),
            Face::Cari => envelope::failed(error),
            Face::V1 => envelope::failed_v1(error),
        }
    }
}

impl<'p> Target<'p> {
    /// Reads a path of the server.
    pub(crate) fn parse(modules: &RouteTable, path: &'p str) -> Target<'p> {
        if let Some(mounted) = Mounted::parse(path) {
            return match modules.below_fhir(mounted.path) {
                Some(matched) => Target::Module(Called { matched, base: Some(mounted) }),
                None => Target::Fhir(Some(mounted)),
            };
        }
        match modules.at_root(path) {
            Some(matched) => Target::Module(Called { matched, base: None }),
            None if ["/api", "/admin", "/v1"].iter().any(|face| is_below(path, face)) => {
                Target::Nobody(Face::at_root(path))
            }
            None => Target::Fhir(None),
        }
    }
}

impl<'p> Mounted<'p> {
    /// The base that a path is below; `None` when it is below none.
    pub(crate) fn parse(path: &'p str) -> Option<Mounted<'p>> {
        let before = organization(path).map_or(0, |slug| ORGANIZATION.len() + slug.len());
        let below = path.get(before..)?;
        MOUNTS.into_iter().find_map(|mount| {
            let rest = below.strip_prefix(mount)?;
            let rest = if rest.is_empty() { rest } else { rest.strip_prefix('/')? };
            Some(Mounted { mount: path.get(..before + mount.len())?, path: rest })
        })
    }

    /// The organisation whose base it is; `None` for the bare base.
    pub(crate) fn organization(&self) -> Option<&'p str> {
        organization(self.mount)
    }
}

fn organization(path: &str) -> Option<&str> {
    path.strip_prefix(ORGANIZATION)?.split('/').next().filter(|slug| !slug.is_empty())
}

/// True for the path itself, and for what is below it.
pub(crate) fn is_below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts() {
        for (path, wanted) in [
            ("/fhir/R4/Patient/1", Some(("/fhir/R4", "Patient/1"))),
            ("/fhir/Patient/1", Some(("/fhir", "Patient/1"))),
            ("/fhir/R4", Some(("/fhir/R4", ""))),
            ("/fhir/R4/", Some(("/fhir/R4", ""))),
            ("/fhir", Some(("/fhir", ""))),
            ("/fhir/", Some(("/fhir", ""))),
            ("/fhir/R4x", Some(("/fhir", "R4x"))),
            ("/o/clinic/fhir/R4/Patient", Some(("/o/clinic/fhir/R4", "Patient"))),
            ("/o/clinic/fhir", Some(("/o/clinic/fhir", ""))),
            ("/o/clinic", None),
            ("/o//fhir/R4", None),
            ("/fhirx", None),
            ("/", None),
            ("/Patient/1", None),
        ] {
            let found = Mounted::parse(path);
            assert_eq!(found.map(|found| (found.mount, found.path)), wanted, "{path}");
        }
        assert_eq!(Mounted::parse("/o/clinic/fhir/R4").unwrap().organization(), Some("clinic"));
        assert_eq!(Mounted::parse("/fhir/R4").unwrap().organization(), None);
    }

    #[test]
    fn forms_of_errors_go_by_the_path() {
        assert_eq!(Face::at_root("/v1"), Face::V1);
        assert_eq!(Face::at_root("/v1/me"), Face::V1);
        assert_eq!(Face::at_root("/v12"), Face::Cari);
        assert_eq!(Face::at_root("/api/v1"), Face::Cari);
    }
}
