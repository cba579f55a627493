//! Why an expression has no value.
//!
//! Invariant: messages are made of types, names and numbers only, never of whole values: those may be
//! secret, large, or printed in random order.

use std::fmt;

use cel::ExecutionError;

/// An expression that has no value in its scope. The same scope gives the same error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("={expression}: {kind}: {message}")]
pub struct ExpressionError {
    /// What kind of error it is.
    pub kind: ExpressionErrorKind,
    /// Where in the template, as a JSON pointer; empty at its root.
    pub pointer: String,
    /// The expression without its `=`.
    pub expression: String,
    /// What is wrong, for people.
    pub message: String,
}

/// Why an expression has no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ExpressionErrorKind {
    /// A field or a step's output is not there.
    NoSuchKey,
    /// A list is shorter than that.
    IndexOutOfBounds,
    /// An operation does not apply to values of these types.
    WrongType,
    /// A whole number does not fit 64 bits.
    Overflow,
    /// A division, or its rest, by zero.
    DivisionByZero,
    /// A list is longer than expressions go through.
    ListTooLong,
    /// A text cannot be converted.
    Conversion,
    /// A mapping repeats a key.
    DuplicateKey,
    /// The value cannot be written as JSON.
    NotJson,
    /// A text contains U+0000, which databases cannot store.
    NulCharacter,
    /// Evaluating costs more than it may.
    TooCostly,
    /// The value is larger than any message.
    TooLarge,
}

impl ExpressionErrorKind {
    /// Its stable name.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::NoSuchKey => "no-such-key",
            Self::IndexOutOfBounds => "index-out-of-bounds",
            Self::WrongType => "wrong-type",
            Self::Overflow => "overflow",
            Self::DivisionByZero => "division-by-zero",
            Self::ListTooLong => "list-too-long",
            Self::Conversion => "conversion",
            Self::DuplicateKey => "duplicate-key",
            Self::NotJson => "not-json",
            Self::NulCharacter => "nul-character",
            Self::TooCostly => "too-costly",
            Self::TooLarge => "too-large",
        }
    }

    const ALL: [Self; 12] = [
        Self::NoSuchKey,
        Self::IndexOutOfBounds,
        Self::WrongType,
        Self::Overflow,
        Self::DivisionByZero,
        Self::ListTooLong,
        Self::Conversion,
        Self::DuplicateKey,
        Self::NotJson,
        Self::NulCharacter,
        Self::TooCostly,
        Self::TooLarge,
    ];
}

impl fmt::Display for ExpressionErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// An error before it is known which expression it befell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) kind: ExpressionErrorKind,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(kind: ExpressionErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    pub(crate) fn no_such_key(key: &str) -> Self {
        let key: String = key.chars().take(80).collect();
        Self::new(ExpressionErrorKind::NoSuchKey, format!("there is no {key:?}"))
    }

    pub(crate) fn wrong_type(operation: &str, types: &[&str]) -> Self {
        let message = format!("`{operation}` does not apply to {}", types.join(" and "));
        Self::new(ExpressionErrorKind::WrongType, message)
    }

    /// Through the interpreter, which knows its own errors only: the kind travels as a function's name.
    pub(crate) fn into_execution(self) -> ExecutionError {
        ExecutionError::FunctionError { function: format!("@{}", self.kind.code()), message: self.message }
    }
}

impl From<ExecutionError> for Failure {
    fn from(error: ExecutionError) -> Self {
        use ExpressionErrorKind as Kind;
        match error {
            ExecutionError::FunctionError { function, message } => {
                let code = function.strip_prefix('@');
                match Kind::ALL.into_iter().find(|kind| Some(kind.code()) == code) {
                    Some(kind) => Self::new(kind, message),
                    None => Self::new(Kind::Conversion, format!("`{function}()` cannot convert this value")),
                }
            }
            ExecutionError::NoSuchKey(key) | ExecutionError::UndeclaredReference(key) => {
                Self::no_such_key(&key)
            }
            ExecutionError::IndexOutOfBounds(index) => match index {
                cel::Value::Int(index) => {
                    Self::new(Kind::IndexOutOfBounds, format!("the list has no element {index}"))
                }
                _ => Self::new(Kind::IndexOutOfBounds, "the list has no such element"),
            },
            ExecutionError::NoSuchOverload(overload) => {
                let types: Vec<&str> = overload.argument_types().iter().map(String::as_str).collect();
                Self::wrong_type(operator(overload.function()), &types)
            }
            ExecutionError::UnexpectedType { got, want } => {
                Self::new(Kind::WrongType, format!("{want} is expected, not {got}"))
            }
            ExecutionError::UnsupportedBinaryOperator(name, ..) => {
                let message = format!("`{}` does not apply to values of these types", operator(name));
                Self::new(Kind::WrongType, message)
            }
            ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => {
                Self::new(Kind::DivisionByZero, "a number is divided by zero")
            }
            ExecutionError::Overflow(name, ..) => {
                let message = format!("the result of `{}` does not fit 64 bits", operator(name));
                Self::new(Kind::Overflow, message)
            }
            ExecutionError::DuplicateKey(_) => Self::new(Kind::DuplicateKey, "a mapping repeats a key"),
            _ => Self::new(Kind::WrongType, "the operation does not apply to values of these types"),
        }
    }
}

/// As it is written, instead of as the interpreter calls it.
fn operator(name: &str) -> &str {
    match name {
        "_._" => ".",
        "_[_]" => "[]",
        "_&&_" => "&&",
        "_||_" => "||",
        "!_" => "!",
        "-_" | "_-_" | "sub" | "negate" => "-",
        "_*_" | "mul" => "*",
        "_/_" | "div" => "/",
        "_%_" | "rem" => "%",
        "_<_" => "<",
        "_<=_" => "<=",
        "_>_" => ">",
        "_>=_" => ">=",
        "add" => "+",
        other => other,
    }
}
