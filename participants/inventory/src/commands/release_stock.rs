//! `release-stock`: lets a reservation go. The undo of `reserve-stock`.

use amends_contract::{Command, Outcome};
use amends_participant::{Handler, HandlerError, Work};
use async_trait::async_trait;
use serde_json::Value;

use crate::domain;
use crate::entity::reservation::State;
use crate::store;

pub(crate) struct ReleaseStock;

#[async_trait]
impl Handler for ReleaseStock {
    async fn handle(&self, work: &mut Work<'_>, command: &Command) -> Result<Outcome, HandlerError> {
        let Some(undone) = work.undone() else {
            return Err(HandlerError::Data(format!("{} undoes a reservation", command.address)));
        };
        let id = undone.effect.to_string();
        match store::reservation(work.db(), &id).await? {
            Some((State::Active, lines)) => {
                let shelf = store::shelf(work.db(), lines.skus()).await?;
                super::write(work, &domain::release(&shelf, &lines)?).await?;
                store::end(work.db(), &id, State::Released, work.now()).await?;
                Ok(Outcome::Undone { output: Value::Null.into() })
            }
            // By the undo of an earlier epoch: it is as it shall be.
            Some((State::Released, _)) => Ok(Outcome::Undone { output: Value::Null.into() }),
            // The protocol never asks for this; if it does, the goods are gone and a person has to look.
            Some((State::Confirmed, _)) => Ok(Outcome::Rejected {
                code: "already-confirmed".to_owned(),
                message: format!("reservation {id} has become a deduction"),
            }),
            None => Err(HandlerError::Internal(format!("reservation {id} is gone"))),
        }
    }
}
