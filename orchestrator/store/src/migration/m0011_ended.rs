//! The index of sagas that have ended, by a condition that costs SQLite nothing.
//!
//! For `status IN (..)` of three texts SQLite makes a table in memory each time a saga is written, whatever its status; for
//! the same with `OR` it compares.

use sea_orm_migration::prelude::*;

use crate::entity::saga::{Column, Entity};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[expect(elided_lifetimes_in_paths, reason = "written as in the trait, or async_trait binds it elsewhere")]
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        const NAME: &str = "sagas_ended";
        let is = |status: &str| Expr::col(Column::Status).eq(status);
        manager.drop_index(Index::drop().if_exists().name(NAME).to_owned()).await?;
        let ended = Index::create()
            .if_not_exists()
            .name(NAME)
            .table(Entity)
            .col(Column::DefinitionName)
            .col(Column::Id)
            .and_where(is("completed").or(is("compensated")).or(is("abandoned")))
            .take();
        manager.create_index(ended).await
    }
}
