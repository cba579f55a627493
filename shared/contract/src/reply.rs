//! Replies: a participant's answer to a command.
//!
//! Invariant: only final outcomes are recorded, and the recorded reply is sent byte for byte the same
//! for ever.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::{to_raw_value, to_value};

use crate::attributes::Attributes;
use crate::envelope::{parse, parse_data, parse_number, parse_send_no, required};
use crate::{DecodeError, DefinitionRef, EffectId, Envelope, Json, Stream, Timestamp, Token};

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// The action is done. Final.
    Succeeded {
        /// What later steps may use.
        #[serde(default, skip_serializing_if = "Json::is_null")]
        output: Json,
    },
    /// The business says no. Final: nothing happened and nothing will.
    Rejected {
        /// Stable and machine-readable, such as `out-of-stock`.
        code: String,
        /// For people; names what was refused.
        message: String,
    },
    /// It did not work this time. Not final; the next sending may.
    Failed {
        /// Stable and machine-readable, such as `provider-unreachable`.
        code: String,
        /// The participant's wish how long to wait, in milliseconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u64>,
    },
    /// Still finding out. Not final; the answer comes by itself or to a later sending.
    Pending,
    /// The effect id is closed: the action never ran and never will. Final.
    Cancelled,
    /// The effect id is taken by a command of another meaning. Nothing was done.
    Conflict,
    /// The saga is older than the inbox remembers. Nothing was done.
    Expired,
    /// The action is undone. Final.
    Undone {
        /// What the undo has to say, such as a refund's number.
        #[serde(default, skip_serializing_if = "Json::is_null")]
        output: Json,
    },
    /// The action never ran, and now never will. Final.
    NothingToUndo,
}

impl Outcome {
    /// Its name on the wire.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Succeeded { .. } => "succeeded",
            Self::Rejected { .. } => "rejected",
            Self::Failed { .. } => "failed",
            Self::Pending => "pending",
            Self::Cancelled => "cancelled",
            Self::Conflict => "conflict",
            Self::Expired => "expired",
            Self::Undone { .. } => "undone",
            Self::NothingToUndo => "nothing_to_undo",
        }
    }

    /// Whether the effect id is settled by it, so that a participant records it.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        match self {
            Self::Succeeded { .. }
            | Self::Rejected { .. }
            | Self::Cancelled
            | Self::Undone { .. }
            | Self::NothingToUndo => true,
            Self::Failed { .. } | Self::Pending | Self::Conflict | Self::Expired => false,
        }
    }
}

impl Outcome {
    /// As a reply's `data`, with keys in their order.
    fn to_data(&self) -> Json {
        let data = match self {
            // Written in one piece, since an output can be large, and its text may be there already.
            Self::Succeeded { .. } | Self::Undone { .. } => to_raw_value(self).map(Json::from),
            _ => to_value(self).map(Json::from),
        };
        data.unwrap_or_else(|_| unreachable!("an outcome is strings, numbers and JSON"))
    }

    /// What a reply's `data` says. The output of the usual ones is taken, not copied.
    fn from_data(data: Json) -> Result<Self, DecodeError> {
        let mut data = data.into_value();
        let output = |data: &mut Value| data.get_mut("output").map(Value::take).unwrap_or_default().into();
        match data.get("outcome").and_then(Value::as_str) {
            Some("succeeded") => Ok(Self::Succeeded { output: output(&mut data) }),
            Some("undone") => Ok(Self::Undone { output: output(&mut data) }),
            _ => parse_data(&data),
        }
    }
}

/// Which delivery of which stored command made the effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Cause {
    /// The command's sequence in its stream.
    pub stream_seq: u64,
    /// How often the broker had delivered it by then, from 1.
    pub delivery: u64,
}

/// A participant's answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reply {
    /// What was asked for.
    pub effect: EffectId,
    /// Which sending it answers.
    pub send_no: u32,
    /// Who answers.
    pub participant: Token,
    /// The saga's definition, as in the command.
    pub definition: DefinitionRef,
    /// When the effect was first decided, as in the command.
    pub decided_at: Timestamp,
    /// Which delivery made the effect; a participant in another language may leave it out.
    pub cause: Option<Cause>,
    /// The answer.
    pub outcome: Outcome,
}

impl Reply {
    /// The envelope.
    #[must_use]
    pub fn to_envelope(&self) -> Envelope {
        self.attributes(|attributes| attributes.to_envelope())
    }

    /// The bytes for the wire: those of the envelope.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.attributes(|attributes| attributes.encode())
    }

    fn attributes<R>(&self, write: impl FnOnce(&Attributes<'_>) -> R) -> R {
        let data = self.outcome.to_data();
        let Self { effect, send_no, participant, definition, decided_at, cause, outcome: _ } = self;
        let cause = cause.as_ref();
        write(&Attributes {
            sagaid: Some(&effect.saga),
            sagastep: Some(&effect.step),
            sagadefinition: Some(definition),
            effectid: Some(effect),
            sendno: Some(send_no),
            causeseq: cause.map(|cause| &cause.stream_seq as &dyn fmt::Display),
            causedelivery: cause.map(|cause| &cause.delivery as &dyn fmt::Display),
            ..Attributes::new(
                &format_args!("{effect}/{send_no}/reply"),
                participant,
                &format_args!("{}.{participant}", Stream::Reply.token()),
                *decided_at,
                &data,
            )
        })
    }

    /// Reads a reply out of an envelope.
    ///
    /// # Errors
    /// [`DecodeError`] names the attribute that is missing or wrong.
    pub fn from_envelope(envelope: Envelope) -> Result<Self, DecodeError> {
        let participant = match envelope.message_type.split_once('.') {
            Some((kind, participant)) if kind == Stream::Reply.token() => parse(participant, "type")?,
            _ => {
                let why = format!(
                    "{:?} is not reply.<participant>",
                    envelope.message_type.chars().take(200).collect::<String>()
                );
                return Err(DecodeError::Invalid { name: "type", why });
            }
        };
        let cause = match (&envelope.causeseq, &envelope.causedelivery) {
            (Some(seq), Some(delivery)) => Some(Cause {
                stream_seq: parse_number(seq, "causeseq")?,
                delivery: parse_number(delivery, "causedelivery")?,
            }),
            _ => None,
        };
        let outcome = Outcome::from_data(envelope.data)?;
        Ok(Self {
            effect: parse(required(envelope.effectid.as_ref(), "effectid")?, "effectid")?,
            send_no: parse_send_no(envelope.sendno.as_ref())?,
            participant,
            definition: parse(
                required(envelope.sagadefinition.as_ref(), "sagadefinition")?,
                "sagadefinition",
            )?,
            decided_at: envelope.time,
            cause,
            outcome,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_outcome_is_read_as_its_fields_say() {
        let output = json!({ "id": [1, null] });
        for data in [
            json!({ "outcome": "succeeded", "output": output, "more": 1 }),
            json!({ "outcome": "undone", "output": output }),
            json!({ "outcome": "succeeded" }),
            json!({ "outcome": "undone", "output": null }),
            json!({ "outcome": "rejected", "code": "a", "message": "b", "output": output }),
            json!({ "outcome": "failed", "code": "a", "retry_after_ms": 1 }),
            json!({ "outcome": "cancelled" }),
            json!({ "outcome": "rejected" }),
            json!({ "outcome": "other" }),
            json!({ "outcome": ["succeeded"] }),
            json!({ "output": output }),
            json!(["succeeded", output]),
            json!("succeeded"),
            json!(null),
        ] {
            let said = parse_data::<Outcome>(&data);
            assert_eq!(Outcome::from_data(data.clone().into()), said, "{data}");
        }
    }
}
