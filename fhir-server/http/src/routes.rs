//! The routes of a module: each with its documentation, and with who may call it.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use fhir_access::Permission;
use hyper::Method;
use utoipa::openapi::OpenApi;
use utoipa::openapi::path::PathItem;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

/// Who may call a route. The guard decides on the principal; a handler is called only when it does so in its favour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody, signed in or not.
    Public,
    /// Those whom the guard lets in: what they may see and change is decided for each interaction.
    Caller,
    /// Those who have a permission, on the platform or in some organisation. What is about one organisation asks the guard for that
    /// one, too.
    Holder(Permission),
}

/// Routes with handlers that take a state.
///
/// There is no way to add one without its documentation (`#[utoipa::path]`) or without its access.
pub struct Routes<S = ()> {
    router: OpenApiRouter<S>,
    rows: Vec<RouteRow>,
    /// What no router can hold, which axum would say by a panic.
    broken: Option<String>,
}

/// One route: a template of paths, and a method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RouteRow {
    pub(crate) template: String,
    pub(crate) method: Method,
    pub(crate) access: Access,
}

impl<S> std::fmt::Debug for Routes<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(&self.rows).finish()
    }
}

impl<S: Clone + Send + Sync + 'static> Default for Routes<S> {
    fn default() -> Routes<S> {
        Routes { router: OpenApiRouter::new(), rows: Vec::new(), broken: None }
    }
}

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    /// No routes.
    pub fn new() -> Routes<S> {
        Routes::default()
    }

    /// Adds the handlers of one path, made by `utoipa_axum::routes!`.
    pub fn add(mut self, access: Access, route: UtoipaMethodRouter<S>) -> Routes<S> {
        for (template, item) in &route.1.paths {
            let is_there = |method: &Method| {
                self.rows.iter().any(|row| row.template == *template && row.method == *method)
            };
            if !template.starts_with('/') || methods(item).any(|method| is_there(&method)) {
                self.broken.get_or_insert_with(|| template.clone());
                return self;
            }
            self.rows.extend(methods(item).map(|method| RouteRow {
                template: template.clone(),
                method,
                access,
            }));
        }
        self.router = self.router.routes(route);
        self
    }

    /// The routes with the state that their handlers take.
    pub fn with_state(self, state: S) -> Routes {
        Routes { router: self.router.with_state(state), rows: self.rows, broken: self.broken }
    }
}

impl Routes {
    /// A path that cannot be routed, or is routed twice with one method.
    pub(crate) fn broken(&self) -> Option<&str> {
        self.broken.as_deref()
    }

    pub(crate) fn rows(&self) -> &[RouteRow] {
        &self.rows
    }

    /// The handlers, and what is said of them.
    pub(crate) fn into_parts(self) -> (Router, OpenApi) {
        let (router, documentation) = self.router.split_for_parts();
        // The edge has read the body within its own limits.
        (router.layer(DefaultBodyLimit::disable()), documentation)
    }
}

/// The methods of a path that are documented.
pub(crate) fn methods(item: &PathItem) -> impl Iterator<Item = Method> {
    let all = [
        (Method::GET, item.get.is_some()),
        (Method::HEAD, item.head.is_some()),
        (Method::POST, item.post.is_some()),
        (Method::PUT, item.put.is_some()),
        (Method::PATCH, item.patch.is_some()),
        (Method::DELETE, item.delete.is_some()),
    ];
    all.into_iter().filter_map(|(method, is_there)| is_there.then_some(method))
}
