//! Checking a scene, and telling of it.

use std::{
    fmt::{self, Write as _},
    time::{Duration, Instant},
};

use stateright::{Checker, Expectation, HasDiscoveries, Model, Path};

use crate::scene::Scene;
use crate::state::{Act, State};
use crate::world::World;

/// What a check came to.
#[derive(Debug)]
pub struct Checked {
    /// The scene, and its bounds.
    pub name: String,
    /// Different states.
    pub states: usize,
    /// Transitions between them.
    pub transitions: usize,
    /// The longest run without a state twice.
    pub depth: usize,
    /// Different rows, and states of the participant.
    pub variety: (usize, usize),
    /// How long it took.
    pub took: Duration,
    /// Properties that do not hold, each with the acts that lead there.
    pub broken: Vec<(&'static str, String)>,
    /// What should have been seen in some state and was not.
    pub unseen: Vec<&'static str>,
}

impl Checked {
    /// Whether every property holds, and everything was seen.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.broken.is_empty() && self.unseen.is_empty()
    }

    /// Whether the property was found broken.
    #[must_use]
    pub fn breaks(&self, property: &str) -> bool {
        self.broken.iter().any(|(name, _)| *name == property)
    }
}

/// `pivot, 3 sendings: 65488 states, 105325 transitions, runs of 19; 661 rows, 62 participants; 0.3s`
impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, states, transitions, depth, variety: (rows, participants), took, .. } = self;
        write!(f, "{name}: {states} states, {transitions} transitions, runs of {depth}; ")?;
        write!(f, "{rows} rows, {participants} participants; {:.1}s", took.as_secs_f32())?;
        for (property, run) in &self.broken {
            write!(f, "\n  broken: {property}\n{run}")?;
        }
        for property in &self.unseen {
            write!(f, "\n  never seen: {property}")?;
        }
        Ok(())
    }
}

/// Goes through all states of a scene; stops at the first property that does not hold.
#[must_use]
pub fn check(scene: Scene) -> Checked {
    check_until(scene, HasDiscoveries::AnyFailures)
}

/// Goes through the states of a scene until one of these properties does not hold.
#[must_use]
pub fn search(scene: Scene, properties: &[&'static str]) -> Checked {
    check_until(scene, HasDiscoveries::AnyOf(properties.iter().copied().collect()))
}

fn check_until(scene: Scene, until: HasDiscoveries) -> Checked {
    let begun = Instant::now();
    let name = scene.to_string();
    let checker = World::new(scene).checker().finish_when(until).spawn_bfs().join();
    let mut discoveries = checker.discoveries();
    let (mut broken, mut unseen) = (Vec::new(), Vec::new());
    for property in checker.model().properties() {
        match (property.expectation, discoveries.remove(property.name)) {
            (Expectation::Sometimes, None) => unseen.push(property.name),
            (Expectation::Always | Expectation::Eventually, Some(path)) => {
                broken.push((property.name, told(checker.model(), path)));
            }
            _ => {}
        }
    }
    Checked {
        name,
        states: checker.unique_state_count(),
        transitions: checker.state_count(),
        depth: checker.max_depth(),
        variety: checker.model().variety(),
        took: begun.elapsed(),
        broken,
        unseen,
    }
}

/// A run as text, an act a line.
fn told(world: &World, path: Path<State, Act>) -> String {
    let mut text = String::new();
    for (state, act) in path.into_vec() {
        let row = world.row(&state);
        let steps: Vec<String> = row
            .saga
            .steps
            .iter()
            .map(|step| format!("{} {}/{}", step.name, step.action.name(), step.undo.name()))
            .collect();
        let _ = writeln!(text, "    [{}: {}]", row.saga.status(), steps.join(", "));
        if let Some(act) = act {
            let _ = writeln!(text, "  {}", world.format_action(&act));
        }
    }
    text
}
