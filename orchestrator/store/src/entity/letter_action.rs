//! What operators did with dead letters: a journal, of which nothing is ever deleted or overwritten but the
//! outcome, once.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "letter_actions")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub number: i64,
    /// The letter's number.
    pub letter: i64,
    pub action: String,
    pub actor: String,
    pub reason: String,
    pub asked_at_ms: i64,
    pub outcome: String,
    pub stream_seq: Option<i64>,
    pub detail: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
