//! Every step, going wrong in every way, and every pair of them: each saga settles or is parked, and once
//! somebody has mended what only people can mend, it settles with balanced books.

use std::collections::VecDeque;

use amends_contract::{Command, Direction};
use amends_definition::{Definition, StepKind, Undo};
use amends_engine::{
    ActionState, Input, OperatorAction, Output, PausedBy, ReplyInput, Status, StepState, StuckWhy, UndoState,
};
use serde_json::json;

use crate::definitions::{diamond, order, order_input, parcel};
use crate::participants::{Answer, Participants, Way};
use crate::script::{Script, edit, effect_of, settle};

/// How many timers fire before a late reply comes: more than any step here has attempts.
const LATE_TICKS: u32 = 6;

/// A saga among its participants.
struct World {
    script: Script,
    participants: Participants,
    queue: VecDeque<Command>,
    later: Vec<ReplyInput>,
    name: String,
    /// What an operator wants as soon as that is legal, and the effect was sent so often.
    meddling: Option<(OperatorAction, String, u32)>,
}

impl World {
    fn new(definition: Definition, faults: &[(&str, Way)]) -> Self {
        let input = if definition.name == "order" {
            order_input()
        } else {
            json!({ "parcel": "p-1", "reason": "moved" })
        };
        let mut participants = Participants::default();
        for (what, way) in faults {
            participants.set(what, *way);
        }
        let script = Script::start(definition, input).quiet();
        let queue = amends_engine::open_commands(&script.saga, &script.definition).into();
        Self { script, participants, queue, later: Vec::new(), name: format!("{faults:?}"), meddling: None }
    }

    /// Runs until nothing can move any more, replies that were held back included.
    fn run(&mut self) {
        let mut ticks = 0;
        for _ in 0..600 {
            if let Some(command) = self.queue.pop_front() {
                self.deliver(&command);
            } else if self.script.saga.due_at().is_some() && (self.later.is_empty() || ticks < LATE_TICKS) {
                ticks += 1;
                self.tick();
            } else if let Some(reply) = self.later.pop() {
                ticks = 0;
                self.feed(Input::Reply(reply));
            } else {
                return;
            }
        }
        panic!("{} never settles:\n{:.8000}", self.name, self.script.dump());
    }

    fn deliver(&mut self, command: &Command) {
        let reply = |outcome| ReplyInput {
            effect: command.effect.clone(),
            send_no: command.send_no,
            participant: command.address.participant.clone(),
            outcome,
            cause: None,
            violation: None,
        };
        match self.participants.take(command) {
            Answer::Now(outcome) => self.feed(Input::Reply(reply(outcome))),
            Answer::Thrice(outcome) => {
                for _ in 0..3 {
                    self.feed(Input::Reply(reply(outcome.clone())));
                }
            }
            Answer::Later(outcome) => self.later.push(reply(outcome)),
            Answer::Never => {}
        }
    }

    fn tick(&mut self) {
        self.script.now = self.script.now.max(self.script.saga.due_at().unwrap());
        self.feed(Input::Timer { blind: false, down: Default::default(), slots: Default::default() });
    }

    fn feed(&mut self, input: Input) {
        let outputs = self.script.try_input(input).unwrap();
        self.queue.extend(outputs.into_iter().filter_map(sent));
        self.meddle();
    }

    /// The operator meddles as soon as that is legal. What it sends overtakes what is under way.
    fn meddle(&mut self) {
        let Some((action, what, sends)) = self.meddling.take() else { return };
        let (step, effect) = effect_of(&what);
        let state = self.script.saga.instance(&step);
        let count = state.and_then(|state| state.effect(effect)).map_or(0, |effect| effect.send_no);
        let input = by_ops(action.clone());
        match (count >= sends).then(|| self.script.try_input(input)) {
            Some(Ok(outputs)) => {
                outputs.into_iter().filter_map(sent).for_each(|it| self.queue.push_front(it))
            }
            Some(Err(_)) | None => self.meddling = Some((action, what, sends)),
        }
    }

    /// Somebody has mended what only people can mend.
    fn retry(&mut self) {
        let by_hand = |step: &&StepState| {
            step.stuck(Direction::Backward).is_some_and(|stuck| stuck.why == StuckWhy::ByHand)
        };
        if self.script.saga.paused.is_some() {
            self.feed(by_ops(OperatorAction::Resume { by: PausedBy::Operator }));
        }
        match self.script.saga.steps.iter().find(by_hand) {
            Some(step) => self.feed(by_ops(settle(&format!("{}/undo", step.name), json!(null)))),
            None => self.feed(by_ops(OperatorAction::RetryNow)),
        }
    }

    /// I3 and I4: every effect at most once, and in the end all of them or none.
    fn check_books(&self) {
        let Self { script, participants, name, .. } = self;
        let text = || script.dump();
        for (effect, count) in &participants.effects {
            assert!(*count <= 1, "{name}: {effect} happened {count} times:\n{}", text());
        }
        let status = script.saga.status();
        for step in &script.definition.steps {
            let (done, undone) = participants.net(&step.name);
            let state = script.step(&step.name);
            match (status, step.kind, &step.undo) {
                // What was done by hand nobody else did.
                _ if matches!(state.action, ActionState::Succeeded { by_hand: true, .. }) => {
                    assert_eq!((done, undone), (0, 0), "{name}: {}:\n{}", step.name, text());
                }
                (Status::Compensated, ..)
                    if matches!(state.undo, UndoState::Undone { by_hand: true, .. }) =>
                {
                    assert_eq!(undone, 0, "{name}: {}:\n{}", step.name, text());
                }
                (Status::Completed, ..) => {
                    assert_eq!((done, undone), (1, 0), "{name}: {}:\n{}", step.name, text());
                }
                (Status::Compensated, StepKind::Compensatable, Some(Undo::Call { .. })) => {
                    assert_eq!(done, undone, "{name}: {}:\n{}", step.name, text());
                }
                (Status::Compensated, StepKind::Compensatable, _) => assert_eq!(undone, 0),
                (Status::Compensated, ..) => {
                    assert_eq!((done, undone), (0, 0), "{name}: {}:\n{}", step.name, text());
                }
                (other, ..) => panic!("{name} ends {other}:\n{}", text()),
            }
        }
        for step in &script.definition.on_compensated {
            let by_hand = matches!(script.action(&step.name), ActionState::Succeeded { by_hand: true, .. });
            let expected = if status == Status::Compensated && !by_hand { (1, 0) } else { (0, 0) };
            assert_eq!(participants.net(&step.name), expected, "{name}: {}:\n{}", step.name, text());
        }
        assert!(!script.saga.flags().alarm, "{name}: no alarm without a lie:\n{}", text());
    }

    /// Settles by itself, or is parked, is mended, and settles. Gives how it stood before anybody came.
    fn settle(mut self) -> Status {
        self.meddle();
        self.run();
        if self.script.saga.paused.is_some() {
            self.feed(by_ops(OperatorAction::Resume { by: PausedBy::Operator }));
            self.run();
        }
        let first = self.script.saga.status();
        assert!(first.is_terminal() || first == Status::Parked, "{} is {first}", self.name);
        assert_eq!(first == Status::Parked, self.script.saga.flags().needs_attention, "{}", self.name);
        for _ in 0..8 {
            if self.script.saga.status().is_terminal() {
                break;
            }
            self.participants.mend();
            self.retry();
            self.run();
        }
        self.check_books();
        first
    }
}

fn sent(output: Output) -> Option<Command> {
    match output {
        Output::Send(command) => Some(command),
        Output::Emit(_) => None,
    }
}

fn by_ops(action: OperatorAction) -> Input {
    Input::Operator { action, actor: "ops".to_owned(), reason: "because".to_owned() }
}

/// All that can go wrong in a definition: its actions, its undos, what comes after them.
fn effects(definition: &Definition) -> Vec<String> {
    let undo = |name: &str| format!("{name}/undo");
    let steps = definition.steps.iter().chain(&definition.on_compensated);
    steps
        .flat_map(|step| {
            let has_undo = matches!(step.undo, Some(Undo::Call { .. }));
            [Some(step.name.to_string()), has_undo.then(|| undo(&step.name))]
        })
        .flatten()
        .collect()
}

fn every_pair(definition: &Definition) -> Vec<(Status, String)> {
    let mut ends = Vec::new();
    let effects = effects(definition);
    for (index, one) in effects.iter().enumerate() {
        for way in Way::BAD {
            for other in &effects[index + 1..] {
                for other_way in Way::BAD {
                    let faults = [(one.as_str(), way), (other.as_str(), other_way)];
                    let world = World::new(definition.clone(), &faults);
                    let name = world.name.clone();
                    ends.push((world.settle(), name));
                }
            }
        }
    }
    ends
}

/// Against vacuity: all of these ends must have been seen.
fn assert_seen(ends: &[(Status, String)], wanted: &[Status]) {
    for status in wanted {
        assert!(ends.iter().any(|(seen, _)| seen == status), "no saga was {status}");
    }
}

#[test]
fn an_order_settles_whatever_goes_wrong() {
    let ends = every_pair(&order());
    assert_seen(&ends, &[Status::Completed, Status::Compensated, Status::Parked]);
}

#[test]
fn a_parcel_settles_whatever_goes_wrong() {
    let ends = every_pair(&parcel());
    assert_seen(&ends, &[Status::Completed, Status::Compensated, Status::Parked]);
}

#[test]
fn a_diamond_settles_whatever_goes_wrong() {
    let ends = every_pair(&diamond());
    assert_seen(&ends, &[Status::Completed, Status::Compensated, Status::Parked]);
}

/// Everything that goes wrong once, and an operator who meddles with it, early or late.
fn every_meddling(definition: &Definition) -> Vec<(Status, String)> {
    let mut ends = Vec::new();
    for what in effects(definition) {
        let actions = [
            edit(&what, json!({ "with": "other data" })),
            settle(&what, json!({ "reservation_id": "by-hand" })),
            OperatorAction::Pause { by: PausedBy::Operator },
            OperatorAction::SkipWait,
            OperatorAction::RetryNow,
            OperatorAction::Cancel,
        ];
        for way in std::iter::once(Way::Well).chain(Way::BAD) {
            for (action, sends) in actions.iter().flat_map(|action| [(action, 1), (action, 3)]) {
                // An undo is only ever asked for when something behind it goes wrong.
                let mut faults = vec![(what.as_str(), way)];
                if what.contains('/') {
                    let last = definition.steps.iter().rfind(|step| step.kind != StepKind::Retriable);
                    faults.push((last.unwrap().name.as_str(), Way::Rejects));
                }
                let mut world = World::new(definition.clone(), &faults);
                world.name = format!("{faults:?}, {} of {what} at {sends}", action.name());
                world.meddling = Some((action.clone(), what.clone(), sends));
                let name = world.name.clone();
                ends.push((world.settle(), name));
            }
        }
    }
    ends
}

#[test]
fn an_order_settles_whatever_operators_do() {
    assert_seen(&every_meddling(&order()), &[Status::Completed, Status::Compensated, Status::Parked]);
}

#[test]
fn a_parcel_settles_whatever_operators_do() {
    assert_seen(&every_meddling(&parcel()), &[Status::Completed, Status::Compensated, Status::Parked]);
}

#[test]
fn one_fault_at_a_time_ends_like_this() {
    let definition = order();
    let mut table = String::new();
    for way in Way::BAD {
        let ends: Vec<String> = effects(&definition)
            .iter()
            .map(|what| {
                // An undo is only ever asked for when something behind it goes wrong.
                let trigger = match what.as_str() {
                    "send-rejection" => Some(("reserve-stock", Way::Rejects)),
                    undo if undo.contains('/') => Some(("confirm-stock", Way::Rejects)),
                    _ => None,
                };
                let faults: Vec<(&str, Way)> =
                    [Some((what.as_str(), way)), trigger].into_iter().flatten().collect();
                World::new(definition.clone(), &faults).settle().to_string()
            })
            .collect();
        table += &format!("{:<15}", format!("{way:?}"));
        for end in ends {
            table += &format!("{end:<13}");
        }
        table = table.trim_end().to_owned() + "\n";
    }
    let header = effects(&definition).join(", ");
    insta::assert_snapshot!(format!("{header}\n{table}"), @"
    reserve-stock, reserve-stock/undo, charge-payment, charge-payment/undo, confirm-stock, send-confirmation, send-rejection
    Rejects        compensated  parked       compensated  parked       compensated  parked       parked
    FailsLong      compensated  compensated  compensated  compensated  compensated  completed    compensated
    FailsOnce      completed    compensated  completed    compensated  completed    completed    compensated
    Deaf           compensated  compensated  compensated  compensated  compensated  completed    compensated
    Mute           compensated  compensated  compensated  compensated  completed    completed    compensated
    Pending        completed    compensated  completed    compensated  completed    completed    compensated
    PendingForever compensated  parked       compensated  parked       parked       parked       parked
    Late           compensated  compensated  compensated  compensated  completed    completed    compensated
    Thrice         completed    compensated  completed    compensated  completed    completed    compensated
    Cancelled      compensated  parked       compensated  parked       compensated  parked       parked
    Conflicts      compensated  parked       compensated  parked       compensated  parked       parked
    Expired        compensated  parked       compensated  parked       parked       parked       parked
    ");
}
