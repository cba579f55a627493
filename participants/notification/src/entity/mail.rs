//! Mails: one row per effect.
//!
//! Invariant: a row is `sending` from before the text of the mail leaves us until it is known what became
//! of it; a row found `sending` by somebody who is not sending it is in doubt.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::{Delivery, Occasion};

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "mails")]
pub(crate) struct Model {
    /// Effect id: in time order, and what the Message-ID derives from.
    #[sea_orm(primary_key, auto_increment = false)]
    pub effect: String,
    pub saga: Uuid,
    pub occasion: Occasion,
    pub order_id: String,
    pub recipient: String,
    pub message_id: String,
    pub status: Status,
    /// Why it is not sent, yet or ever.
    pub reason: Option<String>,
    pub created_at_ms: i64,
    pub updated_at_ms: i64,
}

impl ActiveModelBehavior for ActiveModel {}

/// How far a mail is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize, ToSchema)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "lowercase")]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Certainly not sent yet.
    Queued,
    /// Its text is on its way to the mail server, or was when the process died.
    Sending,
    /// The mail server took it.
    Sent,
    /// Nobody knows whether the mail server took it.
    Uncertain,
    /// The mail server refused it for good.
    Undeliverable,
}

impl From<Delivery> for Status {
    fn from(delivery: Delivery) -> Self {
        match delivery {
            Delivery::Sent => Self::Sent,
            Delivery::Uncertain => Self::Uncertain,
            Delivery::Undeliverable => Self::Undeliverable,
        }
    }
}
