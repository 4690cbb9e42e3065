//! `$reindex`: resources of some types are indexed anew; `$reindex-status`: how far that is.
//!
//! The work is the store's, and goes on whatever becomes of the caller or the server. A SearchParameter that comes or
//! goes begins it by itself.

use async_trait::async_trait;
use fhir_interactions::{Call, Cx, Handling, Operation, Reply};
use fhir_model::interaction::Level;
use fhir_model::{Error, Result};
use fhir_search::custom::{Custom, Stage};
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
        let types = types(cx, &call, "$reindex")?;
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
        let types = types(cx, &call, "$reindex-status")?;
        let mut all = jobs(cx, &call, &types).await?;
        let customs = cx.registry.customs();
        let is_asked = |custom: &&std::sync::Arc<Custom>| custom.types.iter().any(|t| types.contains(t));
        all.extend(customs.iter().filter(is_asked).map(|custom| search_parameter(custom)));
        Ok(parameters(all))
    }
}

/// The types a call is about.
fn types(cx: &Cx, call: &Call, name: &str) -> Result<Vec<Box<str>>> {
    let mut types: Vec<Box<str>> = Vec::new();
    for (parameter, value) in call.parameters()? {
        match (&*parameter, &call.level) {
            ("_format" | "_pretty", _) => {}
            ("type", Level::System) => {
                for type_name in value.split(',') {
                    if !cx.definitions.resource_types().any(|t| t == type_name) {
                        return Err(Error::value(format!("`{type_name}` is not a resource type")).at("type"));
                    }
                    types.push(type_name.into());
                }
            }
            _ if call.request.prefer.handling == Handling::Strict => {
                let text = format!("`{parameter}` is not a parameter of {name} here (strict handling)");
                return Err(Error::invalid(text).at(parameter));
            }
            _ => {}
        }
    }
    match &call.level {
        Level::Type(type_name) => types.push(type_name.clone()),
        Level::Instance(key) => types.push(key.type_name.clone()),
        Level::System if types.is_empty() => types.extend(cx.definitions.resource_types().map(Box::from)),
        Level::System => {}
    }
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

fn search_parameter(custom: &Custom) -> Value {
    let mut parts = vec![
        json!({ "name": "url", "valueUri": custom.definition.url }),
        json!({ "name": "code", "valueCode": custom.definition.code }),
        json!({ "name": "state", "valueCode": custom.stage.as_str() }),
    ];
    let percent = match custom.stage {
        Stage::Known | Stage::Building => Some(custom.progress.percent()),
        Stage::Ready => Some(100),
        Stage::Retiring => None,
    };
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
