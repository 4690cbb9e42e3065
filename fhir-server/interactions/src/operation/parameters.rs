//! The parameters of a call of an operation: <https://hl7.org/fhir/R4/operations.html#request>

use fhir_model::json::Ref;
use fhir_model::{Error, Result, url};

use super::Call;
use crate::request::Body;

impl Call {
    /// Names and values of all simple parameters, those of the URL first, then those of the body: a form, or a
    /// Parameters resource.
    ///
    /// # Errors
    ///
    /// `Invalid` when the body is neither a form nor a Parameters resource, or when a parameter has no simple value.
    pub fn parameters(&self) -> Result<Vec<(String, String)>> {
        let mut pairs = self.pairs.clone();
        match &self.request.body {
            None => {}
            Some(Body::Form(form)) => pairs.extend(url::pairs(form)?),
            Some(Body::Resource(doc))
                if doc.root().get_str("resourceType").as_deref() == Some("Parameters") =>
            {
                pairs.extend(simple(doc.root())?);
            }
            Some(_) => return Err(Error::invalid("the body of an operation is a Parameters resource")),
        }
        Ok(pairs)
    }
}

/// Names and values of the parameters of a Parameters resource, all of them simple.
pub(crate) fn simple(parameters: Ref<'_>) -> Result<Vec<(String, String)>> {
    let parameters = parameters.get("parameter").into_iter().flat_map(Ref::items).enumerate();
    let pairs = parameters.map(|(at, parameter)| {
        pair(parameter).ok_or_else(|| {
            Error::invalid("a parameter has a name and a simple value here")
                .at(format!("Parameters.parameter[{at}]"))
        })
    });
    pairs.collect()
}

fn pair(parameter: Ref<'_>) -> Option<(String, String)> {
    let name = parameter.get_str("name")?.into_owned();
    let value = parameter.children().find(|member| member.key().starts_with("value"))?;
    let text = match (value.str(), value.number(), value.bool()) {
        (Some(text), _, _) => text.into_owned(),
        (_, Some(number), _) => number.to_owned(),
        (_, _, Some(truth)) => truth.to_string(),
        _ => return None,
    };
    Some((name, text))
}
