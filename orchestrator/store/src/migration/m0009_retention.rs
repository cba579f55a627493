//! What is left of a deleted saga.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, text, uuid};

use crate::entity::deleted_saga;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[expect(elided_lifetimes_in_paths, reason = "written as in the trait, or async_trait binds it elsewhere")]
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        use deleted_saga::Column;
        let deleted = Table::create()
            .if_not_exists()
            .table(deleted_saga::Entity)
            .col(uuid(Column::Id).primary_key())
            .col(text(Column::Status))
            .col(big_integer(Column::DeletedAtMs))
            .take();
        manager.create_table(deleted).await
    }
}
