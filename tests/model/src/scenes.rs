//! The scenes that are checked: the smallest sagas in which each rule of the engine matters.

use crate::scene::{Answers, Scene};

/// What a definition of this file begins with. Two attempts: a sending, one more, and it is used up.
const HEAD: &str = "
version: 1
defaults:
  resend_after: 10s
  retry: { attempts: 2, initial: 1s, factor: 1, cap: 1s, jitter: 0 }
";

fn scene(name: &'static str, steps: &str) -> Scene {
    Scene::new(name, &format!("saga: {name}{HEAD}steps:\n{steps}"))
}

const BOOK: &str = "
  - { name: a, kind: compensatable, call: shop.do-a, with: {}, undo: shop.undo-a }
";

/// A step that can be undone, then the pivot.
#[must_use]
pub fn pivot() -> Scene {
    scene("pivot", &format!("{BOOK}  - {{ name: b, kind: pivot, call: shop.do-b, with: {{}} }}\n"))
}

/// Two steps that can be undone, no pivot.
#[must_use]
pub fn compensatable() -> Scene {
    scene(
        "compensatable",
        &format!(
            "{BOOK}  - {{ name: b, kind: compensatable, call: shop.do-b, with: {{}}, undo: shop.undo-b }}\n"
        ),
    )
}

/// The second step has no undo.
#[must_use]
pub fn kept() -> Scene {
    scene(
        "kept",
        &format!(
            "{BOOK}  - {{ name: b, kind: compensatable, call: shop.do-b, with: {{}}, undo: none, because: kept }}\n"
        ),
    )
}

/// A pivot, then a step that must succeed; and one that tells of a failure.
#[must_use]
pub fn retriable() -> Scene {
    scene(
        "retriable",
        "
  - { name: a, kind: pivot, call: shop.do-a, with: {} }
  - { name: b, kind: retriable, call: shop.do-b, with: {} }
on_compensated:
  - { name: c, kind: retriable, call: shop.do-c, with: {} }
",
    )
}

/// The second step takes a call to the outside, and may be finding out for too long.
#[must_use]
pub fn outside() -> Scene {
    let mut scene = scene(
        "outside",
        &format!(
            "{BOOK}  - {{ name: b, kind: compensatable, call: shop.do-b, with: {{}}, pending_max: 1h, undo: shop.undo-b }}\n"
        ),
    );
    scene.answers = Answers { calls: Some("b".parse().unwrap()), ..scene.answers };
    scene
}

/// The pivot takes a call to the outside.
#[must_use]
pub fn outside_pivot() -> Scene {
    let mut scene = pivot();
    scene.name = "outside-pivot";
    scene.answers = Answers { calls: Some("b".parse().unwrap()), ..scene.answers };
    scene
}

/// All of them within bounds that are searched in seconds, even unoptimised.
#[must_use]
pub fn small() -> Vec<Scene> {
    let mut scenes =
        vec![pivot(), kept(), retriable(), outside_pivot(), quiet(compensatable()), quiet(outside())];
    scenes.iter_mut().for_each(|scene| scene.sends_max = 2);
    scenes.extend([quiet(pivot()).fine(2, 1), quiet(kept()).fine(2, 1), retriable().fine(2, 1)]);
    scenes
}

/// All of them within bounds that take a minute or two, optimised; by hand, `sends_max` goes further.
#[must_use]
pub fn wide(sends_max: u32) -> Vec<Scene> {
    let mut scenes = vec![pivot(), kept(), retriable(), outside_pivot()];
    scenes.iter_mut().for_each(|scene| scene.sends_max = sends_max);
    let mut two = vec![compensatable(), quiet(outside())];
    two.iter_mut().for_each(|scene| scene.sends_max = sends_max - 1);
    scenes.extend(two);
    let finely = [pivot(), kept(), retriable(), quiet(outside_pivot())];
    scenes.extend(finely.map(|scene| scene.fine(sends_max - 1, 1)));
    scenes
}

/// The same with a participant that neither rejects nor fails.
#[must_use]
pub fn quiet(mut scene: Scene) -> Scene {
    (scene.answers.rejects, scene.answers.fails) = (false, false);
    scene
}
