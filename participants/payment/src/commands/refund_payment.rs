//! `refund-payment`: the undo of a charge. Gives back all that is left of what was taken.
//!
//! It has an effect id, and so a key, of its own, and names the charge by the action's. The SDK calls it
//! only once the charge is known to have been made.

use std::sync::Arc;

use amends_contract::{Command, EffectId, Outcome};
use amends_participant::{CallOutcome, External, HandlerError, Intent, Prepared, Work};
use async_trait::async_trait;
use serde_json::{Value, json};

use super::{call_outcome, text};
use crate::entity::payment::Status;
use crate::gateway::Gateway;
use crate::store::{self, Change};

pub(crate) struct RefundPayment {
    pub(crate) gateway: Arc<dyn Gateway>,
}

#[async_trait]
impl External for RefundPayment {
    async fn prepare(&self, work: &mut Work<'_>, command: &Command) -> Result<Prepared, HandlerError> {
        let charge = charge_of(command)?;
        store::change(work.db(), charge, Change::Refunding, work.now()).await?;
        Ok(Prepared::Call(Value::Null))
    }

    async fn call(&self, intent: &Intent) -> CallOutcome {
        match charge_of(&intent.command) {
            Ok(charge) => {
                let verdict =
                    self.gateway.refund(&intent.effect.to_string(), &charge.to_string(), None).await;
                call_outcome("refund", verdict, |id| Outcome::Undone {
                    output: json!({ "refund_id": id }).into(),
                })
            }
            Err(error) => CallOutcome::Unknown { code: error.to_string(), retry_after_ms: None },
        }
    }

    async fn record(
        &self,
        work: &mut Work<'_>,
        intent: &Intent,
        outcome: &Outcome,
    ) -> Result<(), HandlerError> {
        let charge = charge_of(&intent.command)?;
        let change = match outcome {
            Outcome::Undone { output } => Change::Refunded { refund_id: text(output, "refund_id") },
            Outcome::Rejected { code, .. } => Change::Stopped { status: Status::RefundRefused, code },
            // It is asked for again, so it still is being refunded.
            Outcome::Failed { .. } => Change::Refunding,
            other => return Err(HandlerError::Internal(format!("a refund cannot be {}", other.name()))),
        };
        store::change(work.db(), charge, change, work.now()).await?;
        if let Outcome::Undone { output } = outcome {
            let data = json!({
                "id": charge,
                "saga": charge.saga,
                "customer": intent.command.data["customer"],
                "amount": intent.command.data["amount"],
                "refund_id": output["refund_id"],
            });
            work.event("payment", "refunded", data)?;
        }
        Ok(())
    }
}

/// The charge: its effect id is its idempotency key at the provider.
fn charge_of(command: &Command) -> Result<&EffectId, HandlerError> {
    command.undoes.as_ref().ok_or_else(|| HandlerError::Data("refund-payment undoes a charge".to_owned()))
}
