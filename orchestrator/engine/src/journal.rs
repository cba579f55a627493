//! The journal: what came in, and what was decided about it.
//!
//! Decisions are facts in versioned JSON. Their names and fields are stable: a journal is read for ever,
//! and nothing in it is ever decided again to rebuild a saga.

use amends_contract::{Direction, Json, SagaId, StepRef, Timestamp, Token};
use serde::{Deserialize, Serialize};

use crate::step::is_false;
use crate::{Alarm, Ask, Ending, Failure, HeldBy, Input, PausedBy, Stuck, Then};

/// Version of the rules and of the journal's JSON. It rises when either changes.
pub const ENGINE_VERSION: u32 = 3;

/// One input and the decisions it led to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JournalEntry {
    /// Whose journal.
    pub saga: SagaId,
    /// Its place in it, from 1, without gaps; the saga's version after it.
    pub seq: u64,
    /// When, by the database's clock.
    pub at: Timestamp,
    /// What happened.
    pub input: Input,
    /// What was decided, in order.
    pub decisions: Vec<Decision>,
    /// The [`ENGINE_VERSION`] that decided.
    pub engine_version: u32,
}

impl JournalEntry {
    pub(crate) const fn new(
        saga: SagaId,
        seq: u64,
        at: Timestamp,
        input: Input,
        decisions: Vec<Decision>,
    ) -> Self {
        Self { saga, seq, at, input, decisions, engine_version: ENGINE_VERSION }
    }
}

/// One decision. `effect` says which effect of the step it is about: `do`, its action, or `undo`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "decision", rename_all = "snake_case")]
pub enum Decision {
    /// The saga exists, with these steps.
    Started {
        /// The definition's steps in its order, then those of `on_compensated`.
        steps: Vec<Token>,
        /// When it turns backward by itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deadline_at: Option<Timestamp>,
    },
    /// The moment for which it was started has come.
    Begun,
    /// The step's condition is false.
    Skipped {
        /// Which step.
        step: StepRef,
    },
    /// The step runs once for each of these.
    Spread {
        /// Which step.
        step: StepRef,
        /// The elements of its list.
        elements: Vec<Json>,
    },
    /// The step waits for a signal.
    Awaited {
        /// Which step.
        step: StepRef,
        /// The signal's name.
        signal: Token,
        /// When the wait is over.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
    /// A signal came that no step awaits yet; it is kept.
    Signalled {
        /// Its name.
        name: Token,
        /// What it says.
        #[serde(default, skip_serializing_if = "Json::is_null")]
        data: Json,
    },
    /// An effect shall be; its data is frozen, and its command is sent for the first time.
    Decided {
        /// Of which step.
        step: StepRef,
        /// Which of its effects.
        effect: Direction,
        /// The payload; `None` on an undo that carries nothing but its action's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        data: Option<Json>,
        /// A new epoch of an effect that an operator wants tried with other data.
        #[serde(default = "first", skip_serializing_if = "is_first")]
        epoch: u32,
        /// Nothing is sent before it is given one of the places of its `concurrency`.
        #[serde(default, skip_serializing_if = "is_false")]
        queued: bool,
        /// How many sends may end without a final outcome.
        attempts: u32,
        /// When to ask again.
        due_at: Timestamp,
    },
    /// The effect's command, or a fence of it, is sent again.
    Sent {
        /// Of which step.
        step: StepRef,
        /// Which of its effects.
        effect: Direction,
        /// The number of this sending.
        send_no: u32,
        /// The effect, or a fence.
        #[serde(default, skip_serializing_if = "is_command")]
        ask: Ask,
        /// Attempts left.
        left: u32,
        /// When to ask again.
        due_at: Timestamp,
    },
    /// The last sending failed; wait before the next.
    BackedOff {
        /// Of which step.
        step: StepRef,
        /// Which of its effects.
        effect: Direction,
        /// What the participant gave as the reason.
        code: String,
        /// Attempts left.
        left: u32,
        /// When to send again.
        due_at: Timestamp,
    },
    /// The participant is finding out.
    Pending {
        /// Of which step.
        step: StepRef,
        /// Which of its effects.
        effect: Direction,
        /// When that is too long.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pending_until: Option<Timestamp>,
        /// When to ask again, if that was put off while it was held.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        due_at: Option<Timestamp>,
    },
    /// Nothing is sent because of an outage; its clocks are moved on.
    Held {
        /// Of which step.
        step: StepRef,
        /// Which of its effects.
        effect: Direction,
        /// Whose outage.
        by: HeldBy,
        /// The participant whose outage it is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        away: Option<Token>,
        /// When to look again.
        due_at: Timestamp,
        /// When it has been pending for too long.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pending_until: Option<Timestamp>,
    },
    /// The deadline stands still while something is held.
    DeadlineMoved {
        /// The new one.
        deadline_at: Timestamp,
    },
    /// The action is done.
    Succeeded {
        /// Of which step.
        step: StepRef,
        /// What it gave back.
        #[serde(default, skip_serializing_if = "Json::is_null")]
        output: Json,
        /// An operator said so.
        #[serde(default, skip_serializing_if = "is_false")]
        by_hand: bool,
    },
    /// The action was refused: it did not run and never will.
    Rejected {
        /// Of which step.
        step: StepRef,
        /// Stable and machine-readable.
        code: String,
        /// For people.
        message: String,
    },
    /// The action's effect id is closed: it did not run and never will.
    Cancelled {
        /// Of which step.
        step: StepRef,
    },
    /// The action is given up without an outcome; its undo settles it.
    Unknown {
        /// Of which step.
        step: StepRef,
    },
    /// The action is undone.
    Undone {
        /// Of which step.
        step: StepRef,
        /// What the undo had to say.
        #[serde(default, skip_serializing_if = "Json::is_null")]
        output: Json,
        /// An operator said so.
        #[serde(default, skip_serializing_if = "is_false")]
        by_hand: bool,
    },
    /// The action never ran and never will.
    NothingToUndo {
        /// Of which step.
        step: StepRef,
    },
    /// The step cannot go on by itself.
    Stuck {
        /// Which step.
        step: StepRef,
        /// Which of its effects.
        effect: Direction,
        /// Why, and what frees it.
        at: Stuck,
    },
    /// A step that was stuck before anything was sent is decided anew.
    Freed {
        /// Which step.
        step: StepRef,
        /// Which of its effects.
        effect: Direction,
    },
    /// An operator wants this once a fence has closed the effect.
    Intended {
        /// Of which step.
        step: StepRef,
        /// Which of its effects.
        effect: Direction,
        /// What.
        then: Then,
    },
    /// What an operator wanted of the effect cannot be any more.
    Dropped {
        /// Of which step.
        step: StepRef,
        /// Which of its effects.
        effect: Direction,
    },
    /// Nothing is sent, and all clocks stop.
    Paused {
        /// Whether the saga itself is meant, or its whole definition.
        #[serde(default, skip_serializing_if = "PausedBy::is_operator")]
        by: PausedBy,
    },
    /// It goes on; its clocks have stood still for so long.
    Resumed {
        /// By how much all that was due is moved on, in milliseconds.
        shift_ms: u64,
    },
    /// A participant contradicted what it had proved.
    Alarmed {
        /// At which step.
        step: StepRef,
        /// How.
        alarm: Alarm,
    },
    /// The saga would turn backward, but its pivot is in flight: its fate is asked for first.
    Doubted {
        /// Why it would turn.
        failure: Failure,
    },
    /// The pivot did happen: the wish to turn backward is void.
    Resolved,
    /// The saga turns backward. The plan of what is undone is made now and never again.
    Turned {
        /// Why.
        failure: Failure,
        /// The steps that will be undone, in the definition's order.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        undo: Vec<StepRef>,
    },
    /// The deadline passed behind the point of no return.
    Overdue,
    /// The saga has ended.
    Done {
        /// How.
        ending: Ending,
        /// What its caller gets.
        #[serde(default, skip_serializing_if = "Json::is_null")]
        output: Json,
        /// Why that could not be evaluated.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        output_error: Option<String>,
    },
}

const fn first() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
const fn is_first(number: &u32) -> bool {
    *number == 1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
const fn is_command(ask: &Ask) -> bool {
    matches!(ask, Ask::Command)
}
