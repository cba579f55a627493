//! The participant's own tables, made together with the SDK's.

use sea_orm_migration::prelude::*;

use crate::entity::mail::{Column, Entity};

/// All migrations, oldest first. Never change one that was released.
pub(crate) fn all() -> Vec<Box<dyn MigrationTrait>> {
    vec![Box::new(Mails)]
}

struct Mails;

impl MigrationName for Mails {
    fn name(&self) -> &str {
        "notification_0001_mails"
    }
}

#[expect(elided_lifetimes_in_paths, reason = "the trait hides it, and async_trait tells the two apart")]
#[async_trait::async_trait]
impl MigrationTrait for Mails {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table(Entity)
            .col(ColumnDef::new(Column::Effect).text().not_null().primary_key())
            .col(ColumnDef::new(Column::Saga).uuid().not_null())
            .col(ColumnDef::new(Column::Occasion).text().not_null())
            .col(ColumnDef::new(Column::OrderId).text().not_null())
            .col(ColumnDef::new(Column::Recipient).text().not_null())
            .col(ColumnDef::new(Column::MessageId).text().not_null())
            .col(ColumnDef::new(Column::Status).text().not_null())
            .col(ColumnDef::new(Column::Reason).text())
            .col(ColumnDef::new(Column::CreatedAtMs).big_integer().not_null())
            .col(ColumnDef::new(Column::UpdatedAtMs).big_integer().not_null())
            .take();
        manager.create_table(table).await?;
        // Each filter of the list, with the order of its pages.
        for (name, column) in [("mails_saga", Column::Saga), ("mails_status", Column::Status)] {
            let index = Index::create().name(name).table(Entity).col(column).col(Column::Effect).take();
            manager.create_index(index).await?;
        }
        Ok(())
    }
}
