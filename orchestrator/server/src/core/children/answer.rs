//! What a saga that is a step of another one has to say to it. Pure.
//!
//! Invariant: what it says once it has ended never changes, however often it is asked.

use amends_contract::{Direction, EffectId, ORCHESTRATOR, Outcome, Token};
use amends_engine::{Ending, Phase, ReplyInput, Saga};

/// An answer to a command.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Answer {
    pub(super) outcome: Outcome,
    /// Why the step cannot go on by itself, whatever the outcome is.
    pub(super) violation: Option<String>,
}

impl From<Outcome> for Answer {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, violation: None }
    }
}

impl Answer {
    /// Of the saga that an effect is.
    pub(super) fn of(child: &Saga, direction: Direction) -> Self {
        let Phase::Done(ending) = child.phase else { return Outcome::Pending.into() };
        match (ending, direction) {
            (Ending::Completed, Direction::Forward) => {
                Outcome::Succeeded { output: child.output.clone() }.into()
            }
            (Ending::Completed, Direction::Backward) => {
                Outcome::Undone { output: child.output.clone() }.into()
            }
            (Ending::Compensated, _) if child.is_tombstone() => Outcome::Cancelled.into(),
            (Ending::Compensated, _) => compensated(child).into(),
            (Ending::Abandoned, _) => Self::abandoned(child),
        }
    }

    /// Nobody knows what such a saga has left behind.
    pub(super) fn abandoned(child: &Saga) -> Self {
        let violation = format!(
            "the saga {} ({}) was abandoned: what it left behind is for an operator to find out, who then \
             settles this step",
            child.id, child.definition
        );
        Self { outcome: Outcome::Pending, violation: Some(violation) }
    }

    /// As an input of the saga that asked.
    pub(super) fn to(self, effect: EffectId, send_no: u32) -> ReplyInput {
        let Self { outcome, violation } = self;
        let participant =
            Token::new(ORCHESTRATOR).unwrap_or_else(|_| unreachable!("`orchestrator` is a token"));
        ReplyInput { effect, send_no, participant, outcome, cause: None, violation }
    }
}

fn compensated(child: &Saga) -> Outcome {
    let (code, why) = match &child.failure {
        Some(failure) => (failure.code.clone(), failure.detail.as_str()),
        None => unreachable!("a saga that is compensated turned backward for a reason"),
    };
    Outcome::Rejected { code, message: format!("the saga {} ({}): {why}", child.id, child.definition) }
}
