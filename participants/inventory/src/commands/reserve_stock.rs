//! `reserve-stock`: promises all lines of an order, or none.

use amends_contract::{Command, Outcome};
use amends_participant::{Handler, HandlerError, Work};
use async_trait::async_trait;
use serde_json::json;

use crate::domain::{self, Movement, Refusal};
use crate::store;

pub(crate) struct ReserveStock;

#[async_trait]
impl Handler for ReserveStock {
    async fn handle(&self, work: &mut Work<'_>, command: &Command) -> Result<Outcome, HandlerError> {
        let lines = domain::lines_of(&command.data).map_err(HandlerError::Data)?;
        let levels = store::levels(work.db(), lines.keys()).await?;
        if let Err(refusal) = domain::check(&lines, &levels) {
            return Ok(rejected(&refusal));
        }
        if let Some(sku) = store::move_units(work.db(), Movement::Reserve, &lines, work.now()).await? {
            // Somebody was quicker between our look and our update.
            return Err(HandlerError::Transient {
                code: "stock-moved".to_owned(),
                detail: format!("SKU {sku:?} changed meanwhile"),
                retry_after_ms: None,
            });
        }
        store::insert_reservation(work.db(), &command.effect, &lines, work.now()).await?;
        let id = command.effect.to_string();
        work.event("stock", "reserved", json!({ "reservation_id": id, "lines": lines }))?;
        Ok(Outcome::Succeeded { output: json!({ "reservation_id": id }) })
    }
}

fn rejected(refusal: &Refusal) -> Outcome {
    Outcome::Rejected { code: refusal.code().to_owned(), message: refusal.to_string() }
}
