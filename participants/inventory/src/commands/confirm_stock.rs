//! `confirm-stock`: a reservation becomes a deduction. The order's point of no return.

use amends_contract::{Command, Outcome};
use amends_participant::{Handler, HandlerError, Work, read_data};
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::Value;

use crate::domain;
use crate::entity::reservation::State;
use crate::store;

pub(crate) struct ConfirmStock;

#[derive(Deserialize)]
struct Data {
    reservation: String,
}

/// The reservation that a command names.
pub(crate) fn reservation(command: &Command) -> Result<String, HandlerError> {
    read_data::<Data>(command).map(|data| data.reservation)
}

#[async_trait]
impl Handler for ConfirmStock {
    async fn handle(&self, work: &mut Work<'_>, command: &Command) -> Result<Outcome, HandlerError> {
        let id = reservation(command)?;
        let rejected = |code: &str, message: &str| {
            let id: String = id.chars().take(200).collect();
            Ok(Outcome::Rejected { code: code.to_owned(), message: format!("reservation {id} {message}") })
        };
        match store::reservation(work.db(), &id).await? {
            Some((State::Active, lines)) => {
                let shelf = store::shelf(work.db(), lines.skus()).await?;
                super::write(work, &domain::confirm(&shelf, &lines)?).await?;
                store::end(work.db(), &id, State::Confirmed, work.now()).await?;
                Ok(Outcome::Succeeded { output: Value::Null.into() })
            }
            Some((State::Confirmed, _)) => rejected("already-confirmed", "was confirmed by another command"),
            Some((State::Released, _)) => rejected("already-released", "was released"),
            None => rejected("unknown-reservation", "does not exist"),
        }
    }
}
