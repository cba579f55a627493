//! The outbox of events, and dead letters.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_integer_null, big_pk_auto, text, text_uniq};

use crate::entity::{dead_letter, outbox};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[expect(elided_lifetimes_in_paths, reason = "written as in the trait, or async_trait binds it elsewhere")]
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(events()).await?;
        for index in event_indexes() {
            manager.create_index(index).await?;
        }
        manager.create_table(dead_letters()).await?;
        let same = Index::create()
            .if_not_exists()
            .unique()
            .name("dead_letters_same")
            .table(dead_letter::Entity)
            .col(dead_letter::Column::LetterId)
            .col(dead_letter::Column::BodyDigest)
            .take();
        manager.create_index(same).await
    }
}

fn events() -> TableCreateStatement {
    use outbox::Column;
    Table::create()
        .if_not_exists()
        .table(outbox::Entity)
        .col(big_pk_auto(Column::Seq))
        .col(text_uniq(Column::EventId))
        .col(text(Column::MessageType))
        .col(text(Column::Envelope))
        .col(big_integer(Column::CreatedAtMs))
        .col(big_integer_null(Column::PublishedAtMs))
        .take()
}

fn event_indexes() -> Vec<IndexCreateStatement> {
    use outbox::Column;
    let index = |name: &str, column: Column| {
        Index::create().if_not_exists().name(name).table(outbox::Entity).col(column).take()
    };
    let published = Expr::col(Column::PublishedAtMs);
    vec![
        index("event_outbox_unpublished", Column::Seq).and_where(published.clone().is_null()).take(),
        index("event_outbox_published", Column::PublishedAtMs).and_where(published.is_not_null()).take(),
    ]
}

fn dead_letters() -> TableCreateStatement {
    use dead_letter::Column;
    Table::create()
        .if_not_exists()
        .table(dead_letter::Entity)
        .col(big_pk_auto(Column::Number))
        .col(text(Column::LetterId))
        .col(text(Column::Participant))
        .col(text(Column::ReasonCode))
        .col(text(Column::ReasonMessage))
        .col(text(Column::Subject))
        .col(text(Column::Stream))
        .col(big_integer(Column::StreamSeq))
        .col(text(Column::Headers))
        .col(text(Column::BodyBase64))
        .col(big_integer(Column::BodyBytes))
        .col(text(Column::BodyDigest))
        .col(big_integer(Column::SetAsideAtMs))
        .take()
}
