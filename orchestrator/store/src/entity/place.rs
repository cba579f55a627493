//! Who waits for, and who has, one of the places of a step's `concurrency`.
//!
//! Invariant: a row is there exactly as long as its saga says that the action wants or has a place; `commit`
//! makes and deletes it together with the saga.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "places")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub saga_id: Uuid,
    /// The step, with the number of its instance if it runs once for each of a list.
    #[sea_orm(primary_key, auto_increment = false)]
    pub step_ref: String,
    pub definition_name: String,
    pub definition_version: i64,
    pub step: String,
    pub wanted_at_ms: i64,
    /// Given, by whoever gives places; NULL while it waits.
    pub given_at_ms: Option<i64>,
    /// The saga has heard of it, and sent.
    pub used: bool,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
