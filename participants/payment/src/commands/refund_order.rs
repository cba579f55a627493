//! `refund-order`: gives back money of an order that was completed, all of it or a part.
//!
//! An action of its own, not the undo of a charge: it finds the charge by the order's saga. Money given
//! back cannot be taken back, so a saga makes this its point of no return.

use std::sync::Arc;

use amends_contract::{Command, Outcome, SagaId};
use amends_participant::{CallOutcome, External, HandlerError, Intent, Prepared, Work};
use async_trait::async_trait;
use iso_currency::Currency;
use sea_orm::ConnectionTrait;
use serde_json::json;

use super::{call_outcome, text};
use crate::domain::{Captured, Money, NoRefund, RefundRequest, Standing, choose};
use crate::entity::{payment, refund::Status};
use crate::gateway::Gateway;
use crate::store::{self, refunds};

pub(crate) struct RefundOrder {
    pub(crate) gateway: Arc<dyn Gateway>,
}

/// The order whose money is given back.
pub(crate) fn order(command: &Command) -> Result<SagaId, HandlerError> {
    request(command).map(|request| request.order)
}

fn request(command: &Command) -> Result<RefundRequest, HandlerError> {
    RefundRequest::from_data(&command.data).map_err(HandlerError::Data)
}

#[async_trait]
impl External for RefundOrder {
    async fn prepare(&self, work: &mut Work<'_>, command: &Command) -> Result<Prepared, HandlerError> {
        let request = request(command)?;
        let charges = charges(work.db(), request.order).await?;
        let charge = match choose(&charges, &request) {
            Ok(charge) => charge.charge.clone(),
            Err(NoRefund::Refused(refusal)) => {
                let message = format!("order {}: {refusal}", request.order);
                return Ok(Prepared::Final(Outcome::Rejected { code: refusal.code().to_owned(), message }));
            }
            Err(NoRefund::NotYet) => {
                let detail = format!("a charge of order {} is still being found out", request.order);
                let code = "charge-open".to_owned();
                return Err(HandlerError::Transient { code, detail, retry_after_ms: None });
            }
        };
        refunds::refunding(work.db(), &command.effect, &charge, &request, work.now()).await?;
        Ok(Prepared::Call(json!({ "charge": charge })))
    }

    async fn call(&self, intent: &Intent) -> CallOutcome {
        let (Ok(request), charge) = (request(&intent.command), text(&intent.data, "charge")) else {
            // It was readable when the intent was noted; an older program may have called already.
            return CallOutcome::Unknown { code: "unreadable-intent".to_owned(), retry_after_ms: None };
        };
        let verdict = self.gateway.refund(&intent.effect.to_string(), charge, Some(request.amount)).await;
        call_outcome("refund-order", verdict, |id| Outcome::Succeeded {
            output: json!({ "refund_id": id }).into(),
        })
    }

    async fn record(
        &self,
        work: &mut Work<'_>,
        intent: &Intent,
        outcome: &Outcome,
    ) -> Result<(), HandlerError> {
        let (db, effect, now) = (work.db(), &intent.effect, work.now());
        match outcome {
            Outcome::Succeeded { output } => {
                refunds::refunded(db, effect, text(output, "refund_id"), now).await?;
                let data = json!({
                    "id": intent.data["charge"],
                    "saga": intent.command.data["order"],
                    "customer": intent.command.data["customer"],
                    "amount": intent.command.data["amount"],
                    "refund_id": output["refund_id"],
                });
                work.event("payment", "refunded", data)?;
            }
            Outcome::Rejected { code, .. } => {
                refunds::stopped(db, effect, Status::Refused, code, now).await?
            }
            Outcome::Failed { code, .. } => refunds::stopped(db, effect, Status::NotMade, code, now).await?,
            other => return Err(HandlerError::Internal(format!("a refund cannot be {}", other.name()))),
        }
        Ok(())
    }
}

/// What was taken for an order and what of it is given back; locked, so that it stays so.
async fn charges(db: &impl ConnectionTrait, order: SagaId) -> Result<Vec<Captured>, HandlerError> {
    let payments = store::locked(db, vec![order], Vec::new()).await?;
    let given_back = refunds::given_back(db, order).await?;
    let captured = |row: payment::Model| {
        let currency = Currency::from_code(&row.currency)
            .ok_or_else(|| HandlerError::Internal(format!("{} is no currency", row.currency)))?;
        Ok(Captured {
            given_back: given_back.get(&row.effect).copied().unwrap_or(0),
            charge: row.effect,
            customer: row.customer,
            amount: Money { amount: row.amount, currency },
            standing: standing(row.status),
        })
    };
    payments.into_iter().map(captured).collect()
}

const fn standing(status: payment::Status) -> Standing {
    match status {
        payment::Status::Charging => Standing::Open,
        // A whole refund that was refused took nothing away.
        payment::Status::Charged | payment::Status::RefundRefused => Standing::Taken,
        payment::Status::Declined | payment::Status::NotMade => Standing::NotTaken,
        payment::Status::Refunding | payment::Status::Refunded => Standing::GoingBack,
    }
}
