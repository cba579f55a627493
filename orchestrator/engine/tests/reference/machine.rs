//! Random lives: the reference says what may happen, and both live it.

use amends_contract::{Direction, EffectId, Outcome, SagaId, StepRef, Timestamp};
use amends_definition::Definition;
use amends_engine::{
    Ending, Error, Input, OperatorAction, Output, PausedBy, ReplyInput, Saga, StepState, StuckWhy, Verdict,
    handle, start,
};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};
use serde_json::{Value, json};

use crate::definitions;
use crate::reference::Reference;
use crate::words::{Asked, Happens, Heard, Kind, Known, Phase, Question, Refusal, Say, Step};

/// Later than anything that an engine waits for here, in milliseconds.
const LATER_MS: u64 = 10 * 60 * 60 * 1000;

fn saga_id() -> SagaId {
    "0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10".parse().unwrap()
}

impl ReferenceStateMachine for Reference {
    type State = Self;
    type Transition = Happens;

    fn init_state() -> BoxedStrategy<Self> {
        select(definitions::ALL.to_vec()).prop_map(Self::new).boxed()
    }

    fn transitions(state: &Self) -> BoxedStrategy<Happens> {
        let steps = state.steps.len();
        let sent = |(step, at): (usize, &Step)| {
            let action = (at.sendings.0 > 0).then_some((step, false));
            let undo = (at.sendings.1 > 0).then_some((step, true));
            [action, undo]
        };
        let asked = |at: &(usize, bool)| {
            let step = &state.steps[at.0];
            matches!(if at.1 { step.undo } else { step.action }, Known::Open(_))
        };
        let sent: Vec<(usize, bool)> = state.steps.iter().enumerate().flat_map(sent).flatten().collect();
        let open: Vec<(usize, bool)> = sent.iter().copied().filter(asked).collect();
        let open = if open.is_empty() { sent.clone() } else { open };
        let fitting = |(step, undo): (usize, bool)| {
            says(undo).prop_map(move |say| Happens::Reply { step, undo, ago: 0, say })
        };
        let waits = |step: &usize| matches!(state.rules[*step].kind, Kind::Signal | Kind::Wish);
        let waiting: Vec<usize> = (0..steps).filter(waits).collect();
        // A definition without a signal has nobody who waits, whatever number stands here.
        let signals = if waiting.is_empty() { 0 } else { 2 };
        let waiting = if waiting.is_empty() { vec![0] } else { waiting };
        let resumes = if state.is_paused { 8 } else { 1 };
        prop_oneof![
            12 => select(open).prop_flat_map(fitting),
            3 => (select(sent), 0..3_u32).prop_flat_map(|((step, undo), ago)| {
                says(undo).prop_map(move |say| Happens::Reply { step, undo, ago, say })
            }),
            1 => (0..steps, any::<bool>()).prop_flat_map(|(step, undo)| {
                says(undo).prop_map(move |say| Happens::Reply { step, undo, ago: 0, say })
            }),
            4 => Just(Happens::Timer),
            1 => Just(Happens::Cancel),
            1 => Just(Happens::RetryNow),
            1 => Just(Happens::SkipWait),
            signals => select(waiting).prop_map(|step| Happens::Signal { step }),
            1 => Just(Happens::Pause),
            resumes => Just(Happens::Resume),
        ]
        .boxed()
    }

    fn apply(mut state: Self, what: &Happens) -> Self {
        state.take(what);
        state
    }
}

/// What a participant can say to an action or to an undo.
fn says(undo: bool) -> impl Strategy<Value = Say> + use<> {
    let last = if undo { [Say::Undone, Say::NothingToUndo] } else { [Say::Succeeded, Say::Cancelled] };
    prop_oneof![
        9 => Just(last[0]),
        2 => Just(last[1]),
        2 => Just(Say::Rejected),
        2 => Just(Say::Failed),
        2 => Just(Say::Pending),
        1 => Just(Say::Conflict),
        1 => Just(Say::Expired),
        u32::from(undo) => Just(Say::Cancelled),
    ]
}

/// The engine's saga.
struct Machine {
    definition: Definition,
    saga: Saga,
    now: Timestamp,
    /// What the last input sent: step, undo or not, which sending, fence or not.
    sent: Vec<(String, bool, u32, bool)>,
}

impl StateMachineTest for Machine {
    type SystemUnderTest = Self;
    type Reference = Reference;

    fn init_test(reference: &Reference) -> Self {
        let definition = definitions::compile(reference.rules);
        let now = saga_id().made_at();
        let transition = start(saga_id(), &definition, json!({}), now).unwrap();
        let sent = commands(transition.outputs);
        Self { definition, saga: transition.saga, now, sent }
    }

    fn apply(mut machine: Self, reference: &Reference, what: Happens) -> Self {
        let input = machine.input(reference, &what);
        machine.sent.clear();
        match handle(machine.saga.clone(), input, machine.now, &machine.definition) {
            Ok(transition) if transition.verdict == Verdict::Applied => {
                machine.saga = transition.saga;
                machine.sent = commands(transition.outputs);
            }
            Ok(_) | Err(Error::Refused { .. }) => {}
            Err(error) => panic!("{error}"),
        }
        machine
    }

    fn check_invariants(machine: &Self, reference: &Reference) {
        assert_eq!(phase(&machine.saga), reference.phase);
        assert_eq!(machine.saga.doubt.is_some(), reference.doubt.is_some(), "whether its pivot is in doubt");
        assert_eq!(machine.saga.flags().alarm, reference.alarm, "whether somebody lied");
        assert_eq!(machine.saga.paused.is_some(), reference.is_paused, "whether it is paused");
        assert!(!reference.is_paused || machine.sent.is_empty(), "nothing leaves in a pause");
        for (rule, step) in reference.rules.iter().zip(&reference.steps) {
            let name = rule.name;
            // An element is nowhere before its list is known.
            let state = machine.saga.instance(&name.parse().unwrap());
            assert_eq!(engine_action(state), action(step.action), "the action of {name}");
            assert_eq!(engine_undo(state), undo(step.undo), "the undo of {name}");
            let sendings = [Direction::Forward, Direction::Backward].map(|direction| {
                state.and_then(|state| state.effect(direction)).map_or(0, |effect| effect.send_no)
            });
            assert_eq!(sendings, [step.sendings.0, step.sendings.1], "the sendings of {name}");
        }
        // What is sent is open afterwards, under its last number, and asked as the reference asks it.
        for (name, is_undo, send_no, is_fence) in &machine.sent {
            let at = reference.rules.iter().position(|rule| rule.name == name).unwrap();
            let step = &reference.steps[at];
            let (known, sendings) =
                if *is_undo { (step.undo, step.sendings.1) } else { (step.action, step.sendings.0) };
            let Known::Open(Asked { question, heard: Heard::Nothing, .. }) = known else {
                panic!("{name} is not asked for, and a command was sent");
            };
            assert_eq!((*send_no, *is_fence), (sendings, question != Question::Do), "the sending of {name}");
        }
    }
}

impl Machine {
    fn input(&mut self, reference: &Reference, what: &Happens) -> Input {
        match *what {
            Happens::Reply { step, undo, ago, say } => {
                let step: StepRef = reference.rules[step].name.parse().unwrap();
                let state = self.saga.instance(&step);
                let direction = if undo { Direction::Backward } else { Direction::Forward };
                let effect = state.and_then(|state| state.effect(direction));
                let last = effect.map_or(1, |effect| effect.send_no);
                Input::Reply(ReplyInput {
                    effect: EffectId { saga: saga_id(), step, direction, epoch: 1 },
                    // There is nothing before the first sending.
                    send_no: last.saturating_sub(ago),
                    participant: "shop".parse().unwrap(),
                    outcome: outcome(say),
                    cause: None,
                    violation: None,
                })
            }
            Happens::Timer => {
                self.now = self.now.plus_ms(LATER_MS);
                Input::Timer { blind: false, down: Default::default(), slots: Default::default() }
            }
            Happens::Signal { step } => {
                let name = reference.rules[step].name.parse().unwrap();
                Input::Signal { name, data: Value::Null.into(), actor: "somebody".to_owned() }
            }
            Happens::Cancel => operator(OperatorAction::Cancel),
            Happens::RetryNow => operator(OperatorAction::RetryNow),
            Happens::SkipWait => operator(OperatorAction::SkipWait),
            Happens::Pause => operator(OperatorAction::Pause { by: PausedBy::Operator }),
            Happens::Resume => operator(OperatorAction::Resume { by: PausedBy::Operator }),
        }
    }
}

fn operator(action: OperatorAction) -> Input {
    Input::Operator { action, actor: "somebody".to_owned(), reason: String::new() }
}

fn outcome(say: Say) -> Outcome {
    match say {
        Say::Succeeded => Outcome::Succeeded { output: Value::Null.into() },
        Say::Rejected => Outcome::Rejected { code: "no".to_owned(), message: String::new() },
        Say::Cancelled => Outcome::Cancelled,
        Say::Undone => Outcome::Undone { output: Value::Null.into() },
        Say::NothingToUndo => Outcome::NothingToUndo,
        Say::Failed => Outcome::Failed { code: "down".to_owned(), retry_after_ms: None },
        Say::Pending => Outcome::Pending,
        Say::Conflict => Outcome::Conflict,
        Say::Expired => Outcome::Expired,
    }
}

fn commands(outputs: Vec<Output>) -> Vec<(String, bool, u32, bool)> {
    let command = |output| match output {
        Output::Send(command) => {
            let undo = command.effect.direction == Direction::Backward;
            Some((command.effect.step.to_string(), undo, command.send_no, command.is_fence()))
        }
        Output::Emit(_) => None,
    };
    outputs.into_iter().filter_map(command).collect()
}

fn phase(saga: &Saga) -> Phase {
    match saga.phase {
        amends_engine::Phase::Forward => Phase::Forward,
        amends_engine::Phase::Backward => Phase::Backward,
        amends_engine::Phase::Done(Ending::Completed) => Phase::Completed,
        amends_engine::Phase::Done(Ending::Compensated) => Phase::Compensated,
        amends_engine::Phase::Done(Ending::Abandoned) => panic!("nobody abandons here"),
    }
}

/// What is stuck is told with its reason.
fn engine_action(step: Option<&StepState>) -> String {
    step.map_or("waiting".to_owned(), |step| with_reason(step.action.name(), step, Direction::Forward))
}

fn engine_undo(step: Option<&StepState>) -> String {
    step.map_or("none".to_owned(), |step| with_reason(step.undo.name(), step, Direction::Backward))
}

fn with_reason(name: &str, step: &StepState, direction: Direction) -> String {
    match step.stuck(direction) {
        Some(stuck) => format!("{name}: {:?}", stuck.why),
        None => name.to_owned(),
    }
}

fn action(known: Known) -> String {
    match known {
        Known::Unasked | Known::Planned => "waiting".to_owned(),
        Known::Open(asked) => open(asked),
        Known::Expected => "awaiting".to_owned(),
        Known::Happened => "succeeded".to_owned(),
        Known::Refused => "rejected".to_owned(),
        Known::Never => "cancelled".to_owned(),
        Known::GivenUp => "unknown".to_owned(),
    }
}

fn undo(known: Known) -> String {
    match known {
        Known::Unasked => "none".to_owned(),
        Known::Planned => "waiting".to_owned(),
        Known::Open(asked) => open(asked),
        Known::Happened => "undone".to_owned(),
        Known::Refused | Known::Never | Known::GivenUp | Known::Expected => "nothing_to_undo".to_owned(),
    }
}

fn open(asked: Asked) -> String {
    let why = |why: StuckWhy| format!("stuck: {why:?}");
    match (asked.heard, asked.question) {
        (Heard::Refusal(Refusal::Conflict), _) => why(StuckWhy::Conflict),
        (Heard::Refusal(Refusal::Expired), _) => why(StuckWhy::Expired),
        (Heard::Refusal(Refusal::Rejected), _) => why(StuckWhy::Rejected),
        (Heard::Refusal(Refusal::Cancelled), _) => why(StuckWhy::Cancelled),
        (_, Question::Fate | Question::Close) => "fencing".to_owned(),
        (Heard::Nothing, Question::Do) => "sent".to_owned(),
        (Heard::StillFindingOut, Question::Do) => "pending".to_owned(),
        (Heard::ItFailed, Question::Do) => "backing_off".to_owned(),
    }
}

prop_state_machine! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_engine_lives_as_the_reference_says(sequential 1..60 => Machine);
}

/// Against vacuity: random lives come to every end, to doubt, to pauses in which something happens, and to
/// waits that end in every way.
#[test]
fn random_lives_come_to_every_end() {
    let mut runner = TestRunner::deterministic();
    let (mut ends, mut doubts) = ([0_u32; 4], 0);
    let (mut in_pauses, mut early, mut in_time, mut late) = (0, 0, 0, 0);
    for _ in 0..400 {
        let lives = Reference::sequential_strategy(1..60_usize).new_tree(&mut runner).unwrap();
        let (mut life, happens, _) = lives.current();
        for what in &happens {
            let before = life.clone();
            life.take(what);
            doubts += u32::from(life.doubt.is_some());
            in_pauses += u32::from(before.is_paused && life.is_paused && life.steps != before.steps);
            for (was, is) in before.steps.iter().zip(&life.steps) {
                early += u32::from(is.is_signalled && !was.is_signalled);
                let ends = was.action == Known::Expected && is.action != Known::Expected;
                in_time += u32::from(ends && matches!(what, Happens::Signal { .. }));
                late += u32::from(ends && matches!(what, Happens::Timer));
            }
        }
        ends[life.phase as usize] += 1;
    }
    assert!(ends.iter().all(|count| *count > 0) && doubts > 0, "{ends:?}, {doubts} times in doubt");
    let waits = [in_pauses, early, in_time, late];
    assert!(waits.iter().all(|count| *count > 0), "in pauses, early, in time, late: {waits:?}");
}
