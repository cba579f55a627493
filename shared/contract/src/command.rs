//! Commands: requests for an effect, from the orchestrator to one participant.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::attributes::Attributes;
use crate::envelope::{parse, parse_send_no, required};
use crate::names::{FENCE, ORCHESTRATOR};
use crate::{
    DecodeError, DefinitionRef, Digest, Direction, EffectId, Envelope, InvalidToken, Json, Stream, Timestamp,
    Token,
};

/// Where a command goes: `<participant>.<command>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Address {
    /// The service.
    pub participant: Token,
    /// What it shall do.
    pub command: Token,
}

impl Address {
    /// Both parts as given.
    ///
    /// # Errors
    /// [`InvalidToken`] for the first part that is no token.
    pub fn new(participant: &str, command: &str) -> Result<Self, InvalidToken> {
        Ok(Self { participant: Token::new(participant)?, command: Token::new(command)? })
    }

    /// The fence of one participant.
    #[must_use]
    pub fn fence(participant: Token) -> Self {
        let command = Token::new(FENCE).unwrap_or_else(|_| unreachable!("`fence` is a token"));
        Self { participant, command }
    }

    /// `cmd.<participant>.<command>`
    #[must_use]
    pub fn message_type(&self) -> String {
        format!("{}.{}.{}", Stream::Command.token(), self.participant, self.command)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.participant, self.command)
    }
}

/// A request for an effect. Sending it again is always safe.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Command {
    /// What shall happen, once.
    pub effect: EffectId,
    /// Which sending this is, from 1. Every intended sending has a new number.
    pub send_no: u32,
    /// Who shall do it.
    pub address: Address,
    /// The saga's definition.
    pub definition: DefinitionRef,
    /// When the effect was first decided; the same in all sends.
    pub decided_at: Timestamp,
    /// On an undo (and on the fence of one): the action it undoes.
    pub undoes: Option<EffectId>,
    /// The payload, frozen when the effect was decided.
    pub data: Json,
}

impl Command {
    /// Whether this is the reserved command that makes an effect id final.
    #[must_use]
    pub fn is_fence(&self) -> bool {
        self.address.command == FENCE
    }

    /// What the command means, apart from which sending it is: the digest of its `type` and `data`.
    /// Two commands with one effect id and different digests are in conflict.
    #[must_use]
    pub fn meaning(&self) -> Digest {
        /// In the order of the canonical form.
        #[derive(Serialize)]
        struct Meaning<'a> {
            data: &'a Value,
            r#type: &'a str,
        }
        Digest::of_sorted(&Meaning { data: &self.data, r#type: &self.address.message_type() })
    }

    /// The envelope of this sending.
    #[must_use]
    pub fn to_envelope(&self) -> Envelope {
        self.attributes(|attributes| attributes.to_envelope())
    }

    /// The bytes of this sending for the wire: those of its envelope.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.attributes(|attributes| attributes.encode())
    }

    fn attributes<R>(&self, write: impl FnOnce(&Attributes<'_>) -> R) -> R {
        let Self { effect, send_no, address, definition, decided_at, undoes, data } = self;
        let message_type = format_args!("{}.{address}", Stream::Command.token());
        write(&Attributes {
            sagaid: Some(&effect.saga),
            sagastep: Some(&effect.step),
            sagadefinition: Some(definition),
            effectid: Some(effect),
            sendno: Some(send_no),
            undoes: undoes.as_ref().map(|action| action as &dyn fmt::Display),
            ..Attributes::new(
                &format_args!("{effect}/{send_no}"),
                ORCHESTRATOR,
                &message_type,
                *decided_at,
                data,
            )
        })
    }

    /// Reads a command out of an envelope.
    ///
    /// # Errors
    /// [`DecodeError`] names the attribute that is missing or wrong.
    pub fn from_envelope(envelope: Envelope) -> Result<Self, DecodeError> {
        let address = address(&envelope.message_type)?;
        let effect: EffectId = parse(required(envelope.effectid.as_ref(), "effectid")?, "effectid")?;
        let send_no = parse_send_no(envelope.sendno.as_ref())?;
        let definition =
            parse(required(envelope.sagadefinition.as_ref(), "sagadefinition")?, "sagadefinition")?;
        let undoes: Option<EffectId> =
            envelope.undoes.as_deref().map(|text| parse(text, "undoes")).transpose()?;
        match (effect.direction, &undoes) {
            (Direction::Backward, None) => return Err(DecodeError::Missing { name: "undoes" }),
            (Direction::Backward, Some(action))
                if action.direction == Direction::Forward
                    && action.saga == effect.saga
                    && action.step == effect.step => {}
            (Direction::Forward, None) => {}
            _ => {
                let why = "it must name the action of the same saga and step, and stand on an undo only";
                return Err(DecodeError::Invalid { name: "undoes", why: why.to_owned() });
            }
        }
        Ok(Self {
            effect,
            send_no,
            address,
            definition,
            decided_at: envelope.time,
            undoes,
            data: envelope.data,
        })
    }
}

fn address(message_type: &str) -> Result<Address, DecodeError> {
    let invalid = || DecodeError::Invalid {
        name: "type",
        why: format!(
            "{:?} is not cmd.<participant>.<command>",
            message_type.chars().take(200).collect::<String>()
        ),
    };
    let mut parts = message_type.split('.');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(kind), Some(participant), Some(command), None) if kind == Stream::Command.token() => {
            Address::new(participant, command).map_err(|_| invalid())
        }
        _ => Err(invalid()),
    }
}
