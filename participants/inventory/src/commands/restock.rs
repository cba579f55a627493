//! `restock`: goods that came back are on the shelf again, and count as sold no longer.

use amends_contract::{Command, Outcome};
use amends_participant::{Handler, HandlerError, Work, read_data};
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::domain;
use crate::entity::goods_return::State;
use crate::store::{self, returns};

pub(crate) struct Restock;

#[derive(Deserialize)]
struct Data {
    #[serde(rename = "return")]
    goods_return: String,
}

/// The return that a command names.
pub(crate) fn goods_return(command: &Command) -> Result<String, HandlerError> {
    read_data::<Data>(command).map(|data| data.goods_return)
}

#[async_trait]
impl Handler for Restock {
    async fn handle(&self, work: &mut Work<'_>, command: &Command) -> Result<Outcome, HandlerError> {
        let id = goods_return(command)?;
        let rejected = |code: &str, message: &str| {
            let id: String = id.chars().take(200).collect();
            Ok(Outcome::Rejected { code: code.to_owned(), message: format!("return {id} {message}") })
        };
        match returns::one(work.db(), &id).await? {
            Some((State::Expected, lines)) => {
                let shelf = store::shelf(work.db(), lines.skus()).await?;
                super::write(work, &domain::put_back(&shelf, &lines)?).await?;
                returns::end(work.db(), &id, State::Restocked, work.now()).await?;
                work.event("stock", "returned", json!({ "return": id, "lines": lines }))?;
                Ok(Outcome::Succeeded { output: Value::Null.into() })
            }
            Some((State::Restocked, _)) => rejected("already-restocked", "was restocked by another command"),
            Some((State::Cancelled, _)) => rejected("return-cancelled", "was cancelled"),
            None => rejected("unknown-return", "does not exist"),
        }
    }
}
