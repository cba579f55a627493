//! What the commands do: enter a row, or say no.
//!
//! Invariant: no command does more than the floor's, so that what is above the floor is the engine's and the SDK's.

use amends_contract::{Command, Outcome};
use amends_participant::{BulkHandler, HandlerError, Work, rows};
use async_trait::async_trait;
use sea_orm::sea_query::Value;
use sea_orm::{EntityName as _, IdenStatic as _, Iterable as _};
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
impl BulkHandler for Enter {
    async fn handle(&self, works: &mut [Work<'_>]) -> Result<Vec<Outcome>, HandlerError> {
        let outcomes: Vec<Outcome> = works.iter().map(|work| self.outcome(work.command())).collect();
        let done = works.iter().zip(&outcomes);
        let done = done.filter(|(_, outcome)| !matches!(outcome, Outcome::Rejected { .. }));
        let entered = done.map(|(work, _)| {
            let command = work.command();
            let (id, name) = (command.effect.to_string(), command.address.command.to_string());
            vec![id.into(), name.into(), work.now().unix_ms().into()]
        });
        let entered: Vec<Vec<Value>> = entered.collect();
        let expected = entered.len() as u64;
        let Some(work) = works.first() else { return Ok(outcomes) };
        let table = effect::Entity.table_name();
        let columns = effect::Column::iter().map(|column| column.as_str()).collect::<Vec<_>>();
        match rows::insert(work.db(), table, &columns, entered).await? {
            count if count == expected => Ok(outcomes),
            count => Err(HandlerError::Internal(format!("{count} of {expected} effects were entered"))),
        }
    }
}

impl Enter {
    fn outcome(self, command: &Command) -> Outcome {
        match self {
            Self::Charge if command.data["token"] == DECLINED_TOKEN => {
                let message = "the card is declined".to_owned();
                Outcome::Rejected { code: DECLINED.to_owned(), message }
            }
            Self::Action | Self::Charge => Outcome::Succeeded { output: json!({}).into() },
            Self::Reservation => {
                Outcome::Succeeded { output: json!({ "reservation_id": command.effect }).into() }
            }
            Self::Undo => Outcome::Undone { output: json!({}).into() },
        }
    }
}
