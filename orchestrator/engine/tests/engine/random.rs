//! Random inputs, sensible and not: the witness's invariants hold after each, nothing panics, and from
//! wherever it has come to, a saga still ends when the world is well again.

use amends_contract::{Command, Direction, Outcome, Token};
use amends_engine::{Error, Input, OperatorAction, PausedBy, StepState, StuckWhy, open_commands};
use proptest::prelude::*;
use serde_json::json;

use crate::definitions::{diamond, order, order_input, parcel};
use crate::script::{Script, edit, settle};

#[derive(Clone, Debug)]
enum Act {
    /// Somebody answers: about which effect, how many sendings ago, and what.
    Reply {
        about: usize,
        ago: u32,
        outcome: Outcome,
        violates: bool,
        older: bool,
    },
    /// An operator wants something of one effect.
    Edit {
        about: usize,
    },
    Settle {
        about: usize,
    },
    /// What is open is answered.
    Answer {
        outcome: Outcome,
    },
    Timer {
        blind: bool,
        down: Vec<usize>,
        late_ms: u64,
    },
    Wait {
        ms: u64,
    },
    Operator(OperatorAction),
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        6 => Just(Outcome::Succeeded { output: json!({ "reservation_id": "r-1" }).into() }),
        1 => Just(Outcome::Succeeded { output: json!(null).into() }),
        2 => Just(Outcome::Rejected { code: "no".to_owned(), message: "never".to_owned() }),
        2 => prop::option::of(0..100_000_u64)
            .prop_map(|retry_after_ms| Outcome::Failed { code: "down".to_owned(), retry_after_ms }),
        2 => Just(Outcome::Pending),
        2 => Just(Outcome::Cancelled),
        1 => Just(Outcome::Conflict),
        1 => Just(Outcome::Expired),
        4 => Just(Outcome::Undone { output: json!({ "refund_id": 1.1 }).into() }),
        2 => Just(Outcome::NothingToUndo),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => (any::<usize>(), 0..3_u32, outcome(), prop::bool::weighted(0.05), prop::bool::weighted(0.1))
            .prop_map(|(about, ago, outcome, violates, older)| Act::Reply { about, ago, outcome, violates, older }),
        5 => outcome().prop_map(|outcome| Act::Answer { outcome }),
        4 => (prop::bool::weighted(0.2), prop::collection::vec(0..4_usize, 0..3), 0..100_000_000_u64)
            .prop_map(|(blind, down, late_ms)| Act::Timer { blind, down, late_ms: if late_ms % 3 == 0 { late_ms } else { 0 } }),
        1 => (0..4_000_000_u64).prop_map(|ms| Act::Wait { ms }),
        2 => operator().prop_map(Act::Operator),
        1 => any::<usize>().prop_map(|about| Act::Edit { about }),
        1 => any::<usize>().prop_map(|about| Act::Settle { about }),
    ]
}

fn operator() -> impl Strategy<Value = OperatorAction> {
    let by = || prop_oneof![Just(PausedBy::Operator), Just(PausedBy::Definition)];
    prop_oneof![
        10 => Just(OperatorAction::RetryNow),
        10 => Just(OperatorAction::SkipWait),
        10 => by().prop_map(|by| OperatorAction::Pause { by }),
        20 => by().prop_map(|by| OperatorAction::Resume { by }),
        5 => Just(OperatorAction::Cancel),
        1 => Just(OperatorAction::Abandon),
    ]
}

fn perform(script: &mut Script, act: &Act) {
    let input = match act {
        Act::Wait { ms } => {
            script.now = script.now.plus_ms(*ms);
            return;
        }
        Act::Answer { outcome } => {
            let Some(command) = open_commands(&script.saga, &script.definition).pop() else { return };
            Input::Reply(script.answer(&what(&command), outcome.clone()))
        }
        Act::Edit { about } => by_ops(edit(&one_of(script, *about), json!({ "reservation": about % 3 }))),
        Act::Settle { about } => {
            by_ops(settle(&one_of(script, *about), json!({ "reservation_id": about % 3 })))
        }
        Act::Reply { about, ago, outcome, violates, older } => {
            let mut reply = script.answer(&one_of(script, *about), outcome.clone());
            reply.effect.epoch = reply.effect.epoch.saturating_sub(u32::from(*older)).max(1);
            reply.send_no = reply.send_no.saturating_sub(*ago).max(1);
            reply.violation = violates.then(|| "no such field".to_owned());
            Input::Reply(reply)
        }
        Act::Timer { blind, down, late_ms } => {
            let Some(due_at) = script.saga.due_at() else { return };
            script.now = script.now.max(due_at).plus_ms(*late_ms);
            let names = ["inventory", "payment", "carrier", "warehouse"];
            Input::Timer {
                blind: *blind,
                down: down.iter().map(|index| names[*index].parse().unwrap()).collect(),
                slots: Default::default(),
            }
        }
        Act::Operator(action) => by_ops(action.clone()),
    };
    match script.try_input(input) {
        Ok(_) | Err(Error::Refused { .. }) => {}
        Err(error) => panic!("{error}"),
    }
}

/// An effect of the saga.
fn one_of(script: &Script, about: usize) -> String {
    let names: Vec<&Token> = script.saga.steps.iter().map(|step| &step.name).collect();
    let name = names[about % names.len()];
    if about & 64 == 0 { name.to_string() } else { format!("{name}/undo") }
}

fn by_ops(action: OperatorAction) -> Input {
    Input::Operator { action, actor: "ops".to_owned(), reason: String::new() }
}

fn what(command: &Command) -> String {
    match command.effect.direction {
        Direction::Forward => command.effect.step.to_string(),
        Direction::Backward => format!("{}/undo", command.effect.step),
    }
}

/// An operator asks again, and everybody answers as well as they can.
fn heal(script: &mut Script) {
    let both = PausedBy::Both;
    perform(script, &Act::Operator(OperatorAction::Resume { by: both }));
    for _ in 0..60 {
        if script.saga.status().is_terminal() {
            return;
        }
        // What was done by hand only a person can undo.
        let by_hand = |step: &&StepState| {
            step.stuck(Direction::Backward).is_some_and(|stuck| stuck.why == StuckWhy::ByHand)
        };
        if let Some(step) = script.saga.steps.iter().find(by_hand) {
            let word = settle(&format!("{}/undo", step.name), json!(null));
            script.try_input(by_ops(word)).unwrap();
            continue;
        }
        perform(script, &Act::Operator(OperatorAction::RetryNow));
        let Some(command) = open_commands(&script.saga, &script.definition).pop() else { continue };
        let outcome = match (command.is_fence(), command.effect.direction) {
            (true, _) => Outcome::Cancelled,
            (false, Direction::Forward) => {
                Outcome::Succeeded { output: json!({ "reservation_id": "r-1" }).into() }
            }
            (false, Direction::Backward) => Outcome::Undone { output: json!(null).into() },
        };
        let reply = script.answer(&what(&command), outcome);
        script.try_input(Input::Reply(reply)).unwrap();
    }
    panic!("it never ends:\n{}", script.dump());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_order_keeps_its_invariants(acts in prop::collection::vec(act(), 0..50)) {
        let mut script = Script::start(order(), order_input()).quiet();
        acts.iter().for_each(|act| perform(&mut script, act));
        heal(&mut script);
    }

    #[test]
    fn a_parcel_keeps_its_invariants(acts in prop::collection::vec(act(), 0..50)) {
        let mut script = Script::start(parcel(), json!({ "parcel": 0.1, "reason": 1.0e23 })).quiet();
        acts.iter().for_each(|act| perform(&mut script, act));
        heal(&mut script);
    }

    #[test]
    fn a_diamond_keeps_its_invariants(acts in prop::collection::vec(act(), 0..50)) {
        let mut script = Script::start(diamond(), json!({ "parcel": "p-1" })).quiet();
        acts.iter().for_each(|act| perform(&mut script, act));
        heal(&mut script);
    }
}

/// Once found at random: what a pause held back is answered all the same, and undone.
#[test]
fn an_answer_to_what_a_pause_held_back_is_undone() {
    let mut script = Script::start(diamond(), json!({ "parcel": "p-1" })).quiet();
    let reserved = Outcome::Succeeded { output: json!({ "reservation_id": "r-1" }).into() };
    let reply = |about, outcome| Act::Reply { about, ago: 0, outcome, violates: false, older: false };
    let book = 4_193_918_717_092_118_964;
    for act in [
        Act::Answer { outcome: Outcome::Failed { code: "down".to_owned(), retry_after_ms: None } },
        Act::Operator(OperatorAction::Pause { by: PausedBy::Operator }),
        Act::Edit { about: book },
        reply(book, Outcome::Cancelled),
        reply(book, reserved),
        Act::Operator(OperatorAction::Resume { by: PausedBy::Operator }),
        Act::Timer { blind: false, down: Vec::new(), late_ms: 45_706_299 },
    ] {
        perform(&mut script, &act);
    }
    heal(&mut script);
}
