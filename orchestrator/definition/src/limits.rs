//! The limits of the language. They are constants, not configuration: a definition that is valid in one
//! installation has to be valid in all, and has to render the same in all.

/// Longest expression, in bytes without the `=`.
pub const EXPRESSION_BYTES_MAX: usize = 1024;
