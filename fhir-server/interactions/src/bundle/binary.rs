//! What an entry carries in a Binary: <https://hl7.org/fhir/R4/binary.html>

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fhir_model::json::Ref;
use fhir_model::{Error, Result};

/// The content of a Binary.
pub(super) fn data(binary: Ref<'_>) -> Result<Vec<u8>> {
    let data = binary.get_str("data").unwrap_or_default();
    STANDARD.decode(&*data).map_err(|_| Error::value("`data` is not base64").at("resource.data"))
}
