//! Expressions: CEL, tamed. This folder is the only one that names the `cel` crate.
//!
//! CEL as the crate has it goes through maps in random order, has no limit of cost, and finds unknown
//! names only when it runs. So an expression is checked when it is loaded ([`compile`]), every operation
//! whose cost grows with the data goes through a guard ([`guard`]), and JSON is seen, not copied
//! ([`json`]).
//!
//! Invariant: the same expression over the same scope gives the same value or the same error, always.

mod check;
mod compile;
mod error;
mod evaluate;
mod guard;
mod json;
mod money;
mod output;
mod path;

pub(crate) use check::is_taken;
pub(crate) use compile::compile;
pub(crate) use error::Failure;
pub use error::{ExpressionError, ExpressionErrorKind};
pub(crate) use evaluate::{Evaluation, Expression};
pub(crate) use path::{Names, Path, Root, Segment};

#[cfg(test)]
mod tests;
