//! What has a rate limit of its own.

use crate::target::{Mounted, is_below};

/// Paths that are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitedMount {
    /// `/api/auth` and what is below it.
    Auth,
    /// Everything else below `/api`, and `/v1`.
    Api,
    /// Bases of FHIR, those of organisations too.
    Fhir,
    /// What is left: `/admin`, `/docs`, pages.
    Other,
}

impl LimitedMount {
    /// All of them.
    pub(super) const ALL: [LimitedMount; 4] =
        [LimitedMount::Auth, LimitedMount::Api, LimitedMount::Fhir, LimitedMount::Other];

    /// Whose a path is.
    pub(super) fn of(path: &str) -> LimitedMount {
        if is_below(path, "/api/auth") {
            LimitedMount::Auth
        } else if is_below(path, "/api") || is_below(path, "/v1") {
            LimitedMount::Api
        } else if Mounted::parse(path).is_some() {
            LimitedMount::Fhir
        } else {
            LimitedMount::Other
        }
    }

    /// Its name in settings and metrics.
    pub(super) fn name(self) -> &'static str {
        match self {
            LimitedMount::Auth => "auth",
            LimitedMount::Api => "api",
            LimitedMount::Fhir => "fhir",
            LimitedMount::Other => "other",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_counted_by_their_mount() {
        for (path, wanted) in [
            ("/api/auth", "auth"),
            ("/api/auth/login", "auth"),
            ("/api/authors", "api"),
            ("/api", "api"),
            ("/api/visits", "api"),
            ("/v1", "api"),
            ("/v1/me", "api"),
            ("/v12", "other"),
            ("/fhir/R4/Patient", "fhir"),
            ("/fhir", "fhir"),
            ("/o/north/fhir/R4/Patient", "fhir"),
            ("/o/north/api/auth", "other"),
            ("/admin/dlq", "other"),
            ("/docs/", "other"),
            ("/", "other"),
        ] {
            assert_eq!(LimitedMount::of(path).name(), wanted, "{path}");
        }
    }
}
