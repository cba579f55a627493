//! One row per saga. `state` is the whole saga as JSON, as it was at some time (docs/adr/0011); the other columns repeat what is filtered by.
//!
//! Invariant: only `commit` writes it; `claimed_until_ms` is a lease, outside version and journal.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sagas")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub definition_name: String,
    pub definition_version: i64,
    pub digest: String,
    pub version: i64,
    pub status: String,
    pub needs_attention: bool,
    pub awaiting: bool,
    pub held: bool,
    /// Whose outage holds it; see [`Outage`](crate::Outage).
    pub held_by: Option<String>,
    pub overdue: bool,
    pub paused: bool,
    pub alarm: bool,
    pub failure_code: Option<String>,
    pub failure_step: Option<String>,
    pub state: String,
    pub started_at_ms: i64,
    pub updated_at_ms: i64,
    pub due_at_ms: Option<i64>,
    pub claimed_until_ms: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
