//! Replies as bytes.
//!
//! Invariant: what is recorded can be sent: small enough to travel, and readable at the other end.

use amends_contract::{
    COMMAND_BYTES_MAX, Cause, Command, DATA_DEPTH_MAX, DecodeError, Direction, Envelope, Outcome, Reply,
    Token,
};
use thiserror::Error;

use crate::HandlerError;

/// [`Outcome::name`] of an action that happened.
pub(crate) const SUCCEEDED: &str = "succeeded";

/// An outcome that cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum Unsendable {
    /// An output flows into later commands, so it may not be larger than one.
    #[error("the reply has {0} bytes; at most {COMMAND_BYTES_MAX} can be sent")]
    TooLarge(usize),
    /// Databases cannot store it as text, so readers refuse it.
    #[error("the reply contains the character U+0000")]
    Nul,
    /// Its readers would refuse it.
    #[error("the reply is nested more than {DATA_DEPTH_MAX} levels deep")]
    TooDeep,
}

impl Unsendable {
    /// The code of the outcome that takes its place.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::TooLarge(_) => "reply-too-large",
            Self::Nul | Self::TooDeep => "reply-unreadable",
        }
    }
}

/// The reply to a command, encoded.
pub(crate) fn encode(
    participant: &Token,
    command: &Command,
    cause: Option<Cause>,
    outcome: &Outcome,
) -> Result<Vec<u8>, Unsendable> {
    let reply = Reply {
        effect: command.effect.clone(),
        send_no: command.send_no,
        participant: participant.clone(),
        definition: command.definition.clone(),
        decided_at: command.decided_at,
        cause,
        outcome: outcome.clone(),
    };
    let bytes = reply.encode();
    if bytes.len() > COMMAND_BYTES_MAX {
        return Err(Unsendable::TooLarge(bytes.len()));
    }
    match Envelope::check_encoded(&bytes) {
        Ok(()) => Ok(bytes),
        Err(DecodeError::NulCharacter { .. }) => Err(Unsendable::Nul),
        // Nothing else can be wrong with what we have encoded.
        Err(_) => Err(Unsendable::TooDeep),
    }
}

/// The same for an outcome that is made of our own words only.
pub(crate) fn encode_plain(
    participant: &Token,
    command: &Command,
    cause: Option<Cause>,
    outcome: &Outcome,
) -> Vec<u8> {
    encode(participant, command, cause, outcome)
        .unwrap_or_else(|_| unreachable!("our own words are short and clean"))
}

/// Whether domain code may answer this to a command of this direction.
pub(crate) const fn is_legal(direction: Direction, outcome: &Outcome) -> bool {
    match direction {
        Direction::Forward => {
            matches!(outcome, Outcome::Succeeded { .. } | Outcome::Rejected { .. } | Outcome::Failed { .. })
        }
        Direction::Backward => matches!(
            outcome,
            Outcome::Undone { .. }
                | Outcome::NothingToUndo
                | Outcome::Rejected { .. }
                | Outcome::Failed { .. }
        ),
    }
}

/// What is answered when domain code came to no outcome.
pub(crate) fn of_error(error: &HandlerError) -> Outcome {
    let failed = |code: &str, retry_after_ms| Outcome::Failed { code: clean(code), retry_after_ms };
    match error {
        HandlerError::Database(_) => failed("database", None),
        HandlerError::Transient { code, retry_after_ms, .. } => failed(code, *retry_after_ms),
        HandlerError::Data(why) => Outcome::Rejected { code: "invalid-data".to_owned(), message: clean(why) },
        HandlerError::Internal(_) => failed("internal", None),
    }
}

/// Words that end up in a reply of ours: of bounded length, and without what cannot be stored.
pub(crate) fn clean(text: &str) -> String {
    text.chars().filter(|c| *c != '\0').take(1_000).collect()
}

#[cfg(test)]
mod tests {
    use amends_contract::{Address, Timestamp};
    use serde_json::{Value, json};

    use super::*;

    fn encoded(output: Value) -> Result<Vec<u8>, Unsendable> {
        let command = Command {
            effect: "0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10/pay/do/1".parse().unwrap(),
            send_no: 1,
            address: Address::new("payment", "charge-payment").unwrap(),
            definition: "order.v1".parse().unwrap(),
            decided_at: Timestamp::from_unix_ms(0),
            undoes: None,
            data: Value::Null.into(),
        };
        encode(&Token::new("payment").unwrap(), &command, None, &Outcome::Succeeded { output: output.into() })
    }

    #[test]
    fn only_what_can_be_sent_is_encoded() {
        assert!(encoded(json!({ "a": "x" })).is_ok());
        assert!(matches!(encoded(json!("x".repeat(COMMAND_BYTES_MAX))), Err(Unsendable::TooLarge(_))));
        assert_eq!(encoded(json!({ "a": "x\0" })), Err(Unsendable::Nul));
        let deep = |levels| (0..levels).fold(json!(1), |inner, _| json!([inner]));
        assert!(encoded(deep(DATA_DEPTH_MAX - 1)).is_ok());
        assert_eq!(encoded(deep(DATA_DEPTH_MAX)), Err(Unsendable::TooDeep));
        assert_eq!(encoded(deep(200)), Err(Unsendable::TooDeep));
        assert!(encoded(json!("a backslash and u0000: \\u0000")).is_ok());
    }

    #[test]
    fn the_name_of_success_is_the_contracts() {
        assert_eq!(Outcome::Succeeded { output: Value::Null.into() }.name(), SUCCEEDED);
    }

    #[test]
    fn what_handlers_may_answer() {
        let failed = Outcome::Failed { code: String::new(), retry_after_ms: None };
        let succeeded = Outcome::Succeeded { output: Value::Null.into() };
        assert!(is_legal(Direction::Forward, &succeeded) && is_legal(Direction::Forward, &failed));
        assert!(!is_legal(Direction::Backward, &succeeded) && is_legal(Direction::Backward, &failed));
        assert!(!is_legal(Direction::Forward, &Outcome::NothingToUndo));
        for outcome in [Outcome::Pending, Outcome::Cancelled, Outcome::Conflict, Outcome::Expired] {
            assert!(!is_legal(Direction::Forward, &outcome) && !is_legal(Direction::Backward, &outcome));
        }
    }
}
