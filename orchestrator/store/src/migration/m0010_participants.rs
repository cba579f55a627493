//! What operators said about participants.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_integer_null, text};

use crate::entity::participant_action;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[expect(elided_lifetimes_in_paths, reason = "written as in the trait, or async_trait binds it elsewhere")]
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        use participant_action::Column;
        let actions = Table::create()
            .if_not_exists()
            .table(participant_action::Entity)
            .col(text(Column::Participant))
            .col(big_integer(Column::Seq))
            .col(text(Column::Action))
            .col(big_integer_null(Column::UntilMs))
            .col(text(Column::Actor))
            .col(text(Column::Reason))
            .col(big_integer(Column::AskedAtMs))
            .primary_key(Index::create().col(Column::Participant).col(Column::Seq))
            .take();
        manager.create_table(actions).await
    }
}
