//! The participant's own tables, made together with the SDK's.

use sea_orm_migration::prelude::*;

use crate::entity::payment::{Column, Entity};
use crate::entity::refund;

/// All migrations, oldest first. Never change one that was released.
pub(crate) fn all() -> Vec<Box<dyn MigrationTrait>> {
    vec![Box::new(Payments), Box::new(Refunds)]
}

struct Payments;

impl MigrationName for Payments {
    fn name(&self) -> &str {
        "payment_0001_payments"
    }
}

#[expect(elided_lifetimes_in_paths, reason = "the trait hides it, and async_trait tells the two apart")]
#[async_trait::async_trait]
impl MigrationTrait for Payments {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table(Entity)
            .col(ColumnDef::new(Column::Effect).text().not_null().primary_key())
            .col(ColumnDef::new(Column::Saga).uuid().not_null())
            .col(ColumnDef::new(Column::Customer).text().not_null())
            .col(ColumnDef::new(Column::Amount).big_integer().not_null())
            .col(ColumnDef::new(Column::Currency).text().not_null())
            .col(ColumnDef::new(Column::Status).text().not_null())
            .col(ColumnDef::new(Column::ChargeId).text())
            .col(ColumnDef::new(Column::RefundId).text())
            .col(ColumnDef::new(Column::Code).text())
            .col(ColumnDef::new(Column::CreatedAtMs).big_integer().not_null())
            .col(ColumnDef::new(Column::UpdatedAtMs).big_integer().not_null())
            .take();
        manager.create_table(table).await?;
        // Each filter of the list, with the order of its pages.
        for (name, column) in [
            ("payments_saga", Column::Saga),
            ("payments_customer", Column::Customer),
            ("payments_status", Column::Status),
        ] {
            let index = Index::create().name(name).table(Entity).col(column).col(Column::Effect).take();
            manager.create_index(index).await?;
        }
        Ok(())
    }
}

struct Refunds;

impl MigrationName for Refunds {
    fn name(&self) -> &str {
        "payment_0002_refunds"
    }
}

#[expect(elided_lifetimes_in_paths, reason = "the trait hides it, and async_trait tells the two apart")]
#[async_trait::async_trait]
impl MigrationTrait for Refunds {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        use refund::Column;
        let table = Table::create()
            .table(refund::Entity)
            .col(ColumnDef::new(Column::Effect).text().not_null().primary_key())
            .col(ColumnDef::new(Column::Charge).text().not_null())
            .col(ColumnDef::new(Column::Order).uuid().not_null())
            .col(ColumnDef::new(Column::Amount).big_integer().not_null())
            .col(ColumnDef::new(Column::Currency).text().not_null())
            .col(ColumnDef::new(Column::Status).text().not_null())
            .col(ColumnDef::new(Column::RefundId).text())
            .col(ColumnDef::new(Column::Code).text())
            .col(ColumnDef::new(Column::CreatedAtMs).big_integer().not_null())
            .col(ColumnDef::new(Column::UpdatedAtMs).big_integer().not_null())
            .take();
        manager.create_table(table).await?;
        let by_order = Index::create()
            .name("refunds_order")
            .table(refund::Entity)
            .col(Column::Order)
            .col(Column::Effect)
            .take();
        manager.create_index(by_order).await
    }
}
