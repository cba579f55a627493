//! Every bug that can be planted is found: by the simulation, within a fixed number of worlds.
//!
//! Invariant: the same worlds without a bug hold all invariants, so that what is found is the bug.

use amends_planted::Bug;
use amends_rehearsal::Defect;
use amends_simulation::{Flaw, SAGAS_PER_WORLD, run};

/// Sagas in one world of these tests.
const SAGAS: usize = 60;

/// Runs worlds with the bug until one breaks; gives the broken rule.
fn found(flaw: Flaw, worlds: u64) -> &'static str {
    for seed in 0..worlds {
        if let Some(violation) = run(seed, SAGAS, Some(flaw), false).violation {
            return violation.rule;
        }
    }
    panic!("{flaw:?} was not found in {worlds} worlds");
}

/// The bug is found, as one of these broken rules.
fn finds(flaw: Flaw, worlds: u64, rules: &[&str]) {
    let rule = found(flaw, worlds);
    assert!(rules.iter().any(|expected| rule.starts_with(expected)), "{flaw:?} was found as {rule:?}");
}

#[test]
fn without_a_bug_nothing_is_found() {
    for seed in 0..40 {
        let end = run(seed, SAGAS, None, false);
        assert_eq!(end.violation.map(|violation| violation.to_string()), None, "seed {seed}");
    }
}

/// A participant forgets an undo whose answer is on its way, an operator settles it by hand, and the answer
/// arrives: no contradiction.
#[test]
fn an_answer_from_before_it_was_forgotten_is_no_lie() {
    let end = run(1_795_385_941_000_571, SAGAS_PER_WORLD, None, false);
    assert_eq!(end.violation.map(|violation| violation.to_string()), None);
}

#[test]
fn a_seed_gives_the_same_world_again() {
    let world = |seed| run(seed, SAGAS, None, false).counters;
    assert_eq!(world(7), world(7));
    assert_ne!(world(7), world(8));
}

#[test]
fn no_tombstone() {
    finds(Flaw::Participants(Defect::NoTombstone), 300, &["no participant contradicts itself", "I4", "I7"]);
}

#[test]
fn a_tombstone_over_an_open_row() {
    finds(Flaw::Participants(Defect::TombstoneOverOpen), 300, &["I8", "no participant", "I4"]);
}

#[test]
fn an_inbox_purged_below_the_horizon() {
    finds(Flaw::Participants(Defect::PurgesEarly), 300, &["I3"]);
}

#[test]
fn a_command_that_is_too_old_is_run() {
    finds(Flaw::Participants(Defect::NeverExpires), 300, &["I3"]);
}

#[test]
fn a_command_that_comes_again_is_done_again() {
    finds(Flaw::Participants(Defect::RunsDuplicates), 300, &["I3"]);
}

#[test]
fn ack_before_commit() {
    finds(Flaw::AckBeforeCommit, 300, &["I10"]);
}

#[test]
fn duplicates_echo() {
    finds(Flaw::EchoesDuplicates, 300, &["L5"]);
}

#[test]
fn a_losers_entry_is_kept() {
    finds(Flaw::KeepsLosers, 300, &["I1"]);
}

#[test]
fn a_duplicate_reply_treated_as_new() {
    finds(Flaw::Engine(Bug::DuplicateReply), 300, &["a duplicate reply", "I10"]);
}

#[test]
fn compensation_in_forward_order() {
    finds(Flaw::Engine(Bug::ForwardCompensation), 300, &["I7"]);
}

#[test]
fn a_plan_without_the_step_that_backs_off() {
    finds(Flaw::Engine(Bug::ForgetsBackingOff), 300, &["no participant contradicts itself", "I4", "I7"]);
}

#[test]
fn a_number_of_a_sending_used_again() {
    finds(Flaw::Engine(Bug::ReusesSendNo), 300, &["every sending has a number of its own"]);
}

#[test]
fn a_pivot_that_is_guessed() {
    finds(Flaw::Engine(Bug::GuessesPivot), 300, &["I4"]);
}

#[test]
fn an_undo_rendered_anew() {
    finds(Flaw::Engine(Bug::UndoRenderedAnew), 300, &["a command's data is frozen"]);
}

#[test]
fn an_undo_of_its_own_epoch() {
    finds(Flaw::Engine(Bug::OwnEpochUndone), 300, &["an undo names the action", "I4", "no participant"]);
}

#[test]
fn a_new_epoch_without_a_fence() {
    finds(Flaw::Engine(Bug::EpochWithoutFence), 300, &["I4", "no participant", "I3", "a duplicate"]);
}

#[test]
fn a_step_settled_without_a_fence() {
    finds(Flaw::Engine(Bug::SettledWithoutFence), 300, &["I4", "no participant", "I6", "I7"]);
}
