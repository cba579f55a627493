//! Each flaw gives a counterexample, and the one that is meant.

use amends_model::{Flaw, Scene, check, scenes};
use amends_rehearsal::Defect;

/// The search breaks one of these properties.
fn finds(scene: Scene, properties: &[&str]) {
    let checked = check(scene);
    assert!(properties.iter().any(|property| checked.breaks(property)), "{checked}");
}

fn two_sendings(mut scene: Scene, flaw: Flaw) -> Scene {
    scene.sends_max = 2;
    scene.with(flaw)
}

#[test]
fn without_the_tombstone_a_late_action_runs() {
    let flaw = Flaw::Participant(Defect::NoTombstone);
    finds(two_sendings(scenes::pivot(), flaw), &["compensated: the books balance"]);
}

#[test]
fn a_tombstone_over_an_open_row_forgets_what_the_world_did() {
    let flaw = Flaw::Participant(Defect::TombstoneOverOpen);
    finds(
        two_sendings(scenes::outside(), flaw),
        &["a closed action has no effect", "compensated: the books balance"],
    );
}

#[test]
fn what_is_run_again_happens_twice() {
    let flaw = Flaw::Participant(Defect::RunsDuplicates);
    finds(two_sendings(scenes::pivot(), flaw), &["an effect happens at most once"]);
}

#[test]
fn without_the_version_check_a_decision_is_lost() {
    let scene = scenes::quiet(scenes::pivot()).fine(2, 0).with(Flaw::BlindWrites);
    let checked = check(scene);
    assert!(!checked.broken.is_empty(), "{checked}");
}
