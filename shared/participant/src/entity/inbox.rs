//! The inbox: effect id to recorded reply.
//!
//! Invariant: a row that is `final` or a `tombstone` never changes again, but for a tombstone's reply,
//! which is recorded when it is first given. The saga's age is not a column: it is in the effect id, in
//! whose order the rows lie.

use sea_orm::entity::prelude::*;

/// One effect.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "inbox")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub effect_id: String,
    pub state: State,
    /// The command's `type`; null where no command of this effect was seen.
    pub message_type: Option<String>,
    /// Digest of type and data; null where no command of this effect was seen.
    pub meaning: Option<String>,
    /// Name of the final outcome.
    pub outcome: Option<String>,
    /// The reply as it was first sent, byte for byte.
    pub reply: Option<Vec<u8>>,
    /// While open: the command, to answer it later (JSON of [`Asked`](crate::inbox::Asked)).
    pub command: Option<String>,
    /// What an external call was prepared with (JSON). An open row without it is an undo that waits for
    /// the outcome of its action.
    pub intent: Option<String>,
    /// While open: how many calls may have been made.
    pub calls: i64,
    /// While open: until when it belongs to the process that works on it, or from when on it is to be
    /// looked into.
    pub due_at_ms: Option<i64>,
    pub created_at_ms: i64,
    pub updated_at_ms: i64,
}

/// What is known of an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum State {
    /// Its outcome is being found out.
    #[sea_orm(string_value = "open")]
    Open,
    /// The same, and it will be undone if it turns out to have happened.
    #[sea_orm(string_value = "voiding")]
    Voiding,
    /// It has a final outcome.
    #[sea_orm(string_value = "final")]
    Final,
    /// It never happened and never will.
    #[sea_orm(string_value = "tombstone")]
    Tombstone,
}

impl From<State> for amends_inbox::State {
    fn from(state: State) -> Self {
        match state {
            State::Open => Self::Open,
            State::Voiding => Self::Voiding,
            State::Final => Self::Final,
            State::Tombstone => Self::Tombstone,
        }
    }
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
