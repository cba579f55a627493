//! The participant's own tables, made together with the SDK's.

use sea_orm_migration::prelude::*;

use crate::entity::{reservation, restock, stock};

/// All migrations, oldest first. Never change one that was released.
pub(crate) fn all() -> Vec<Box<dyn MigrationTrait>> {
    vec![Box::new(Stock)]
}

struct Stock;

impl MigrationName for Stock {
    fn name(&self) -> &str {
        "inventory_0001_stock"
    }
}

#[expect(elided_lifetimes_in_paths, reason = "the trait hides it, and async_trait tells the two apart")]
#[async_trait::async_trait]
impl MigrationTrait for Stock {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        use stock::Column as S;
        let number = |column: S| ColumnDef::new(column).big_integer().not_null().take();
        // The last line of defence; the handlers refuse before it.
        let sound = Expr::col(S::Reserved)
            .gte(0)
            .and(Expr::col(S::Deducted).gte(0))
            .and(Expr::col(S::OnHand).gte(Expr::col(S::Reserved)));
        let table = Table::create()
            .table(stock::Entity)
            .col(ColumnDef::new(S::Sku).text().not_null().primary_key())
            .col(number(S::OnHand))
            .col(number(S::Reserved))
            .col(number(S::Deducted))
            .col(number(S::Received))
            .col(number(S::UpdatedAtMs))
            .check(sound)
            .take();
        manager.create_table(table).await?;

        use reservation::Column as R;
        let table = Table::create()
            .table(reservation::Entity)
            .col(ColumnDef::new(R::Id).text().not_null().primary_key())
            .col(ColumnDef::new(R::Saga).uuid().not_null())
            .col(ColumnDef::new(R::Status).text().not_null())
            .col(ColumnDef::new(R::Lines).text().not_null())
            .col(ColumnDef::new(R::CreatedAtMs).big_integer().not_null())
            .col(ColumnDef::new(R::UpdatedAtMs).big_integer().not_null())
            .take();
        manager.create_table(table).await?;

        use restock::Column as T;
        let table = Table::create()
            .table(restock::Entity)
            .col(ColumnDef::new(T::Key).text().not_null().primary_key())
            .col(ColumnDef::new(T::Sku).text().not_null())
            .col(ColumnDef::new(T::Quantity).big_integer().not_null())
            .col(ColumnDef::new(T::CreatedAtMs).big_integer().not_null())
            .take();
        manager.create_table(table).await
    }
}
