//! `take-back`: notes that goods of an order come back. Nothing is on the shelf yet.

use amends_contract::{Command, Outcome, SagaId};
use amends_participant::{Handler, HandlerError, Work, read_data};
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::json;

use crate::domain::{self, ReturnRefusal};
use crate::entity::reservation::State;
use crate::store;

pub(crate) struct TakeBack;

#[derive(Deserialize)]
struct Data {
    order: SagaId,
}

/// The order whose goods come back: the id of its saga, under which they were reserved.
pub(crate) fn order(command: &Command) -> Result<SagaId, HandlerError> {
    read_data::<Data>(command).map(|data| data.order)
}

#[async_trait]
impl Handler for TakeBack {
    async fn handle(&self, work: &mut Work<'_>, command: &Command) -> Result<Outcome, HandlerError> {
        let (order, wanted) = (order(command)?, super::lines(command)?);
        // Locked: two returns of one order see each other.
        let reservations = store::reservations_of(work.db(), order).await?;
        let is_known = !reservations.is_empty();
        let sold: Vec<_> = reservations
            .into_iter()
            .filter(|(state, _)| *state == State::Confirmed)
            .map(|(_, lines)| lines)
            .collect();
        let back = store::returns::of_order(work.db(), order).await?;
        let taken = match is_known {
            true => domain::take_back(&sold, &back, &wanted),
            false => Err(ReturnRefusal::UnknownOrder),
        };
        if let Err(refusal) = taken {
            let (code, message) = (refusal.code().to_owned(), format!("order {order}: {refusal}"));
            return Ok(Outcome::Rejected { code, message });
        }
        store::returns::insert(work.db(), &command.effect, order, &wanted, work.now()).await?;
        Ok(Outcome::Succeeded { output: json!({ "return_id": command.effect }).into() })
    }
}
