//! `cancel-take-back`: the goods do not come back after all. The undo of `take-back`.

use amends_contract::{Command, Outcome};
use amends_participant::{Handler, HandlerError, Work};
use async_trait::async_trait;
use serde_json::Value;

use crate::entity::goods_return::State;
use crate::store::returns;

pub(crate) struct CancelTakeBack;

#[async_trait]
impl Handler for CancelTakeBack {
    async fn handle(&self, work: &mut Work<'_>, command: &Command) -> Result<Outcome, HandlerError> {
        let Some(undone) = work.undone() else {
            return Err(HandlerError::Data(format!("{} undoes a return", command.address)));
        };
        let id = undone.effect.to_string();
        match returns::one(work.db(), &id).await? {
            Some((State::Expected, _)) => {
                returns::end(work.db(), &id, State::Cancelled, work.now()).await?;
                Ok(Outcome::Undone { output: Value::Null.into() })
            }
            // By the undo of an earlier epoch: it is as it shall be.
            Some((State::Cancelled, _)) => Ok(Outcome::Undone { output: Value::Null.into() }),
            // The protocol never asks for this; if it does, others may have bought the goods again.
            Some((State::Restocked, _)) => Ok(Outcome::Rejected {
                code: "already-restocked".to_owned(),
                message: format!("the goods of return {id} are on the shelf again"),
            }),
            None => Err(HandlerError::Internal(format!("return {id} is gone"))),
        }
    }
}
