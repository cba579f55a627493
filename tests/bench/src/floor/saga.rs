//! The saga and the words of the wire: what is sent, what is answered, and what comes next. No I/O.
//!
//! Invariant: each saga sends four commands and gets four replies, whether it completes or is compensated.

use std::time::Instant;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// One saga in so many is compensated.
pub(super) const DECLINED_ONE_IN: usize = 6;
const DECLINED: &str = "tok_declined";

/// Who does a step.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Participant {
    Inventory,
    Payment,
    Notification,
}

impl Participant {
    pub(super) const ALL: [Self; 3] = [Self::Inventory, Self::Payment, Self::Notification];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Inventory => "inventory",
            Self::Payment => "payment",
            Self::Notification => "notification",
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Step {
    ReserveStock,
    ChargePayment,
    ConfirmStock,
    SendConfirmation,
    ReleaseStock,
    SendRejection,
}

impl Step {
    pub(super) fn name(self) -> &'static str {
        self.subject().rsplit('.').next().unwrap_or_default()
    }

    pub(super) const fn subject(self) -> &'static str {
        match self {
            Self::ReserveStock => "floor.cmd.inventory.reserve-stock",
            Self::ChargePayment => "floor.cmd.payment.charge-payment",
            Self::ConfirmStock => "floor.cmd.inventory.confirm-stock",
            Self::SendConfirmation => "floor.cmd.notification.send-confirmation",
            Self::ReleaseStock => "floor.cmd.inventory.release-stock",
            Self::SendRejection => "floor.cmd.notification.send-rejection",
        }
    }

    /// What follows; `None` when the saga has settled.
    const fn next(self, outcome: Outcome) -> Option<Self> {
        match (self, outcome) {
            (Self::ReserveStock, _) => Some(Self::ChargePayment),
            (Self::ChargePayment, Outcome::Succeeded) => Some(Self::ConfirmStock),
            (Self::ChargePayment, Outcome::Rejected) => Some(Self::ReleaseStock),
            (Self::ConfirmStock, _) => Some(Self::SendConfirmation),
            (Self::ReleaseStock, _) => Some(Self::SendRejection),
            (Self::SendConfirmation | Self::SendRejection, _) => None,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Outcome {
    Succeeded,
    Rejected,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
pub(super) struct Order<'a> {
    pub(super) sku: &'a str,
    pub(super) quantity: u32,
    pub(super) amount_minor: u64,
    pub(super) currency: &'a str,
    pub(super) card: &'a str,
}

/// A command, or with an outcome the reply to it; about 300 bytes as JSON.
#[derive(Serialize, Deserialize)]
pub(super) struct Body<'a> {
    pub(super) specversion: &'a str,
    pub(super) id: &'a str,
    pub(super) source: &'a str,
    pub(super) sagaid: Uuid,
    pub(super) sagastep: Step,
    pub(super) time: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) outcome: Option<Outcome>,
    #[serde(borrow)]
    pub(super) data: Order<'a>,
    /// What it carries besides.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub(super) load: &'a str,
}

/// A running saga as the orchestrator holds it; its row says the same.
#[derive(Serialize)]
pub(super) struct Saga {
    pub(super) version: i32,
    pub(super) status: &'static str,
    /// The step whose reply it waits for.
    pub(super) step: Option<Step>,
    pub(super) order: Order<'static>,
    #[serde(skip)]
    pub(super) began: Instant,
}

impl Saga {
    /// The `n`th to start, before its first commit.
    pub(super) fn start(n: usize) -> Self {
        let card = if n % DECLINED_ONE_IN == DECLINED_ONE_IN - 1 { DECLINED } else { "tok_accepted" };
        let order = Order { sku: "SKU-4711-BLUE", quantity: 2, amount_minor: 129_900, currency: "EUR", card };
        let began = Instant::now();
        Self { version: 1, status: "running", step: Some(Step::ReserveStock), order, began }
    }

    /// Takes a reply; `false` if it is not the one that it waits for.
    pub(super) fn take(&mut self, step: Step, outcome: Outcome) -> bool {
        if self.step != Some(step) {
            return false;
        }
        self.version += 1;
        self.step = step.next(outcome);
        if self.step.is_none() {
            self.status = if step == Step::SendRejection { "compensated" } else { "completed" };
        }
        true
    }
}

/// What a participant makes of a command.
pub(super) fn decide(command: &Body<'_>) -> Outcome {
    match command.sagastep {
        Step::ChargePayment if command.data.card == DECLINED => Outcome::Rejected,
        _ => Outcome::Succeeded,
    }
}

/// As JSON, in a buffer that need not grow.
pub(super) fn json(value: &impl Serialize) -> anyhow::Result<Vec<u8>> {
    let mut text = Vec::with_capacity(384);
    serde_json::to_writer(&mut text, value)?;
    Ok(text)
}
