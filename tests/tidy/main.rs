//! The rules of the code, run as tests: who may import whom, sizes, openings, words, literals.
//!
//! A rule that nobody runs is a wish. Each rule here is a function from text or graph to findings, and
//! has a test beside it that shows it finding something: a rule that cannot fail proves nothing.

#![allow(clippy::expect_used, reason = "a test may stop with a word")]

mod code;
mod finding;
mod imports;
mod literals;
mod shape;
mod sources;
mod tables;

use finding::Finding;
use sources::Source;

/// Applies one rule to every source of the workspace, and names all that it finds.
fn hold(rule: fn(&Source) -> Vec<Finding>) {
    let sources = sources::workspace();
    assert!(sources.len() > 50, "only {} sources were found: the walk is broken", sources.len());
    let findings: Vec<_> = sources.iter().flat_map(rule).collect();
    assert!(findings.is_empty(), "\n{}", finding::render(&findings));
}

#[test]
fn every_file_opens_with_what_it_is() {
    hold(shape::opening);
}

#[test]
fn no_file_is_too_long() {
    hold(shape::file_length);
}

#[test]
fn no_file_has_a_name_that_says_nothing() {
    hold(shape::file_name);
}

#[test]
fn no_function_is_too_long() {
    hold(code::function_length);
}

#[test]
fn no_code_can_panic_by_unwrapping() {
    hold(code::unwraps);
}

#[test]
fn no_code_is_left_unfinished() {
    hold(code::unfinished);
}

#[test]
fn pure_crates_know_no_clock_and_no_random_order() {
    hold(code::impure);
}

#[test]
fn names_of_the_wire_are_written_in_the_contract_only() {
    hold(literals::wire_names);
}

#[test]
fn a_tables_statements_have_one_home() {
    let findings = tables::scattered(&sources::workspace());
    assert!(findings.is_empty(), "\n{}", finding::render(&findings));
}

#[test]
fn nobody_imports_whom_they_may_not() {
    let findings = imports::forbidden(&imports::direct());
    assert!(findings.is_empty(), "\n{}", finding::render(&findings));
}

#[test]
fn pure_crates_have_no_io_in_their_tree() {
    for package in imports::PURE {
        let findings = imports::impure_tree(package, &imports::tree(package));
        assert!(findings.is_empty(), "\n{}", finding::render(&findings));
    }
}

#[test]
fn what_ships_has_no_planted_bugs() {
    let findings = imports::planted(&imports::shipped_features());
    assert!(findings.is_empty(), "\n{}", finding::render(&findings));
}

#[test]
fn json_maps_stay_sorted() {
    let findings = imports::preserve_order(&imports::features());
    assert!(findings.is_empty(), "\n{}", finding::render(&findings));
}
