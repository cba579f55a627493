//! What the commands do: enter a row, or say no.
//!
//! Invariant: no command does more than the floor's, so that what is above the floor is the engine's and the SDK's.

use amends_contract::{Command, Outcome};
use amends_participant::{Handler, HandlerError, Work};
use async_trait::async_trait;
use sea_orm::{EntityTrait as _, Set};
use serde_json::json;

use super::effect;

/// The payment token that nobody honours.
const DECLINED_TOKEN: &str = "tok_declined";
/// Why such a charge is rejected.
const DECLINED: &str = "card-declined";

/// What a command means to the participant.
#[derive(Clone, Copy, Debug)]
pub(super) enum Enter {
    /// It is done.
    Action,
    /// It is done, and later steps name it.
    Reservation,
    /// It is done, unless the card is the one that is declined.
    Charge,
    /// What was done is undone.
    Undo,
}

#[async_trait]
impl Handler for Enter {
    async fn handle(&self, work: &mut Work<'_>, command: &Command) -> Result<Outcome, HandlerError> {
        if matches!(self, Self::Charge) && command.data["token"] == DECLINED_TOKEN {
            let message = "the card is declined".to_owned();
            return Ok(Outcome::Rejected { code: DECLINED.to_owned(), message });
        }
        let row = effect::ActiveModel {
            id: Set(command.effect.to_string()),
            command: Set(command.address.command.to_string()),
            made_at_ms: Set(work.now().unix_ms()),
        };
        effect::Entity::insert(row).exec_without_returning(work.db()).await?;
        Ok(match self {
            Self::Action | Self::Charge => Outcome::Succeeded { output: json!({}) },
            Self::Reservation => Outcome::Succeeded { output: json!({ "reservation_id": command.effect }) },
            Self::Undo => Outcome::Undone { output: json!({}) },
        })
    }
}
