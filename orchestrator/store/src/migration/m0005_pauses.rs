//! Definitions that operators pause, and an index of the sagas that are paused.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, boolean, text};

use crate::entity::{definition_pause, saga};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[expect(elided_lifetimes_in_paths, reason = "written as in the trait, or async_trait binds it elsewhere")]
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(definition_pauses()).await?;
        let paused = Index::create()
            .if_not_exists()
            .name("sagas_paused")
            .table(saga::Entity)
            .col(saga::Column::Id)
            .and_where(Expr::col(saga::Column::Paused))
            .take();
        manager.create_index(paused).await
    }
}

fn definition_pauses() -> TableCreateStatement {
    use definition_pause::Column;
    Table::create()
        .if_not_exists()
        .table(definition_pause::Entity)
        .col(text(Column::Name))
        .col(big_integer(Column::Version))
        .col(boolean(Column::Paused))
        .col(text(Column::Actor))
        .col(text(Column::Reason))
        .col(big_integer(Column::ChangedAtMs))
        .primary_key(Index::create().col(Column::Name).col(Column::Version))
        .take()
}
