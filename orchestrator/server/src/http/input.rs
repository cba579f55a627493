//! Is the input what the definition wants.
//!
//! Invariant: an integer that passes here fits 64 signed bits, as expressions and databases need it.

use amends_service::Problem;
use amends_service::problem::ProblemError;
use serde_json::Value;

use crate::core::Loaded;

/// Most places named in one answer: whoever sent a thousand wrong lines learns enough from these.
const ERRORS_MAX: usize = 20;

/// Checks the input against the definition's schema. `prefix` is where it stands in the body (`#` or
/// `#/input`).
pub(super) fn check(loaded: &Loaded, input: &Value, prefix: &str) -> Result<(), Problem> {
    let mut errors = Vec::new();
    integers(input, prefix, &mut errors);
    if let Some(validator) = &loaded.validator {
        errors.extend(validator.iter_errors(input).take(ERRORS_MAX).map(|error| ProblemError {
            pointer: format!("{prefix}{}", error.instance_path()),
            detail: error.to_string(),
        }));
    }
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

fn integers(value: &Value, pointer: &str, errors: &mut Vec<ProblemError>) {
    match value {
        Value::Number(number) if number.is_u64() && !number.is_i64() => errors.push(ProblemError {
            pointer: pointer.to_owned(),
            detail: format!("{number} is more than {}", i64::MAX),
        }),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                integers(item, &format!("{pointer}/{index}"), errors);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                let name = name.replace('~', "~0").replace('/', "~1");
                integers(field, &format!("{pointer}/{name}"), errors);
            }
        }
        _ => {}
    }
}
