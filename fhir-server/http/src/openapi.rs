//! The description of every route, as OpenAPI 3.1: <https://spec.openapis.org/oas/v3.1.0>
//!
//! Modules describe their own routes; FHIR's are made of the table that also reads requests, so that neither can say what is
//! not so. What FHIR itself says of a server is its CapabilityStatement.

use fhir_interactions::{Cx, Interaction, Level, Method};
use fhir_model::Result;
use fhir_model::interaction::MOUNTS;
use fhir_model::types::Types;
use utoipa::openapi::path::{
    HttpMethod, OperationBuilder, ParameterBuilder, ParameterIn, PathItem, PathItemBuilder,
};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{ContentBuilder, InfoBuilder, OpenApi, Required, ResponseBuilder, Server};

use crate::module_routes::RouteTable;

/// FHIR's paths below the base, each with one that it stands for.
const FHIR: [(&str, &str); 12] = [
    ("", ""),
    ("/metadata", "metadata"),
    ("/_history", "_history"),
    ("/_search", "_search"),
    ("/{type}", "Patient"),
    ("/{type}/_history", "Patient/_history"),
    ("/{type}/_search", "Patient/_search"),
    ("/{type}/{id}", "Patient/1"),
    ("/{type}/{id}/_history", "Patient/1/_history"),
    ("/{type}/{id}/_history/{version}", "Patient/1/_history/1"),
    ("/{type}/{id}/{member}", "Patient/1/Observation"),
    ("/{type}/{id}/{member}/_search", "Patient/1/Observation/_search"),
];

/// The server's own pages.
const OWN: [(&str, &str, &str, &str); 6] = [
    ("/health", "health", "Whether the process, its PostgreSQL and its Redis are well.", "application/json"),
    ("/live", "live", "Whether the process lives.", "application/json"),
    ("/ready", "ready", "Whether requests should be sent here.", "application/json"),
    ("/metrics", "metrics", "What is counted, in Prometheus' text format.", "text/plain"),
    ("/openapi.json", "openapi", "This description.", "application/json"),
    ("/docs/", "docs", "This description as a page.", "text/html"),
];

/// The whole description.
///
/// # Errors
///
/// When FHIR's table refuses what it allows: a defect of the program.
pub(crate) fn document(cx: &Cx, modules: &RouteTable) -> Result<OpenApi> {
    let text = "A FHIR R4 server, and what stands beside FHIR. FHIR's own description of it is at `/fhir/R4/metadata`; an \
                organisation's base is `/o/{slug}/fhir/R4`.";
    let mut all = OpenApi::default();
    all.info = InfoBuilder::new()
        .title(cx.settings.software)
        .version(cx.settings.software_version)
        .description(Some(text))
        .build();
    // Relative to this description: the server may stand below a path.
    all.servers = Some(vec![Server::new(".")]);
    for (path, id, summary, content_type) in OWN {
        let operation = operation("server", id, summary, content_type);
        all.paths.paths.insert(path.to_owned(), PathItem::new(HttpMethod::Get, operation.build()));
    }
    for (template, sample) in FHIR {
        all.paths.paths.insert(format!("{}{template}", MOUNTS[0]), fhir(template, sample, &*cx.definitions)?);
    }
    for route in cx.operations.routes() {
        let place = match route.level {
            Level::System => String::new(),
            Level::Type(type_name) => format!("/{type_name}"),
            Level::Instance(key) => format!("/{}/{{id}}", key.type_name),
        };
        let (code, affects) = (route.code, route.affects_state);
        let mut item = PathItemBuilder::new();
        let methods: &[Method] = if affects { &[Method::Post] } else { &[Method::Get, Method::Post] };
        for method in methods {
            let id =
                format!("{}{}-{code}", method.as_str().to_lowercase(), place.replace(['/', '{', '}'], "-"));
            let mut operation = with_parameters(operation("operation", &id, route.url, FHIR_JSON), &place);
            if *method == Method::Post {
                operation = operation.request_body(Some(body(FHIR_JSON)));
            }
            item = item.operation(http_method(*method), operation.build());
        }
        all.paths.paths.insert(format!("{}{place}/${code}", MOUNTS[0]), item.build());
    }
    all.merge(modules.documentation().clone());
    Ok(all)
}

/// A path of FHIR's with what the table of interactions allows there. `HEAD` goes without saying.
fn fhir(template: &str, sample: &str, types: &dyn Types) -> Result<PathItem> {
    let mut item = PathItemBuilder::new();
    for method in Interaction::allowed(sample, types).iter().filter(|method| **method != Method::Head) {
        let code = Interaction::parse(*method, sample, types)?.code();
        let place = template.replace(['/', '{', '}'], "-");
        let id = format!("{}{place}", method.as_str().to_lowercase());
        let mut operation = with_parameters(operation("fhir", &id, code, FHIR_JSON), template);
        if matches!(method, Method::Post | Method::Put | Method::Patch) {
            let sent =
                if template.ends_with("_search") { "application/x-www-form-urlencoded" } else { FHIR_JSON };
            operation = operation.request_body(Some(body(sent)));
        }
        item = item.operation(http_method(*method), operation.build());
    }
    Ok(item.build())
}

/// A body of a media type.
fn body(content_type: &str) -> RequestBody {
    let content = ContentBuilder::new().schema(Some(ObjectBuilder::new())).build();
    RequestBodyBuilder::new().content(content_type, content).build()
}

const FHIR_JSON: &str = "application/fhir+json";

fn operation(tag: &str, id: &str, summary: &str, content_type: &str) -> OperationBuilder {
    let content = ContentBuilder::new().schema(Some(ObjectBuilder::new())).build();
    let answer = ResponseBuilder::new().description("The answer.").content(content_type, content);
    OperationBuilder::new()
        .tag(tag)
        .operation_id(Some(id))
        .summary(Some(summary))
        .response("default", answer.build())
}

/// The parameters of a template: `{id}`.
fn with_parameters(operation: OperationBuilder, template: &str) -> OperationBuilder {
    let names = template.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    names.fold(operation, |operation, name| {
        let parameter = ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Path)
            .required(Required::True)
            .schema(Some(ObjectBuilder::new().schema_type(Type::String)));
        operation.parameter(parameter)
    })
}

fn http_method(method: Method) -> HttpMethod {
    match method {
        Method::Get => HttpMethod::Get,
        Method::Head => HttpMethod::Head,
        Method::Post => HttpMethod::Post,
        Method::Put => HttpMethod::Put,
        Method::Patch => HttpMethod::Patch,
        Method::Delete => HttpMethod::Delete,
    }
}

/// The operations of a path, by method.
#[cfg(test)]
fn operations(item: &PathItem) -> Vec<(&'static str, &utoipa::openapi::path::Operation)> {
    let all = [
        ("GET", &item.get),
        ("POST", &item.post),
        ("PUT", &item.put),
        ("PATCH", &item.patch),
        ("DELETE", &item.delete),
    ];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_ref()?))).collect()
}

#[cfg(test)]
mod tests {
    use fhir_profiles::Definitions;

    use super::*;

    #[test]
    fn paths_of_fhir_are_those_of_its_table() {
        let types = Definitions::load().unwrap();
        for (template, sample) in FHIR {
            let item = fhir(template, sample, &types).unwrap();
            let written: Vec<&str> = operations(&item).into_iter().map(|(method, _)| method).collect();
            let allowed = Interaction::allowed(sample, &types).iter().map(|method| method.as_str());
            let mut allowed: Vec<&str> = allowed.filter(|method| *method != "HEAD").collect();
            let mut sorted = written.clone();
            allowed.sort_unstable();
            sorted.sort_unstable();
            assert_eq!(sorted, allowed, "{template}");
            assert!(!written.is_empty(), "{template}");
            let parameters = template.matches('{').count();
            for (_, operation) in operations(&item) {
                assert_eq!(operation.parameters.as_ref().map_or(0, Vec::len), parameters, "{template}");
            }
        }
    }
}
