//! Each flaw gives a counterexample, and the one that is meant.

use amends_model::{Flaw, Scene, check, scenes, search};
use amends_planted::Bug;
use amends_rehearsal::Defect;

/// The search breaks one of these properties.
fn finds(scene: Scene, properties: &[&'static str]) {
    let checked = search(scene, properties);
    assert!(properties.iter().any(|property| checked.breaks(property)), "{checked}");
}

fn two_sendings(scene: Scene, flaw: Flaw) -> Scene {
    Scene { sends_max: 2, ..scene }.with(flaw)
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

/// A bug, the scene that shows it, and the property it breaks.
type Found = (Bug, fn() -> Scene, &'static [&'static str]);

#[test]
fn bugs_of_the_engine_are_found() {
    let found: [Found; 5] = [
        (Bug::DuplicateReply, scenes::pivot, &["an input that is applied changes the saga"]),
        (Bug::ForwardCompensation, scenes::compensatable, &["later steps are undone first"]),
        (Bug::ForgetsBackingOff, scenes::pivot, &["compensated: the books balance"]),
        (Bug::ReusesSendNo, scenes::pivot, &["each sending has a number of its own"]),
        (Bug::UndoRenderedAnew, scenes::pivot, &["a saga has a timer, an end or a reason"]),
    ];
    for (bug, scene, properties) in found {
        finds(two_sendings(scene(), Flaw::Engine(bug)), properties);
    }
    // Only its third sending can be a fence.
    finds(scenes::pivot().with(Flaw::Engine(Bug::GuessesPivot)), &["backward: the pivot never happens"]);
}
