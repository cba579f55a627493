//! The commands, one per file.

mod charge_payment;
mod refund_order;
mod refund_payment;

use amends_contract::Outcome;
use amends_participant::CallOutcome;
use metrics::counter;

pub(crate) use charge_payment::ChargePayment;
pub(crate) use refund_order::{RefundOrder, order};
pub(crate) use refund_payment::RefundPayment;

use crate::domain::Verdict;

/// The commands' names, as the order saga and the return of an order write them.
pub(crate) const CHARGE_PAYMENT: &str = "charge-payment";
pub(crate) const REFUND_PAYMENT: &str = "refund-payment";
pub(crate) const REFUND_ORDER: &str = "refund-order";

/// What a verdict means to the saga: done is what `done` makes of it, a refusal is a rejection, and a
/// call that was certainly not made is a failure that the definition's retries govern.
fn call_outcome(operation: &'static str, verdict: Verdict, done: fn(String) -> Outcome) -> CallOutcome {
    let (label, outcome) = match verdict {
        Verdict::Done { id } => ("done", CallOutcome::Definite(done(id))),
        Verdict::Refused { code, message } => {
            ("refused", CallOutcome::Definite(Outcome::Rejected { code, message }))
        }
        Verdict::NotMade { code, retry_after_ms } => {
            let failed = Outcome::Failed { code: code.to_owned(), retry_after_ms };
            (code, CallOutcome::Definite(failed))
        }
        Verdict::Unknown { code, retry_after_ms } => {
            (code, CallOutcome::Unknown { code: code.to_owned(), retry_after_ms })
        }
    };
    counter!("amends_payment_calls_total", "operation" => operation, "result" => label).increment(1);
    outcome
}

/// A text of an output, such as an id.
fn text<'a>(output: &'a serde_json::Value, name: &str) -> &'a str {
    output.get(name).and_then(serde_json::Value::as_str).unwrap_or_default()
}
