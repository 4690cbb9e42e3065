//! FHIRPath: parsed once, evaluated over the JSON tree with knowledge of FHIR's types.
//!
//! <https://hl7.org/fhirpath/N1/> and <https://hl7.org/fhir/R4/fhirpath.html>
//!
//! **Invariant:** evaluation copies nothing of the resource, reads no clock and ends: the length and height of an
//! expression and the number of its steps are bounded.

mod arithmetic;
pub mod ast;
mod boundary;
mod call;
mod collection;
mod compare;
mod context;
mod convert;
mod distinct;
mod evaluate;
mod fhir;
pub mod function;
mod html;
mod item;
mod lex;
pub mod location;
mod math;
mod navigate;
mod operator;
mod parse;
mod text;
mod ucum;
mod utility;

use std::fmt;

pub use ast::{Calendar, Expr, Literal, Op, TypeName, TypeOp, Unit};
pub use context::{Context, Profiles, Resolver, STEPS_MAX, Terminology, Trace};
pub use evaluate::{EvalError, evaluate, to_bool};
pub use function::Function;
pub use item::{Item, Node, Quantity, Value};
pub use parse::parse;

/// Longest expression, in bytes.
pub const LENGTH_MAX: usize = 16 * 1024;

/// Highest tree an expression may have: nested brackets, and the steps of one path or chain of operators.
pub const HEIGHT_MAX: usize = 128;

/// Why a text is not an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError {
    /// Byte offset in the text.
    pub at: usize,
    /// What is wrong.
    pub text: String,
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not valid FHIRPath at byte {}: {}", self.at, self.text)
    }
}

impl std::error::Error for SyntaxError {}

impl From<SyntaxError> for crate::Error {
    fn from(e: SyntaxError) -> crate::Error {
        crate::Error::invalid(e.to_string())
    }
}

#[cfg(test)]
mod tests;
