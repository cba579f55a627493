//! Is the input what the definition wants.
//!
//! Invariant: what passes here can be stored, read back and computed with: integers fit 64 signed bits, and
//! nothing lies too deep.

use std::fmt;

use amends_service::Problem;
use amends_service::problem::ProblemError;
use serde_json::Value;

use crate::core::Loaded;

/// Most places named in one answer: whoever sent a thousand wrong lines learns enough from these.
const ERRORS_MAX: usize = 20;

/// How deep lists and objects may lie in each other. JSON of more than 128 levels cannot be read back, and the
/// input is stored and sent within other JSON.
const DEPTH_MAX: usize = 64;

/// Checks the input against the definition's schema. `prefix` is where it stands in the body (`#` or
/// `#/input`).
pub(super) fn check(loaded: &Loaded, input: &Value, prefix: &str) -> Result<(), Problem> {
    let mut errors = Vec::new();
    stores(input, Place::Root(prefix), DEPTH_MAX, &mut errors);
    // To say what is wrong costs more than to see that nothing is.
    if let Some(validator) = loaded.validator.as_ref().filter(|validator| !validator.is_valid(input)) {
        errors.extend(validator.iter_errors(input).take(ERRORS_MAX).map(|error| ProblemError {
            pointer: format!("{prefix}{}", error.instance_path()),
            detail: error.to_string(),
        }));
    }
    refuse(errors)
}

/// Checks data of which no schema is known here: whether it can be stored and computed with.
pub(super) fn check_data(data: &Value, prefix: &str) -> Result<(), Problem> {
    let mut errors = Vec::new();
    stores(data, Place::Root(prefix), DEPTH_MAX, &mut errors);
    refuse(errors)
}

/// A problem with each of these places; fine when there is none.
pub(super) fn refuse(errors: Vec<ProblemError>) -> Result<(), Problem> {
    if errors.is_empty() {
        return Ok(());
    }
    let problem = Problem::bad_request("invalid-body", "the body is JSON but not what is expected here");
    let add = |problem: Problem, error: ProblemError| problem.with_error(error.pointer, error.detail);
    Err(errors.into_iter().take(ERRORS_MAX).fold(problem, add))
}

/// Adds each place that cannot be stored or computed with.
fn stores(value: &Value, place: Place<'_>, depth: usize, errors: &mut Vec<ProblemError>) {
    let mut wrong = |detail: String| errors.push(ProblemError { pointer: place.to_string(), detail });
    match value {
        Value::Number(number) if number.is_u64() && !number.is_i64() => {
            wrong(format!("{number} is more than {}", i64::MAX));
        }
        Value::Array(_) | Value::Object(_) if depth == 0 => {
            wrong(format!("lies deeper than {DEPTH_MAX} lists and objects"));
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                stores(item, Place::Item(&place, index), depth - 1, errors);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                stores(field, Place::Field(&place, name), depth - 1, errors);
            }
        }
        _ => {}
    }
}

/// Where a value lies; written as a JSON pointer only when something is wrong there.
#[derive(Clone, Copy)]
enum Place<'a> {
    Root(&'a str),
    Item(&'a Place<'a>, usize),
    Field(&'a Place<'a>, &'a str),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root(prefix) => f.write_str(prefix),
            Self::Item(list, index) => write!(f, "{list}/{index}"),
            Self::Field(object, name) => {
                write!(f, "{object}/{}", name.replace('~', "~0").replace('/', "~1"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_cannot_be_stored_is_named() {
        let nested = |depth: usize| (0..depth).fold(json!(1), |inner, _| json!([inner]));
        let said = |value: &Value| {
            let mut errors = Vec::new();
            stores(value, Place::Root("#"), DEPTH_MAX, &mut errors);
            errors.into_iter().map(|error| error.detail).collect::<Vec<_>>()
        };
        assert_eq!(said(&nested(DEPTH_MAX)), [""; 0]);
        assert_eq!(said(&nested(DEPTH_MAX + 1)), ["lies deeper than 64 lists and objects"]);
        assert_eq!(said(&json!({ "a": i64::MAX, "b": [i64::MIN, 1.5, "x", null, true] })), [""; 0]);
        assert_eq!(said(&json!([u64::MAX])), ["18446744073709551615 is more than 9223372036854775807"]);
    }
}
