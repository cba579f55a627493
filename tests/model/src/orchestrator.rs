//! The orchestrator's side: the real engine, decided once for each pair of row and stimulus.
//!
//! Time is abstract: any clock of a saga may run out whenever it runs. Stored moments are therefore only
//! "later", and a timer says which of them has come.
//!
//! Invariant: what is committed is what `amends_engine::handle` answered, with its moments made equal.

use std::{collections::BTreeSet, sync::Arc};

use amends_contract::{Direction, SagaId, Timestamp};
use amends_definition::Definition;
use amends_engine::{
    ActionState, Ending, Error, Flight, Ignored, Input, OperatorAction, Output, Phase, ReplyInput, Saga,
    StepState, StuckWhy, Transition, UndoState, Verdict, handle, open_commands, start,
};
use serde_json::Value;

use crate::breach::{Breach, Breaches};
use crate::mail::{Mail, Message};
use crate::pool::{Memo, Pool};
use crate::scene::Flaw;

/// The moment of every input.
pub(crate) const NOW: Timestamp = Timestamp::from_unix_ms(1_795_248_000_000);
/// Every moment that has not come.
const LATER: Timestamp = NOW.plus_ms(1_000_000_000);

pub(crate) const BOTH: [Direction; 2] = [Direction::Forward, Direction::Backward];

pub(crate) fn saga_id() -> SagaId {
    "0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10".parse().unwrap()
}

/// What makes an orchestrator look at the saga.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stimulus {
    /// A reply, by its number in the mail.
    Reply(u32),
    /// A clock has run out.
    Due(Clock),
    /// Somebody wants something.
    Wish(Wish),
}

/// A clock of a saga.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Clock {
    /// Its deadline.
    Deadline,
    /// The next sending of a step's effect: no reply, or the end of a back-off.
    Sending(u8, Direction),
    /// A participant has been finding out for too long.
    Pending(u8, Direction),
    /// All of them at once.
    All,
}

/// What the owner or an operator may want.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Wish {
    /// To cancel.
    Cancel,
    /// To try again now.
    RetryNow,
}

/// A stored saga.
#[derive(Debug)]
pub struct Row {
    /// It, with its moments made equal.
    pub saga: Saga,
    /// Its open commands, by their numbers in the mail.
    pub open: Vec<u32>,
    /// The clocks that run.
    pub clocks: Vec<Clock>,
}

/// What is made of one stimulus.
#[derive(Clone, Debug)]
pub struct Decided {
    /// The row afterwards.
    pub row: u32,
    /// What is to be published, by numbers in the mail.
    pub sends: Arc<[u32]>,
    /// Why nothing changed, if so.
    pub ignored: Option<Ignored>,
    /// What was found to be wrong.
    pub breaches: Breaches,
    /// Whether more is sent than the bounds allow.
    pub is_beyond: bool,
}

/// All orchestrators: they share a definition and a database.
#[derive(Debug)]
pub(crate) struct Orchestrators {
    definition: Definition,
    sends_max: u32,
    flaw: Option<Flaw>,
    pub(crate) rows: Pool<Row>,
    decided: Memo<(u32, Stimulus), Option<Decided>>,
}

impl Orchestrators {
    pub(crate) fn new(definition: Definition, sends_max: u32, flaw: Option<Flaw>) -> Self {
        Self { definition, sends_max, flaw, rows: Pool::default(), decided: Memo::default() }
    }

    /// The saga as it was submitted, and its first commands.
    pub(crate) fn submit(&self, input: Value, mail: &Mail) -> Decided {
        let transition = start(saga_id(), &self.definition, input, NOW).unwrap();
        self.take(None, transition, mail)
    }

    /// What the engine says to a stimulus; `None` if it refuses it.
    pub(crate) fn decide(&self, row: u32, stimulus: Stimulus, mail: &Mail) -> Option<Decided> {
        self.decided.get((row, stimulus), || {
            let mut saga = self.rows.get(row).saga.clone();
            let input = input(&mut saga, stimulus, mail);
            let _planted = self.flaw.and_then(Flaw::planted);
            match handle(saga.clone(), input, NOW, &self.definition) {
                Ok(transition) => Some(self.take(Some((row, &saga)), transition, mail)),
                Err(Error::Refused { .. }) => None,
                Err(error) => panic!("{error}"),
            }
        })
    }

    fn take(&self, before: Option<(u32, &Saga)>, transition: Transition, mail: &Mail) -> Decided {
        let ignored = match transition.verdict {
            Verdict::Applied => None,
            Verdict::Ignored(why) => Some(why),
        };
        let mut breaches = Breaches::default();
        if let (Some(why), Some((row, _))) = (ignored, before) {
            // Honest participants never say such things.
            if matches!(why, Ignored::Contradiction | Ignored::NotSent | Ignored::Foreign) {
                breaches.add(Breach::Contradiction);
            }
            return Decided { row, sends: Arc::new([]), ignored, breaches, is_beyond: false };
        }
        if let Some((_, before)) = before {
            breaches.add_if(turns_back(before.phase, transition.saga.phase), Breach::Direction);
            breaches.add_if(!is_rebuilt(before, &transition), Breach::Journal);
        }
        breaches.add_if(is_lost(&transition.saga), Breach::Lost);
        let commands = transition.outputs.into_iter().filter_map(|output| match output {
            Output::Send(command) => Some(command),
            Output::Emit(_) => None,
        });
        let commands: Vec<_> = commands.collect();
        let is_beyond = commands.iter().any(|command| command.send_no > self.sends_max);
        let sends = commands.into_iter().map(|command| mail.put(Message::Command(command))).collect();
        let row = self.store(transition.saga, mail);
        breaches.add_if(before.is_some_and(|(before, _)| before == row), Breach::Echo);
        Decided { row, sends, ignored, breaches, is_beyond }
    }

    fn store(&self, mut saga: Saga, mail: &Mail) -> u32 {
        still(&mut saga);
        let key = serde_json::to_string(&saga).unwrap();
        self.rows.id(key, || {
            let open = open_commands(&saga, &self.definition).into_iter();
            let open = open.map(|command| mail.put(Message::Command(command))).collect();
            Row { open, clocks: clocks(&saga), saga }
        })
    }
}

/// Makes the saga's moments equal, and forgets how long its journal is.
fn still(saga: &mut Saga) {
    saga.version = 0;
    saga.deadline_at = saga.deadline_at.map(|_| LATER);
    for step in &mut saga.steps {
        for direction in BOTH {
            let Some(flight) = flight(step, direction) else { continue };
            flight.due_at = LATER;
            flight.pending_until = flight.pending_until.map(|_| LATER);
        }
    }
}

/// What is in flight, to move its clocks.
const fn flight(step: &mut StepState, direction: Direction) -> Option<&mut Flight> {
    match (direction, &mut step.action, &mut step.undo) {
        (Direction::Forward, ActionState::InFlight(flight), _)
        | (Direction::Backward, _, UndoState::InFlight(flight)) => Some(flight),
        _ => None,
    }
}

fn clocks(saga: &Saga) -> Vec<Clock> {
    let mut clocks = Vec::new();
    // What is due of a settled saga is due of nobody.
    if saga.due_at().is_none() {
        return clocks;
    }
    if saga.deadline_at.is_some() && saga.phase == Phase::Forward && saga.overdue_at.is_none() {
        clocks.push(Clock::Deadline);
    }
    for (index, step) in (0..).zip(&saga.steps) {
        for direction in BOTH {
            let Some(flight) = step.flight(direction) else { continue };
            clocks.push(Clock::Sending(index, direction));
            if flight.pending_until.is_some() {
                clocks.push(Clock::Pending(index, direction));
            }
        }
    }
    if clocks.len() > 1 {
        clocks.push(Clock::All);
    }
    clocks
}

fn input(saga: &mut Saga, stimulus: Stimulus, mail: &Mail) -> Input {
    match stimulus {
        Stimulus::Reply(id) => match &*mail.get(id) {
            Message::Reply(reply) => Input::Reply(ReplyInput::from(reply)),
            Message::Command(command) => panic!("{} is no reply", command.effect),
        },
        Stimulus::Due(clock) => {
            run_out(saga, clock);
            Input::Timer { blind: false, down: BTreeSet::new(), slots: BTreeSet::new() }
        }
        Stimulus::Wish(wish) => {
            let action = match wish {
                Wish::Cancel => OperatorAction::Cancel,
                Wish::RetryNow => OperatorAction::RetryNow,
            };
            Input::Operator { action, actor: "somebody".to_owned(), reason: String::new() }
        }
    }
}

fn run_out(saga: &mut Saga, clock: Clock) {
    let is = |other: Clock| clock == Clock::All || clock == other;
    if is(Clock::Deadline) {
        saga.deadline_at = saga.deadline_at.map(|_| NOW);
    }
    for (index, step) in (0..).zip(&mut saga.steps) {
        for direction in BOTH {
            let Some(flight) = flight(step, direction) else { continue };
            if is(Clock::Sending(index, direction)) {
                flight.due_at = NOW;
            }
            if is(Clock::Pending(index, direction)) {
                flight.pending_until = flight.pending_until.map(|_| NOW);
            }
        }
    }
}

/// Backward never becomes forward, and nothing leaves an end.
fn turns_back(before: Phase, after: Phase) -> bool {
    match (before, after) {
        (Phase::Forward, _) | (Phase::Backward, Phase::Backward) => false,
        (Phase::Backward, Phase::Done(ending)) => ending != Ending::Compensated,
        (Phase::Backward, Phase::Forward) => true,
        (Phase::Done(before), after) => after != Phase::Done(before),
    }
}

/// Whether folding the journal's entry gives the same saga.
fn is_rebuilt(before: &Saga, transition: &Transition) -> bool {
    let mut folded = before.clone();
    amends_engine::fold(&mut folded, &transition.entry).is_ok() && folded == transition.saga
}

/// Whether nothing would ever happen to it although it has not ended, nor says why not; or it says
/// something that honest participants give no cause for.
fn is_lost(saga: &Saga) -> bool {
    let stuck = || saga.steps.iter().flat_map(|step| BOTH.map(|direction| step.stuck(direction))).flatten();
    let odd = |why| !matches!(why, StuckWhy::PendingMax | StuckWhy::Rejected);
    let settled = matches!(saga.phase, Phase::Done(_));
    let waits = saga.due_at().is_some();
    saga.flags().alarm
        || stuck().any(|stuck| odd(stuck.why))
        || (settled && (waits || stuck().next().is_some()))
        || (!settled && !waits && stuck().next().is_none())
}
