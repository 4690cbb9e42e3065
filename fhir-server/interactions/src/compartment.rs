//! Search within a compartment: <https://hl7.org/fhir/R4/compartmentdefinition.html>

use fhir_model::{Error, Key, Result};
use fhir_search::Query;

use crate::ask::Ask;
use crate::reply::Reply;
use crate::search::{Links, answer, pairs};

pub(crate) async fn search_compartment(ask: &Ask<'_>, compartment: &Key, type_name: &str) -> Result<Reply> {
    let (query, links) = of_compartment(ask, compartment, type_name)?;
    answer(ask, &query, &links).await
}

/// What a search within a compartment asks for.
pub(crate) fn of_compartment(ask: &Ask<'_>, compartment: &Key, type_name: &str) -> Result<(Query, Links)> {
    if type_name == "*" {
        let text = format!("{compartment}/* is not supported; name the type: {compartment}/Observation");
        return Err(Error::not_supported(text));
    }
    let pairs = pairs(ask)?;
    let query = Query::parse(&ask.cx.registry, type_name, &pairs, &ask.parse_cx(ask.strict()))?;
    let links = Links::of(ask, &format!("{compartment}/{type_name}"), &query);
    Ok((query.in_compartment(&ask.cx.registry, compartment)?, links))
}
