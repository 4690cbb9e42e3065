//! The body of the request that an entry stands for, where that is not its resource.

use bytes::Bytes;
use fhir_model::json::{Doc, Ref};
use fhir_model::{Error, Result};

use super::binary::data;
use crate::request::Body;
use crate::request_context::RequestContext;

/// The patch in an entry: Parameters, or a Binary around a JSON Patch.
pub(super) fn patch(resource: Ref<'_>, ctx: &RequestContext<'_>) -> Result<Body> {
    if resource.get_str("resourceType").as_deref() != Some("Binary") {
        return Ok(Body::Resource(Doc::parse(resource.to_json(), ctx.cx.limits.json)?));
    }
    if resource.get_str("contentType").as_deref() != Some("application/json-patch+json") {
        let text = "a patch in a Binary is a JSON Patch: `contentType` is application/json-patch+json";
        return Err(Error::invalid(text).at("resource.contentType"));
    }
    data(resource).map(|bytes| Body::JsonPatch(Bytes::from(bytes)))
}
