//! `release-stock`: the undo of `reserve-stock`. Takes the promise back.

use amends_contract::{Command, Outcome};
use amends_participant::{Handler, HandlerError, Work};
use async_trait::async_trait;
use serde_json::{Value, json};

use crate::domain::Movement;
use crate::entity::reservation::Status;
use crate::store;

pub(crate) struct ReleaseStock;

#[async_trait]
impl Handler for ReleaseStock {
    async fn handle(&self, work: &mut Work<'_>, _: &Command) -> Result<Outcome, HandlerError> {
        let Some(undone) = work.undone() else {
            return Err(HandlerError::Data("release-stock undoes a reservation".to_owned()));
        };
        let id = undone.effect.to_string();
        let (status, lines) = store::reservation(work.db(), &id)
            .await?
            .ok_or_else(|| HandlerError::Internal(format!("reservation {id} is gone")))?;
        match status {
            Status::Active => {}
            Status::Released => return Ok(Outcome::Undone { output: Value::Null }),
            // The orchestrator never asks for this; whoever does must not get sold goods back.
            Status::Confirmed => {
                return Ok(Outcome::Rejected {
                    code: "already-confirmed".to_owned(),
                    message: format!("the units of reservation {id} are sold"),
                });
            }
        }
        if let Some(sku) = store::move_units(work.db(), Movement::Release, &lines, work.now()).await? {
            return Err(HandlerError::Internal(format!("SKU {sku:?} has less reserved than {id} holds")));
        }
        store::end_reservation(work.db(), &id, Status::Released, work.now()).await?;
        work.event("stock", "released", json!({ "reservation_id": id, "lines": lines }))?;
        Ok(Outcome::Undone { output: Value::Null })
    }
}
