//! A saga, shown as an order.

use std::ops::Deref;
use std::str::FromStr;

use amends_contract::{Json, SagaId, Timestamp, Token};
use amends_engine::{Saga, Status, code};
use serde::{Serialize, Serializer};
use serde_json::Value;
use utoipa::ToSchema;

use super::{DEFINITION, Line, Money};

/// An order.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct OrderView {
    /// Its id; that of its saga, too.
    #[schema(value_type = String, format = "uuid")]
    pub id: SagaId,
    /// How it stands.
    pub status: OrderStatus,
    /// Why it is not, or will not be, confirmed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<OrderFailure>,
    /// Whose order.
    #[schema(value_type = String)]
    pub customer_id: Field,
    /// Where the confirmation goes.
    #[schema(value_type = String)]
    pub email: Field,
    /// What is ordered.
    #[schema(value_type = Vec<Line>)]
    pub lines: Field,
    /// What it costs.
    #[schema(value_type = Money)]
    pub total: Field,
    /// When it was taken.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it last changed.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
    /// When it begins; none once it has begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub start_at: Option<Timestamp>,
}

/// A field of the saga's input, which is shared and not copied; `null` if there is none.
#[derive(Clone, Debug)]
pub struct Field {
    input: Json,
    name: &'static str,
}

impl Deref for Field {
    type Target = Value;

    fn deref(&self) -> &Value {
        self.input.get(self.name).unwrap_or(&Value::Null)
    }
}

impl PartialEq for Field {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Serialize for Field {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (**self).serialize(serializer)
    }
}

/// How an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum OrderStatus {
    /// On its way, forward or back.
    Pending,
    /// Everything happened.
    Confirmed,
    /// It could not be, and whatever had happened was undone.
    Rejected,
    /// It was cancelled, and whatever had happened was undone.
    Cancelled,
    /// An operator ended it without a promise of balance.
    Abandoned,
}

/// Why an order is not, or will not be, confirmed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct OrderFailure {
    /// Stable and machine-readable, such as `out-of-stock`.
    pub code: String,
    /// For people.
    pub detail: String,
    /// The step that failed, such as `reserve-stock`; none when it was cancelled or took too long.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub step: Option<Token>,
}

impl OrderView {
    /// The order that this saga is; `None` when it is a saga of something else.
    #[must_use]
    pub fn of(saga: &Saga) -> Option<Self> {
        if saga.definition.name != *DEFINITION {
            return None;
        }
        let failure = saga.failure.as_ref().map(|failure| OrderFailure {
            code: failure.code.clone(),
            detail: failure.detail.clone(),
            step: failure.step.clone(),
        });
        let order = Self::accepted(saga.id, &saga.input, saga.start_at);
        Some(Self { status: OrderStatus::of(saga), failure, updated_at: saga.updated_at, ..order })
    }

    /// The order as it is when it is taken, with this input and beginning.
    #[must_use]
    pub fn accepted(id: SagaId, input: &Json, start_at: Option<Timestamp>) -> Self {
        let field = |name| Field { input: input.clone(), name };
        Self {
            id,
            status: OrderStatus::Pending,
            failure: None,
            customer_id: field("customer_id"),
            email: field("email"),
            lines: field("lines"),
            total: field("total"),
            // The id carries the moment, so every answer says the same.
            created_at: id.made_at(),
            updated_at: id.made_at(),
            start_at,
        }
    }
}

impl OrderStatus {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Pending, Self::Confirmed, Self::Rejected, Self::Cancelled, Self::Abandoned];

    /// Of the order that this saga is.
    #[must_use]
    pub fn of(saga: &Saga) -> Self {
        match saga.status() {
            Status::Running | Status::Compensating | Status::Parked => Self::Pending,
            Status::Completed => Self::Confirmed,
            Status::Compensated if is_cancelled(saga) => Self::Cancelled,
            Status::Compensated => Self::Rejected,
            Status::Abandoned => Self::Abandoned,
        }
    }

    /// How it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Confirmed => "confirmed",
            Self::Rejected => "rejected",
            Self::Cancelled => "cancelled",
            Self::Abandoned => "abandoned",
        }
    }

    /// The statuses of the sagas among which such orders are found.
    #[must_use]
    pub fn saga_statuses(self) -> Vec<Status> {
        match self {
            Self::Pending => vec![Status::Running, Status::Compensating, Status::Parked],
            Self::Confirmed => vec![Status::Completed],
            Self::Rejected | Self::Cancelled => vec![Status::Compensated],
            Self::Abandoned => vec![Status::Abandoned],
        }
    }
}

/// A participant may use the same code for a rejection of its own, but then a step has failed.
fn is_cancelled(saga: &Saga) -> bool {
    saga.failure.as_ref().is_some_and(|failure| failure.code == code::CANCELLED && failure.step.is_none())
}

/// The text is no status of an order.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a status: pending, confirmed, rejected, cancelled or abandoned")]
pub struct InvalidOrderStatus(String);

impl FromStr for OrderStatus {
    type Err = InvalidOrderStatus;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or_else(|| InvalidOrderStatus(text.chars().take(80).collect()))
    }
}
