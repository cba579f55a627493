//! The verdict on one case: what became of the saga, and whether that is as it should be.
//!
//! Invariant: judged by what really happened at the participants, not by what the saga believes.

use std::collections::{BTreeMap, BTreeSet};

use amends_contract::{Direction, Token};
use amends_definition::{Call, Definition, Step, StepKind, Undo};
use amends_engine::{ActionState, Saga, Status, StepState, StuckWhy, replay};
use serde::Serialize;

use super::Row;
use super::fault::{Case, Fault};
use super::stage::Played;

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What sort of thing.
    pub kind: Kind,
    /// With which step, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<Token>,
    /// In how many cases.
    pub cases: usize,
    /// One of them.
    pub example: String,
    /// What is wrong, and what to do about it; for people.
    pub message: String,
}

/// Sorts of findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// With nothing going wrong, the saga does not complete.
    NotCompleted,
    /// The saga is compensated, and the effect of a step without an undo remains.
    LeftBehind,
    /// A step waits for an operator although no participant refused anything.
    Stuck,
    /// The saga waits for ever.
    Endless,
    /// A promise of the engine is broken. That is no mistake of the definition.
    Broken,
}

pub(super) fn row(with: Option<String>, case: &Case, played: &Played, definition: &Definition) -> Row {
    let saga = &played.saga;
    let ending = saga.status();
    let counted = |step: &StepState| {
        (count(played, step, Direction::Forward), count(played, step, Direction::Backward))
    };
    let forward = || saga.steps.iter().filter(|step| is_forward(definition, &step.name));
    let named = |steps: Vec<&StepState>| steps.iter().map(|step| step.reference().to_string()).collect();
    let undone = forward().filter(|step| counted(step).1 > 0).collect();
    let remains = |step: &&StepState| saga.failure.is_some() && counted(step).0 > counted(step).1;
    let left = forward().filter(remains).collect();
    Row {
        with,
        step: case.what(),
        fault: case.fault,
        ending,
        failure: saga.failure.as_ref().map(|failure| failure.code.clone()),
        undone: named(undone),
        left: named(left),
        stuck: stuck(saga).into_iter().map(|(step, why, _)| format!("{step}: {}", why.name())).collect(),
        sends: played.sends,
        duration_ms: played.ended_at.ms_since(saga.started_at),
    }
}

/// The findings of all cases; the same about the same step is one.
#[derive(Default)]
pub(super) struct Findings(BTreeMap<(Kind, Option<Token>, String), Found>);

/// In how many cases, and the plainest of them.
struct Found {
    cases: usize,
    plainest: (Fault, String),
}

impl Findings {
    pub(super) fn add(&mut self, row: &Row, case: &Case, played: &Played, definition: &Definition) {
        let saga = &played.saga;
        if case.fault == Fault::None && row.ending != Status::Completed {
            self.put(Kind::NotCompleted, None, row, not_completed(saga));
        }
        if row.ending == Status::Compensated {
            for step in &definition.steps {
                if let (Some(Undo::None { because }), true) =
                    (&step.undo, row.left.iter().any(|left| is_of(left, step)))
                {
                    self.put(Kind::LeftBehind, Some(&step.name), row, left_behind(step, because));
                }
            }
        }
        for (step, why, detail) in stuck(saga) {
            if why != StuckWhy::Rejected {
                let message =
                    format!("{step} is stuck ({}): {detail}. An operator would have to help.", why.name());
                self.put(Kind::Stuck, Some(&step), row, message);
            }
        }
        if let Some(message) = endless(row, played) {
            self.put(Kind::Endless, None, row, message);
        }
        for (step, message) in broken(played, definition) {
            self.put(Kind::Broken, step.as_ref(), row, message);
        }
    }

    fn put(&mut self, kind: Kind, step: Option<&Token>, row: &Row, message: String) {
        let with = row.with.as_ref().map(|with| format!(" ({with})")).unwrap_or_default();
        let example = match row.step.as_str() {
            "" => format!("{}{with}", row.fault),
            step => format!("{step} {}{with}", row.fault),
        };
        let this = (row.fault, example);
        let found = self.0.entry((kind, step.cloned(), message));
        let found = found.or_insert_with(|| Found { cases: 0, plainest: this.clone() });
        found.cases += 1;
        if this.0 < found.plainest.0 {
            found.plainest = this;
        }
    }

    pub(super) fn without(self, allowed: &BTreeSet<Token>) -> Vec<Finding> {
        let is_allowed = |finding: &Finding| {
            finding.kind == Kind::LeftBehind
                && finding.step.as_ref().is_some_and(|step| allowed.contains(step))
        };
        self.0
            .into_iter()
            .map(|((kind, step, message), Found { cases, plainest: (_, example) })| Finding {
                kind,
                step,
                cases,
                example,
                message,
            })
            .filter(|finding| !is_allowed(finding))
            .collect()
    }
}

fn left_behind(step: &Step, because: &str) -> String {
    format!(
        "{name} would be left behind: it has no undo ({because}), so what it did stays when the saga is compensated. \
         Give it an `undo`; if it does no harm, allow it with --allow-left {name}",
        name = step.name
    )
}

fn not_completed(saga: &Saga) -> String {
    let why = match &saga.failure {
        Some(failure) => {
            let step = failure.step.as_ref().map(|step| format!("step {step}, ")).unwrap_or_default();
            format!("{step}{}: {}", failure.code, failure.detail)
        }
        None => "something in it never ends".to_owned(),
    };
    format!(
        "with nothing going wrong the saga is {}: {why}. If the made-up data are to blame, give your own with \
         --input and --replies",
        saga.status()
    )
}

fn endless(row: &Row, played: &Played) -> Option<String> {
    let status = row.ending;
    if played.is_endless {
        return Some(format!("the saga is still {status} after {} sends", row.sends));
    }
    if status.is_terminal() || status == Status::Parked {
        return None;
    }
    let signals: Vec<String> = played.saga.awaited().map(|awaiting| awaiting.signal.to_string()).collect();
    Some(match signals.as_slice() {
        [] => format!("the saga is {status}, and nothing will ever move it"),
        signals => format!(
            "the saga waits for ever for {}: give the step a `timeout`, or the saga a `deadline`",
            signals.join(", ")
        ),
    })
}

/// The promises, checked against what the participants really did.
fn broken(played: &Played, definition: &Definition) -> Vec<(Option<Token>, String)> {
    let mut found = Vec::new();
    let saga = &played.saga;
    for step in &saga.steps {
        let done = count(played, step, Direction::Forward);
        let undone = count(played, step, Direction::Backward);
        let mut put = |what: String| found.push((Some(step.name.clone()), what));
        if done > 1 || undone > 1 {
            put(format!("{} was done {done} times and undone {undone} times", step.reference()));
        }
        if undone > done {
            put(format!("{} was undone without having been done", step.reference()));
        }
        let Some(model) = definition.step(&step.name) else { continue };
        let forward = is_forward(definition, &step.name);
        let succeeded = matches!(step.action, ActionState::Succeeded { .. });
        let asks = !matches!(model.call, Call::Await(_)) && succeeded;
        let expected = match (saga.status(), &model.undo, forward) {
            (Status::Completed, _, true) | (Status::Compensated, _, false) => Some((u32::from(asks), 0)),
            (Status::Completed, _, false) => Some((0, 0)),
            (Status::Compensated, Some(Undo::Call { .. }), true) => Some((done, done)),
            (Status::Compensated, _, true) if model.kind == StepKind::Compensatable => {
                Some((u32::from(asks), 0))
            }
            (Status::Compensated, _, true) => Some((0, 0)),
            _ => None,
        };
        if expected.is_some_and(|expected| expected != (done, undone)) {
            put(format!(
                "the saga is {}, and {} was done {done} times and undone {undone} times",
                saga.status(),
                step.reference()
            ));
        }
    }
    if saga.flags().alarm {
        found.push((None, "a participant's answers contradict each other".to_owned()));
    }
    if replay(played.journal.iter().cloned()).as_ref() != Ok(saga) {
        found.push((None, "the journal does not rebuild the saga".to_owned()));
    }
    found
}

fn stuck(saga: &Saga) -> Vec<(Token, StuckWhy, String)> {
    let directions = [Direction::Forward, Direction::Backward];
    let of = |step: &StepState| {
        let stuck = directions.into_iter().filter_map(|direction| step.stuck(direction));
        stuck.map(|stuck| (step.name.clone(), stuck.why, stuck.detail.clone())).collect::<Vec<_>>()
    };
    saga.steps.iter().flat_map(of).collect()
}

fn count(played: &Played, step: &StepState, direction: Direction) -> u32 {
    let of_step = played
        .effects
        .iter()
        .filter(|(effect, _)| effect.direction == direction && effect.step == step.reference());
    of_step.map(|(_, count)| count).sum()
}

fn is_forward(definition: &Definition, name: &Token) -> bool {
    definition.steps.iter().any(|step| step.name == *name)
}

/// Whether `charge` or `charge.2` is (an instance of) the step.
fn is_of(reference: &str, step: &Step) -> bool {
    reference.split('.').next() == Some(step.name.as_str())
}
