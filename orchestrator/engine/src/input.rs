//! What can happen to a saga. Inputs are kept in the journal as they came.

use std::collections::{BTreeMap, BTreeSet};

use amends_contract::{Cause, DefinitionRef, Digest, EffectId, Outcome, Reply, Token};
use serde::{Deserialize, Serialize};
use serde_json::Value;

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
        #[serde(default, skip_serializing_if = "Value::is_null")]
        input: Value,
        /// For search.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        labels: BTreeMap<Token, String>,
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

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
const fn is_false(flag: &bool) -> bool {
    !*flag
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
    /// Turns the saga backward, as long as the point of no return is not passed.
    Cancel,
}

impl OperatorAction {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::RetryNow, Self::Cancel];

    /// Its name in the API and in the journal.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::RetryNow => "retry-now",
            Self::Cancel => "cancel",
        }
    }
}
