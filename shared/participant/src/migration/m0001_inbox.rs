//! The inbox.

use sea_orm_migration::prelude::*;

use crate::{database::dialect, entity::inbox};

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "sdk_0001_inbox"
    }
}

#[expect(elided_lifetimes_in_paths, reason = "written as in the trait, or async_trait binds it elsewhere")]
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        use inbox::Column;
        let byte_order = dialect::byte_order(manager.get_database_backend());
        let table = Table::create()
            .table(inbox::Entity)
            .col(ColumnDef::new(Column::EffectId).text().not_null().extra(byte_order).primary_key())
            .col(ColumnDef::new(Column::State).text().not_null())
            .col(ColumnDef::new(Column::MessageType).text())
            .col(ColumnDef::new(Column::Meaning).text())
            .col(ColumnDef::new(Column::Outcome).text())
            .col(ColumnDef::new(Column::Reply).blob())
            .col(ColumnDef::new(Column::Command).text())
            .col(ColumnDef::new(Column::Intent).text())
            .col(ColumnDef::new(Column::Calls).big_integer().not_null())
            .col(ColumnDef::new(Column::DueAtMs).big_integer())
            .col(ColumnDef::new(Column::CreatedAtMs).big_integer().not_null())
            .col(ColumnDef::new(Column::UpdatedAtMs).big_integer().not_null())
            .take();
        manager.create_table(table).await?;
        // Only the few open rows are in it.
        let due = Index::create()
            .name("inbox_due")
            .table(inbox::Entity)
            .col(Column::DueAtMs)
            .and_where(Expr::col(Column::DueAtMs).is_not_null())
            .take();
        manager.create_index(due).await
    }
}
