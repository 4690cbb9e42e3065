//! The routes of all modules: whose a path is, and who answers it.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use fhir_model::interaction::MOUNTS;
use fhir_model::{Error, Result};
use hyper::Method;
use utoipa::openapi::OpenApi;

use crate::routes::{Access, Routes};

/// The routes of one module.
#[derive(Debug)]
pub struct ModuleRoutes {
    /// The module's name.
    pub module: &'static str,
    /// Routes below the root of the server.
    pub root: Routes,
    /// Routes below each FHIR base, such as `/.well-known/smart-configuration`.
    pub below_fhir: Routes,
}

/// The routes of all modules.
#[derive(Debug)]
pub struct RouteTable {
    root: Table,
    below_fhir: Table,
    documentation: OpenApi,
}

#[derive(Debug, Default)]
struct Table {
    templates: Vec<String>,
    matcher: matchit::Router<Arc<Route>>,
    router: Router,
}

/// A path of a module, with what may be done there.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) module: &'static str,
    /// `/admin/dlq/{id}`
    pub(crate) template: String,
    pub(crate) is_below_fhir: bool,
    methods: Vec<(Method, Access)>,
}

impl Route {
    /// Who may call it with a method; `None` when nobody does. `HEAD` is `GET` without the body.
    pub(crate) fn access(&self, method: &Method) -> Option<Access> {
        let named = |method: &Method| self.methods.iter().find(|(known, _)| known == method);
        let found = named(method).or_else(|| named(&Method::GET).filter(|_| *method == Method::HEAD));
        found.map(|(_, access)| *access)
    }

    /// The method for a label: `other` for one that the route does not have.
    pub(crate) fn known_method(&self, method: &Method) -> &str {
        let known = self.methods.iter().map(|(known, _)| known).find(|known| *known == method);
        known.map_or(if *method == Method::HEAD { "HEAD" } else { "other" }, Method::as_str)
    }

    /// `GET, HEAD, POST`, for the header `Allow`.
    pub(crate) fn allowed(&self) -> String {
        let named = self.methods.iter().map(|(method, _)| method);
        let head = named.clone().find(|method| **method == Method::GET).map(|_| &Method::HEAD);
        let mut names: Vec<&str> = named.chain(head).map(Method::as_str).collect();
        names.sort_unstable();
        names.dedup();
        names.join(", ")
    }
}

/// What a path leads to.
pub(crate) struct RouteMatch {
    pub(crate) route: Arc<Route>,
    pub(crate) router: Router,
}

/// Paths that are the server's own, with all below them.
const RESERVED: [&str; 10] = [
    "/fhir",
    "/o",
    "/health",
    "/live",
    "/ready",
    "/metrics",
    "/docs",
    "/openapi.json",
    "/icon.svg",
    "/favicon.ico",
];

impl RouteTable {
    /// The routes of these modules.
    ///
    /// # Errors
    ///
    /// When two modules have one path, or a path is the server's own or FHIR's.
    pub fn new(modules: Vec<ModuleRoutes>) -> Result<RouteTable> {
        let (mut root, mut below_fhir) = (Table::default(), Table::default());
        let mut documentation = OpenApi::default();
        for ModuleRoutes { module, root: at_root, below_fhir: below } in modules {
            documentation.merge(root.add(module, at_root, false)?);
            let mut below = below_fhir.add(module, below, true)?;
            let paths = std::mem::take(&mut below.paths.paths);
            let moved = paths.into_iter().map(|(path, item)| (format!("{}{path}", MOUNTS[0]), item));
            below.paths.paths = moved.collect();
            documentation.merge(below);
        }
        Ok(RouteTable { root, below_fhir, documentation })
    }

    /// The route of a path of the server.
    pub(crate) fn at_root(&self, path: &str) -> Option<RouteMatch> {
        self.root.find(path)
    }

    /// The route of a path below a FHIR base, which begins without a slash.
    pub(crate) fn below_fhir(&self, path: &str) -> Option<RouteMatch> {
        // Most requests are for a type.
        if path.is_empty() || path.starts_with(|c: char| c.is_ascii_uppercase()) {
            return None;
        }
        self.below_fhir.find(&format!("/{path}"))
    }

    /// What the modules say of their routes.
    pub(crate) fn documentation(&self) -> &OpenApi {
        &self.documentation
    }

    /// What routes below a FHIR base begin with that would be in the way of an operation: `/$export` as `export`.
    pub(crate) fn operation_codes(&self) -> impl Iterator<Item = &str> {
        let first = self.below_fhir.templates.iter().filter_map(|template| template.split('/').nth(1));
        first.filter_map(|segment| segment.strip_prefix('$'))
    }
}

impl Table {
    fn add(&mut self, module: &'static str, routes: Routes, is_below_fhir: bool) -> Result<OpenApi> {
        let rows = routes.rows().to_vec();
        if let Some(path) = routes.broken() {
            return Err(Error::internal(format!(
                "the module {module} cannot answer {path}, or does so twice"
            )));
        }
        let templates: BTreeSet<&str> = rows.iter().map(|row| &*row.template).collect();
        let is_reserved = if is_below_fhir { reserved_below_fhir } else { reserved_at_root };
        for template in templates {
            if !template.starts_with('/') || is_reserved(template) {
                return Err(Error::internal(format!("the module {module} may not answer {template}")));
            }
            let here = rows.iter().filter(|row| row.template == template);
            let methods = here.map(|row| (row.method.clone(), row.access)).collect();
            let route = Route { module, template: template.to_owned(), is_below_fhir, methods };
            self.templates.push(template.to_owned());
            self.matcher.insert(template, Arc::new(route)).map_err(|error| {
                Error::internal(format!("the module {module} wants {template}, which is taken: {error}"))
            })?;
        }
        let (router, mut documentation) = routes.into_parts();
        for item in documentation.paths.paths.values_mut() {
            let all = [
                &mut item.get,
                &mut item.head,
                &mut item.post,
                &mut item.put,
                &mut item.patch,
                &mut item.delete,
            ];
            for operation in all.into_iter().flatten() {
                // Handlers of two modules may have one name.
                let id = operation.operation_id.take().unwrap_or_default();
                operation.operation_id = Some(format!("{module}-{id}"));
            }
        }
        self.router = std::mem::take(&mut self.router).merge(router);
        Ok(documentation)
    }

    fn find(&self, path: &str) -> Option<RouteMatch> {
        let route = self.matcher.at(path).ok()?.value.clone();
        Some(RouteMatch { route, router: self.router.clone() })
    }
}

fn reserved_at_root(template: &str) -> bool {
    let is_below =
        |own: &&str| template.strip_prefix(*own).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    template == "/" || template.starts_with("/{") || RESERVED.iter().any(is_below)
}

/// FHIR's own paths begin with a type, `metadata`, `_` or a parameter.
fn reserved_below_fhir(template: &str) -> bool {
    let first = template.split('/').nth(1).unwrap_or("");
    let is_fhir = |c: char| c.is_ascii_uppercase() || c == '_' || c == '{';
    first.is_empty() || first.starts_with(is_fhir) || first == "metadata"
}
