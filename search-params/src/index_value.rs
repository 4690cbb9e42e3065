//! The index entries of one value: each type of parameter has its own.

use fhir_model::json::Ref;

use crate::index_writer::IndexWriter;
use crate::parameters::ParameterKind;
use crate::{date, near, number, quantity, reference, string, token, uri};

/// The entries of one value.
pub(crate) fn index_value(value: Ref<'_>, value_type: &str, writer: &mut IndexWriter<'_>) {
    match writer.index.kind {
        ParameterKind::Token => token::index(value, value_type, writer),
        ParameterKind::String => string::index(value, value_type, writer),
        ParameterKind::Reference => reference::index(value, value_type, writer),
        ParameterKind::Date => date::index(value, value_type, writer),
        ParameterKind::Number => number::index(value, value_type, writer),
        ParameterKind::Quantity => quantity::index(value, value_type, writer),
        ParameterKind::Uri => uri::index(value, value_type, writer),
        ParameterKind::Special => near::index(value, writer),
        // Made of parts, each of which has come here.
        ParameterKind::Composite => {}
    }
}
