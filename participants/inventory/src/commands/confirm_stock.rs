//! `confirm-stock`: turns a reservation into a sale. The order's point of no return.

use amends_contract::{Command, Outcome};
use amends_participant::{Handler, HandlerError, Work, read_data};
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::domain::Movement;
use crate::entity::reservation::Status;
use crate::store;

pub(crate) struct ConfirmStock;

#[derive(Deserialize)]
struct Confirm {
    reservation: String,
}

/// The reservation that a command names, if it names one.
pub(super) fn reservation_id(command: &Command) -> Option<String> {
    command.data.get("reservation")?.as_str().map(str::to_owned)
}

#[async_trait]
impl Handler for ConfirmStock {
    async fn handle(&self, work: &mut Work<'_>, command: &Command) -> Result<Outcome, HandlerError> {
        let Confirm { reservation: id } = read_data(command)?;
        let rejected = |code: &str, message: String| Ok(Outcome::Rejected { code: code.to_owned(), message });
        let lines = match store::reservation(work.db(), &id).await? {
            Some((Status::Active, lines)) => lines,
            None => return rejected("unknown-reservation", format!("there is no reservation {id:?}")),
            Some((Status::Released, _)) => {
                return rejected("reservation-released", format!("reservation {id} was released"));
            }
            Some((Status::Confirmed, _)) => {
                return rejected("already-confirmed", format!("reservation {id} is confirmed already"));
            }
        };
        if let Some(sku) = store::move_units(work.db(), Movement::Deduct, &lines, work.now()).await? {
            return Err(HandlerError::Internal(format!("SKU {sku:?} has less reserved than {id} holds")));
        }
        store::end_reservation(work.db(), &id, Status::Confirmed, work.now()).await?;
        work.event("stock", "deducted", json!({ "reservation_id": id, "lines": lines }))?;
        Ok(Outcome::Succeeded { output: Value::Null })
    }
}
