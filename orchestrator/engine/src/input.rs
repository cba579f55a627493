//! What can happen to a saga. Inputs are kept in the journal as they came.

use std::collections::{BTreeMap, BTreeSet};

use amends_contract::{
    Cause, DefinitionRef, Digest, Direction, EffectId, Json, Outcome, Reply, StepRef, Timestamp, Token,
};
use serde::{Deserialize, Serialize};

use crate::PausedBy;
use crate::step::is_false;

/// One input of one saga.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Input {
    /// It begins. Only ever the first input; see [`start`](crate::start).
    Start {
        /// Name and version of the definition.
        definition: DefinitionRef,
        /// Digest of its source.
        digest: Digest,
        /// What the saga is about.
        #[serde(default, skip_serializing_if = "Json::is_null")]
        input: Json,
        /// For search.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        labels: BTreeMap<Token, String>,
        /// When it shall begin with its first step; at once if left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        start_at: Option<Timestamp>,
        /// The effect of another saga that it is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parent: Option<EffectId>,
        /// It ends as it begins; see [`Begin::tombstone`](crate::Begin::tombstone).
        #[serde(default, skip_serializing_if = "is_false")]
        tombstone: bool,
    },
    /// A participant answered.
    Reply(ReplyInput),
    /// Its time has come (see [`Saga::due_at`](crate::Saga::due_at)).
    Timer {
        /// The broker refuses us, or our own replies lie unread: silence says nothing about anybody.
        #[serde(default, skip_serializing_if = "is_false")]
        blind: bool,
        /// Participants that are not up: their silence is no failed attempt.
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        down: BTreeSet<Token>,
        /// Steps of this saga that were given one of the places of their `concurrency`.
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        slots: BTreeSet<StepRef>,
    },
    /// What held something in it is over; it is let go.
    Release {
        /// Participants that are still not up.
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        down: BTreeSet<Token>,
    },
    /// A signal came.
    Signal {
        /// Its name.
        name: Token,
        /// What it says; the output of the step that awaits it.
        #[serde(default, skip_serializing_if = "Json::is_null")]
        data: Json,
        /// Who sent it.
        actor: String,
    },
    /// An operator, or the owner, wants something.
    Operator {
        /// What.
        action: OperatorAction,
        /// Who.
        actor: String,
        /// Why.
        reason: String,
    },
}

/// A participant's answer, as far as it matters to the saga.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReplyInput {
    /// What was asked for.
    pub effect: EffectId,
    /// Which sending is answered. A recorded reply keeps the number it was first sent with.
    pub send_no: u32,
    /// Who answers.
    pub participant: Token,
    /// The answer.
    pub outcome: Outcome,
    /// Which delivery made the effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// What is wrong with it, if whoever read it found that it breaks the reply's schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub violation: Option<String>,
}

impl From<Reply> for ReplyInput {
    fn from(reply: Reply) -> Self {
        let Reply { effect, send_no, participant, outcome, cause, definition: _, decided_at: _ } = reply;
        Self { effect, send_no, participant, outcome, cause, violation: None }
    }
}

impl From<&Reply> for ReplyInput {
    fn from(reply: &Reply) -> Self {
        reply.clone().into()
    }
}

/// What an operator, or the owner, can ask for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OperatorAction {
    /// Sends what is open now, ends every back-off, frees every stuck step, and counts attempts anew.
    RetryNow,
    /// Ends what only waits: a back-off, the wait for a signal (as its timeout would), the wait for the start.
    SkipWait,
    /// The owner's wish: turns the saga backward, as long as the point of no return is not passed.
    Cancel,
    /// The same, wanted by an operator.
    Compensate,
    /// Nothing is sent any more, and all clocks stop; replies still count.
    Pause {
        /// Whether the saga itself is meant, or its whole definition.
        #[serde(default, skip_serializing_if = "PausedBy::is_operator")]
        by: PausedBy,
    },
    /// Goes on where it was paused.
    Resume {
        /// Whose pause ends.
        #[serde(default, skip_serializing_if = "PausedBy::is_operator")]
        by: PausedBy,
    },
    /// Tries an open effect again with other data, in a new epoch; the old one is closed first.
    EditAndRetry {
        /// Of which step.
        step: StepRef,
        /// Which of its effects.
        effect: Direction,
        /// The new payload.
        data: Json,
    },
    /// Says how an open effect ended: the action succeeded, or it is undone. The participant is asked first.
    SettleStep {
        /// Of which step.
        step: StepRef,
        /// Which of its effects.
        effect: Direction,
        /// What it gave back.
        #[serde(default, skip_serializing_if = "Json::is_null")]
        output: Json,
    },
    /// Ends the saga without any promise of balance.
    Abandon,
}

impl OperatorAction {
    /// Which one it is.
    #[must_use]
    pub const fn kind(&self) -> ActionKind {
        match self {
            Self::RetryNow => ActionKind::RetryNow,
            Self::SkipWait => ActionKind::SkipWait,
            Self::Cancel => ActionKind::Cancel,
            Self::Compensate => ActionKind::Compensate,
            Self::Pause { .. } => ActionKind::Pause,
            Self::Resume { .. } => ActionKind::Resume,
            Self::EditAndRetry { .. } => ActionKind::EditAndRetry,
            Self::SettleStep { .. } => ActionKind::SettleStep,
            Self::Abandon => ActionKind::Abandon,
        }
    }

    /// Its name in the API and in the journal.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.kind().name()
    }
}

/// The kinds of [`OperatorAction`], without what they say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActionKind {
    /// See [`OperatorAction::RetryNow`].
    RetryNow,
    /// See [`OperatorAction::SkipWait`].
    SkipWait,
    /// See [`OperatorAction::Cancel`].
    Cancel,
    /// See [`OperatorAction::Compensate`].
    Compensate,
    /// See [`OperatorAction::Pause`].
    Pause,
    /// See [`OperatorAction::Resume`].
    Resume,
    /// See [`OperatorAction::EditAndRetry`].
    EditAndRetry,
    /// See [`OperatorAction::SettleStep`].
    SettleStep,
    /// See [`OperatorAction::Abandon`].
    Abandon,
}

impl ActionKind {
    /// All of them, from the mildest to the last resort.
    pub const ALL: [Self; 9] = [
        Self::RetryNow,
        Self::SkipWait,
        Self::Cancel,
        Self::Compensate,
        Self::Pause,
        Self::Resume,
        Self::EditAndRetry,
        Self::SettleStep,
        Self::Abandon,
    ];

    /// Its name in the API and in the journal.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RetryNow => "retry-now",
            Self::SkipWait => "skip-wait",
            Self::Cancel => "cancel",
            Self::Compensate => "compensate",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::EditAndRetry => "edit-and-retry",
            Self::SettleStep => "settle-step",
            Self::Abandon => "abandon",
        }
    }
}
