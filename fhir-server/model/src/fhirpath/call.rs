//! Which module implements a function.

use super::ast::Expr;
use super::evaluate::{EvalError, Evaluation, Items, Scope};
use super::function::Function as F;

/// A call: the collection it is on, its arguments and where it stands.
pub(super) struct Call<'e, 's, 'a> {
    pub(super) function: F,
    pub(super) args: &'e [Expr],
    pub(super) scope: Scope<'s, 'a>,
    pub(super) at: u32,
}

impl<'a> Evaluation<'_, 'a> {
    pub(super) fn call(
        &self,
        function: F,
        input: Items<'a>,
        args: &[Expr],
        scope: Scope<'_, 'a>,
        at: u32,
    ) -> Result<Items<'a>, EvalError> {
        self.spend(input.len(), at)?;
        let call = Call { function, args, scope, at };
        match function {
            F::Empty
            | F::Exists
            | F::All
            | F::AllTrue
            | F::AnyTrue
            | F::AllFalse
            | F::AnyFalse
            | F::SubsetOf
            | F::SupersetOf
            | F::Count
            | F::Distinct
            | F::IsDistinct
            | F::Not => self.existence(input, &call),
            F::Where | F::Select | F::Repeat | F::Sort | F::Aggregate | F::Iif | F::Coalesce => {
                self.projection(input, &call)
            }
            F::Single
            | F::First
            | F::Last
            | F::Tail
            | F::Skip
            | F::Take
            | F::Intersect
            | F::Exclude
            | F::Union
            | F::Combine => self.subset(input, &call),
            F::ToBoolean
            | F::ConvertsToBoolean
            | F::ToInteger
            | F::ConvertsToInteger
            | F::ToLong
            | F::ConvertsToLong
            | F::ToDecimal
            | F::ConvertsToDecimal
            | F::ToDate
            | F::ConvertsToDate
            | F::ToDateTime
            | F::ConvertsToDateTime
            | F::ToTime
            | F::ConvertsToTime
            | F::ToQuantity
            | F::ConvertsToQuantity
            | F::ToString
            | F::ConvertsToString => self.conversion(&input, &call),
            F::IndexOf
            | F::LastIndexOf
            | F::Substring
            | F::StartsWith
            | F::EndsWith
            | F::Contains
            | F::Upper
            | F::Lower
            | F::Replace
            | F::Matches
            | F::MatchesFull
            | F::ReplaceMatches
            | F::Length
            | F::ToChars
            | F::Encode
            | F::Decode
            | F::Escape
            | F::Unescape
            | F::Trim
            | F::Split => self.text(&input, &call),
            F::Join => self.join(&input, &call),
            F::Abs
            | F::Ceiling
            | F::Exp
            | F::Floor
            | F::Ln
            | F::Log
            | F::Power
            | F::Round
            | F::Sqrt
            | F::Truncate => self.math(&input, &call),
            F::LowBoundary
            | F::HighBoundary
            | F::Precision
            | F::Comparable
            | F::YearOf
            | F::MonthOf
            | F::DayOf
            | F::HourOf
            | F::MinuteOf
            | F::SecondOf
            | F::MillisecondOf
            | F::TimezoneOffsetOf
            | F::DateOf
            | F::TimeOf => self.boundary(&input, &call),
            F::Children
            | F::Descendants
            | F::Trace
            | F::DefineVariable
            | F::Now
            | F::TimeOfDay
            | F::Today
            | F::Type => self.utility(input, &call),
            F::Extension
            | F::HasExtension
            | F::HasValue
            | F::GetValue
            | F::Resolve
            | F::ElementDefinition
            | F::Slice
            | F::CheckModifiers
            | F::ConformsTo
            | F::MemberOf
            | F::Subsumes
            | F::SubsumedBy
            | F::HtmlChecks
            | F::GetResourceKey
            | F::GetReferenceKey => self.fhir(input, &call),
        }
    }
}
