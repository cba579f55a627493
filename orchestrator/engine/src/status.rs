//! What people see of a saga, and when it wants attention: all derived, nothing stored.

use std::{fmt, str::FromStr};

use amends_contract::{Direction, Timestamp, Token};
use serde::{Deserialize, Serialize};

use crate::{ActionState, Awaiting, Ending, Flight, HeldBy, Phase, Saga, StepState, StuckWhy, UndoState};

/// How a saga stands, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Doing its steps.
    Running,
    /// Undoing them, then doing those of `on_compensated`.
    Compensating,
    /// A step is stuck and nothing else can move.
    Parked,
    /// Every step happened.
    Completed,
    /// Whatever may have happened was undone.
    Compensated,
    /// Ended by an operator without a promise of balance.
    Abandoned,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Running,
        Self::Compensating,
        Self::Parked,
        Self::Completed,
        Self::Compensated,
        Self::Abandoned,
    ];

    /// A stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Compensating => "compensating",
            Self::Parked => "parked",
            Self::Completed => "completed",
            Self::Compensated => "compensated",
            Self::Abandoned => "abandoned",
        }
    }

    /// Whether nothing will ever happen to it again.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::Running | Self::Compensating | Self::Parked => false,
            Self::Completed | Self::Compensated | Self::Abandoned => true,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The text is no status.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a status: running, compensating, parked, completed, compensated or abandoned")]
pub struct InvalidStatus(String);

impl FromStr for Status {
    type Err = InvalidStatus;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or_else(|| InvalidStatus(text.chars().take(80).collect()))
    }
}

/// What stands beside the status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flags {
    /// Somebody should look: a step is stuck or has used up its attempts, the saga is overdue, or an alarm
    /// was raised.
    pub needs_attention: bool,
    /// It waits for a signal.
    pub awaiting: bool,
    /// Something is not sent because of an outage.
    pub held: bool,
    /// Its deadline passed behind the point of no return.
    pub overdue: bool,
    /// An operator stopped it for a while.
    pub paused: bool,
    /// A participant contradicted itself (see [`Alarm`](crate::Alarm)).
    pub alarm: bool,
}

impl Saga {
    /// How it stands.
    #[must_use]
    pub fn status(&self) -> Status {
        match self.phase {
            Phase::Done(Ending::Completed) => Status::Completed,
            Phase::Done(Ending::Compensated) => Status::Compensated,
            Phase::Done(Ending::Abandoned) => Status::Abandoned,
            Phase::Forward | Phase::Backward if self.is_stuck() && !self.can_move() => Status::Parked,
            Phase::Forward => Status::Running,
            Phase::Backward => Status::Compensating,
        }
    }

    /// What stands beside the status.
    #[must_use]
    pub fn flags(&self) -> Flags {
        let over = matches!(self.phase, Phase::Done(_));
        let alarm = self.steps.iter().any(|step| step.alarm.is_some());
        let overdue = self.overdue_at.is_some() && !over;
        let used_up = self
            .steps
            .iter()
            .flat_map(|step| BOTH.map(|direction| (step.flight(direction), step.effect(direction))))
            .any(|pair| matches!(pair, (Some(_), Some(effect)) if effect.left == 0));
        Flags {
            needs_attention: alarm || !over && (overdue || used_up || self.is_stuck()),
            awaiting: !over && self.awaited().next().is_some(),
            held: !over && self.flights().any(|flight| flight.held.is_some()),
            overdue,
            paused: !over && self.paused.is_some(),
            alarm,
        }
    }

    /// The earliest moment at which anything in it wants attention; `None` when only an input from outside
    /// can move it.
    #[must_use]
    pub fn due_at(&self) -> Option<Timestamp> {
        if self.paused.is_some() || matches!(self.phase, Phase::Done(_)) {
            return None;
        }
        self.flights()
            // What was never sent waits for its place, not for a moment.
            .filter(|flight| flight.held != Some(HeldBy::Concurrency))
            .flat_map(|flight| [Some(flight.due_at), flight.pending_until])
            .chain(self.awaited().map(|awaiting| awaiting.until))
            .chain([self.open_deadline(), self.start_at])
            .flatten()
            .min()
    }

    /// The deadline as long as it can still do something: turn the saga, or mark it overdue. Once the pivot
    /// is in doubt there is nothing more that a deadline could ask.
    pub(crate) fn open_deadline(&self) -> Option<Timestamp> {
        match (self.phase, &self.doubt, self.overdue_at) {
            (Phase::Forward, None, None) => self.deadline_at,
            _ => None,
        }
    }

    /// Whose outage holds something in it: a participant's, or, under no name, the broker's; `None` when nothing
    /// is held, or the saga is over or paused.
    #[must_use]
    pub fn held_by(&self) -> Option<Option<&Token>> {
        if self.paused.is_some() || matches!(self.phase, Phase::Done(_)) {
            return None;
        }
        self.flights().find(|flight| flight.is_held()).map(|flight| flight.away.as_ref())
    }

    fn flights(&self) -> impl Iterator<Item = &Flight> {
        self.steps.iter().flat_map(|step| BOTH.map(|direction| step.flight(direction))).flatten()
    }

    /// The signals that it waits for.
    pub fn awaited(&self) -> impl Iterator<Item = &Awaiting> {
        self.steps.iter().filter_map(|step| match &step.action {
            ActionState::Awaiting(awaiting) => Some(awaiting),
            _ => None,
        })
    }

    /// The actions that were ever counted against the `concurrency` of their steps, and how each stands to its
    /// places; `None` when it needs none any more. A saga that is paused does not queue.
    pub fn places(&self) -> impl Iterator<Item = (&StepState, Option<Place>)> {
        let open = !matches!(self.phase, Phase::Done(_));
        let queues = self.paused.is_none();
        let limited = |step: &&StepState| step.action_effect.as_ref().is_some_and(|effect| effect.limited);
        self.steps.iter().filter(limited).map(move |step| {
            let place = step.place().filter(|place| open && (queues || *place == Place::Taken));
            (step, place)
        })
    }

    fn can_move(&self) -> bool {
        self.flights().next().is_some()
            || self.awaited().next().is_some()
            || self.start_at.is_some()
            || self.paused.is_some()
    }

    fn is_stuck(&self) -> bool {
        self.steps.iter().any(StepState::is_stuck)
    }
}

/// How an action stands to the places of its step's `concurrency`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// It waits for one, and was never sent.
    Wanted,
    /// It has one: it was sent, and may still be running.
    Taken,
}

impl StepState {
    /// Whether its action or its undo cannot go on by itself.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        BOTH.iter().any(|direction| self.stuck(*direction).is_some())
    }

    /// What is known to have ended, or never to have begun, needs no place; what was given up keeps it until
    /// its undo has settled it.
    pub(crate) fn place(&self) -> Option<Place> {
        let never_sent = self.action_effect.as_ref().is_some_and(|effect| effect.send_no == 0);
        match (&self.action, &self.undo) {
            (ActionState::InFlight(_), _) if never_sent => Some(Place::Wanted),
            (ActionState::InFlight(_), _) => Some(Place::Taken),
            (ActionState::Unknown, UndoState::Undone { .. } | UndoState::NothingToUndo) => None,
            (ActionState::Unknown, _) => Some(Place::Taken),
            (ActionState::Stuck(stuck), _) if stuck.why == StuckWhy::PendingMax => Some(Place::Taken),
            _ => None,
        }
    }
}

const BOTH: [Direction; 2] = [Direction::Forward, Direction::Backward];
