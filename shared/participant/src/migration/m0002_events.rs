//! The outbox of events, and what is known of the broker's stream of them.

use sea_orm_migration::prelude::*;

use crate::{
    database::dialect,
    entity::{event_outbox, event_stream},
};

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "sdk_0002_events"
    }
}

#[expect(elided_lifetimes_in_paths, reason = "written as in the trait, or async_trait binds it elsewhere")]
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        use event_outbox::Column;
        let byte_order = dialect::byte_order(manager.get_database_backend());
        let outbox = Table::create()
            .table(event_outbox::Entity)
            .col(ColumnDef::new(Column::EventId).text().not_null().extra(byte_order).primary_key())
            .col(ColumnDef::new(Column::MessageType).text().not_null())
            .col(ColumnDef::new(Column::Envelope).blob().not_null())
            .col(ColumnDef::new(Column::DueAtMs).big_integer())
            .col(ColumnDef::new(Column::CreatedAtMs).big_integer().not_null())
            .col(ColumnDef::new(Column::PublishedAtMs).big_integer())
            .take();
        manager.create_table(outbox).await?;
        for (name, column) in
            [("event_outbox_due", Column::DueAtMs), ("event_outbox_published", Column::PublishedAtMs)]
        {
            let index = Index::create()
                .name(name)
                .table(event_outbox::Entity)
                .col(column)
                .and_where(Expr::col(column).is_not_null())
                .take();
            manager.create_index(index).await?;
        }
        let stream = Table::create()
            .table(event_stream::Entity)
            .col(ColumnDef::new(event_stream::Column::Name).text().not_null().primary_key())
            .col(ColumnDef::new(event_stream::Column::CreatedAtMs).big_integer().not_null())
            .col(ColumnDef::new(event_stream::Column::LastSeq).big_integer().not_null())
            .take();
        manager.create_table(stream).await
    }
}
