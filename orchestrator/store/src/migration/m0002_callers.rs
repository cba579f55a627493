//! API keys and the idempotency keys of those who hold them.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_integer_null, text, text_uniq, uuid};

use crate::entity::{api_key, idempotency};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[expect(elided_lifetimes_in_paths, reason = "written as in the trait, or async_trait binds it elsewhere")]
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(api_keys()).await?;
        manager.create_table(idempotency()).await
    }
}

fn api_keys() -> TableCreateStatement {
    use api_key::Column;
    Table::create()
        .if_not_exists()
        .table(api_key::Entity)
        .col(uuid(Column::Id).primary_key())
        .col(text(Column::Name))
        .col(text_uniq(Column::Prefix))
        .col(text(Column::Hash))
        .col(text(Column::Scopes))
        .col(big_integer(Column::CreatedAtMs))
        .col(big_integer_null(Column::RevokedAtMs))
        .col(big_integer_null(Column::LastUsedAtMs))
        .take()
}

fn idempotency() -> TableCreateStatement {
    use idempotency::Column;
    Table::create()
        .if_not_exists()
        .table(idempotency::Entity)
        .col(uuid(Column::Owner))
        .col(text(Column::Key))
        .col(text(Column::BodyDigest))
        .col(uuid(Column::SagaId))
        .col(text(Column::Answer))
        .col(big_integer(Column::CreatedAtMs))
        .primary_key(Index::create().col(Column::Owner).col(Column::Key))
        .take()
}
