//! Every scene holds, and every flaw is found: a search that finds nothing proves nothing until it has
//! found what was hidden for it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod flaws;

use amends_model::{check, scenes};

#[test]
fn every_scene_holds_within_small_bounds() {
    let mut states = 0;
    for scene in scenes::small() {
        let checked = check(scene);
        assert!(checked.holds(), "{checked}");
        states += checked.states;
    }
    assert!(states > 100_000, "{states} states are too few to mean anything");
}
