//! The two states of a step: of its action, and of its undo.
//!
//! They are apart because a late reply of the action changes what is known of the action, whatever the
//! undo is doing meanwhile.

use amends_contract::{Direction, Json, StepRef, Timestamp, Token};
use amends_planted::{Bug, planted};
use serde::{Deserialize, Serialize};

use crate::draft::BOTH;

/// One step of a saga.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepState {
    /// Its name in the definition.
    pub name: Token,
    /// Which element of a `for_each` step it is for; `None` for the step itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<u32>,
    /// The element.
    #[serde(default, skip_serializing_if = "Json::is_null")]
    pub element: Json,
    /// What is known of its action.
    #[serde(default, skip_serializing_if = "ActionState::is_waiting")]
    pub action: ActionState,
    /// The action's effect, once it is decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action_effect: Option<Effect>,
    /// What is known of its undo.
    #[serde(default, skip_serializing_if = "UndoState::is_none")]
    pub undo: UndoState,
    /// The undo's effect, once it is decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo_effect: Option<Effect>,
    /// Something that cannot be was reported of this step; it stays for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alarm: Option<Alarm>,
}

impl StepState {
    pub(crate) const fn new(name: Token) -> Self {
        Self {
            name,
            index: None,
            element: Json::NULL,
            action: ActionState::Waiting,
            action_effect: None,
            undo: UndoState::None,
            undo_effect: None,
            alarm: None,
        }
    }

    /// An instance of a `for_each` step.
    pub(crate) fn of_element(name: Token, index: u32, element: Json) -> Self {
        Self { index: Some(index), element, ..Self::new(name) }
    }

    /// How decisions and effect ids name it.
    #[must_use]
    pub fn reference(&self) -> StepRef {
        StepRef { name: self.name.clone(), index: self.index }
    }

    /// What the action gave back; `None` unless it has succeeded.
    #[must_use]
    pub const fn output(&self) -> Option<&Json> {
        match &self.action {
            ActionState::Succeeded { output, .. } => Some(output),
            _ => None,
        }
    }

    /// The effect of this direction, once it is decided.
    #[must_use]
    pub const fn effect(&self, direction: Direction) -> Option<&Effect> {
        match direction {
            Direction::Forward => self.action_effect.as_ref(),
            Direction::Backward => self.undo_effect.as_ref(),
        }
    }

    /// What is in flight in this direction.
    #[must_use]
    pub const fn flight(&self, direction: Direction) -> Option<&Flight> {
        match (direction, &self.action, &self.undo) {
            (Direction::Forward, ActionState::InFlight(flight), _)
            | (Direction::Backward, _, UndoState::InFlight(flight)) => Some(flight),
            _ => None,
        }
    }

    /// What it is stuck at in this direction.
    #[must_use]
    pub const fn stuck(&self, direction: Direction) -> Option<&Stuck> {
        match (direction, &self.action, &self.undo) {
            (Direction::Forward, ActionState::Stuck(stuck), _)
            | (Direction::Backward, _, UndoState::Stuck(stuck)) => Some(stuck),
            _ => None,
        }
    }

    /// About how many bytes of memory it takes.
    pub(crate) fn memory_bytes(&self) -> usize {
        let undone = match &self.undo {
            UndoState::Undone { output, .. } => Some(output),
            _ => None,
        };
        let data = BOTH.map(|direction| self.effect(direction).and_then(|effect| effect.data.as_ref()));
        let parts = data.into_iter().chain([self.output(), undone]).flatten().chain([&self.element]);
        size_of::<Self>() + parts.map(Json::memory_bytes).sum::<usize>()
    }

    /// Whether its action may have run, or may run yet: sent at least once and neither rejected nor
    /// cancelled.
    pub(crate) fn may_have_run(&self) -> bool {
        // By hand it was done, whether or not a participant was ever asked.
        if matches!(self.action, ActionState::Succeeded { by_hand: true, .. }) {
            return true;
        }
        self.action_effect.as_ref().is_some_and(|effect| effect.send_no > 0)
            && match &self.action {
                ActionState::Waiting
                | ActionState::Skipped
                | ActionState::Spread
                | ActionState::Awaiting(_)
                | ActionState::Rejected { .. }
                | ActionState::Cancelled => false,
                ActionState::Stuck(stuck) => stuck.why != StuckWhy::Cancelled,
                ActionState::InFlight(Flight { wait: Wait::BackingOff, .. })
                    if planted(Bug::ForgetsBackingOff) =>
                {
                    false
                }
                ActionState::InFlight(_) | ActionState::Succeeded { .. } | ActionState::Unknown => true,
            }
    }
}

/// What is known of a step's action.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionState {
    /// Never sent.
    #[default]
    Waiting,
    /// Its condition was false.
    Skipped,
    /// It runs once for each element of its list; the instances stand behind the other steps.
    Spread,
    /// Waits for a signal.
    Awaiting(Awaiting),
    /// Asked for, without a final outcome so far.
    InFlight(Flight),
    /// Done.
    Succeeded {
        /// What it gave back.
        #[serde(default, skip_serializing_if = "Json::is_null")]
        output: Json,
        /// An operator said so; the participant knows nothing of it.
        #[serde(default, skip_serializing_if = "is_false")]
        by_hand: bool,
    },
    /// Refused; it did not run and never will.
    Rejected {
        /// Stable and machine-readable.
        code: String,
        /// For people.
        message: String,
    },
    /// Its effect id is closed; it did not run and never will.
    Cancelled,
    /// Asked for, and given up without an outcome; its undo settles it.
    Unknown,
    /// It cannot go on by itself.
    Stuck(Stuck),
}

impl ActionState {
    const fn is_waiting(&self) -> bool {
        matches!(self, Self::Waiting)
    }

    /// A stable name, as people see it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Skipped => "skipped",
            Self::Spread => "spread",
            Self::Awaiting(_) => "awaiting",
            Self::InFlight(flight) => flight.name(),
            Self::Succeeded { .. } => "succeeded",
            Self::Rejected { .. } => "rejected",
            Self::Cancelled => "cancelled",
            Self::Unknown => "unknown",
            Self::Stuck(_) => "stuck",
        }
    }
}

/// Waiting for a signal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Awaiting {
    /// Its name.
    pub signal: Token,
    /// When the wait is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
pub(crate) const fn is_false(flag: &bool) -> bool {
    !*flag
}

/// What is known of a step's undo.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UndoState {
    /// Not planned: the saga goes forward, there is nothing to undo, or the step has no undo.
    #[default]
    None,
    /// Planned, and not sent yet.
    Waiting,
    /// Asked for, without a final outcome so far.
    InFlight(Flight),
    /// The action is undone.
    Undone {
        /// What the undo had to say.
        #[serde(default, skip_serializing_if = "Json::is_null")]
        output: Json,
        /// An operator said so; the participant knows nothing of it.
        #[serde(default, skip_serializing_if = "is_false")]
        by_hand: bool,
    },
    /// The action never ran and never will.
    NothingToUndo,
    /// It cannot go on by itself.
    Stuck(Stuck),
}

impl UndoState {
    const fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// A stable name, as people see it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Waiting => "waiting",
            Self::InFlight(flight) => flight.name(),
            Self::Undone { .. } => "undone",
            Self::NothingToUndo => "nothing_to_undo",
            Self::Stuck(_) => "stuck",
        }
    }
}

/// An effect that was decided. Its id and its data never change; the rest does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Effect {
    /// Part of its id.
    #[serde(default = "first", skip_serializing_if = "is_first")]
    pub epoch: u32,
    /// When it was decided: the `time` of all its commands.
    pub decided_at: Timestamp,
    /// The last sending; commands and fences of one effect count on together. 0 as long as it waits for
    /// its first.
    #[serde(default = "first", skip_serializing_if = "is_first")]
    pub send_no: u32,
    /// Attempts that are left before it counts as used up.
    pub left: u32,
    /// The payload, frozen; `None` on an undo that carries nothing but its action's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Json>,
    /// What an operator wants once the fence in flight has closed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub then: Option<Then>,
    /// It needs one of the places of its step's `concurrency`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub limited: bool,
}

/// What follows when a fence has closed an effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    /// The next epoch, with this data.
    Retry {
        /// The new payload.
        data: Json,
    },
    /// The step counts as settled, by an operator's word.
    Settle {
        /// What it is said to have given back.
        #[serde(default, skip_serializing_if = "Json::is_null")]
        output: Json,
    },
}

const fn first() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
const fn is_first(number: &u32) -> bool {
    *number == 1
}

/// What is being asked, and when to act if no final outcome comes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flight {
    /// What is asked.
    #[serde(default, skip_serializing_if = "Ask::is_command")]
    pub ask: Ask,
    /// What it waits for.
    #[serde(default, skip_serializing_if = "Wait::is_sent")]
    pub wait: Wait,
    /// Set while nothing is sent because of an outage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<HeldBy>,
    /// The participant whose outage it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub away: Option<Token>,
    /// When to ask again: no reply by then, the end of the back-off, or the next look at the outage.
    pub due_at: Timestamp,
    /// When it gets stuck if the participant keeps finding out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_until: Option<Timestamp>,
}

impl Flight {
    /// Just sent.
    pub(crate) const fn new(ask: Ask, due_at: Timestamp) -> Self {
        Self { ask, wait: Wait::Sent, held: None, away: None, due_at, pending_until: None }
    }

    /// Whether an outage keeps it from being sent.
    pub(crate) const fn is_held(&self) -> bool {
        matches!(self.held, Some(HeldBy::Broker | HeldBy::Participant))
    }

    const fn name(&self) -> &'static str {
        match (self.ask, self.wait) {
            (Ask::Fence(_), _) => "fencing",
            (Ask::Command, Wait::Sent) => "sent",
            (Ask::Command, Wait::Pending) => "pending",
            (Ask::Command, Wait::BackingOff) => "backing_off",
        }
    }
}

/// What is asked of the participant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// The effect.
    #[default]
    Command,
    /// Only that its id be made final.
    Fence(FenceWhy),
}

impl Ask {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    const fn is_command(&self) -> bool {
        matches!(self, Self::Command)
    }
}

/// Why an effect is fenced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FenceWhy {
    /// It is the pivot, which is never guessed; the answer gives the direction.
    Pivot,
    /// It was in flight when the saga turned, and it has no undo.
    Turn,
    /// An operator wants it tried with other data: the old epoch is closed first.
    Epoch,
    /// An operator says how it ended: the participant is asked first.
    Settle,
    /// An operator gave the saga up: what has not happened shall not. Nobody waits for the answer.
    Abandon,
}

/// What something in flight waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wait {
    /// A reply to the last sending.
    #[default]
    Sent,
    /// The participant is still finding out.
    Pending,
    /// The last sending failed; the end of the back-off.
    BackingOff,
}

impl Wait {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    const fn is_sent(&self) -> bool {
        matches!(self, Self::Sent)
    }
}

/// Whose outage keeps us from sending. Nothing burns meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeldBy {
    /// The broker refuses us, or our own replies lie unread.
    Broker,
    /// The participant is down.
    Participant,
    /// As many of this step are in flight as may be; it was never sent.
    Concurrency,
}

/// A step that cannot go on until an operator, or a late reply, lets it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stuck {
    /// The reason.
    pub why: StuckWhy,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// What was asked; asking again is how it is freed.
    #[serde(default, skip_serializing_if = "Ask::is_command")]
    pub ask: Ask,
}

/// Why a step is stuck.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StuckWhy {
    /// Its effect id is taken by a command of another meaning.
    Conflict,
    /// The saga is older than the participant's inbox remembers.
    Expired,
    /// A step that may not be rejected was: a retriable one, or an undo.
    Rejected,
    /// The effect id is closed, and nobody here asked for that.
    Cancelled,
    /// The participant was finding out for longer than `pending_max`.
    PendingMax,
    /// The reply does not fit the step: its schema, or an outcome of the other direction.
    Reply,
    /// An expression could not be evaluated where the step cannot be given up.
    Expression,
    /// The command is larger than may be sent, and the step cannot be given up.
    TooLarge,
    /// The command's data break the step's schema, and the step cannot be given up.
    Schema,
    /// The action was settled by hand, so its undo has to be, too: no participant knows of it.
    ByHand,
}

impl StuckWhy {
    /// A stable name, as people see it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Conflict => "conflict",
            Self::Expired => "expired",
            Self::Rejected => "rejected",
            Self::Cancelled => "cancelled",
            Self::PendingMax => "pending_max",
            Self::Reply => "reply",
            Self::Expression => "expression",
            Self::TooLarge => "too_large",
            Self::Schema => "schema",
            Self::ByHand => "by_hand",
        }
    }
}

/// A report that contradicts what the participant proved before: its inbox has failed.
///
/// Those of closed effects also come where the fence was answered `expired`, which proves nothing: then the
/// report is true and late, and what an operator did elsewhere may have been done twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Alarm {
    /// The action succeeded, although there had been nothing to undo.
    SucceededAfterNothingToUndo,
    /// The action succeeded, although it had been cancelled.
    SucceededAfterCancelled,
    /// The action succeeded, although it had been rejected.
    SucceededAfterRejected,
    /// The action succeeded, although the participant had shown that it never would, before an operator
    /// tried it with other data or settled it by hand.
    SucceededAfterClosed,
    /// There was nothing to undo, although the action had succeeded.
    NothingToUndoAfterSucceeded,
    /// The undo was done, although the participant had shown that it never would, likewise.
    UndoneAfterClosed,
}
