//! The participant's own tables, made together with the SDK's.

use sea_orm_migration::prelude::*;

use crate::entity::{goods_return, reservation, restock, stock};

/// All migrations, oldest first. Never change one that was released.
pub(crate) fn all() -> Vec<Box<dyn MigrationTrait>> {
    vec![Box::new(Tables), Box::new(Returns)]
}

struct Tables;

impl MigrationName for Tables {
    fn name(&self) -> &str {
        "inventory_0001_tables"
    }
}

#[expect(elided_lifetimes_in_paths, reason = "written as in the trait, or async_trait binds it elsewhere")]
#[async_trait::async_trait]
impl MigrationTrait for Tables {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(stock_table()).await?;
        let reservations = Table::create()
            .table(reservation::Entity)
            .col(ColumnDef::new(reservation::Column::Id).text().not_null().primary_key())
            .col(ColumnDef::new(reservation::Column::State).text().not_null())
            .col(ColumnDef::new(reservation::Column::Lines).text().not_null())
            .col(ColumnDef::new(reservation::Column::CreatedAtMs).big_integer().not_null())
            .col(ColumnDef::new(reservation::Column::UpdatedAtMs).big_integer().not_null())
            .take();
        manager.create_table(reservations).await?;
        let restocks = Table::create()
            .table(restock::Entity)
            .col(ColumnDef::new(restock::Column::Key).text().not_null().primary_key())
            .col(ColumnDef::new(restock::Column::Sku).text().not_null())
            .col(ColumnDef::new(restock::Column::Quantity).big_integer().not_null())
            .col(ColumnDef::new(restock::Column::Answer).text().not_null())
            .col(ColumnDef::new(restock::Column::CreatedAtMs).big_integer().not_null())
            .take();
        manager.create_table(restocks).await
    }
}

/// The table denies what `domain::Stock::is_sound` does.
fn stock_table() -> TableCreateStatement {
    use stock::Column;
    let column = |column: Column| Expr::col(column);
    Table::create()
        .table(stock::Entity)
        .col(ColumnDef::new(Column::Sku).text().not_null().primary_key())
        .col(ColumnDef::new(Column::OnHand).big_integer().not_null())
        .col(ColumnDef::new(Column::Reserved).big_integer().not_null())
        .col(ColumnDef::new(Column::Deducted).big_integer().not_null())
        .col(ColumnDef::new(Column::Received).big_integer().not_null())
        .col(ColumnDef::new(Column::UpdatedAtMs).big_integer().not_null())
        .check(column(Column::Reserved).gte(0))
        .check(column(Column::Reserved).lte(column(Column::OnHand)))
        .check(column(Column::Deducted).gte(0))
        .check(column(Column::OnHand).add(column(Column::Deducted)).eq(column(Column::Received)))
        .take()
}

struct Returns;

impl MigrationName for Returns {
    fn name(&self) -> &str {
        "inventory_0002_returns"
    }
}

#[expect(elided_lifetimes_in_paths, reason = "written as in the trait, or async_trait binds it elsewhere")]
#[async_trait::async_trait]
impl MigrationTrait for Returns {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let saga = ColumnDef::new(reservation::Column::Saga).text().not_null().default("").take();
        manager.alter_table(Table::alter().table(reservation::Entity).add_column(saga).take()).await?;
        // An effect id begins with its saga's id, which has 36 characters.
        let of_id = Func::cust(Alias::new("substr")).args([
            Expr::col(reservation::Column::Id),
            Expr::val(1),
            Expr::val(36),
        ]);
        let fill = Query::update().table(reservation::Entity).value(reservation::Column::Saga, of_id).take();
        manager.execute(fill).await?;
        let by_saga = Index::create()
            .name("reservation_saga")
            .table(reservation::Entity)
            .col(reservation::Column::Saga)
            .take();
        manager.create_index(by_saga).await?;
        manager.create_table(returns_table()).await?;
        let by_order = Index::create()
            .name("goods_return_order")
            .table(goods_return::Entity)
            .col(goods_return::Column::Order)
            .col(goods_return::Column::Id)
            .take();
        manager.create_index(by_order).await
    }
}

fn returns_table() -> TableCreateStatement {
    use goods_return::Column;
    Table::create()
        .table(goods_return::Entity)
        .col(ColumnDef::new(Column::Id).text().not_null().primary_key())
        .col(ColumnDef::new(Column::Order).text().not_null())
        .col(ColumnDef::new(Column::State).text().not_null())
        .col(ColumnDef::new(Column::Lines).text().not_null())
        .col(ColumnDef::new(Column::CreatedAtMs).big_integer().not_null())
        .col(ColumnDef::new(Column::UpdatedAtMs).big_integer().not_null())
        .take()
}
