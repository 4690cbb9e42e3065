//! Search within a compartment: <https://hl7.org/fhir/R4/compartmentdefinition.html>

use fhir_model::{Error, Key, Result};
use fhir_search::Query;

use crate::ask::Ask;
use crate::reply::Reply;
use crate::search::{Links, answer, pairs};

pub(crate) async fn search_compartment(ask: &Ask<'_>, compartment: &Key, type_name: &str) -> Result<Reply> {
    if type_name == "*" {
        let text = format!("{compartment}/* is not supported; name the type: {compartment}/Observation");
        return Err(Error::not_supported(text));
    }
    let pairs = pairs(ask)?;
    let query = Query::parse(&ask.cx.registry, type_name, &pairs, &ask.parse_cx(ask.strict()))?;
    let links = Links::of(ask, &format!("{compartment}/{type_name}"), &query);
    let query = query.in_compartment(&ask.cx.registry, compartment)?;
    answer(ask, &query, &links).await
}
