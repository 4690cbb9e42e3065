//! `uri` parameters: <https://hl7.org/fhir/R4/search.html#uri>. Exact, case included.

use fhir_model::json::Ref;

use crate::condition::Condition;
use crate::keyer::{Form, Keyer};
use crate::registry::Param;
use crate::sink::Sink;

pub(crate) fn index(value: Ref<'_>, sink: &mut Sink<'_>) {
    if let Some(text) = value.str() {
        sink.equality(Form::Uri, &[&text]);
    }
}

pub(crate) fn condition(text: &str, param: &Param, keyer: &Keyer) -> Condition {
    let keys = param.indexes.iter().map(|i| keyer.key(param.type_number, &i.name, Form::Uri, &[text]));
    Condition::Keys(keys.collect())
}
