//! `$reindex`: resources of some types are indexed anew; `$reindex-status`: how far that is.
//!
//! The work is the store's, and goes on whatever becomes of the caller or the server. A SearchParameter that comes or
//! goes begins it by itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use fhir_interactions::{Call, Cx, Handling, Operation, Reply};
use fhir_model::interaction::Level;
use fhir_model::{Kind, Result};
use fhir_search::custom::{Custom, Stage};
use fhir_search::parameters::Parameter;
use fhir_store::ReindexJob;
use serde_json::{Value, json};

/// `$reindex`.
pub(crate) struct Reindex;

/// `$reindex-status`.
pub(crate) struct ReindexStatus;

#[async_trait]
impl Operation for Reindex {
    fn definition(&self) -> &'static str {
        include_str!("reindex/definition.json")
    }

    async fn run(&self, cx: &Cx, call: Call) -> Result<Reply> {
        let types = types(cx, &call)?;
        let names: Vec<&str> = types.iter().map(|name| &**name).collect();
        cx.store.reindex(&call.scope, &names).await?;
        let jobs = jobs(cx, &call, &types).await?;
        // It is accepted, not done.
        Ok(Reply { status: 202, ..parameters(jobs) })
    }
}

#[async_trait]
impl Operation for ReindexStatus {
    fn definition(&self) -> &'static str {
        include_str!("reindex/status.json")
    }

    async fn run(&self, cx: &Cx, call: Call) -> Result<Reply> {
        let types = types(cx, &call)?;
        let mut all = jobs(cx, &call, &types).await?;
        let customs = cx.registry.customs();
        let is_asked = |custom: &&Arc<Custom>| custom.types.iter().any(|t| types.contains(t));
        let mut refused = refused(cx, &types);
        let custom = |custom: &Arc<Custom>| match refused.remove(&custom.definition.url) {
            Some((definition, percent)) => search_parameter(&definition, Stage::Building, Some(percent)),
            None => search_parameter(&custom.definition, custom.stage, percent(custom)),
        };
        all.extend(customs.iter().filter(is_asked).map(custom));
        all.extend(
            refused
                .into_values()
                .map(|(definition, percent)| search_parameter(&definition, Stage::Building, Some(percent))),
        );
        Ok(parameters(all))
    }
}

/// The types a call is about. On a type there is no choice: others are refused under strict handling, else ignored.
fn types(cx: &Cx, call: &Call) -> Result<Vec<Box<str>>> {
    let sent: Vec<&str> =
        call.parameters.texts("type")?.into_iter().flat_map(|list| list.split(',')).collect();
    let mut types: Vec<Box<str>> = match &call.level {
        Level::System if sent.is_empty() => cx.definitions.resource_types().map(Box::from).collect(),
        Level::System => {
            let is_known = |name: &str| cx.definitions.resource_types().any(|known| known == name);
            if let Some(unknown) = sent.iter().find(|name| !is_known(name)) {
                let text = format!("`{unknown}` is not a resource type");
                return Err(call.parameters.error(Kind::Value, "type", text));
            }
            sent.into_iter().map(Box::from).collect()
        }
        _ if !sent.is_empty() && call.request.prefer.handling == Handling::Strict => {
            let text = "`type` is not a parameter here, but of a call on the whole server (strict handling)";
            return Err(call.parameters.error(Kind::Invalid, "type", text));
        }
        Level::Type(type_name) => vec![type_name.clone()],
        Level::Instance(key) => vec![key.type_name.clone()],
    };
    types.sort();
    types.dedup();
    Ok(types)
}

async fn jobs(cx: &Cx, call: &Call, types: &[Box<str>]) -> Result<Vec<Value>> {
    let jobs = cx.store.reindex_jobs(&call.scope).await?;
    Ok(jobs.iter().filter(|job| types.contains(&job.type_name)).map(job).collect())
}

fn job(job: &ReindexJob) -> Value {
    let mut parts = vec![
        json!({ "name": "type", "valueCode": job.type_name }),
        json!({ "name": "state", "valueCode": job.state.as_str() }),
        json!({ "name": "done", "valueDecimal": job.done }),
        json!({ "name": "total", "valueDecimal": job.total }),
    ];
    parts.extend(job.failure.as_ref().map(|text| json!({ "name": "failure", "valueString": text })));
    json!({ "name": "job", "part": parts })
}

/// The parameters whose entries this build makes otherwise and not all resources of these types have, by url: the least share.
fn refused(cx: &Cx, types: &[Box<str>]) -> BTreeMap<Box<str>, (Arc<Parameter>, u32)> {
    let mut refused: BTreeMap<Box<str>, (Arc<Parameter>, u32)> = BTreeMap::new();
    for (type_name, param, progress) in cx.registry.refused_params() {
        if types.contains(&type_name) {
            let definition = &param.definition;
            let (_, percent) =
                refused.entry(definition.url.clone()).or_insert_with(|| (definition.clone(), 100));
            *percent = (*percent).min(progress.percent());
        }
    }
    refused
}

fn percent(custom: &Custom) -> Option<u32> {
    match custom.stage {
        Stage::Known | Stage::Building => Some(custom.progress.percent()),
        Stage::Ready => Some(100),
        Stage::Retiring => None,
    }
}

fn search_parameter(definition: &Parameter, stage: Stage, percent: Option<u32>) -> Value {
    let mut parts = vec![
        json!({ "name": "url", "valueUri": definition.url }),
        json!({ "name": "code", "valueCode": definition.code }),
        json!({ "name": "state", "valueCode": stage.as_str() }),
    ];
    parts.extend(percent.map(|percent| json!({ "name": "percent", "valueDecimal": percent })));
    json!({ "name": "search-parameter", "part": parts })
}

fn parameters(list: Vec<Value>) -> Reply {
    let mut parameters = json!({ "resourceType": "Parameters" });
    // FHIR has no empty lists.
    if let (false, Some(members)) = (list.is_empty(), parameters.as_object_mut()) {
        members.insert("parameter".to_owned(), Value::from(list));
    }
    Reply::resource(parameters.to_string())
}
