//! The patches of a transaction: what refers to an entry in them means the same as in a resource.
//!
//! A FHIRPath Patch stands in its entry as it is; a JSON Patch comes in a Binary, and is unpacked once.

use bytes::Bytes;
use fhir_model::Result;
use fhir_model::interaction::Interaction;
use fhir_model::json::{Doc, Edits, JsonLimits, Ref};
use fhir_model::types::Types;

use super::elements::LinkKind;
use super::entries::Entry;
use super::entry_body::patch;
use super::full_url_index::FullUrlIndex;
use super::references::{ReferenceFinder, ReferenceSite};
use crate::change::Patch;
use crate::patch::interaction::from_body;
use crate::request::Body;
use crate::request_context::RequestContext;

/// A patch as it was sent.
pub(super) struct PatchSource<'d> {
    patch: Patch,
    /// Its text as a tree, when it is JSON.
    root: Option<Ref<'d>>,
}

impl<'d> PatchSource<'d> {
    pub(super) fn new(
        ctx: &RequestContext<'_>,
        entry: &Entry<'d>,
        json_patch: Option<&'d Doc>,
    ) -> Result<PatchSource<'d>> {
        let body = entry.resource.map(|r| patch(r, ctx)).transpose()?;
        let patch = from_body(body.as_ref())?;
        let root = match patch {
            Patch::Json(_) => json_patch.map(Doc::root),
            Patch::FhirPath(_) => entry.resource,
        };
        Ok(PatchSource { patch, root })
    }

    /// The patch with its references resolved.
    pub(super) fn resolved(&self, edits: &Edits, limits: JsonLimits) -> Result<Patch> {
        let Some(root) = self.root.filter(|_| !edits.is_empty()) else { return Ok(self.patch.clone()) };
        let mut text = String::new();
        root.write(edits, &mut text);
        Ok(match self.patch {
            Patch::Json(_) => Patch::Json(Bytes::from(text)),
            Patch::FhirPath(_) => Patch::FhirPath(Doc::parse(text, limits)?),
        })
    }
}

/// The JSON Patch of an entry. Its errors are reported where it is applied.
pub(super) fn decoded(ctx: &RequestContext<'_>, entry: Ref<'_>) -> Option<Doc> {
    if entry.get("request")?.get_str("method")? != "PATCH" {
        return None;
    }
    match patch(entry.get("resource")?, ctx) {
        Ok(Body::JsonPatch(bytes)) => {
            let limits = ctx.cx.limits.json.for_body(bytes.len());
            Doc::parse(bytes, limits).ok()
        }
        _ => None,
    }
}

/// All values of a patch that are to be replaced.
pub(super) fn sites<'d>(
    ctx: &RequestContext<'_>,
    entry: &Entry<'d>,
    sent: &PatchSource<'d>,
    links: &FullUrlIndex,
) -> Result<Vec<ReferenceSite<'d>>> {
    let Some(root) = sent.root else { return Ok(Vec::new()) };
    let mut walk = ReferenceFinder::new(ctx, links, entry, root);
    match (&sent.patch, &entry.interaction) {
        (Patch::FhirPath(_), _) => {
            for operation in root.get("parameter").into_iter().flat_map(Ref::items) {
                parameter(ctx, &mut walk, operation, &target(operation))?;
            }
        }
        (Patch::Json(_), Interaction::Patch(key)) => operations(&mut walk, root, &key.type_name)?,
        (Patch::Json(_), Interaction::ConditionalPatch(type_name)) => {
            operations(&mut walk, root, type_name)?;
        }
        _ => {}
    }
    Ok(walk.sites)
}

/// The values of a JSON Patch, each of the type and under the name that its pointer says.
fn operations<'d>(walk: &mut ReferenceFinder<'_, 'd>, patch: Ref<'d>, type_name: &str) -> Result<()> {
    for operation in patch.items() {
        let (Some(pointer), Some(values)) = (operation.get_str("path"), operation.get("value")) else {
            continue;
        };
        let is_index = |step: &str| step == "-" || step.bytes().all(|b| b.is_ascii_digit());
        let names: Vec<String> =
            pointer.split('/').skip(1).filter(|step| !is_index(step)).map(str::to_owned).collect();
        let name = names.last().cloned().unwrap_or_default();
        walk.begin(Some(type_name), names);
        walk.values(&name, values)?;
    }
    Ok(())
}

/// The name that the value of an operation of a FHIRPath Patch will have in the resource.
fn target(operation: Ref<'_>) -> String {
    let part = |name: &str| {
        let mut parts = operation.get("part").into_iter().flat_map(Ref::items);
        let part = parts.find(|part| part.get_str("name").as_deref() == Some(name))?;
        part.get_str("valueString").map(|text| text.into_owned())
    };
    let last = |path: String| path.rsplit('.').next().unwrap_or_default().to_owned();
    part("name").or_else(|| part("path").map(last)).unwrap_or_default()
}

/// The values of a parameter and its parts. `target`: what a part named `value` is the value of.
fn parameter<'d>(
    ctx: &RequestContext<'_>,
    walk: &mut ReferenceFinder<'_, 'd>,
    parameter: Ref<'d>,
    target: &str,
) -> Result<()> {
    let types = &*ctx.cx.definitions;
    let own = parameter.get_str("name").unwrap_or_default();
    // The parts of a value are named after the elements they are.
    let (name, target) = if own == "value" { (target, "value") } else { (&*own, target) };
    for member in parameter.children() {
        let key = member.key();
        match &*key {
            "part" => {
                for part in member.items() {
                    self::parameter(ctx, walk, part, target)?;
                }
            }
            "resource" => {
                walk.begin(member.get_str("resourceType").as_deref(), Vec::new());
                walk.values(name, member)?;
            }
            key if key.starts_with("value") => {
                // Parameters hold no `valueExtension` by their definition, but clients send it, and patches take it.
                let of = types.json_element("Parameters.parameter", key).map(|(_, of)| of);
                match of.filter(|of| types.is_primitive(of)) {
                    Some(of) => walk.begin_value(primitive(name, of)),
                    None => walk.begin(of.or(key.strip_prefix("value")), Vec::new()),
                }
                walk.values(name, member)?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// The kind of link that a primitive of a patch may be. The path leaves open whose element it is; the name and the
/// type say enough.
fn primitive(name: &str, of: &str) -> LinkKind {
    match (name, of) {
        ("reference", "string") => LinkKind::Reference,
        ("div", _) => LinkKind::Narrative,
        ("url", "url") => LinkKind::Address,
        (_, "url") => LinkKind::Urn,
        (name, "uri" | "oid" | "uuid") if name.starts_with("value") => LinkKind::Urn,
        _ => LinkKind::Never,
    }
}
