//! `reserve-stock`: holds stock for an order, all of its lines or nothing.

use amends_contract::{Command, Outcome};
use amends_participant::{Handler, HandlerError, Work, read_data};
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::json;

use crate::domain::{self, Line, Lines};
use crate::store;

pub(crate) struct ReserveStock;

#[derive(Deserialize)]
struct Data {
    lines: Vec<Line>,
}

/// What a command asks for.
pub(crate) fn lines(command: &Command) -> Result<Lines, HandlerError> {
    let data: Data = read_data(command)?;
    Lines::merge(data.lines).map_err(|error| HandlerError::Data(error.to_string()))
}

#[async_trait]
impl Handler for ReserveStock {
    async fn handle(&self, work: &mut Work<'_>, command: &Command) -> Result<Outcome, HandlerError> {
        let lines = lines(command)?;
        let shelf = store::shelf(work.db(), lines.skus()).await?;
        let changes = match domain::reserve(&shelf, &lines) {
            Ok(changes) => changes,
            Err(refusal) => {
                let (code, message) = (refusal.code().to_owned(), refusal.to_string());
                return Ok(Outcome::Rejected { code, message });
            }
        };
        super::write(work, &changes).await?;
        store::insert(work.db(), &command.effect, &lines, work.now()).await?;
        Ok(Outcome::Succeeded { output: json!({ "reservation_id": command.effect }).into() })
    }
}
