//! `charge-payment`: takes the money, under the effect id as idempotency key.

use std::sync::Arc;

use amends_contract::{Command, Outcome};
use amends_participant::{CallOutcome, External, HandlerError, Intent, Prepared, Work};
use async_trait::async_trait;
use serde_json::{Value, json};

use super::{call_outcome, text};
use crate::domain::Charge;
use crate::entity::payment::Status;
use crate::gateway::Gateway;
use crate::store::{self, Change};

pub(crate) struct ChargePayment {
    pub(crate) gateway: Arc<dyn Gateway>,
}

#[async_trait]
impl External for ChargePayment {
    async fn prepare(&self, work: &mut Work<'_>, command: &Command) -> Result<Prepared, HandlerError> {
        let charge = Charge::from_data(&command.data).map_err(HandlerError::Data)?;
        store::charging(work.db(), &command.effect, &charge, work.now()).await?;
        // The command is kept with the intent; it says all.
        Ok(Prepared::Call(Value::Null))
    }

    async fn call(&self, intent: &Intent) -> CallOutcome {
        match Charge::from_data(&intent.command.data) {
            Ok(charge) => {
                let verdict = self.gateway.charge(&intent.effect.to_string(), &charge).await;
                call_outcome("charge", verdict, |id| Outcome::Succeeded {
                    output: json!({ "charge_id": id }).into(),
                })
            }
            // It was readable when the intent was noted; an older program may have called already.
            Err(_) => CallOutcome::Unknown { code: "unreadable-intent".to_owned(), retry_after_ms: None },
        }
    }

    async fn record(
        &self,
        work: &mut Work<'_>,
        intent: &Intent,
        outcome: &Outcome,
    ) -> Result<(), HandlerError> {
        let change = match outcome {
            Outcome::Succeeded { output } => Change::Charged { charge_id: text(output, "charge_id") },
            Outcome::Rejected { code, .. } => Change::Stopped { status: Status::Declined, code },
            Outcome::Failed { code, .. } => Change::Stopped { status: Status::NotMade, code },
            other => return Err(HandlerError::Internal(format!("a charge cannot be {}", other.name()))),
        };
        store::change(work.db(), &intent.effect, change, work.now()).await?;
        if let Outcome::Succeeded { output } = outcome {
            let data = json!({
                "id": intent.effect,
                "saga": intent.effect.saga,
                "customer": intent.command.data["customer"],
                "amount": intent.command.data["amount"],
                "charge_id": output["charge_id"],
            });
            work.event("payment", "charged", data)?;
        }
        Ok(())
    }
}
