//! Answers stored under their idempotency key, for ever.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "answers")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub key: String,
    /// Digest of the request: the same key with another request is refused.
    pub fingerprint: String,
    pub status: i32,
    #[sea_orm(column_type = "Text")]
    pub body: String,
    pub at_ms: i64,
}

impl ActiveModelBehavior for ActiveModel {}
