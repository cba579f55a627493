//! Indexes that cost a running saga less, and one that finds the keys of a saga.
//!
//! The index of definitions held every saga, so that PostgreSQL wrote to it at each transition; it is asked for
//! sagas that have ended only, for there are few others, and they have an index of their own.

use sea_orm_migration::prelude::*;

use crate::entity::{idempotency, saga};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[expect(elided_lifetimes_in_paths, reason = "written as in the trait, or async_trait binds it elsewhere")]
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let ended = Index::create()
            .if_not_exists()
            .name("sagas_ended")
            .table(saga::Entity)
            .col(saga::Column::DefinitionName)
            .col(saga::Column::Id)
            .and_where(Expr::col(saga::Column::Status).is_in(["completed", "compensated", "abandoned"]))
            .take();
        manager.create_index(ended).await?;
        let by_definition = Index::drop().if_exists().name("sagas_by_definition").to_owned();
        manager.drop_index(by_definition).await?;
        let by_saga = Index::create()
            .if_not_exists()
            .name("idempotency_by_saga")
            .table(idempotency::Entity)
            .col(idempotency::Column::SagaId)
            .take();
        manager.create_index(by_saga).await
    }
}
