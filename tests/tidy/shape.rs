//! Rules on a file as text: how it opens, how long it is, what it is called.
//!
//! Invariant: the numbers here are the ones of CONTRIBUTING.md.

use crate::{Finding, Source};

const LINES_MAX: usize = 500;
const TEST_LINES_MAX: usize = 800;
const EMPTY_NAMES: [&str; 6] = ["util", "utils", "common", "helper", "helpers", "misc"];

/// The first line is `//!`.
pub(crate) fn opening(source: &Source) -> Vec<Finding> {
    match source.text.lines().next() {
        Some(line) if line.starts_with("//! ") => Vec::new(),
        _ => vec![Finding::at_line(&source.path, 1, "open with `//!`: what this is, why, one invariant")],
    }
}

/// At most 500 lines; tests 800.
pub(crate) fn file_length(source: &Source) -> Vec<Finding> {
    let max = if source.is_test() { TEST_LINES_MAX } else { LINES_MAX };
    match source.text.lines().count() {
        lines if lines > max => {
            vec![Finding::new(&source.path, format!("{lines} lines, {max} are allowed: split it by concept"))]
        }
        _ => Vec::new(),
    }
}

/// No `util`, `common`, `helper`, `manager`, `misc`, neither as a file nor as a folder.
pub(crate) fn file_name(source: &Source) -> Vec<Finding> {
    let says_nothing = |part: &str| {
        let part = part.trim_end_matches(".rs");
        EMPTY_NAMES.contains(&part) || part.ends_with("manager")
    };
    match source.path.split('/').find(|part| says_nothing(part)) {
        Some(part) => vec![Finding::new(&source.path, format!("`{part}` says nothing: name what is in it"))],
        None => Vec::new(),
    }
}

#[test]
fn a_file_without_an_opening_is_found() {
    assert_eq!(opening(&Source::new("a.rs", "//! What.\n")).len(), 0);
    assert_eq!(opening(&Source::new("a.rs", "use std::fmt;\n//! What.\n")).len(), 1);
    assert_eq!(opening(&Source::new("a.rs", "")).len(), 1);
}

#[test]
fn a_long_file_is_found() {
    let lines = |count| "x\n".repeat(count);
    assert_eq!(file_length(&Source::new("shared/a.rs", &lines(500))).len(), 0);
    assert_eq!(file_length(&Source::new("shared/a.rs", &lines(501))).len(), 1);
    assert_eq!(file_length(&Source::new("shared/tests/a.rs", &lines(800))).len(), 0);
    assert_eq!(file_length(&Source::new("shared/tests/a.rs", &lines(801))).len(), 1);
}

#[test]
fn an_empty_name_is_found() {
    assert_eq!(file_name(&Source::new("shared/common/a.rs", "")).len(), 1);
    assert_eq!(file_name(&Source::new("shared/session_manager.rs", "")).len(), 1);
    assert_eq!(file_name(&Source::new("shared/commons/uncommon.rs", "")).len(), 0);
}
