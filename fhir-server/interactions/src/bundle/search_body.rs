//! A search by POST in a Bundle: <https://hl7.org/fhir/R4/http.html#search>

use fhir_model::json::Ref;
use fhir_model::{Error, Kind, Result, url};

use super::binary::data;
use crate::operation::value_of;
use crate::request::Body;

/// The parameters of a search by POST: a Binary around a form, as over HTTP, or Parameters.
pub(super) fn search_body(resource: Ref<'_>) -> Result<Body> {
    let fits = |name: &str, value: &str| resource.get_str(name).as_deref() == Some(value);
    if fits("resourceType", "Parameters") {
        let pairs = pairs(resource)?;
        return Ok(Body::Form(url::query(&pairs)));
    }
    if fits("resourceType", "Binary") && fits("contentType", "application/x-www-form-urlencoded") {
        let form = String::from_utf8(data(resource)?);
        return form.map(Body::Form).map_err(|_| Error::value("the form is not UTF-8").at("resource.data"));
    }
    let text = "a search by POST takes Parameters, or a Binary that holds a form (application/x-www-form-urlencoded)";
    Err(Error::new(Kind::UnsupportedMediaType, text).at("resource"))
}

/// Names and values of the parameters of a Parameters resource, all of them simple.
fn pairs(parameters: Ref<'_>) -> Result<Vec<(String, String)>> {
    let parameters = parameters.get("parameter").into_iter().flat_map(Ref::items).enumerate();
    let pairs = parameters.map(|(at, parameter)| {
        pair(parameter).ok_or_else(|| {
            Error::invalid("a parameter has a name and a simple value here")
                .at(format!("resource.parameter[{at}]"))
        })
    });
    pairs.collect()
}

fn pair(parameter: Ref<'_>) -> Option<(String, String)> {
    let name = parameter.get_str("name")?.into_owned();
    let (_, value) = value_of(parameter)?;
    let text = match (value.str(), value.number(), value.bool()) {
        (Some(text), _, _) => text.into_owned(),
        (_, Some(number), _) => number.to_owned(),
        (_, _, Some(truth)) => truth.to_string(),
        _ => return None,
    };
    Some((name, text))
}
