//! Messages that were set aside, copied out of their stream for the operator.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "dead_letters")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub number: i64,
    pub letter_id: String,
    pub participant: String,
    pub reason_code: String,
    pub reason_message: String,
    pub subject: String,
    pub stream: String,
    pub stream_seq: i64,
    pub element: Option<i64>,
    pub headers: String,
    pub body_base64: String,
    pub body_bytes: i64,
    pub body_digest: String,
    pub set_aside_at_ms: i64,
    pub state: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
